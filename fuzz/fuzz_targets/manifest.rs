//! Whatever bytes come as a manifest: objects and problems within limits, never a panic, and the same each time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use silverback::manifest::{Limits, parse};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        file_bytes: 1 << 20,
        documents: 50,
        depth: 32,
        nodes: 20_000,
        ..Limits::default()
    };
    for name in ["a.yaml", "a.json"] {
        let manifests = parse(name, bytes, &limits);
        assert_eq!(parse(name, bytes, &limits), manifests);
        for object in &manifests.objects {
            assert!(!object.metadata().name.is_empty(), "an object without a name");
            assert!(object.metadata().source.is_some(), "an object without a place");
        }
        for problem in &manifests.problems {
            assert!(!problem.remedy.is_empty(), "a problem without a remedy: {problem}");
            assert!(problem.message.len() < 10_000, "a problem without a bound");
        }
    }
});
