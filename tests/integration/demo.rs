//! The demo: starts, follows edits, shows a killed proxy, ends without a trace.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use silverback::pki::{Authority, KeyPairPem};

use crate::harness::{
    Demo, ECHO_SERVICE, client, eventually, free_ports, ingress, is_alive, run, signal, silverback, trusting,
};

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

    eventually("all proxies are shown to run the latest configuration", async || {
        let (proxies, configuration) = (demo.api("proxies").await, demo.api("configuration").await);
        let mut proxies = proxies.as_array().unwrap().iter();
        match proxies.find(|proxy| proxy["observedHash"] != configuration[0]["hash"]) {
            None => Ok(()),
            Some(other) => Err(format!("{other:#}\n{configuration:#}")),
        }
    })
    .await;
}

/// An Ingress for a host, with the certificate in a Secret.
fn with_certificate(host: &str, pair: &KeyPairPem) -> String {
    let ingress = ingress("secure", host, "/").replace(
        "  rules:",
        &format!("  tls: [{{hosts: [{host}], secretName: secure-tls}}]\n  rules:"),
    );
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secure-tls", "namespace": "demo"},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key},
    });
    format!("{ingress}---\n{secret}\n")
}

#[tokio::test]
async fn https_shows_the_certificate_of_a_secret_and_follows_its_change() {
    const HOST: &str = "secure.localhost";
    let now = jiff::Timestamp::now();
    let authorities = ["first CA", "second CA"].map(|name| Authority::generate(name, now).unwrap());
    let manifests = authorities.each_ref().map(|authority| {
        let pair = authority.issue_server("secure", &[HOST.to_owned()], now).unwrap();
        with_certificate(HOST, &pair)
    });
    let demo = Demo::start(2, &[("secure.yaml", &manifests[0]), ("echo.yaml", ECHO_SERVICE)]);
    let ask = async |authority: &Authority, proxy: usize| -> Result<String, String> {
        let https = demo.info["proxies"][proxy]["https"].as_str().unwrap();
        let port: u16 = https.rsplit_once(':').unwrap().1.parse().unwrap();
        let client = trusting(&authority.pem().certificate, &["h2", "http/1.1"])
            .resolve(HOST, ([127, 0, 0, 1], port).into())
            .build()
            .unwrap();
        let answer = client.get(format!("https://{HOST}:{port}/over-tls")).send().await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        assert_eq!(answer.status(), 200);
        answer.text().await.map_err(|error| error.to_string())
    };
    let [first, second] = &authorities;
    for proxy in 0..2 {
        let body = eventually("the certificate of the Secret", async || ask(first, proxy).await).await;
        assert!(body.contains("path: /over-tls"), "{body}");
        let refused = ask(second, proxy).await.expect_err("another authority did not sign it");
        assert!(refused.contains("UnknownIssuer"), "{refused}");
    }
    demo.write("secure.yaml", &manifests[1]);
    for proxy in 0..2 {
        eventually("the new certificate", async || ask(second, proxy).await).await;
    }
}

#[tokio::test]
async fn the_admin_api_wants_a_client_certificate() {
    let demo = Demo::start(1, &[("echo.yaml", ECHO_SERVICE)]);
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
async fn the_line_for_scripts_leads_to_all_that_is_there() {
    let demo = Demo::start(
        2,
        &[
            ("web.yaml", &ingress("web", "web.localhost", "/a")),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    let info = &demo.info;
    let keys: Vec<&String> = info.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["dashboard", "directory", "example", "pki", "proxies"]);
    assert_eq!(info["directory"], demo.directory.to_str().unwrap());
    assert_eq!(
        info["example"],
        serde_json::json!({"host": "web.localhost", "path": "/a"})
    );
    let (host, path) = (&info["example"]["host"], &info["example"]["path"]);
    demo.all_answer(host.as_str().unwrap(), path.as_str().unwrap(), 200)
        .await;

    // What is below `pki` opens the Admin APIs, as the guide says.
    let pki = Path::new(info["pki"].as_str().unwrap()).join("controller");
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let file = |name: &str| pki.join(name).display().to_string();
    for (index, proxy) in demo.proxies().iter().enumerate() {
        let text = |name: &str| proxy[name].as_str().unwrap().to_owned();
        assert_eq!(text("name"), format!("proxy-{index}"));
        let admin = curl(&[
            "--cert",
            &file("tls.crt"),
            "--key",
            &file("tls.key"),
            "--cacert",
            &file("ca.crt"),
            &format!("{}/status", text("admin")),
        ]);
        assert!(admin.contains("configuration_hash"), "{admin}");
        assert!(curl(&[&format!("{}/status/ready", text("status"))]).contains("ready"));
        // The next port after that of HTTP, with a certificate of its own since there is no Secret.
        let port = |name: &str| text(name).rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
        assert_eq!(port("https"), port("http") + 1);
        assert!(text("https").starts_with("https://127.0.0.1:"));
        let body = curl(&[
            "--insecure",
            "--header",
            "Host: web.localhost",
            &format!("{}/a", text("https")),
        ]);
        assert!(body.contains("path: /a"), "{body}");
        let start = proxy["start"].as_array().unwrap();
        assert_eq!(start[1], "proxy");
        assert!(is_alive(proxy["pid"].as_u64().unwrap()));
    }
    let page = curl(&[info["dashboard"].as_str().unwrap()]);
    assert!(page.contains("<title>"), "{page}");
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
    // It ends with the demo, as the others do.
    let (status, _) = demo.end("INT");
    assert!(status.success(), "{status}");
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ended.is_some(), "the proxy that was started by hand is left");
}

#[tokio::test]
async fn whatever_ends_the_demo_leaves_no_process_and_no_file() {
    // Under `nohup` these tests ignore HUP, and so does what they start.
    let ignored = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = ignored.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignores_hangup = u64::from_str_radix(ignored.trim(), 16).unwrap() & 1 == 1;
    let signals = ["INT", "QUIT", "HUP", "TERM"].into_iter();
    for signal in signals.filter(|signal| !(ignores_hangup && *signal == "HUP")) {
        let demo = Demo::start(3, &[("echo.yaml", ECHO_SERVICE)]);
        let pids: Vec<u64> = demo
            .proxies()
            .iter()
            .map(|proxy| proxy["pid"].as_u64().unwrap())
            .collect();
        assert!(pids.iter().all(|pid| is_alive(*pid)));
        let (status, left) = demo.end(signal);
        assert!(status.success(), "{signal}: {status}");
        assert!(
            !pids.iter().any(|pid| is_alive(*pid)),
            "{signal}: processes are left: {pids:?}"
        );
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}

#[tokio::test]
async fn the_dashboard_is_where_it_was_asked_for() {
    for _ in 0..5 {
        let port = free_ports(1);
        let demo = Demo::start_with_dashboard(port, 3, &[("echo.yaml", ECHO_SERVICE)]);
        assert_eq!(demo.info["dashboard"], format!("http://127.0.0.1:{port}/"));
        assert_eq!(demo.api("proxies").await.as_array().unwrap().len(), 3);
    }
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
