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
                let found = crowd.searcher.find_overlapping_iter(path);
                let mut places: Vec<u32> = found
                    .flat_map(|found| crowd.places[found.pattern()].iter().copied())
                    .collect();
                places.sort_unstable();
                places.dedup();
                visit(&places);
            }
        });
    }
}
