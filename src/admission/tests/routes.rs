//! What routes and Services say, and what of it only a change has brought.

use super::*;
use crate::model::{Edition, Profile};

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

fn http_route(rule: Value) -> [(Kind, Value); 4] {
    let class = json!({"metadata": {"name": "kong"}, "spec": {"controllerName": "konghq.com/kic-gateway-controller"}});
    let gateway = json!({
        "metadata": {"name": "edge"},
        "spec": {"gatewayClassName": "kong", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    });
    let mut rule = rule;
    if rule["backendRefs"].is_null() {
        rule["backendRefs"] = json!([{"name": "web", "port": 80}]);
    }
    let route = json!({"spec": {"parentRefs": [{"name": "edge"}], "rules": [rule]}});
    [
        (Kind::GatewayClass, class),
        (Kind::Gateway, gateway),
        web(),
        (Kind::HTTPRoute, route),
    ]
}

fn verdict_on_rule(rule: Value) -> Verdict {
    let [class, gateway, service, (kind, route)] = http_route(rule);
    verdict(kind, &route, &[class, gateway, service])
}

#[test]
fn what_kong_ingress_controller_refuses_of_http_routes_is_denied_in_its_words() {
    let mirror = json!({"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "web", "port": 80}}});
    for (rule, words) in [
        (
            json!({"filters": [mirror]}),
            "rules[0].filters[0]: filter type RequestMirror is unsupported",
        ),
        (
            json!({"backendRefs": [{"name": "web", "port": 80, "filters": [mirror]}]}),
            "rules[0].backendRefs[0]: filters in backendRef is unsupported",
        ),
        (
            json!({"matches": [{"queryParams": [{"name": "a", "value": "b"}]}]}),
            "rules[0].matches[0]: queryparam matching is supported with expression router only",
        ),
    ] {
        let message = verdict_on_rule(rule).message().unwrap_or_default();
        let expected = format!("HTTPRoute spec did not pass validation: {words}: spec.rules[0]");
        assert!(message.starts_with(&expected), "{message}");
    }
}

#[test]
fn a_redirect_and_a_rewrite_in_one_rule_are_denied_in_our_own_words() {
    let redirect = json!({"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}});
    let rewrite = json!({"type": "URLRewrite", "urlRewrite": {"hostname": "internal.example"}});
    let message = verdict_on_rule(json!({"filters": [redirect, rewrite]})).message();
    assert_eq!(
        message.as_deref(),
        Some(
            "HTTPRoute spec did not pass validation: spec.rules[0].filters[1].type: the Gateway API lets a rule redirect \
             requests or rewrite them, not both; requests of the rule get 500; keep RequestRedirect or URLRewrite; requests \
             that want the other one need a rule of their own"
        )
    );
}

#[test]
fn what_kong_ingress_controller_admits_of_http_routes_is_warned_of() {
    let redirect = |fields: Value| json!({"filters": [{"type": "RequestRedirect", "requestRedirect": fields}]});
    for (rule, word) in [
        (json!({"timeouts": {"request": "10s"}}), "timeouts.request"),
        (redirect(json!({"port": 8080})), "requestRedirect"),
        (redirect(json!({"scheme": "http"})), "requestRedirect"),
        (
            redirect(json!({"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}})),
            "requestRedirect.path",
        ),
    ] {
        let warned = verdict_on_rule(rule);
        assert!(warned.is_allowed(), "{warned:?}");
        assert!(
            warned.warnings.iter().any(|warning| warning.contains(word)),
            "{warned:?}"
        );
    }
}

#[test]
fn tls_without_hosts_is_warned_of() {
    let mut ingress = ingress("/", "Prefix");
    ingress["spec"]["tls"] = json!([{"secretName": "certificate"}]);
    let warned = verdict(Kind::Ingress, &ingress, &[web()]);
    assert!(warned.is_allowed(), "{warned:?}");
    assert!(warned.warnings[0].starts_with("spec.tls[0].hosts: "), "{warned:?}");
}

#[test]
fn nobody_is_denied_for_what_is_wrong_with_another_object() {
    let mut with_plugin = ingress("/", "Prefix");
    with_plugin["metadata"]["annotations"]["konghq.com/plugins"] = json!("broken");
    let plugin = json!({
        "metadata": {"name": "broken"}, "plugin": "cors",
        "configFrom": {"secretKeyRef": {"name": "gone", "key": "k"}},
    });
    let mut with_certificate = ingress("/", "Prefix");
    with_certificate["spec"]["tls"] = json!([{"secretName": "broken", "hosts": ["shop.example"]}]);
    let secret = json!({"metadata": {"name": "broken"}, "stringData": {"tls.crt": "x", "tls.key": "y"}});
    for (ingress, other) in [
        (with_plugin, (Kind::KongPlugin, plugin)),
        (with_certificate, (Kind::Secret, secret)),
    ] {
        let warned = verdict(Kind::Ingress, &ingress, &[web(), other]);
        assert!(warned.is_allowed(), "{warned:?}");
        assert!(warned.warnings[0].contains("can't be used"), "{warned:?}");
    }
}

#[test]
fn regular_expressions_of_pcre_are_admitted_where_the_proxies_have_it() {
    let ingress = ingress("/~/api/(?!internal)", "ImplementationSpecific");
    let on = |edition| {
        let profile = Profile {
            edition,
            ..Profile::default()
        };
        let settings = Settings {
            translations: vec![translate::Settings {
                profile,
                ..translate::Settings::default()
            }],
        };
        let request = request(Kind::Ingress, &ingress, None);
        review(&request, &snapshot(&[web()]), &BTreeSet::new(), &settings).conclude()
    };
    assert_eq!(on(Some(Edition::OpenSource)), Verdict::default());
    assert!(!on(Some(Edition::Embedded)).is_allowed());
    let unknown = on(None);
    assert!(
        unknown.is_allowed(),
        "there are no proxies yet, and those to come may have it"
    );
    assert_eq!(unknown.warnings.len(), 1, "{unknown:?}");
    assert!(unknown.warnings[0].contains("is for PCRE"), "{unknown:?}");
}

#[test]
fn secrets_that_a_new_object_is_the_first_to_use_are_looked_up() {
    let mut with_tls = ingress("/", "Prefix");
    with_tls["spec"]["tls"] = json!([{"secretName": "certificate", "hosts": ["shop.example"]}]);
    let mut with_client_certificate = web().1;
    with_client_certificate["metadata"]["annotations"] =
        json!({"konghq.com/client-cert": "certificate", "konghq.com/protocol": "https"});
    let listener = json!({
        "name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "certificate"}]},
    });
    let gateway = json!({"spec": {"gatewayClassName": "kong", "listeners": [listener]}});
    let class = json!({"metadata": {"name": "kong"}, "spec": {"controllerName": "konghq.com/kic-gateway-controller"}});
    let key = NamespacedName::new("shop", "certificate");
    for (kind, new) in [
        (Kind::Ingress, with_tls),
        (Kind::Service, with_client_certificate),
        (Kind::Gateway, gateway),
    ] {
        let objects = snapshot(&[
            web(),
            (Kind::GatewayClass, class.clone()),
            (Kind::Ingress, ingress("/web", "Prefix")),
        ]);
        let request = request(kind, &new, None);
        assert_eq!(
            missing_secrets(&request, &objects),
            std::slice::from_ref(&key),
            "{}",
            kind.name()
        );
        let warnings = |absent| review(&request, &objects, &absent, &settings()).conclude().warnings;
        assert_eq!(
            warnings(BTreeSet::new()),
            [""; 0],
            "{}: nobody knows whether it exists",
            kind.name()
        );
        let warned = warnings(BTreeSet::from([key.clone()]));
        assert!(
            warned
                .iter()
                .any(|warning| warning.contains("there is no Secret certificate")),
            "{}: {warned:?}",
            kind.name()
        );
    }
}
