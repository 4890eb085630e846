//! The demo: starts, follows edits, shows a killed proxy, ends without a trace.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use crate::harness::{Demo, ECHO_SERVICE, client, eventually, free_ports, ingress, is_alive, run, signal, silverback};

#[tokio::test]
async fn an_edited_manifest_changes_traffic_on_all_proxies() {
    let demo = Demo::start(
        3,
        &[
            ("web.yaml", &ingress("web", "web.localhost", "/a")),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    demo.all_answer("web.localhost", "/a/x", 200).await;
    let (_, body) = demo.get(0, "web.localhost", "/a/x").await.unwrap();
    assert!(body.contains("path: /a/x"), "{body}");

    demo.write("web.yaml", &ingress("web", "web.localhost", "/b"));
    demo.all_answer("web.localhost", "/b", 200).await;
    demo.all_answer("web.localhost", "/a/x", 404).await;

    let proxies = demo.api("proxies").await;
    let hashes: std::collections::BTreeSet<_> = proxies
        .as_array()
        .unwrap()
        .iter()
        .map(|proxy| proxy["observedHash"].as_str().unwrap())
        .collect();
    assert_eq!(hashes.len(), 1, "all proxies run the same configuration: {proxies:#}");
    assert_eq!(
        demo.api("configuration").await[0]["hash"].as_str(),
        hashes.first().copied()
    );
}

#[tokio::test]
async fn https_uses_the_certificate_of_a_secret_and_the_admin_api_wants_a_client_certificate() {
    let demo = Demo::start(
        1,
        &[
            ("web.yaml", &ingress("web", "web.localhost", "/")),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    let admin = demo.info["proxies"][0]["admin"].as_str().unwrap().to_owned();
    let stranger = client().tls_danger_accept_invalid_certs(true).build().unwrap();
    let answer = stranger.get(format!("{admin}/status")).send().await.unwrap();
    assert_eq!(
        answer.status(),
        400,
        "without a client certificate nothing is answered, as with a real Kong"
    );
}

#[tokio::test]
async fn a_killed_proxy_shows_and_is_configured_before_it_is_ready_again() {
    let demo = Demo::start(
        2,
        &[
            ("web.yaml", &ingress("web", "web.localhost", "/a")),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    let proxy = demo.proxies()[1].clone();
    signal(u32::try_from(proxy["pid"].as_u64().unwrap()).unwrap(), "KILL");
    let shown = demo
        .proxy(1, "the killed proxy shows as unreachable", |proxy| {
            proxy["conditions"]["Reachable"]["status"] == "False"
        })
        .await;
    assert_eq!(shown["conditions"]["Reachable"]["reason"], "ConnectionRefused");
    assert_eq!(shown["conditions"]["Ready"]["status"], "False");
    demo.write("more.yaml", &ingress("more", "web.localhost", "/more"));
    demo.answers(0, "web.localhost", "/more", 200).await;

    let start: Vec<String> = proxy["start"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap().to_owned())
        .collect();
    let mut child = Command::new(&start[0])
        .args(&start[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("{}/status/ready", proxy["status"].as_str().unwrap());
    // From the first moment that it says ready, it must have the newest route.
    eventually("the proxy is ready again", async || match reqwest::get(&status).await {
        Ok(answer) if answer.status() == 200 => Ok(()),
        Ok(answer) => Err(answer.status().to_string()),
        Err(error) => Err(error.to_string()),
    })
    .await;
    assert_eq!(demo.get(1, "web.localhost", "/more").await.unwrap().0, 200);
    demo.proxy(1, "the started proxy is in sync", |proxy| {
        proxy["conditions"]["Synced"]["status"] == "True"
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test]
async fn interrupting_the_demo_leaves_no_process() {
    let demo = Demo::start(3, &[("echo.yaml", ECHO_SERVICE)]);
    let pids: Vec<u64> = demo
        .proxies()
        .iter()
        .map(|proxy| proxy["pid"].as_u64().unwrap())
        .collect();
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    let status = demo.interrupt();
    assert!(status.success(), "{status}");
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "processes are left: {pids:?}");
}

#[tokio::test]
async fn killing_the_demo_outright_leaves_no_process_either() {
    let demo = Demo::start(2, &[("echo.yaml", ECHO_SERVICE)]);
    let pids: Vec<u64> = demo
        .proxies()
        .iter()
        .map(|proxy| proxy["pid"].as_u64().unwrap())
        .collect();
    drop(demo);
    eventually("the proxies end with the demo", async || {
        if pids.iter().any(|pid| is_alive(*pid)) {
            Err(format!("{pids:?}"))
        } else {
            Ok(())
        }
    })
    .await;
}

#[tokio::test]
async fn no_objects_at_all_is_a_configuration_too() {
    let demo = Demo::start(
        2,
        &[
            ("web.yaml", &ingress("web", "web.localhost", "/a")),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    demo.all_answer("web.localhost", "/a", 200).await;
    std::fs::remove_file(demo.directory.join("web.yaml")).unwrap();
    demo.all_answer("web.localhost", "/a", 404).await;
    std::fs::remove_file(demo.directory.join("echo.yaml")).unwrap();
    for index in 0..2 {
        demo.proxy(index, "a proxy without objects is ready", |proxy| {
            proxy["conditions"]["Ready"]["status"] == "True"
        })
        .await;
    }
    demo.write(
        "web.yaml",
        &format!("{}---\n{ECHO_SERVICE}", ingress("web", "web.localhost", "/b")),
    );
    demo.all_answer("web.localhost", "/b", 200).await;
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_demo_in_order() {
    let port = free_ports(2).to_string();
    let mut demo = silverback()
        .args([
            "demo",
            "--proxies=1",
            "--dashboard-bind-address=127.0.0.1:0",
            "--port",
            &port,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What `head -1` does.
    let mut first = String::new();
    BufReader::new(demo.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    let output = demo.wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(first.starts_with("manifests"), "{first}");
    assert!(
        output.status.success() && errors.is_empty(),
        "{}: {errors}",
        output.status
    );
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = run(&[
        "demo",
        "--port",
        &port.to_string(),
        "--proxies",
        "1",
        "--dashboard-bind-address",
        "127.0.0.1:0",
    ]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        message.contains(&format!("port {port} is taken")) && message.contains("--port"),
        "{message}"
    );
}
