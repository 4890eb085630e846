//! `configPatches`: puts a value where a JSON pointer (RFC 6901) leads, as the operation `add` of JSON Patch (RFC 6902)
//! with parents made on the way, which is what Kong Ingress Controller does. Pure.

use serde_json::{Map, Value};

/// Elements that a list is filled up with at most so that an index exists: a pointer costs no more than it is worth.
const MAX_INDEX: usize = 1_000;

/// Puts `value` at the pointer; an empty pointer replaces the document.
///
/// # Errors
/// What is wrong with the pointer, in words that read on after it.
pub(super) fn add(document: &mut Value, pointer: &str, value: Value) -> Result<(), &'static str> {
    if pointer.is_empty() {
        *document = value;
        return Ok(());
    }
    let path = pointer
        .strip_prefix('/')
        .ok_or("is no JSON pointer: it does not begin with a slash")?;
    let segments: Vec<String> = path.split('/').map(unescaped).collect();
    let (last, parents) = segments.split_last().expect("a split has an element");
    let mut current = document;
    for (position, segment) in parents.iter().enumerate() {
        current = child(current, segment, &segments[position + 1])?;
    }
    match container(current, last) {
        Value::Object(object) => drop(object.insert(last.clone(), value)),
        Value::Array(elements) => {
            let at = index(last, elements.len())?;
            if at > elements.len() {
                return Err("leads beyond the end of a list");
            }
            elements.insert(at, value);
        }
        _ => return Err(SCALAR),
    }
    Ok(())
}

const SCALAR: &str = "leads into a value that is neither an object nor a list";

/// `~1` is a slash, `~0` a tilde.
fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

/// What is there, or a container that fits what comes next where nothing is.
fn container<'v>(value: &'v mut Value, next: &str) -> &'v mut Value {
    if value.is_null() {
        *value = if next == "-" || next.parse::<usize>().is_ok() {
            Value::Array(Vec::new())
        } else {
            Value::Object(Map::new())
        };
    }
    value
}

/// One step down, to what is there or is made there.
fn child<'v>(value: &'v mut Value, segment: &str, next: &str) -> Result<&'v mut Value, &'static str> {
    let below = match container(value, segment) {
        Value::Object(object) => object.entry(segment).or_insert(Value::Null),
        Value::Array(elements) => {
            let at = index(segment, elements.len())?;
            if at >= elements.len() {
                elements.resize(at + 1, Value::Null);
            }
            &mut elements[at]
        }
        _ => return Err(SCALAR),
    };
    Ok(container(below, next))
}

fn index(segment: &str, length: usize) -> Result<usize, &'static str> {
    if segment == "-" {
        return Ok(length);
    }
    match segment.parse() {
        Ok(index) if index <= MAX_INDEX => Ok(index),
        Ok(_) => Err("has too great an index"),
        Err(_) => Err("has a name where a list has indices"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(mut document: Value, pointer: &str, value: Value) -> Result<Value, &'static str> {
        add(&mut document, pointer, value).map(|()| document)
    }

    #[test]
    fn adds_and_replaces() {
        let of = |pointer, value| patched(json!({"a": {"b": 1}, "l": [1, 2]}), pointer, value);
        assert_eq!(of("/a/b", json!(2)), Ok(json!({"a": {"b": 2}, "l": [1, 2]})));
        assert_eq!(
            of("/a/c", json!(null)),
            Ok(json!({"a": {"b": 1, "c": null}, "l": [1, 2]}))
        );
        assert_eq!(
            of("/l/1", json!(9)),
            Ok(json!({"a": {"b": 1}, "l": [1, 9, 2]})),
            "inserted"
        );
        assert_eq!(of("/l/-", json!(9)), Ok(json!({"a": {"b": 1}, "l": [1, 2, 9]})));
        assert_eq!(of("", json!({"x": 1})), Ok(json!({"x": 1})));
        assert_eq!(
            of("/a~1b~0c", json!(1)),
            Ok(json!({"a": {"b": 1}, "a/b~c": 1, "l": [1, 2]}))
        );
    }

    #[test]
    fn makes_missing_parents() {
        let of = |pointer| patched(json!({}), pointer, json!("x"));
        assert_eq!(of("/a/b/c"), Ok(json!({"a": {"b": {"c": "x"}}})));
        assert_eq!(of("/a/0/b"), Ok(json!({"a": [{"b": "x"}]})));
        assert_eq!(of("/a/-"), Ok(json!({"a": ["x"]})));
        assert_eq!(of("/a/2/b"), Ok(json!({"a": [null, null, {"b": "x"}]})));
        assert_eq!(of("/"), Ok(json!({"": "x"})));
    }

    #[test]
    fn says_what_is_wrong_with_a_pointer() {
        let of = |pointer| patched(json!({"a": 1, "l": [1]}), pointer, json!("x")).expect_err(pointer);
        assert!(of("a").contains("slash"));
        assert!(of("/a/b").contains("neither"));
        assert!(of("/l/b").contains("indices"));
        assert!(of("/l/5").contains("end of a list"));
        assert!(of("/l/999999999").contains("too great"));
        assert!(of("/x/999999999/y").contains("too great"));
    }
}
