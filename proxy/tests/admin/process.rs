//! The proxy as a process: what it says of itself, how it starts and how it ends.

use crate::{Ask, Launch, Pki, setup};

#[tokio::test]
async fn what_the_process_says_of_itself() {
    let mut setup = setup(|launch| {
        launch
            .variable("KONG_PG_HOST", "db")
            .variable("KONG_LMDB_MAP_SIZE", "1g")
    })
    .await;
    let root = setup.admin.get("/").await.json();
    assert_eq!(root["version"], "3.9.1");
    assert_eq!(root["configuration"]["database"], "off");
    assert_eq!(root["configuration"]["router_flavor"], "traditional_compatible");
    assert_eq!(root["configuration"]["admin_listeners"][0]["ssl"], true);
    assert_eq!(root["embedded"]["name"], "silverback-proxy");
    assert!(
        root["embedded"]["started_at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
    assert!(root["plugins"]["available_on_server"]["request-termination"].is_object());
    let node_id = root["node_id"].as_str().unwrap().to_owned();
    assert!(uuid::Uuid::parse_str(&node_id).is_ok());

    let status = setup.status.get("/status").await.json();
    for figure in ["connections_accepted", "connections_active", "total_requests"] {
        assert!(status["server"][figure].is_u64(), "{figure}");
    }
    assert!(
        status["memory"]["workers_lua_vms"][0]["http_allocated_gc"]
            .as_str()
            .unwrap()
            .ends_with(" MiB")
    );
    let head = setup.admin.ask(Ask::new("HEAD", "/")).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));

    let metrics = setup.status.get("/metrics").await;
    let node_info = format!("kong_node_info{{node_id=\"{node_id}\",version=\"3.9.1\"}} 1\n");
    assert!(metrics.text().contains(&node_info), "{}", metrics.text());
    assert!(metrics.text().contains("silverback_proxy_ready 0\n"));

    setup.proxy.signal("TERM").await;
    assert!(setup.proxy.ended().await.success());
}

#[tokio::test]
async fn variables_without_a_meaning_are_named_in_one_warning() {
    let directory = tempfile::tempdir().unwrap();
    Pki::new().write(directory.path());
    let mut proxy = Launch::new(directory.path())
        .variable("KONG_PG_HOST", "db")
        .variable("KONG_LMDB_MAP_SIZE", "1g")
        .spawn();
    let warning = proxy.line_with("mean nothing").await;
    assert!(warning.contains("KONG_LMDB_MAP_SIZE, KONG_PG_HOST"), "{warning}");
}
