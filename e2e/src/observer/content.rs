//! What a hash stands for: two proxies that report the same one run the same, and two configurations are never called the
//! same. Pure.
//!
//! A proxy shows its configuration without secrets, so that its hash, which is that of the bytes that it was sent, can't be
//! made again from what it shows. But whoever reports a hash and runs something else is at odds with all others that report it,
//! or with itself before.

use std::collections::VecDeque;

use proxy_config_schema::ConfigHash;
use serde_json::Value;

/// Configurations that are remembered: of 8 proxies that are read twice a minute, those of half an hour.
const REMEMBERED: usize = 512;

/// What a proxy was seen to run when it reported a hash before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The name of its pod.
    pub(crate) proxy: String,
    /// What it reports.
    pub(crate) hash: String,
    /// Of what it shows.
    pub(crate) content: ConfigHash,
}

/// Configurations, by what they are called.
#[derive(Debug, Default)]
pub(super) struct Contents(VecDeque<Shown>);

impl Contents {
    /// Takes in what a proxy shows. Gives what it contradicts, if there is anything.
    pub(super) fn look(&mut self, shown: &Shown) -> Contradiction {
        let mut is_known = false;
        for known in &self.0 {
            match (known.hash == shown.hash, known.content == shown.content) {
                (true, true) => is_known = true,
                (true, false) => {
                    return Contradiction::Found(format!("another configuration than {} with that hash", known.proxy));
                }
                (false, true) => return Contradiction::Found(format!("what {} called {}", known.proxy, known.hash)),
                (false, false) => {}
            }
        }
        if is_known {
            return Contradiction::None;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(shown.clone());
        Contradiction::Unknown
    }
}

/// What comes of a look at a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contradiction {
    /// It is what others showed under that hash.
    None,
    /// Neither the hash nor the configuration has been seen before.
    Unknown,
    /// What it is instead, in words.
    Found(String),
}

/// A number for what a proxy shows; the times at which it loaded it are its own.
pub(super) fn digest(mut configuration: Value) -> ConfigHash {
    forget_times(&mut configuration);
    ConfigHash::of(configuration.to_string().as_bytes())
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !matches!(&**name, "created_at" | "updated_at"));
            fields.values_mut().for_each(forget_times);
        }
        Value::Array(elements) => elements.iter_mut().for_each(forget_times),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(proxy: &str, hash: &str, path: &str, loaded_at: u64) -> Shown {
        let configuration = json!({"routes": [{"paths": [path], "created_at": loaded_at, "updated_at": loaded_at}]});
        Shown {
            proxy: proxy.to_owned(),
            hash: hash.to_owned(),
            content: digest(configuration),
        }
    }

    #[test]
    fn one_hash_is_one_configuration_whenever_it_was_loaded() {
        let mut contents = Contents::default();
        assert_eq!(contents.look(&shown("one", "a", "/a", 1)), Contradiction::Unknown);
        assert_eq!(contents.look(&shown("two", "a", "/a", 2)), Contradiction::None);
        assert_eq!(contents.look(&shown("one", "b", "/b", 3)), Contradiction::Unknown);
        assert_eq!(contents.look(&shown("two", "b", "/b", 4)), Contradiction::None);
    }

    #[test]
    fn who_reports_what_it_does_not_run_is_found() {
        let mut contents = Contents::default();
        contents.look(&shown("one", "a", "/a", 1));
        contents.look(&shown("one", "b", "/b", 2));
        // It reports the new one, and runs the old one.
        assert_eq!(
            contents.look(&shown("two", "b", "/a", 2)),
            Contradiction::Found("what one called a".to_owned())
        );
        // A part of it was lost.
        assert_eq!(
            contents.look(&shown("two", "b", "/", 2)),
            Contradiction::Found("another configuration than one with that hash".to_owned())
        );
        // It reports a hash that nobody else has reported yet, and goes on with what it had.
        assert_eq!(
            contents.look(&shown("one", "c", "/b", 3)),
            Contradiction::Found("what one called b".to_owned())
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut contents = Contents::default();
        for number in 0..5_000 {
            let shown = shown("one", &number.to_string(), &format!("/{number}"), number);
            assert_eq!(contents.look(&shown), Contradiction::Unknown);
        }
        assert_eq!(contents.0.len(), REMEMBERED);
    }
}
