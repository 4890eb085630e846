//! Tables and types say the same, and tables nothing else than the definitions of Kong Ingress Controller.

use serde_json::{Map, Value, json};

use super::{DEFINITIONS, Definition};
use crate::model::{
    Object,
    schema::{Fields, List, Text, Type, open_api},
};

/// A value of a type that nothing else than its field could have put there.
fn sample(type_: &'static Type, path: &str) -> Value {
    match type_ {
        Type::Any | Type::AnyObject => json!({ "key": path }),
        Type::Text(Text { pattern: None, .. }) | Type::SecretText => path.into(),
        Type::Text(_) => "/a".into(),
        Type::Integer(range) => range.min.max(1).into(),
        Type::Number => json!(1.5),
        Type::PortOrName => 80.into(),
        Type::Boolean => true.into(),
        Type::Timestamp => "2026-01-01T00:00:00Z".into(),
        Type::SecretBase64 => "YQ==".into(),
        Type::OneOf(words) => words[0].into(),
        Type::OneOfNumbers(numbers) => numbers[0].into(),
        Type::Map(of) => json!({ "key": sample(of, path) }),
        Type::List(List { items, .. }) => json!([sample(items, path)]),
        Type::Object(fields) => Value::Object(sample_fields(fields, path)),
    }
}

fn sample_fields(fields: &'static Fields, path: &str) -> Map<String, Value> {
    let value = |name: &str, type_| (name.to_owned(), sample(type_, &format!("{path}.{name}")));
    fields
        .fields
        .iter()
        .map(|field| value(field.name, &field.type_))
        .collect()
}

/// An object in which every field is set, without what its type leaves to others.
fn full(definition: &Definition) -> Value {
    let mut object = sample_fields(definition.fields, "");
    for elsewhere in ["apiVersion", "kind", "metadata", "status"] {
        object.remove(elsewhere);
    }
    object.insert("metadata".to_owned(), json!({ "name": "a" }));
    Value::Object(object)
}

fn write(object: &Object) -> Value {
    macro_rules! write {
        ($($kind:ident),*) => {
            match object {
                $(Object::$kind(object) => serde_json::to_value(&**object),)*
                other => panic!("{:?} is none of Kong's kinds", other.kind()),
            }
        };
    }
    let written = write!(
        IngressClassParameters,
        KongPlugin,
        KongClusterPlugin,
        KongConsumer,
        KongConsumerGroup,
        KongUpstreamPolicy,
        KongVault,
        KongLicense,
        KongCustomEntity,
        KongIngress,
        TCPIngress,
        UDPIngress,
        KongServiceFacade
    );
    written.expect("objects are JSON")
}

#[test]
fn each_field_of_a_table_is_read_into_its_type_and_written_again() {
    for definition in DEFINITIONS {
        let written = full(definition);
        let name = definition.kind.name();
        let object = Object::from_json(definition.kind, written.clone()).expect(name);
        let mut read = write(&object);
        read["metadata"] = written["metadata"].clone();
        assert_eq!(read, written, "{name}");
    }
}

/// Takes prose out, wherever it stands.
fn without_prose(schema: &mut Value) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(without_prose);
    }
    for below in ["items", "additionalProperties"] {
        schema.get_mut(below).into_iter().for_each(without_prose);
    }
    schema
        .as_object_mut()
        .expect("a schema is an object")
        .remove("description");
}

#[test]
fn schemas_are_those_of_kong_ingress_controller() {
    for definition in DEFINITIONS {
        let path = format!(
            "{}/e2e/testdata/kic-crds/{}_{}.yaml",
            env!("CARGO_MANIFEST_DIR"),
            definition.kind.group(),
            definition.kind.plural()
        );
        let text = std::fs::read_to_string(path).expect("the definition is there");
        let theirs: Value = serde_saphyr::from_str(&text).expect("YAML");
        let versions = theirs["spec"]["versions"].as_array().expect("versions");
        assert_eq!(versions.len(), 1);
        assert_eq!(versions[0]["name"], definition.kind.version());
        let mut ours = open_api(definition.fields, definition.description);
        without_prose(&mut ours);
        let theirs = &versions[0]["schema"]["openAPIV3Schema"];
        assert_eq!(&ours, theirs, "{}", definition.kind.name());
    }
}

#[test]
fn every_field_is_explained() {
    fn check(fields: &'static Fields, path: &str) {
        for field in fields.fields {
            let path = format!("{path}.{}", field.name);
            if ["apiVersion", "kind", "metadata"].contains(&field.name) && path.matches('.').count() == 1 {
                continue;
            }
            assert!(field.description.trim().ends_with('.'), "{path} is not explained");
            check_type(&field.type_, &path);
        }
    }
    fn check_type(type_: &'static Type, path: &str) {
        match type_ {
            Type::Object(fields) => check(fields, path),
            Type::Map(of) => check_type(of, path),
            Type::List(list) => check_type(&list.items, path),
            _ => {}
        }
    }
    for definition in DEFINITIONS {
        check(definition.fields, definition.kind.name());
    }
}
