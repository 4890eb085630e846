//! Would an entity be taken? As Kong answers it.

use serde_json::{Value, json};

use crate::{Ask, assert_answer, setup};

fn validate(list: &str, entity: &Value) -> Ask {
    Ask::new("POST", &format!("/schemas/{list}/validate")).body("application/json", entity.to_string())
}

fn violation(message: &str, fields: &Value) -> Value {
    json!({"code": 2, "name": "schema violation", "message": message, "fields": fields})
}

#[tokio::test]
async fn entities_are_validated_without_being_taken() {
    let setup = setup(|launch| launch).await;
    let admin = &setup.admin;
    let good = json!({"message": "schema validation successful"});
    for (list, entity) in [
        (
            "plugins",
            json!({"name": "request-termination", "config": {"status_code": 418}}),
        ),
        ("routes", json!({"paths": ["/a"]})),
        ("services", json!({"host": "a"})),
    ] {
        assert_answer(&admin.ask(validate(list, &entity)).await, 200, &good);
    }
    let not_enabled = "plugin 'rate-limiting' not enabled; add it to the 'plugins' configuration property";
    for (list, entity, message, fields) in [
        (
            "plugins",
            json!({"name": "rate-limiting", "config": {"minute": 5}}),
            format!("schema violation (name: {not_enabled})"),
            json!({"name": not_enabled}),
        ),
        (
            "plugins",
            json!({"name": "request-termination", "config": {"status_code": 99, "foo": 1}}),
            "2 schema violations (config.foo: unknown field; config.status_code: value should be between 100 and 599)"
                .to_owned(),
            json!({"config": {"foo": "unknown field", "status_code": "value should be between 100 and 599"}}),
        ),
        (
            "plugins",
            json!({"config": {}}),
            "schema violation (name: required field missing)".to_owned(),
            json!({"name": "required field missing"}),
        ),
        (
            "services",
            json!({"host": "a", "foo": 1}),
            "schema violation (foo: unknown field)".to_owned(),
            json!({"foo": "unknown field"}),
        ),
    ] {
        let answer = admin.ask(validate(list, &entity)).await;
        assert_answer(&answer, 400, &violation(&message, &fields));
    }
    let answer = admin.ask(validate("nosuch", &json!({"a": 1}))).await;
    assert_answer(&answer, 404, &json!({"message": "No entity named 'nosuch'"}));
    let broken = Ask::new("POST", "/schemas/routes/validate").body("application/json", "{");
    assert_answer(
        &admin.ask(broken).await,
        400,
        &json!({"message": "Cannot parse JSON body"}),
    );
    let answer = admin.get("/schemas/routes/validate").await;
    assert_answer(&answer, 405, &json!({"message": "Method not allowed"}));
    assert_eq!(
        admin.get("/services").await.json()["data"],
        json!([]),
        "nothing was taken"
    );
}

#[tokio::test]
async fn plugins_have_schemas() {
    let setup = setup(|launch| launch).await;
    let admin = &setup.admin;
    let schema = admin.get("/schemas/plugins/request-termination").await;
    assert_eq!(schema.status, 200);
    let schema = schema.json();
    let fields: Vec<&str> = schema["fields"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|field| field.as_object().unwrap().keys().map(String::as_str))
        .collect();
    assert_eq!(fields, ["consumer", "protocols", "config"]);
    let answer = admin.get("/schemas/plugins/nosuch").await;
    assert_answer(&answer, 404, &json!({"message": "No plugin named 'nosuch'"}));
    let answer = admin.get("/schemas/nosuch").await;
    assert_answer(&answer, 404, &json!({"message": "No entity named 'nosuch'"}));
}
