//! Reading entities.

use serde_json::{Value, json};

use crate::{Ask, ZEROS, assert_answer, md5, setup};

/// A configuration with a secret of each kind.
fn secretive() -> String {
    json!({
        "_format_version": "3.0",
        "services": [
            {"name": "a", "host": "up", "tags": ["t1", "t2"], "routes": [
                {"name": "ra", "paths": ["/a"], "plugins": [
                    {"name": "request-termination", "config": {"status_code": 503}},
                ]},
                {"name": "rb", "paths": ["/b"]},
            ]},
            {"name": "b", "host": "h", "tags": ["t2"]},
            {"name": "c", "host": "h"},
        ],
        "upstreams": [{"name": "up", "targets": [{"target": "127.0.0.1:9000"}, {"target": "127.0.0.1:9001", "weight": 0}]}],
        "consumers": [{
            "username": "alice",
            "keyauth_credentials": [{"key": "hunter2-key"}],
            "basicauth_credentials": [{"username": "alice", "password": "hunter2-password"}],
        }],
    })
    .to_string()
}

fn names(page: &Value, field: &str) -> Vec<String> {
    let rows = page["data"]
        .as_array()
        .unwrap_or_else(|| panic!("a page, not {page}"))
        .iter();
    let mut names: Vec<String> = rows
        .map(|row| {
            row[field]
                .as_str()
                .unwrap_or_else(|| panic!("{field} in {row}"))
                .to_owned()
        })
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn entities_are_read_as_from_kong_but_without_secrets() {
    let setup = setup(|launch| launch).await;
    let admin = &setup.admin;
    assert_answer(&admin.get("/services").await, 200, &json!({"next": null, "data": []}));
    let accepted = admin.push(secretive()).await;
    assert_eq!(accepted.status, 201, "{:?}", accepted.body);

    let services = admin.get("/services").await.json();
    assert_eq!(names(&services, "name"), ["a", "b", "c"]);
    let service = admin.get("/services/a").await.json();
    let id = service["id"].as_str().unwrap();
    assert_eq!(service["connect_timeout"], 60000);
    assert_eq!(service["port"], 80);
    assert_eq!(admin.get(&format!("/services/{id}")).await.json(), service);
    let routes = admin.get("/services/a/routes").await.json();
    assert_eq!(names(&routes, "name"), ["ra", "rb"]);
    assert_eq!(routes["data"][0]["service"], json!({ "id": id }));
    assert_eq!(
        names(&admin.get("/routes/ra/plugins").await.json(), "name"),
        ["request-termination"]
    );
    assert_eq!(
        names(&admin.get("/upstreams/up/targets").await.json(), "target").len(),
        2
    );
    let health = admin.get("/upstreams/up/health").await.json();
    assert_eq!(health["data"][0]["health"], "HEALTHCHECKS_OFF");
    assert_eq!(names(&admin.get("/services?tags=t1,t2").await.json(), "name"), ["a"]);
    assert_eq!(
        names(&admin.get("/services?tags=t1/t2").await.json(), "name"),
        ["a", "b"]
    );

    let mut seen = Vec::new();
    let mut next = "/services?size=2".to_owned();
    loop {
        let page = admin.get(&next).await.json();
        assert!(page["data"].as_array().unwrap().len() <= 2);
        seen.extend(names(&page, "name"));
        match page["next"].as_str() {
            Some(following) => next = following.to_owned(),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["a", "b", "c"]);

    for path in [
        "/consumers/alice/key-auth",
        "/key-auths",
        "/consumers/alice/basic-auth",
        "/basic-auths",
        "/config",
        "/consumers",
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text().contains("hunter2"), "{path} tells a secret");
    }
    assert_eq!(
        admin.get("/key-auths").await.json()["data"][0]["key"],
        "{vault://redacted-value}"
    );
    let config = admin.get("/config").await.json();
    assert!(config["config"].as_str().unwrap().contains("name: ra"));
}

#[tokio::test]
async fn what_cannot_be_read_or_written_is_told_in_kongs_words() {
    let setup = setup(|launch| launch).await;
    let admin = &setup.admin;
    assert_eq!(admin.hash().await, ZEROS);
    assert_eq!(admin.push(secretive()).await.status, 201);
    let message = |message: &str| json!({ "message": message });
    let unsupported = |message: &str| json!({"code": 12, "name": "operation unsupported", "message": message});
    for (method, path, status, body) in [
        ("GET", "/services/nosuch", 404, message("Not found")),
        ("GET", "/nosuch", 404, message("Not found")),
        ("GET", "/workspaces", 404, message("Not found")),
        ("GET", "/schemas/nosuch", 404, message("No entity named 'nosuch'")),
        (
            "GET",
            "/schemas/plugins/nosuch",
            404,
            message("No plugin named 'nosuch'"),
        ),
        (
            "GET",
            "/services?size=0",
            400,
            json!({"code": 9, "name": "invalid size", "message": "size must be an integer between 1 and 1000"}),
        ),
        ("GET", "/services?offset=zzz", 200, json!({"next": null, "data": []})),
        (
            "POST",
            "/services",
            405,
            unsupported("cannot create 'services' entities when not using a database"),
        ),
        (
            "PUT",
            "/services/a",
            405,
            unsupported("cannot create or update 'services' entities by 'name' when not using a database"),
        ),
        (
            "PATCH",
            "/services/a",
            405,
            unsupported("cannot update 'services' entities by 'name' when not using a database"),
        ),
        (
            "DELETE",
            "/services/a",
            405,
            unsupported("cannot remove 'services' entities by 'name' when not using a database"),
        ),
        (
            "POST",
            "/consumers/alice/key-auth",
            405,
            unsupported("cannot create 'keyauth_credentials' entities when not using a database"),
        ),
        ("PATCH", "/services/nosuch", 404, message("Not found")),
    ] {
        assert_answer(&admin.ask(Ask::new(method, path)).await, status, &body);
    }
    assert_eq!(admin.ask(Ask::new("DELETE", "/services/nosuch")).await.status, 204);
    let options = admin.ask(Ask::new("OPTIONS", "/config")).await;
    assert_eq!(
        (options.status.as_u16(), &options.headers["allow"]),
        (204, &"GET, HEAD, OPTIONS, POST".parse().unwrap())
    );
    assert_eq!(admin.hash().await, md5(&secretive()));
}
