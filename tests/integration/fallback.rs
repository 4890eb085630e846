//! Proxies that refuse an object: it is left out or stays as it was, the rest arrives, and it is told.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::{Value, json};

use crate::{
    controller::{Controller, paths, routes, web},
    harness::eventually,
    stub::Stub,
};

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// One flattened error for each object with the annotation, tagged as Kong Ingress Controller's test proxy does.
fn errors_of_broken(manifests: &str) -> Vec<Value> {
    let objects = manifests.split("\n---").map(|text| text.trim_start_matches("---"));
    let objects = objects.filter(|text| !text.trim().is_empty()).map(yaml);
    let broken = objects.filter(|object| object["metadata"]["annotations"]["test.konghq.com/broken"] == "true");
    let error = |object: Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let api = text(&object["apiVersion"]);
        let (group, version) = api.split_once('/').unwrap_or(("", &api));
        let metadata = &object["metadata"];
        json!({
            "errors": [{"messages": ["broken object"]}],
            "entity_tags": [
                format!("k8s-name:{}", text(&metadata["name"])),
                format!("k8s-namespace:{}", text(&metadata["namespace"])),
                format!("k8s-kind:{}", text(&object["kind"])),
                format!("k8s-group:{group}"),
                format!("k8s-version:{version}"),
                format!("k8s-uid:{}", text(&metadata["uid"])),
            ],
        })
    };
    broken.map(error).collect()
}

fn refusal(flattened: &[Value]) -> (&'static str, Value) {
    let body = json!({
        "code": 14, "name": "invalid declarative configuration", "message": "declarative config is invalid: {}",
        "fields": {}, "flattened_errors": flattened,
    });
    ("400 Bad Request", body)
}

fn in_order(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap()
}

#[tokio::test]
async fn golden_cases_of_broken_objects() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/testdata/kic-fallback");
    let mut runs = 0;
    for case in directories(&root) {
        let input = std::fs::read_to_string(case.join("in.yaml")).unwrap();
        for variant in directories(&case) {
            let arguments = std::fs::read_to_string(variant.join("arguments")).unwrap();
            let flags: Vec<&str> = arguments.split_whitespace().collect();
            let errors = errors_of_broken(&input);
            let count = errors.len();
            let first = AtomicBool::new(true);
            let proxy = Stub::start(move |_| first.swap(false, Ordering::Relaxed).then(|| refusal(&errors)));
            let controller = Controller::start(&[&proxy], &flags, &input);
            let shown = controller
                .proxy(&format!("{} settles", variant.display()), |proxy| {
                    proxy["phase"] == "Synced"
                })
                .await;
            assert_eq!(proxy.refused(), 1, "{}", variant.display());
            let accepted = proxy.accepted();
            assert_eq!(accepted.len(), 1, "{}", variant.display());
            let expected = yaml(&std::fs::read_to_string(variant.join("config.yaml")).unwrap());
            assert_eq!(in_order(&accepted[0]), in_order(&expected), "{}", variant.display());
            assert_eq!(shown["conditions"]["Complete"]["reason"], "ObjectsLeftOut", "{shown:#}");
            assert_eq!(shown["errorCount"], count, "{shown:#}");
            let rejected = controller.problems().await;
            let rejected = rejected.iter().filter(|(_, reason)| reason == "ConfigRejected").count();
            assert_eq!(rejected, count, "{}", variant.display());
            runs += 1;
        }
    }
    assert_eq!(runs, 8);
}

const REFUSED: &str = "silverback_refused_objects";
const LEFT_OUT: &[(&str, &str)] = &[("outcome", "left_out")];
const KEPT: &[(&str, &str)] = &[("outcome", "kept")];
const STORED: &str = "silverback_last_good_stored";

/// An Ingress with a Service of its own at that address.
fn targets(document: &Value) -> Vec<String> {
    let upstreams = document["upstreams"].as_array().into_iter().flatten();
    let targets = upstreams.flat_map(|upstream| upstream["targets"].as_array().into_iter().flatten());
    targets
        .map(|target| target["target"].as_str().unwrap().to_owned())
        .collect()
}

/// Refuses routes whose path has that word in it, one at a time: each hides the next.
fn one_at_a_time(document: &Value) -> Option<(&'static str, Value)> {
    let bad = |route: &&Value| route["paths"][0].as_str().unwrap().contains("bad");
    let route = routes(document).into_iter().find(bad)?;
    Some(refusal(&[json!({
        "entity_type": "route", "entity_name": route["name"], "entity_tags": route["tags"], "entity": route,
        "errors": [{"type": "field", "field": "paths.1", "message": "it is bad"}],
    })]))
}

#[tokio::test]
async fn as_many_rounds_as_it_takes_and_what_is_mended_comes_back() {
    let proxy = Stub::start(one_at_a_time);
    let text = |third: &str| {
        let bad: String = ["one", "two", "four"]
            .map(|name| web(name, "/bad", "127.0.0.1"))
            .concat();
        format!(
            "{bad}{}{}",
            web("three", third, "127.0.0.1"),
            web("good", "/good", "127.0.0.1")
        )
    };
    let controller = Controller::start(&[&proxy], &[], &text("/bad"));
    let is_synced = |proxy: &Value| proxy["phase"] == "Synced" && proxy["conditions"]["Complete"]["status"] == "False";
    controller.proxy("the good route is there", is_synced).await;
    assert_eq!(proxy.refused(), 4);
    assert_eq!(paths(proxy.accepted().last().unwrap()), ["/good"]);
    controller.measures(REFUSED, LEFT_OUT, 4.0).await;
    controller.measures(REFUSED, KEPT, 0.0).await;
    const REMEDY: &str = "correct it; all that does not depend on it is in force";
    let problems = controller.api("problems").await.unwrap();
    for name in ["one", "two", "three", "four"] {
        let object = format!("Ingress demo/{name}");
        let problem = problems.iter().find(|problem| problem["object"] == object.as_str());
        let problem = problem.unwrap_or_else(|| panic!("{object} is not among {problems:#?}"));
        assert_eq!(problem["reason"], "ConfigRejected");
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains("route paths.1: it is bad"), "{message}");
        assert_eq!(problem["remedy"], REMEDY);
        let object = format!("object={object} ");
        let told = [
            "WARN",
            "route paths.1: it is bad",
            REMEDY,
            &object,
            "reason=ConfigRejected ",
        ];
        controller.log.lock().unwrap().say("what is refused", 0, &told);
    }
    controller.write(&text("/mended"));
    eventually("the mended route is there", async || {
        let last = proxy.accepted().last().cloned().unwrap();
        if paths(&last) == ["/good", "/mended"] {
            Ok(())
        } else {
            Err(format!("{last:#}"))
        }
    })
    .await;
    assert_eq!(proxy.refused(), 4, "what is known to be bad is not tried again");
    controller.measures(REFUSED, LEFT_OUT, 3.0).await;
    controller.write(&web("good", "/good", "127.0.0.1"));
    eventually("nothing is refused any more, which is shown", async || {
        let found = controller.metric(REFUSED, LEFT_OUT).await;
        found.is_none().then_some(()).ok_or(format!("{found:?}"))
    })
    .await;
}

#[tokio::test]
async fn with_the_flag_a_refused_object_stays_as_it_was_with_the_addresses_of_now() {
    let proxy = Stub::start(one_at_a_time);
    let text = |path: &str, address: &str| format!("{}{}", web("one", path, address), web("two", "/two", "127.0.0.1"));
    let controller = Controller::start(
        &[&proxy],
        &["--use-last-valid-config-for-fallback"],
        &text("/one", "127.0.0.2"),
    );
    controller
        .proxy("it is in sync", |proxy| proxy["phase"] == "Synced")
        .await;
    assert_eq!(controller.metric(REFUSED, KEPT).await, None);
    controller.write(&text("/bad", "127.0.0.2"));
    let is_kept = |proxy: &Value| proxy["phase"] == "Synced" && proxy["errorCount"] == 1;
    controller.proxy("the former path stays", is_kept).await;
    assert_eq!(paths(proxy.accepted().last().unwrap()), ["/one", "/two"]);
    let problems = controller.problems().await;
    assert_eq!(problems, [("Ingress demo/one".to_owned(), "ConfigRejected".to_owned())]);
    controller.measures(REFUSED, KEPT, 1.0).await;
    controller.measures(REFUSED, LEFT_OUT, 0.0).await;
    // Every pod behind it is replaced.
    controller.write(&text("/bad", "127.0.0.3"));
    eventually("the new address is there", async || {
        let last = proxy.accepted().last().cloned().unwrap();
        let found = (paths(&last), targets(&last));
        let expected = ["127.0.0.3:9", "127.0.0.1:9"];
        if found.0 == ["/one", "/two"]
            && expected
                .iter()
                .all(|target| found.1.iter().any(|found| found == target))
        {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn with_nobody_to_blame_the_last_good_one_stays_and_gets_new_addresses() {
    let is_moody = Arc::new(Mutex::new(false));
    let judge = {
        let is_moody = is_moody.clone();
        move |document: &Value| {
            let is_bad = paths(document).iter().any(|path| path == "/newer");
            (is_bad && *is_moody.lock().unwrap()).then(|| {
                (
                    "500 Internal Server Error",
                    json!({"message": "An unexpected error occurred"}),
                )
            })
        }
    };
    let proxy = Stub::start(judge);
    let text = |path: &str, address: &str| format!("{}{}", web("one", path, address), web("two", "/two", address));
    let controller = Controller::start(&[&proxy], &[], &text("/one", "127.0.0.2"));
    controller
        .proxy("it is in sync", |proxy| proxy["phase"] == "Synced")
        .await;
    *is_moody.lock().unwrap() = true;
    controller.write(&text("/newer", "127.0.0.2"));
    let shown = controller
        .proxy("it is told", |proxy| proxy["phase"] == "Rejected")
        .await;
    assert_eq!(shown["conditions"]["Synced"]["reason"], "ConfigRejected");
    controller.write(&text("/newer", "127.0.0.3"));
    eventually("what is kept has the new address", async || {
        let last = proxy.accepted().last().cloned().unwrap();
        let found = (paths(&last), targets(&last));
        let is_new = found.1.iter().all(|target| target == "127.0.0.3:9");
        if found.0 == ["/one", "/two"] && is_new {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
    // A newcomer gets the same, and not the bytes of then.
    let before = proxy.accepted().len();
    proxy.restart();
    eventually("the newcomer is configured", async || {
        let accepted = proxy.accepted();
        if accepted.len() > before {
            Ok(())
        } else {
            Err("nothing yet".to_owned())
        }
    })
    .await;
    assert!(
        targets(&proxy.accepted()[before])
            .iter()
            .all(|target| target == "127.0.0.3:9")
    );
}

#[tokio::test]
async fn what_one_proxy_refuses_is_not_taken_from_another() {
    let choosy = Stub::start(one_at_a_time);
    let easy = Stub::start(|_| None);
    let text = format!("{}{}", web("one", "/bad", "127.0.0.1"), web("two", "/two", "127.0.0.1"));
    let controller = Controller::start(&[&choosy, &easy], &[], &text);
    eventually("both are in sync", async || {
        let proxies = controller.api("proxies").await?;
        let all = proxies.len() == 2 && proxies.iter().all(|proxy| proxy["phase"] == "Synced");
        let found = (choosy.accepted(), easy.accepted());
        let ends = |accepted: &[Value]| accepted.last().map(paths).unwrap_or_default();
        if all && ends(&found.0) == ["/two"] && ends(&found.1) == ["/bad", "/two"] {
            Ok(())
        } else {
            Err(format!("{proxies:#?}"))
        }
    })
    .await;
    assert_eq!(choosy.refused(), 1);
}

/// Controller and proxies are gone at once, and what is there then is refused with nobody to blame.
#[tokio::test]
async fn what_was_accepted_last_survives_the_controller() {
    let is_moody = Arc::new(AtomicBool::new(false));
    let judge = {
        let is_moody = is_moody.clone();
        move |document: &Value| {
            let is_bad = paths(document).iter().any(|path| path == "/newer");
            (is_bad && is_moody.load(Ordering::Relaxed)).then(|| {
                (
                    "500 Internal Server Error",
                    json!({"message": "An unexpected error occurred"}),
                )
            })
        }
    };
    let proxy = Stub::start(judge);
    let kept = tempfile::tempdir().unwrap();
    let flags = [
        format!("--last-good-directory={}", kept.path().join("volume").display()),
        format!("--last-good-key-file={}", kept.path().join("key").display()),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let text = |path: &str, address: &str| format!("{}{}", web("one", path, address), web("two", "/two", address));
    let mut controller = Controller::start(&[&proxy], &flags, &text("/one", "127.0.0.2"));
    controller
        .proxy("it is in sync", |proxy| proxy["phase"] == "Synced")
        .await;
    // It waits for what comes together with it; a controller that is asked to end does not.
    controller.measures(STORED, &[], 0.0).await;
    controller.stop().await;
    let sealed = std::fs::read(kept.path().join("volume/last-good")).unwrap();
    assert!(
        !sealed.windows(8).any(|window| window == b"demo.one"),
        "it is encrypted"
    );

    is_moody.store(true, Ordering::Relaxed);
    let before = proxy.accepted().len();
    proxy.restart();
    controller.write(&text("/newer", "127.0.0.3"));
    controller.start_again();
    let shown = controller
        .proxy("it is told", |proxy| proxy["phase"] == "Rejected")
        .await;
    assert_eq!(shown["conditions"]["Synced"]["reason"], "ConfigRejected");
    eventually("what was accepted last is there, with the address of now", async || {
        let accepted = proxy.accepted();
        let found = accepted.last().map(|last| (paths(last), targets(last))).unwrap();
        let is_new = found.1.iter().all(|target| target == "127.0.0.3:9");
        if accepted.len() > before && found.0 == ["/one", "/two"] && is_new {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
    let ready = controller
        .proxy("it is ready", |proxy| proxy["conditions"]["Ready"]["status"] == "True")
        .await;
    assert_eq!(ready["phase"], "Rejected");
    // The addresses are other ones now: that waits for its five minutes, or for the end of this controller, too.
    controller.measures(STORED, &[], 0.0).await;
    let before = std::fs::read(kept.path().join("volume/last-good")).unwrap();
    assert_eq!(before, sealed);
    controller.stop().await;
    let after = std::fs::read(kept.path().join("volume/last-good")).unwrap();
    assert_ne!(before, after);
}
