//! Whatever bytes come as an `AdmissionReview`: an error, or a review with an answer of bounded size, never a panic.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use silverback::{
    admission::{Request, Settings, missing_secrets, review},
    model::Snapshot,
    translate,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(request) = Request::parse(bytes) else { return };
    let settings = Settings {
        translations: vec![translate::Settings::default()],
    };
    let snapshot = Snapshot::default();
    let absent: BTreeSet<_> = missing_secrets(&request, &snapshot).into_iter().collect();
    assert!(absent.len() <= 16, "a bounded number of Secrets is looked up");
    let mut review = review(&request, &snapshot, &absent, &settings);
    for question in review.take_questions() {
        assert!(question.path.starts_with('/') && !question.path.contains(['?', '#', ' ']));
    }
    let verdict = review.conclude();
    let answer = request.answer(&verdict);
    assert_eq!(answer["response"]["allowed"], verdict.is_allowed());
    let message = answer["response"]["status"]["message"].as_str().unwrap_or_default();
    assert!(message.chars().count() <= 4096);
});
