//! Which candidates' path prefixes a path begins with: a radix tree over bytes.

/// A radix tree: prefixes, and at each the ranks of the candidates that it belongs to, ascending.
#[derive(Debug)]
pub(super) struct PathTrie {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// What leads here from the parent.
    label: Box<[u8]>,
    /// First byte of a child's label and its place, by that byte.
    children: Vec<(u8, usize)>,
    ranks: Vec<u32>,
}

impl Default for PathTrie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
        }
    }
}

impl PathTrie {
    /// Adds a candidate. Ranks must come in ascending order; the same one twice in a row is kept once.
    pub(super) fn insert(&mut self, prefix: &[u8], rank: u32) {
        let node = self.node(prefix);
        let ranks = &mut self.nodes[node].ranks;
        if ranks.last() != Some(&rank) {
            ranks.push(rank);
        }
    }

    /// Visits the ranks of every prefix that a path begins with, the shortest prefix first.
    pub(super) fn walk(&self, path: &[u8], mut visit: impl FnMut(&[u32])) {
        let mut node = &self.nodes[0];
        let mut rest = path;
        loop {
            if !node.ranks.is_empty() {
                visit(&node.ranks);
            }
            let Some(first) = rest.first() else { return };
            let Ok(child) = node.children.binary_search_by_key(first, |child| child.0) else {
                return;
            };
            node = &self.nodes[node.children[child].1];
            match rest.strip_prefix(&*node.label) {
                Some(remaining) => rest = remaining,
                None => return,
            }
        }
    }

    /// The node of exactly this prefix, made where there is none.
    fn node(&mut self, prefix: &[u8]) -> usize {
        let mut current = 0;
        let mut rest = prefix;
        while let Some(&first) = rest.first() {
            let place = self.nodes[current]
                .children
                .binary_search_by_key(&first, |child| child.0);
            let child = match place {
                Err(place) => {
                    let leaf = self.push(rest);
                    self.nodes[current].children.insert(place, (first, leaf));
                    return leaf;
                }
                Ok(place) => self.nodes[current].children[place].1,
            };
            let label = &self.nodes[child].label;
            let common = label.iter().zip(rest).take_while(|(one, other)| one == other).count();
            if common < label.len() {
                self.split(child, common);
            }
            rest = &rest[common..];
            current = child;
        }
        current
    }

    /// Cuts a node in two; the first part keeps its place.
    fn split(&mut self, node: usize, length: usize) {
        let (head, tail) = self.nodes[node].label.split_at(length);
        let (head, tail): (Box<[u8]>, Box<[u8]>) = (head.into(), tail.into());
        let lower = self.push(&tail);
        self.nodes[lower].children = std::mem::take(&mut self.nodes[node].children);
        self.nodes[lower].ranks = std::mem::take(&mut self.nodes[node].ranks);
        self.nodes[node].label = head;
        self.nodes[node].children = vec![(tail[0], lower)];
    }

    fn push(&mut self, label: &[u8]) -> usize {
        self.nodes.push(Node {
            label: label.into(),
            ..Node::default()
        });
        self.nodes.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_prefix_of_a_path_and_no_other() {
        let prefixes = ["/", "/api", "/api/v1", "/api/v2", "/apple", "", "/b"];
        let mut trie = PathTrie::default();
        for (rank, prefix) in prefixes.iter().enumerate() {
            trie.insert(prefix.as_bytes(), u32::try_from(rank).expect("small"));
        }
        for path in ["/", "/api/v1/x", "/app", "/apple", "/bb", "", "x", "/api/v"] {
            let mut found = Vec::new();
            trie.walk(path.as_bytes(), |ranks| {
                found.extend(ranks.iter().map(|&rank| prefixes[rank as usize]));
            });
            let mut expected: Vec<_> = prefixes.into_iter().filter(|prefix| path.starts_with(prefix)).collect();
            expected.sort_by_key(|prefix| prefix.len());
            assert_eq!(found, expected, "{path}");
        }
    }
}
