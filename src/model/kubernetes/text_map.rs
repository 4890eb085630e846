//! Texts by name, as labels and annotations are: a sorted list. Most objects have one or two, and there are tens of thousands of
//! objects; a tree has room for eleven from the first. Pure.

use std::{collections::BTreeMap, fmt, slice};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Texts by name, in ascending order of names.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TextMap(Box<[(String, String)]>);

impl TextMap {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of that name.
    pub fn get(&self, name: &str) -> Option<&String> {
        let at = self.0.binary_search_by(|(own, _)| own.as_str().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// Whether there is one of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(name, _)| name)
    }

    /// All of them, in order of names.
    pub fn iter(&self) -> TextMapIter<'_> {
        TextMapIter(self.0.iter())
    }

    /// Those whose name begins so, in order of names.
    pub fn starting_with<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = (&'a String, &'a String)> {
        let from = self.0.partition_point(|(name, _)| name.as_str() < beginning);
        TextMapIter(self.0[from..].iter()).take_while(move |(name, _)| name.starts_with(beginning))
    }

    /// Adds or replaces one. Copies the list: for single changes only.
    pub fn insert(&mut self, name: String, text: String) {
        self.change(|texts| drop(texts.insert(name, text)));
    }

    /// Takes one away. Copies the list: for single changes only.
    pub fn remove(&mut self, name: &str) {
        self.change(|texts| drop(texts.remove(name)));
    }

    fn change(&mut self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        let mut texts = std::mem::take(&mut self.0).into_iter().collect();
        change(&mut texts);
        *self = texts.into();
    }
}

impl From<BTreeMap<String, String>> for TextMap {
    fn from(texts: BTreeMap<String, String>) -> Self {
        Self(texts.into_iter().collect())
    }
}

impl<const COUNT: usize> From<[(String, String); COUNT]> for TextMap {
    fn from(texts: [(String, String); COUNT]) -> Self {
        BTreeMap::from(texts).into()
    }
}

impl FromIterator<(String, String)> for TextMap {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(texts: I) -> Self {
        texts.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

/// See [`TextMap::iter`].
pub struct TextMapIter<'a>(slice::Iter<'a, (String, String)>);

impl<'a> Iterator for TextMapIter<'a> {
    type Item = (&'a String, &'a String);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|(name, text)| (name, text))
    }
}

impl<'a> IntoIterator for &'a TextMap {
    type Item = (&'a String, &'a String);
    type IntoIter = TextMapIter<'a>;

    fn into_iter(self) -> TextMapIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for TextMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for TextMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for TextMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(
            texts in proptest::collection::vec(("[a-c]{0,2}", "[x-z]{0,2}"), 0..12),
            changes in proptest::collection::vec(("[a-c]{0,2}", proptest::option::of("[x-z]{0,2}")), 0..12),
        ) {
            let mut expected: BTreeMap<String, String> = texts.iter().cloned().collect();
            let mut map: TextMap = texts.into_iter().collect();
            for (name, change) in changes {
                match change {
                    Some(text) => {
                        map.insert(name.clone(), text.clone());
                        expected.insert(name, text);
                    }
                    None => {
                        map.remove(&name);
                        expected.remove(&name);
                    }
                }
            }
            prop_assert!(map.iter().eq(&expected));
            prop_assert!(map.keys().eq(expected.keys()));
            let of_b = expected.iter().filter(|(name, _)| name.starts_with('b'));
            prop_assert!(map.starting_with("b").eq(of_b));
            prop_assert_eq!(map.is_empty(), expected.is_empty());
            for name in ["", "a", "b", "cc", "d"] {
                prop_assert_eq!(map.get(name), expected.get(name));
                prop_assert_eq!(map.contains_key(name), expected.contains_key(name));
            }
            let written = serde_json::to_value(&map).expect("it is written");
            prop_assert_eq!(&written, &serde_json::to_value(&expected).expect("it is written"));
            prop_assert_eq!(serde_json::from_value::<TextMap>(written).expect("it is read"), map);
        }
    }
}
