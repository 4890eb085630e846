//! What outlives the process.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use crate::{Client, Launch, Setup, ZEROS, configuration, md5, post, setup, support::process::Proxy};

impl Setup {
    /// Starts another process in the place of the one that was.
    async fn restart(&mut self, launch: Launch) {
        self.proxy.signal("KILL").await;
        self.proxy.ended().await;
        self.proxy = launch.start().await;
        self.connect();
    }

    fn connect(&mut self) {
        let controller = self.pki.clients.client("controller");
        self.admin = Client::new(self.proxy.address("admin"), &self.pki.servers.pem(), Some(&controller));
        self.status = Client::plain(self.proxy.address("status"));
    }

    fn launch(&self) -> Launch {
        Launch::new(self.directory.path())
            .argument(format!("--prefix={}", self.directory.path().display()))
            .argument("--configuration-file=kept.json")
    }
}

async fn setup_keeping() -> Setup {
    let mut setup = setup(|launch| launch).await;
    let launch = setup.launch();
    setup.restart(launch).await;
    setup
}

#[tokio::test]
async fn a_configuration_is_kept_across_a_crash() {
    let mut setup = setup_keeping().await;
    assert_eq!(setup.admin.hash().await, ZEROS);
    let text = configuration("a");
    let ask = post("/config", "application/yaml", &text).header("silverback-epoch", "uid:7");
    assert_eq!(setup.admin.ask(ask).await.status, 201);
    let mode = fs::metadata(setup.directory.path().join("kept.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = setup.admin.get("/").await.json()["node_id"].clone();

    let launch = setup.launch();
    setup.restart(launch).await;
    assert_eq!(setup.admin.hash().await, md5(&text));
    assert_eq!(
        setup.status.get("/status/ready").await.json(),
        json!({"message": "ready"})
    );
    assert_ne!(setup.admin.get("/").await.json()["node_id"], before, "a restart shows");
    let older = post("/config", "application/yaml", configuration("b")).header("silverback-epoch", "uid:6");
    assert_eq!(setup.admin.ask(older).await.status, 409, "so is the fence");
    assert_eq!(setup.admin.push(text.clone()).await.status, 304);

    // Another Lease, under which there was nothing to change.
    let ask = post("/config?check_hash=1", "application/yaml", &text)
        .header("silverback-epoch", "another:0")
        .header("silverback-supersedes", "uid:7");
    assert_eq!(setup.admin.ask(ask).await.status, 304);
    let launch = setup.launch();
    setup.restart(launch).await;
    let stale = post("/config", "application/yaml", configuration("b")).header("silverback-epoch", "uid:8");
    assert_eq!(setup.admin.ask(stale).await.status, 409);

    // A third one, whose configuration is refused.
    let ask = post(
        "/config",
        "application/yaml",
        r#"{"_format_version": "3.0", "services": [{}]}"#,
    )
    .header("silverback-epoch", "third:0")
    .header("silverback-supersedes", "another:0");
    assert_eq!(setup.admin.ask(ask).await.status, 400);
    let launch = setup.launch();
    setup.restart(launch).await;
    assert_eq!(setup.admin.hash().await, md5(&text));
    let stale = post("/config", "application/yaml", configuration("b")).header("silverback-epoch", "another:0");
    assert_eq!(setup.admin.ask(stale).await.status, 409);
}

#[tokio::test]
async fn a_table_is_kept_with_its_hash() {
    let mut setup = setup_keeping().await;
    let ask = post("/config", "application/json", configuration("a"));
    assert_eq!(setup.admin.ask(ask).await.status, 201);
    let hash = setup.admin.hash().await;
    let launch = setup.launch();
    setup.restart(launch).await;
    assert_eq!(setup.admin.hash().await, hash);
    assert_eq!(setup.admin.get("/services/a").await.status, 200);
}

#[tokio::test]
async fn a_damaged_file_is_left_out_and_said_so() {
    let mut setup = setup_keeping().await;
    assert_eq!(setup.admin.push(configuration("a")).await.status, 201);
    let path = setup.directory.path().join("kept.json");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let launch = setup.launch();
    setup.restart(launch).await;
    assert_eq!(setup.admin.hash().await, ZEROS);
    let warning = setup.proxy.line_with("kept configuration").await;
    assert!(warning.contains("not whole"), "{warning}");
    assert_eq!(setup.admin.push(configuration("b")).await.status, 201);
    assert_eq!(setup.admin.hash().await, md5(&configuration("b")));
}

#[tokio::test]
async fn a_proxy_can_start_with_a_declarative_configuration() {
    let mut setup = setup(|launch| launch).await;
    let path = setup.directory.path().join("kong.yml");
    let yaml = "_format_version: '3.0'\nservices:\n- name: first\n  url: http://127.0.0.1:9000\n";
    fs::write(&path, yaml).unwrap();
    let launch = |setup: &Setup| {
        setup
            .launch()
            .variable("KONG_DECLARATIVE_CONFIG", path.display().to_string())
    };
    setup.restart(launch(&setup)).await;
    assert_eq!(setup.admin.hash().await, md5(yaml));
    assert_eq!(setup.admin.push(configuration("later")).await.status, 201);
    setup.restart(launch(&setup)).await;
    assert_eq!(
        setup.admin.hash().await,
        md5(&configuration("later")),
        "what was kept is newer"
    );

    let secret = "_format_version: '3.0'\nconsumers:\n- username: a\n  keyauth_credentials: [{key: [hunter2]}]\n";
    fs::write(&path, secret).unwrap();
    let mut refused: Proxy = Launch::new(setup.directory.path())
        .argument(format!("--declarative-config={}", path.display()))
        .spawn();
    assert_eq!(refused.ended().await.code(), Some(1));
    let log = refused.rest().await;
    assert!(
        log.contains("KONG_DECLARATIVE_CONFIG") && log.contains("keyauth_credential"),
        "{log}"
    );
    assert!(!log.contains("hunter2"), "{log}");
}
