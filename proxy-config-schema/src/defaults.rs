//! The values that stand for fields that a configuration leaves out. Called by the embedded proxy, whose Admin API tells them
//! as Kong does, and by whoever compares what is told with what was sent.

use serde_json::{Map, Value, json};

/// What Kong 3.9 tells of an entity of that list where its configuration says nothing: an object of fields, or null.
///
/// They depend on what it says: the path of a gRPC call is its method, which no route strips.
pub fn defaults(list: &str, entity: &Map<String, Value>) -> Value {
    let is_protocol = |names: &[&str]| {
        let protocols = entity.get("protocols").and_then(Value::as_array);
        protocols.is_some_and(|given| given.iter().any(|given| names.iter().any(|name| given == name)))
    };
    match list {
        "services" => json!({
            "name": null, "protocol": "http", "port": 80, "path": null, "retries": 5, "connect_timeout": 60_000,
            "write_timeout": 60_000, "read_timeout": 60_000, "enabled": true, "client_certificate": null,
            "tls_verify": null, "tls_verify_depth": null, "ca_certificates": null,
        }),
        "routes" => json!({
            "name": null, "service": null, "protocols": ["http", "https"], "methods": null, "hosts": null,
            "paths": null, "headers": null, "snis": null, "sources": null, "destinations": null,
            "https_redirect_status_code": 426, "regex_priority": 0, "strip_path": !is_protocol(&["grpc", "grpcs"]), "path_handling": "v0",
            "preserve_host": false, "request_buffering": true, "response_buffering": true,
        }),
        "upstreams" => json!({
            "algorithm": "round-robin", "slots": 10_000, "hash_on": "none", "hash_fallback": "none",
            "hash_on_header": null, "hash_fallback_header": null, "hash_on_cookie": null, "hash_on_cookie_path": "/",
            "hash_on_query_arg": null, "hash_fallback_query_arg": null, "hash_on_uri_capture": null,
            "hash_fallback_uri_capture": null, "host_header": null, "client_certificate": null,
            "use_srv_name": false,
        }),
        "targets" => json!({"weight": 100}),
        "plugins" => json!({
            "enabled": true, "config": {}, "service": null, "route": null, "consumer": null, "instance_name": null,
            "protocols": ["grpc", "grpcs", "http", "https"],
        }),
        "consumers" => json!({"username": null, "custom_id": null}),
        "certificates" => json!({"cert_alt": null, "key_alt": null}),
        _ => Value::Null,
    }
}
