//! Many expressions that begin with the same text: only those are asked whose own text stands in the path.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::trie::PathTrie;

/// The texts of an expression, and its place.
pub(super) type Member<'a> = (&'a [Box<[u8]>], u32);

/// Crowds by what their expressions begin with.
#[derive(Debug, Default)]
pub(super) struct Crowds {
    by_prefix: PathTrie,
    crowds: Vec<Crowd>,
}

#[derive(Debug)]
struct Crowd {
    searcher: AhoCorasick,
    /// Of the expressions that have the text, by the number of the text.
    places: Vec<Vec<u32>>,
}

impl Crowds {
    /// Adds expressions by their texts and place. Gives `false`, and takes none, if there is too much text.
    pub(super) fn add(&mut self, prefix: &[u8], members: &[Member<'_>]) -> bool {
        let mut bearers: HashMap<&[u8], usize> = HashMap::new();
        for text in members.iter().flat_map(|(texts, _)| *texts) {
            *bearers.entry(text).or_default() += 1;
        }
        let mut by_text: HashMap<&[u8], Vec<u32>> = HashMap::new();
        for (texts, place) in members {
            // What few have tells them apart; the longest stand first.
            let rarest = texts.iter().min_by_key(|text| bearers[&***text]);
            by_text.entry(rarest.map_or(&[], |text| text)).or_default().push(*place);
        }
        let (texts, places): (Vec<&[u8]>, Vec<Vec<u32>>) = by_text.into_iter().unzip();
        let searcher = AhoCorasick::builder()
            // The fastest to build of those that are fast to search: crowds change.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .ascii_case_insensitive(true)
            .build(texts);
        let Ok(searcher) = searcher else { return false };
        let number = u32::try_from(self.crowds.len()).expect("fewer crowds than candidates");
        self.by_prefix.insert(prefix, number);
        self.crowds.push(Crowd { searcher, places });
        true
    }

    /// Visits the places, in order, of those in each crowd that may take a path.
    pub(super) fn walk(&self, path: &[u8], mut visit: impl FnMut(&[u32])) {
        self.by_prefix.walk(path, |numbers| {
            for number in numbers {
                let crowd = &self.crowds[*number as usize];
                // A path may hold one text thousands of times, and thousands of expressions that text.
                let mut is_found = vec![false; crowd.places.len()];
                let mut places: Vec<u32> = Vec::new();
                for found in crowd.searcher.find_overlapping_iter(path) {
                    // Each expression stands at one text only.
                    if !std::mem::replace(&mut is_found[found.pattern()], true) {
                        places.extend(&crowd.places[found.pattern()]);
                    }
                }
                places.sort_unstable();
                visit(&places);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_whose_text_stands_in_the_path_are_visited_once_however_often_it_does() {
        let text = |text: &str| -> Box<[Box<[u8]>]> { [text.as_bytes().into()].into() };
        let (api, user, none) = (text("/api/"), text("user"), text(""));
        let members: Vec<Member<'_>> = (0..1_000)
            .map(|place| (&*api, place))
            .chain([(&*user, 1_000), (&*none, 1_001)])
            .collect();
        let mut crowds = Crowds::default();
        assert!(crowds.add(b"/", &members));
        let path = "/api".repeat(10_000) + "/";
        let mut visited = Vec::new();
        crowds.walk(path.as_bytes(), |places| visited.extend_from_slice(places));
        let expected: Vec<u32> = (0..1_000).chain([1_001]).collect();
        assert_eq!(visited, expected);
    }
}
