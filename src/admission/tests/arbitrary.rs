//! Objects of any shape.

use proptest::prelude::*;

use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z/~(){}*,.:]{0,12}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        "[a-z]{1,4}",
        prop::sample::select(vec![
            "spec",
            "rules",
            "http",
            "paths",
            "path",
            "backend",
            "service",
            "name",
            "port",
            "number",
            "plugin",
            "config",
            "configFrom",
            "secretKeyRef",
            "key",
            "credentials",
            "username",
            "fields",
            "type",
            "prefix",
            "controllerName",
            "parentRefs",
            "backendRefs",
            "matches",
            "data",
            "ingressClassName",
            "hostnames",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_is_reviewed_without_a_panic(kind in prop::sample::select(Kind::ALL.to_vec()), value in any_json()) {
        let mut value = match value {
            Value::Object(_) => value,
            other => json!({"spec": other}),
        };
        value["metadata"] = json!({
            "name": "it", "labels": {"konghq.com/credential": "key-auth"},
            "annotations": {"kubernetes.io/ingress.class": "kong", "konghq.com/plugins": "it"},
        });
        let objects = [web(), (Kind::Ingress, ingress("/", "Prefix"))];
        let mut review = reviewed(kind, &value, None, &objects);
        for question in review.take_questions() {
            review.answer(&question, &[("p".to_owned(), answer(200, &json!({"fields": [{"a": {"type": "foreign"}}]})))]);
        }
        prop_assert!(review.conclude().warnings.len() < 1000);
    }
}
