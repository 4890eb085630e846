//! What a leader was still sending when it gave the Lease back, as an annotation of the Lease: it goes on with these
//! pushes, and the next leader leaves their proxies alone until they have ended (DESIGN.md §3 rule 3). Pure.

use std::collections::BTreeMap;

use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use proxy_config_schema::ConfigHash;

use crate::model::ProxyId;

/// JSON: hashes of configurations, with the proxies that they are being sent to.
const PUSHES_UNDER_WAY: &str = "gateway.silverback.dev/pushes-under-way";

/// The most proxies that are told of: an object's annotations have 256 KiB together.
const MAX_TOLD: usize = 2000;

/// What proxies were sent that may still load it.
pub type Unsettled = BTreeMap<ProxyId, ConfigHash>;

/// Puts it into the annotations; takes out what stands there if there is nothing to tell.
pub(super) fn write(metadata: &mut ObjectMeta, unsettled: Option<&Unsettled>) {
    let mut by_hash: BTreeMap<String, Vec<&ProxyId>> = BTreeMap::new();
    for (id, hash) in unsettled.into_iter().flatten().take(MAX_TOLD) {
        by_hash.entry(hash.to_string()).or_default().push(id);
    }
    if by_hash.is_empty() {
        if let Some(annotations) = &mut metadata.annotations {
            annotations.remove(PUSHES_UNDER_WAY);
        }
        return;
    }
    let by_hash: BTreeMap<String, Vec<&str>> = by_hash
        .into_iter()
        .map(|(hash, ids)| (hash, ids.into_iter().map(|id| &*id.0).collect()))
        .collect();
    let text = serde_json::to_string(&by_hash).expect("texts are JSON");
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(PUSHES_UNDER_WAY.to_owned(), text);
}

/// What stands in the annotations; nothing of what nobody here has written.
pub(super) fn read(lease: &Lease) -> Unsettled {
    let annotations = lease.metadata.annotations.as_ref();
    let text = annotations.and_then(|annotations| annotations.get(PUSHES_UNDER_WAY));
    let by_hash: BTreeMap<String, Vec<String>> = text
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let pushes = by_hash.iter().filter_map(|(hash, ids)| Some((hash.parse().ok()?, ids)));
    let pushes = pushes.flat_map(|(hash, ids): (ConfigHash, _)| ids.iter().map(move |id| (id, hash)));
    pushes
        .take(MAX_TOLD)
        .map(|(id, hash)| (ProxyId(id.as_str().into()), hash))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(unsettled: &Unsettled) -> Lease {
        let mut lease = Lease::default();
        write(&mut lease.metadata, Some(unsettled));
        lease
    }

    #[test]
    fn what_is_written_is_read_and_taken_out_again() {
        let one = ConfigHash::of(b"one");
        let unsettled: Unsettled = [("a", one), ("b", ConfigHash::of(b"two")), ("c", one)]
            .map(|(id, hash)| (ProxyId(id.into()), hash))
            .into();
        let mut lease = lease(&unsettled);
        assert_eq!(read(&lease), unsettled);
        write(&mut lease.metadata, None);
        assert_eq!(read(&lease), Unsettled::new());
        assert_eq!(lease.metadata.annotations, Some(BTreeMap::new()));
    }

    #[test]
    fn it_fits_into_an_object_however_many_there_are() {
        let ids = (0..5000).map(|index| ProxyId(format!("00000000-0000-0000-0000-{index:012}").into()));
        let unsettled = ids.map(|id| (id, ConfigHash::of(b"one"))).collect();
        let lease = lease(&unsettled);
        assert_eq!(read(&lease).len(), MAX_TOLD);
        let annotations = lease.metadata.annotations.expect("there is one");
        assert!(annotations[PUSHES_UNDER_WAY].len() < 100_000);
    }

    #[test]
    fn what_others_write_there_is_nothing() {
        for text in ["", "[]", "{\"x\": [\"a\"]}", "{\"a\": 1}"] {
            let mut lease = Lease::default();
            lease.metadata.annotations = Some([(PUSHES_UNDER_WAY.to_owned(), text.to_owned())].into());
            assert_eq!(read(&lease), Unsettled::new(), "{text}");
        }
    }
}
