//! What of an object may be shown: chosen fields, never a Secret, an environment or an annotation with a copy of it all.

use serde_json::{Value, json};

/// Words in names of flags whose values are not shown.
const CONFIDENTIAL: [&str; 6] = ["token", "header", "key", "password", "secret", "cert"];

/// A pod: where it runs, what it runs, how it is. Of its environment only the names.
pub(super) fn pod(pod: &Value) -> Value {
    let containers = |field: &str| -> Vec<Value> {
        let list = pod["spec"][field].as_array().into_iter().flatten();
        list.map(container).collect()
    };
    json!({
        "name": pod["metadata"]["name"],
        "labels": pod["metadata"]["labels"],
        "created": pod["metadata"]["creationTimestamp"],
        "deleted": pod["metadata"]["deletionTimestamp"],
        "node": pod["spec"]["nodeName"],
        "serviceAccount": pod["spec"]["serviceAccountName"],
        "containers": containers("containers"),
        "initContainers": containers("initContainers"),
        "phase": pod["status"]["phase"],
        "reason": pod["status"]["reason"],
        "addresses": pod["status"]["podIPs"],
        "conditions": pod["status"]["conditions"],
        "containerStatuses": pod["status"]["containerStatuses"],
        "initContainerStatuses": pod["status"]["initContainerStatuses"],
    })
}

fn container(container: &Value) -> Value {
    let names = container["env"].as_array().into_iter().flatten();
    let names: Vec<&Value> = names.map(|variable| &variable["name"]).collect();
    let arguments = container["args"].as_array().into_iter().flatten();
    let mut hide_next = false;
    let arguments: Vec<Value> = arguments
        .map(|argument| {
            let argument = argument.as_str().unwrap_or_default();
            let hide = std::mem::take(&mut hide_next);
            match argument.split_once('=') {
                _ if hide => json!("(not shown)"),
                Some((flag, _)) if is_confidential(flag) => json!(format!("{flag}=(not shown)")),
                None if is_confidential(argument) => {
                    hide_next = true;
                    json!(argument)
                }
                _ => json!(argument),
            }
        })
        .collect();
    json!({
        "name": container["name"],
        "image": container["image"],
        "args": arguments,
        "environment": names,
        "resources": container["resources"],
        "ports": container["ports"],
    })
}

fn is_confidential(flag: &str) -> bool {
    flag.starts_with("--") && CONFIDENTIAL.iter().any(|word| flag.contains(word))
}

/// A Deployment: how many, how it selects.
pub(super) fn deployment(deployment: &Value) -> Value {
    json!({
        "name": deployment["metadata"]["name"],
        "labels": deployment["metadata"]["labels"],
        "replicas": deployment["spec"]["replicas"],
        "selector": deployment["spec"]["selector"],
        "strategy": deployment["spec"]["strategy"],
        "status": deployment["status"],
    })
}

/// A Service: ports, selector, addresses.
pub(super) fn service(service: &Value) -> Value {
    json!({
        "name": service["metadata"]["name"],
        "labels": service["metadata"]["labels"],
        "spec": service["spec"],
        "status": service["status"],
    })
}

/// A definition: which release it is of, and whether it is served.
pub(super) fn definition(definition: &Value) -> Value {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let versions: Vec<&Value> = versions.map(|version| &version["name"]).collect();
    json!({
        "name": definition["metadata"]["name"],
        "annotations": definition["metadata"]["annotations"],
        "versions": versions,
        "storedVersions": definition["status"]["storedVersions"],
        "conditions": definition["status"]["conditions"],
    })
}

/// Any object that holds no secrets, without what only tools read.
pub(super) fn whole(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_flags_and_variables_that_may_be_secret_are_not_shown() {
        let shown = pod(&json!({
            "metadata": { "name": "controller", "annotations": { "x": "SECRET" } },
            "spec": { "containers": [{
                "name": "controller",
                "args": ["run", "--kong-admin-token=SECRET", "--kong-admin-header", "a:SECRET", "--log-level=debug"],
                "env": [{ "name": "CONTROLLER_KONG_ADMIN_TOKEN", "value": "SECRET" }],
            }] },
        }));
        let text = shown.to_string();
        assert!(!text.contains("SECRET"), "{text}");
        for word in [
            "--kong-admin-token=(not shown)",
            "--log-level=debug",
            "CONTROLLER_KONG_ADMIN_TOKEN",
        ] {
            assert!(text.contains(word), "{text}");
        }
    }
}
