//! The proxy as a process: what it says of itself, how it starts and how it ends.

use serde_json::json;

use crate::{Ask, Client, Launch, Pki, configuration, setup, support::eventually};

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

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let directory = tempfile::tempdir().unwrap();
    Pki::new().write(directory.path());
    for (flag, variable) in [
        ("--proxy-listen", "KONG_PROXY_LISTEN"),
        ("--status-listen", "KONG_STATUS_LISTEN"),
    ] {
        let mut proxy = Launch::bare(&["--admin-listen=off", "--proxy-listen=off", "--status-listen=off"])
            .without(flag)
            .argument(format!("{flag}={address}"))
            .spawn();
        assert_eq!(proxy.ended().await.code(), Some(1));
        let log = proxy.rest().await;
        assert!(log.contains(variable) && log.contains(&address.to_string()), "{log}");
        assert!(log.contains("another process has taken this port"), "{log}");
    }
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_ends_with_usage() {
    let mut proxy = Launch::bare(&["--admin-listen=0.0.0.0:8001"]).spawn();
    assert_eq!(proxy.ended().await.code(), Some(2));
    let log = proxy.rest().await;
    assert!(
        log.contains("KONG_ADMIN_LISTEN (--admin-listen)") && log.contains("add ssl"),
        "{log}"
    );
}

#[tokio::test]
async fn certificates_are_waited_for_while_the_status_listener_answers() {
    let directory = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    let mut proxy = Launch::new(directory.path()).start().await;
    let waiting = proxy.line_with("waiting for certificates").await;
    assert!(waiting.contains("tls.crt"), "{waiting}");
    let status = Client::plain(proxy.address("status"));
    assert_eq!(status.get("/status/ready").await.json(), json!({"message": "starting"}));
    pki.write(directory.path());
    let ready = json!({"message": "no configuration available (empty configuration present)"});
    eventually("the end of the wait", async || {
        (status.get("/status/ready").await.json() == ready).then_some(())
    })
    .await;

    let missing = tempfile::tempdir().unwrap();
    let mut impatient = Launch::new(missing.path()).argument("--certificate-wait=0s").spawn();
    assert_eq!(impatient.ended().await.code(), Some(1));
    let log = impatient.rest().await;
    assert!(log.contains("KONG_ADMIN_SSL_CERT") && log.contains("tls.crt"), "{log}");
}

#[tokio::test]
async fn draining_takes_readiness_away_and_nothing_else() {
    let mut setup = setup(|launch| launch.argument("--drain-delay=1h")).await;
    assert_eq!(setup.admin.push(configuration("a")).await.status, 201);
    let bad = setup.status.ask(Ask::new("POST", "/status/ready").untyped("{}")).await;
    assert_eq!(bad.status, 400);
    let drain = Ask::new("POST", "/status/ready").body("application/json", r#"{"status":"draining"}"#);
    assert_eq!(setup.status.ask(drain).await.status, 204);
    let unready = setup.status.get("/status/ready").await;
    assert_eq!(
        (unready.status.as_u16(), unready.json()),
        (503, json!({"message": "draining"}))
    );
    assert_eq!(
        setup.admin.push(configuration("b")).await.status,
        201,
        "changes still come"
    );

    setup.proxy.signal("TERM").await;
    setup.proxy.line_with("draining").await;
    assert_eq!(
        setup.admin.push(configuration("c")).await.status,
        201,
        "until the delay is over"
    );
    setup.proxy.signal("TERM").await;
    assert!(setup.proxy.ended().await.success(), "a second signal ends it at once");
}

#[tokio::test]
async fn it_ends_by_itself_when_its_parent_is_gone() {
    let mut setup = setup(|launch| launch.argument("--exit-on-stdin-close").argument("--drain-delay=1h")).await;
    assert_eq!(setup.status.get("/status").await.status, 200);
    setup.proxy.close_stdin();
    assert!(setup.proxy.ended().await.success());
}

#[tokio::test]
async fn an_interrupt_ends_it_at_once() {
    let mut setup = setup(|launch| launch.argument("--drain-delay=1h")).await;
    setup.proxy.signal("INT").await;
    assert!(setup.proxy.ended().await.success());
}

#[tokio::test]
async fn no_secret_reaches_the_log() {
    let mut setup = setup(Launch::debug).await;
    let text = json!({
        "_format_version": "3.0",
        "consumers": [{"username": "a", "keyauth_credentials": [{"key": "hunter2"}]}],
    });
    assert_eq!(setup.admin.push(text.to_string()).await.status, 201);
    let twice = json!({
        "_format_version": "3.0",
        "consumers": [
            {"username": "a", "keyauth_credentials": [{"key": "hunter2"}]},
            {"username": "b", "keyauth_credentials": [{"key": "hunter2"}]},
            {"username": "c", "keyauth_credentials": [{"key": ["hunter2"]}]},
        ],
    });
    assert_eq!(setup.admin.push(twice.to_string()).await.status, 400);
    assert_eq!(setup.admin.push("{\"hunter2\": hunter2]").await.status, 400);
    setup.proxy.signal("TERM").await;
    assert!(setup.proxy.ended().await.success());
    let log = setup.proxy.rest().await;
    assert!(log.contains("configuration refused"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn pods_of_the_kong_chart_find_what_they_call() {
    // What its pod template says: an Admin API on loopback without certificates, a prefix of its own, preStop `kong quit`.
    let directory = tempfile::tempdir().unwrap();
    let prefix = directory.path().join("prefix");
    let stale = prefix.join("pids");
    std::fs::create_dir_all(&stale).unwrap();
    std::fs::write(stale.join("nginx.pid"), "1").unwrap();
    let program = |name: &str| {
        let link = directory.path().join(name);
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_silverback-proxy"), &link).unwrap();
        link
    };
    let (rm, kong) = (program("rm"), program("kong"));
    let cleared = std::process::Command::new(rm).arg("-vrf").arg(&stale).status().unwrap();
    assert!(cleared.success() && !stale.exists());

    let mut proxy = Launch::bare(&[
        "--proxy-listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0 http2 ssl",
        "--status-listen=127.0.0.1:0",
    ])
    .variable("KONG_PREFIX", prefix.to_str().unwrap())
    .start()
    .await;
    let quit = || {
        std::process::Command::new(&kong)
            .args(["quit", "--wait=0"])
            .env("KONG_PREFIX", &prefix)
            .output()
            .unwrap()
    };
    let quitting = tokio::task::spawn_blocking({
        let (kong, prefix) = (kong.clone(), prefix.clone());
        move || {
            let mut command = std::process::Command::new(kong);
            command
                .args(["quit", "--wait=0"])
                .env("KONG_PREFIX", prefix)
                .output()
                .unwrap()
        }
    });
    assert!(proxy.ended().await.success());
    let said = quitting.await.unwrap();
    assert!(said.status.success(), "{said:?}");
    let nobody = quit();
    assert!(!nobody.status.success());
    assert!(
        String::from_utf8_lossy(&nobody.stderr).contains("no proxy runs"),
        "{nobody:?}"
    );
}
