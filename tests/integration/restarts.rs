//! Proxies that restart between two probes and come back with what they ran: that another process answers is noticed all
//! the same.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use crate::{
    controller::{Controller, paths, web},
    harness::{Running, client, eventually, free_ports, proxy_command, silverback},
    stub::Stub,
};

/// The configuration is in a file, as in the chart's volume, and nobody sends requests: of all that `GET /status` tells,
/// nothing changes. What a proxy is is asked every minute anyway, so that the limit of half a minute tells the two apart.
#[tokio::test]
async fn a_killed_proxy_that_has_its_configuration_in_a_file_is_shown_with_its_new_start() {
    let state = tempfile::tempdir().unwrap();
    let manifests = state.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    std::fs::write(manifests.join("in.yaml"), web("one", "/a", "127.0.0.1")).unwrap();
    let ports = free_ports(3);
    let pki = state.path().join("pki");
    let mut command = proxy_command(
        &pki.join(format!("proxies/127.0.0.1-{}", ports + 1)),
        &state.path().join("prefix"),
        ports,
        ports + 1,
    );
    command
        .arg("--configuration-file")
        .arg(state.path().join("configuration.json"));
    let first = Running::start(&mut command);

    let dashboard = format!("127.0.0.1:{}", ports + 2);
    let _controller = Running::start(
        silverback()
            .args(["run", "--health-probe-bind-address=off", "--metrics-bind-address=off"])
            .args(["--probe-interval=5s", "--dashboard-bind-address", &dashboard])
            .args(["--proxy", &format!("https://127.0.0.1:{}", ports + 1)])
            .arg("--directory")
            .arg(&manifests)
            .arg("--pki-directory")
            .arg(&pki),
    );
    let client = client().build().unwrap();
    let shown = async |what: &str, check: &dyn Fn(&Value) -> bool| {
        eventually(what, async || {
            let url = format!("http://{dashboard}/api/v1/proxies");
            let answer = client.get(url).send().await.map_err(|error| error.to_string())?;
            let body = answer.bytes().await.map_err(|error| error.to_string())?;
            let proxies: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
            let proxy = proxies[0].clone();
            if check(&proxy) {
                Ok(proxy)
            } else {
                Err(format!("{proxy:#}"))
            }
        })
        .await
    };
    let before = shown("it is in sync", &|proxy| proxy["phase"] == "Synced").await;
    assert!(before["startedAt"].is_string(), "{before:#}");

    // It is killed, not asked to end.
    drop(first);
    let _second = Running::start(&mut command);
    eventually("it serves what it kept", async || {
        let url = format!("http://127.0.0.1:{ports}/a");
        match client.get(url).header("host", "one.localhost").send().await {
            // Nothing listens behind it.
            Ok(answer) if answer.status().is_server_error() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let after = shown("it is shown with its new start", &|proxy| {
        proxy["startedAt"].is_string() && proxy["startedAt"] != before["startedAt"]
    })
    .await;
    for same in ["phase", "observedHash", "appliedAt"] {
        assert_eq!(after[same], before[same], "nothing was sent to it: {after:#}");
    }
}

#[tokio::test]
async fn what_a_process_refused_is_sent_to_its_successor_with_the_next_probe() {
    let refuses = Arc::new(AtomicBool::new(true));
    let still = refuses.clone();
    let proxy = Stub::start(move |document| {
        let is_refused = still.load(Ordering::Relaxed) && paths(document).iter().any(|path| path == "/newest");
        let message = json!({"message": "An unexpected error occurred"});
        is_refused.then_some(("500 Internal Server Error", message))
    });
    let controller = Controller::start(&[&proxy], &[], &web("one", "/good", "127.0.0.1"));
    controller
        .proxy("it is in sync", |proxy| proxy["phase"] == "Synced")
        .await;
    controller.write(&web("one", "/newest", "127.0.0.1"));
    controller
        .proxy("it refuses", |proxy| proxy["phase"] == "Rejected")
        .await;

    refuses.store(false, Ordering::Relaxed);
    proxy.restart_with_its_disk();
    let shown = controller
        .proxy("it runs the newest", |proxy| proxy["phase"] == "Synced")
        .await;
    assert_eq!(paths(proxy.accepted().last().unwrap()), ["/newest"]);
    assert_eq!(shown["errorCount"], 0, "{shown:#}");
    let asked = proxy.asked();
    let before = asked.iter().take_while(|request| !request.starts_with("POST /config"));
    let probes = before.filter(|request| *request == "GET /status").count();
    assert!(
        probes <= 3,
        "the first probe tells, once more where what was answered in between may be its predecessor's: {asked:?}"
    );
}
