//! What is put away comes back as it was, and shows nothing to others.

use std::sync::Arc;

use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use serde_json::json;

use super::world::{good, goods, profile};
use crate::{
    archive::{
        Error, LastGoods, Store,
        directory::Directory,
        seal::{self, Key},
        secrets,
    },
    manifest::{self, Limits},
    model::{Kind, Object, Snapshot},
    render::Origin,
};

const WRITTEN_AT: Timestamp = Timestamp::constant(1_800_000_000, 0);

/// All objects of all golden cases.
fn everything() -> Snapshot {
    fn files(directory: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else if path.ends_with("in.yaml") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    files(
        &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/translate/testdata"),
        &mut found,
    );
    let mut snapshot = Snapshot::default();
    for path in found {
        let text = std::fs::read(&path).unwrap();
        for mut object in manifest::parse("in.yaml", &text, &Limits::default()).objects {
            object.metadata_mut().source = None;
            snapshot.insert(object);
        }
    }
    snapshot
}

#[test]
fn all_kinds_of_objects_come_back_as_they_were() {
    let snapshot = everything();
    let key = Key::random();
    let other = good("the other", snapshot.clone());
    let put: LastGoods = [(profile(8), good("one\ntext", snapshot.clone())), (profile(9), other)].into();
    let sealed = seal::seal(&put, WRITTEN_AT, &key);
    let (got, written_at) = seal::open(sealed, &key).unwrap();
    assert_eq!((got.len(), written_at), (2, WRITTEN_AT));
    for (profile, good) in &got {
        assert_eq!(good.rendered, put[profile].rendered);
        assert_eq!(
            (good.origin, good.accepted_at),
            (Origin::Stored, put[profile].accepted_at)
        );
        let mut kinds = 0;
        for kind in Kind::ALL.iter().copied() {
            let keys = snapshot.keys(kind);
            kinds += usize::from(!keys.is_empty());
            for key in keys {
                let expected = snapshot.get(kind, &key).unwrap();
                let found = good.sources.get(kind, &key);
                if matches!(kind, Kind::Secret | Kind::EndpointSlice | Kind::ProxyFleet) {
                    assert_eq!(found, None);
                } else {
                    assert_eq!(found, Some(expected), "{} {key}", kind.name());
                }
            }
        }
        assert!(kinds > 20, "only {kinds} kinds");
    }
    let sources: Vec<_> = got.values().map(|good| &good.sources).collect();
    assert!(Arc::ptr_eq(sources[0], sources[1]), "equal objects are put away once");
}

#[test]
fn what_is_put_away_shows_nothing_and_is_authenticated() {
    let secret = "a-password-that-nobody-may-see";
    let put = goods(&secret.repeat(3));
    let key = Key::random();
    let sealed = seal::seal(&put, WRITTEN_AT, &key);
    assert!(!sealed.windows(8).any(|window| secret.as_bytes().starts_with(window)));
    let is_damaged = |sealed: Vec<u8>, key: &Key| matches!(seal::open(sealed, key), Err(Error::Damaged(_)));
    assert!(is_damaged(sealed.clone(), &Key::random()));
    for index in [0, 8, 20, sealed.len() - 1] {
        let mut damaged = sealed.clone();
        damaged[index] ^= 1;
        assert!(is_damaged(damaged, &key), "byte {index}");
    }
    for length in [0, 7, 8, 19, 20, sealed.len() - 1] {
        assert!(is_damaged(sealed[..length].to_owned(), &key), "{length} bytes");
    }
    assert!(!format!("{key:?}").contains(&key.to_text()));
    assert_eq!(Key::from_text(key.to_text().as_bytes()).unwrap(), key);
    assert!(Key::from_text(b"short").is_err());
}

#[test]
fn ten_thousand_routes_fit() {
    let mut snapshot = Snapshot::default();
    let mut text = String::new();
    for number in 0..10_000 {
        let backend = json!({"service": {"name": format!("service-{number}"), "port": {"number": 80}}});
        let paths = json!([{"path": format!("/path-{number}"), "pathType": "Prefix", "backend": backend}]);
        let rules = json!([{"host": format!("host-{number}.example"), "http": {"paths": paths}}]);
        let uid = ConfigHash::of(number.to_string().as_bytes()).to_string();
        let metadata = json!({"name": format!("web-{number}"), "namespace": "shop", "uid": uid});
        let ingress = json!({"metadata": metadata, "spec": {"ingressClassName": "kong", "rules": rules}});
        text.push_str(&ingress.to_string());
        snapshot.insert(Object::from_json(Kind::Ingress, ingress).unwrap());
    }
    let put: LastGoods = [(profile(9), good(&text, snapshot))].into();
    let sealed = seal::seal(&put, WRITTEN_AT, &Key::random());
    assert!(sealed.len() < 2 * secrets::MOST, "{} bytes", sealed.len());
}

#[tokio::test]
async fn a_directory_keeps_it_for_its_owner_alone() {
    let state = tempfile::tempdir().unwrap();
    let store = Directory {
        directory: state.path().join("kept"),
        key: state.path().join("keys/key"),
    };
    assert!(store.load().await.unwrap().is_none());
    let key = store.key().await.unwrap();
    assert_eq!(store.key().await.unwrap(), key, "the key stays");
    store.save(b"one".to_vec()).await.unwrap();
    store.save(b"two".to_vec()).await.unwrap();
    assert_eq!(store.load().await.unwrap().unwrap(), b"two");
    for path in [&store.key, &store.directory.join("last-good")] {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}
