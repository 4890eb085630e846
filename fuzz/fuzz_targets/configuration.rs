//! Whatever bytes come as a configuration: an error or a configuration that survives its own bytes, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy_config_schema::{Configuration, Limits, RouterFlavor, ValidationOptions};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        bytes: 1 << 20,
        depth: 32,
        values: 20_000,
        entities: 5_000,
    };
    let Ok(document) = limits.read_json(bytes) else { return };
    limits
        .check(&document)
        .expect("what was read within limits is within limits");
    for router_flavor in [
        RouterFlavor::Traditional,
        RouterFlavor::TraditionalCompatible,
        RouterFlavor::Expressions,
    ] {
        let options = ValidationOptions {
            router_flavor,
            enterprise: router_flavor == RouterFlavor::Expressions,
            ..ValidationOptions::default()
        };
        match Configuration::load(document.clone(), &options) {
            Ok(loaded) => {
                let again = serde_json::to_value(&loaded).expect("JSON");
                let again = Configuration::load(again, &options).expect("what was loaded can be loaded");
                assert_eq!(again, loaded);
            }
            Err(invalid) => {
                invalid.to_answer(true);
                invalid.to_answer(false);
            }
        }
    }
    if let Ok(mut configuration) = Configuration::from_value(document) {
        configuration.canonicalize();
        let secrets = configuration.secrets();
        secrets.redact(&String::from_utf8_lossy(bytes));
        let written = configuration.to_bytes();
        // Numbers may be off by the last bit when read: what was read once stays.
        let read = Configuration::parse(&written, &Limits::default()).expect("what we write we read");
        let again = Configuration::parse(&read.to_bytes(), &Limits::default()).expect("what we write we read");
        assert_eq!(again.services, read.services);
    }
});
