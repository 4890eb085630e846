//! Reads entities of the configuration that runs. Writes are refused as in DB-less mode: the configuration comes whole.

use hyper::{Method, Request, StatusCode, body::Incoming};
use serde_json::{Map, Value, json};

use super::{
    Node,
    tables::{Kind, Tables},
};
use crate::{answer, control::Current, data::KNOWN_PLUGINS, server::Answer};

/// Rows of a page, where the query says nothing, and at the most.
const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// Answers to every path that is not the Admin API's own.
pub(super) fn answer(current: &Current, node: &Node, path: &[&str], request: &Request<Incoming>) -> Answer {
    let method = request.method();
    if let ["plugins", "enabled"] = path {
        return enabled_plugins(method);
    }
    let Some(kind) = path.first().and_then(|first| Kind::by_path(first)) else {
        return answer::not_found();
    };
    let tables = current.tables();
    match *method {
        Method::GET | Method::HEAD => read(tables, kind, node, path, request.uri().query().unwrap_or_default()),
        Method::OPTIONS => answer::options("GET, HEAD, OPTIONS"),
        _ => write(tables, kind, method, &path[1..]),
    }
}

fn enabled_plugins(method: &Method) -> Answer {
    match *method {
        Method::GET | Method::HEAD => answer::json(StatusCode::OK, &json!({"enabled_plugins": KNOWN_PLUGINS})),
        Method::OPTIONS => answer::options("GET, HEAD, OPTIONS"),
        _ => answer::method_not_allowed(),
    }
}

fn read(tables: &Tables, kind: &Kind, node: &Node, path: &[&str], query: &str) -> Answer {
    let table = tables.get(kind);
    if let [_] = path {
        return page(table.rows.iter(), &format!("/{}", kind.path), query);
    }
    let Some((id, row)) = table.find(path[1]) else {
        return answer::not_found();
    };
    match &path[2..] {
        [] => answer::json(StatusCode::OK, &with_server_names(tables, kind, id, row)),
        ["health"] if kind.list == "upstreams" => health(tables, kind, id, node),
        ["targets", "all"] if kind.list == "upstreams" => read_children(tables, kind, id, path[1], "targets", query),
        [child] => read_children(tables, kind, id, path[1], child, query),
        [child, key] => match kind.child_by_path(child).map(|child| tables.get(child).find(key)) {
            Some(Some((_, row))) if kind.owns(id, row) => answer::json(StatusCode::OK, row),
            _ => answer::not_found(),
        },
        _ => answer::not_found(),
    }
}

fn read_children(tables: &Tables, kind: &Kind, id: &str, key: &str, child: &str, query: &str) -> Answer {
    let Some(child_kind) = kind.child_by_path(child) else {
        return answer::not_found();
    };
    let rows = tables.get(child_kind).rows.iter();
    let path = format!("/{}/{key}/{child}", kind.path);
    page(rows.filter(|(_, row)| kind.owns(id, row)), &path, query)
}

/// A certificate is told with the names that it serves.
fn with_server_names(tables: &Tables, kind: &Kind, id: &str, row: &Value) -> Value {
    let mut row = row.clone();
    if kind.list == "certificates"
        && let Some(snis) = Kind::by_path("snis")
    {
        let names = tables.get(snis).rows.values().filter(|sni| kind.owns(id, sni));
        row["snis"] = names.filter_map(|sni| sni.get("name").cloned()).collect();
    }
    row
}

/// Health of targets. Without health checks Kong says so for each, and so does this proxy.
fn health(tables: &Tables, kind: &Kind, id: &str, node: &Node) -> Answer {
    let targets = Kind::by_path("targets").map(|targets| tables.get(targets));
    let rows = targets.iter().flat_map(|targets| targets.rows.values());
    let data: Vec<Value> = rows
        .filter(|row| kind.owns(id, row))
        .map(|row| {
            let mut row = row.clone();
            row["health"] = json!("HEALTHCHECKS_OFF");
            row
        })
        .collect();
    answer::json(
        StatusCode::OK,
        &json!({"data": data, "next": null, "node_id": node.node_id()}),
    )
}

/// One page of rows, which come in the order of their identifiers; `offset` is the last identifier of the page before.
fn page<'a>(rows: impl Iterator<Item = (&'a String, &'a Value)>, path: &str, query: &str) -> Answer {
    let mut size = DEFAULT_PAGE;
    let mut offset = None;
    let mut tags = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "size" => match value.parse() {
                Ok(asked) if (1..=MAX_PAGE).contains(&asked) => size = asked,
                _ => {
                    return answer::entity_error(
                        StatusCode::BAD_REQUEST,
                        9,
                        "invalid size",
                        "size must be an integer between 1 and 1000",
                    );
                }
            },
            "offset" => offset = Some(value.into_owned()),
            "tags" => tags = Some(value.into_owned()),
            _ => {}
        }
    }
    let mut rows = rows
        .filter(|(id, _)| offset.as_ref().is_none_or(|offset| id.as_str() > offset.as_str()))
        .filter(|(_, row)| tags.as_ref().is_none_or(|tags| has_tags(row, tags)));
    let selected: Vec<(&String, &Value)> = rows.by_ref().take(size).collect();
    let mut body = Map::new();
    body.insert(
        "data".to_owned(),
        selected.iter().map(|(_, row)| (*row).clone()).collect(),
    );
    let last = selected.last().map(|(id, _)| id.as_str());
    match (rows.next(), last) {
        (Some(_), Some(last)) => {
            let mut next = form_urlencoded::Serializer::new(String::new());
            next.append_pair("offset", last).append_pair("size", &size.to_string());
            if let Some(tags) = &tags {
                next.append_pair("tags", tags);
            }
            body.insert("next".to_owned(), json!(format!("{path}?{}", next.finish())));
            body.insert("offset".to_owned(), json!(last));
        }
        _ => {
            body.insert("next".to_owned(), Value::Null);
        }
    }
    answer::json(StatusCode::OK, &Value::Object(body))
}

/// `a,b`: both; `a/b`: either.
fn has_tags(row: &Value, wanted: &str) -> bool {
    let tags = row.get("tags").and_then(Value::as_array);
    let has = |tag: &str| tags.is_some_and(|tags| tags.iter().any(|held| held == tag));
    match wanted.contains('/') {
        true => wanted.split('/').any(has),
        false => wanted.split(',').all(has),
    }
}

/// Refuses in the words of Kong's DB-less mode.
fn write(tables: &Tables, kind: &Kind, method: &Method, rest: &[&str]) -> Answer {
    let (list, key) = match rest {
        [] => (kind.list, None),
        [key] => (kind.list, Some((kind, *key))),
        [_, child] => match kind.child_by_path(child) {
            Some(child) => (child.list, None),
            None => return answer::not_found(),
        },
        [_, child, key] => match kind.child_by_path(child) {
            Some(child) => (child.list, Some((child, *key))),
            None => return answer::not_found(),
        },
        _ => return answer::not_found(),
    };
    let found = key.map(|(kind, key)| tables.get(kind).find(key));
    let operation = match (method, found) {
        (&Method::POST, None) => "create",
        (&Method::PUT, Some(_)) => "create or update",
        (&Method::PATCH, Some(Some(_))) => "update",
        (&Method::DELETE, Some(Some(_))) => "remove",
        (&Method::PATCH, Some(None)) => return answer::not_found(),
        (&Method::DELETE, Some(None)) => return answer::empty(StatusCode::NO_CONTENT),
        _ => return answer::method_not_allowed(),
    };
    let by = match key {
        Some((kind, key)) if uuid::Uuid::parse_str(key).is_err() => kind
            .name_field
            .map_or_else(String::new, |field| format!(" by '{field}'")),
        _ => String::new(),
    };
    answer::entity_error(
        StatusCode::METHOD_NOT_ALLOWED,
        12,
        "operation unsupported",
        &format!("cannot {operation} '{list}' entities{by} when not using a database"),
    )
}
