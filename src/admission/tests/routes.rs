//! What routes and Services say, and what of it only a change has brought.

use super::*;

#[test]
fn of_a_big_cluster_only_the_surroundings_are_translated() {
    let mut snapshot = snapshot(&[web()]);
    for index in 0..2000 {
        let mut other = object(Kind::Ingress, ingress("/", "Prefix"));
        other["metadata"]["name"] = json!(format!("web-{index}"));
        other["spec"]["rules"][0]["host"] = json!(format!("{}.example", index % 1000));
        snapshot.insert(Object::from_json(Kind::Ingress, other).unwrap());
    }
    let mut new = object(Kind::Ingress, ingress("/", "Prefix"));
    new["spec"]["rules"][0]["host"] = json!("7.example");
    let around = neighbourhood::around(&Object::from_json(Kind::Ingress, new).unwrap(), &snapshot);
    let names: Vec<_> = around.ingresses.keys().map(|key| &*key.name).collect();
    assert_eq!(names, ["web-1007", "web-7"]);
    let service = object(Kind::Service, web().1);
    let around = neighbourhood::around(&Object::from_json(Kind::Service, service).unwrap(), &snapshot);
    assert_eq!(around.ingresses.len(), 100, "enough to see what its annotations do");
}

#[test]
fn routes_that_can_never_work_are_denied() {
    let bad = ingress("/~/bad/([", "ImplementationSpecific");
    let message = denial(Kind::Ingress, &bad, &[web()]);
    assert!(
        message.starts_with("Ingress failed schema validation: spec.rules[0].http.paths[0].path: "),
        "{message}"
    );
    let mut protocols = ingress("/", "Prefix");
    protocols["metadata"]["annotations"]["konghq.com/protocols"] = json!("http, ftp");
    let message = denial(Kind::Ingress, &protocols, &[web()]);
    assert!(
        message.starts_with("Ingress has invalid Kong annotations: invalid konghq.com/protocols value: ftp"),
        "{message}"
    );
    let mut of_another = bad.clone();
    of_another["spec"]["ingressClassName"] = json!("nginx");
    assert_eq!(verdict(Kind::Ingress, &of_another, &[web()]), Verdict::default());
}

#[test]
fn what_another_object_may_mend_and_what_is_ignored_is_warned_of() {
    let good = ingress("/", "Prefix");
    assert_eq!(verdict(Kind::Ingress, &good, &[web()]), Verdict::default());
    let without_service = verdict(Kind::Ingress, &good, &[]);
    assert!(without_service.is_allowed());
    assert!(
        without_service.warnings[0].contains("there is no Service web"),
        "{without_service:?}"
    );
    let mut annotated = good.clone();
    annotated["metadata"]["annotations"]["konghq.com/strip-path"] = json!("maybe");
    let warned = verdict(Kind::Ingress, &annotated, &[web()]);
    assert!(
        warned.is_allowed() && warned.warnings[0].contains("konghq.com/strip-path"),
        "{warned:?}"
    );
    let mut rival = good.clone();
    rival["metadata"] = json!({"name": "first", "creationTimestamp": "2026-01-01T00:00:00Z"});
    let late = verdict(Kind::Ingress, &good, &[web(), (Kind::Ingress, rival)]);
    assert!(late.is_allowed() && late.warnings[0].contains("shop/first"), "{late:?}");
}

#[test]
fn a_service_is_never_denied_but_its_annotations_are_looked_at() {
    let mut service = web().1;
    service["metadata"]["annotations"] = json!({"konghq.com/retries": "many", "konghq.com/protocol": "ftp"});
    let routes = [(Kind::Ingress, ingress("/", "Prefix"))];
    let warned = verdict(Kind::Service, &service, &routes);
    assert!(warned.is_allowed());
    assert!(
        warned
            .warnings
            .iter()
            .any(|warning| warning.contains("konghq.com/retries")),
        "{warned:?}"
    );
}

#[test]
fn only_what_a_change_brings_counts() {
    let mut old = ingress("/~/bad/([", "ImplementationSpecific");
    let mut new = old.clone();
    new["metadata"]["annotations"]["team"] = json!("a");
    let objects = [web(), (Kind::Ingress, old.clone())];
    let review = reviewed(Kind::Ingress, &new, Some(&old), &objects);
    assert_eq!(review.conclude(), Verdict::default(), "it was bad before");
    new["metadata"]["annotations"]["konghq.com/protocols"] = json!("ftp");
    let message = reviewed(Kind::Ingress, &new, Some(&old), &objects).conclude().message();
    assert!(message.unwrap().contains("invalid konghq.com/protocols value: ftp"));
    old["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut going = new.clone();
    going["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let review = reviewed(Kind::Ingress, &going, Some(&old), &objects);
    assert_eq!(
        review.conclude(),
        Verdict::default(),
        "whoever cleans up is not held up"
    );
}

#[test]
fn routes_are_shown_to_the_proxies() {
    let mut review = reviewed(
        Kind::Ingress,
        &ingress("/~/a+", "ImplementationSpecific"),
        None,
        &[web()],
    );
    let questions = review.take_questions();
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].path, "/schemas/routes/validate");
    let route = questions[0].body.as_ref().unwrap();
    assert_eq!(route["paths"], json!(["~/a+"]));
    assert!(
        route.get("service").is_none() && route.get("plugins").is_none(),
        "{route}"
    );
    review.answer(
        &questions[0],
        &[("traditional".to_owned(), violation("schema violation (paths.1: bad)"))],
    );
    assert_eq!(
        review.conclude().message().as_deref(),
        Some("Ingress failed schema validation: schema violation (paths.1: bad)")
    );
}
