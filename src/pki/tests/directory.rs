//! What is issued into a directory, and when it is issued anew.

use std::{fs, path::Path, time::Duration};

use jiff::Timestamp;

use crate::pki::{PkiDirectory, authority::names};

const DAY: u64 = 24 * 3600;

/// The certificate that a proxy with these names gets, after that many days.
fn certificate(path: &Path, names: &[&str], days: u64) -> String {
    let now = Timestamp::UNIX_EPOCH + Duration::from_secs(20_000 * DAY + days * DAY);
    let borne: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let directory = PkiDirectory::open(path, now).unwrap();
    let files = directory.proxy("one", &borne, now).unwrap();
    fs::read_to_string(files.join("tls.crt")).unwrap()
}

#[test]
fn a_certificate_stays_until_its_names_or_two_thirds_of_its_life_are_over() {
    let state = tempfile::tempdir().unwrap();
    let first = certificate(state.path(), &["127.0.0.1"], 0);
    assert_eq!(certificate(state.path(), &["127.0.0.1"], 1), first);

    let named = certificate(state.path(), &["proxy", "127.0.0.1"], 1);
    assert_ne!(named, first, "it has to bear a name that was asked for later");
    assert!(names(&named).unwrap().contains("proxy"), "{:?}", names(&named));
    assert_eq!(
        certificate(state.path(), &["127.0.0.1", "proxy"], 2),
        named,
        "the order says nothing"
    );

    assert_ne!(
        certificate(state.path(), &["127.0.0.1"], 2),
        named,
        "a name that is gone is not kept"
    );
    let address = certificate(state.path(), &["::1"], 2);
    assert_eq!(
        certificate(state.path(), &["0:0::1"], 3),
        address,
        "an address is the same however it is written"
    );
    assert_ne!(
        certificate(state.path(), &["::1"], 64),
        address,
        "two thirds of its life are over"
    );
}

#[test]
fn the_controllers_own_certificate_is_not_made_anew_each_time() {
    let state = tempfile::tempdir().unwrap();
    let now = Timestamp::now();
    let read = || {
        let files = PkiDirectory::open(state.path(), now).unwrap().controller(now).unwrap();
        fs::read_to_string(files.join("tls.crt")).unwrap()
    };
    assert_eq!(read(), read());
}
