//! Who may use the Admin API, and what happens when certificates change.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Answer, Ask, Client, Setup, ZEROS, configuration, setup,
    support::{
        eventually,
        pki::{Authority, write},
    },
};

fn assert_page(answer: &Answer, length: &str, reason: &str) {
    assert_eq!(answer.status, 400);
    assert_eq!(answer.headers["content-type"], "text/html; charset=UTF-8");
    assert_eq!(answer.headers["content-length"], length, "as long as nginx' page");
    assert!(
        answer.text().contains(&format!("<center>{reason}</center>")),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn only_the_controllers_certificate_opens_the_admin_api() {
    let setup = setup(|launch| launch).await;
    let Setup { admin, pki, proxy, .. } = &setup;
    let client = |leaf| Client::new(proxy.address("admin"), &pki.servers.pem(), leaf);
    let (missing, wrong) = ("No required SSL certificate was sent", "The SSL certificate error");

    let stranger = Authority::new("controllers").client("controller");
    let proxies = pki.servers.server();
    let own_server = pki.clients.server();
    for (leaf, length, reason) in [
        (None, "202", missing),
        (Some(&stranger), "180", wrong),
        (Some(&proxies), "180", wrong),
        (Some(&own_server), "180", wrong),
    ] {
        for client in [client(leaf), client(leaf).http2()] {
            assert_page(&client.get("/status").await, length, reason);
            assert_page(&client.push(configuration("evil")).await, length, reason);
        }
    }
    assert_eq!(admin.hash().await, ZEROS, "nothing came through");
    assert_eq!(admin.http2().get("/status").await.status, 200);

    let plain = Client::plain(proxy.address("admin")).get("/status").await;
    assert_page(&plain, "220", "The plain HTTP request was sent to HTTPS port");
}

#[tokio::test]
async fn a_name_can_be_asked_for() {
    let setup = setup(|launch| launch.argument("--admin-client-name=controller")).await;
    let Setup { admin, pki, proxy, .. } = &setup;
    assert_eq!(admin.get("/status").await.status, 200);
    let other = pki.clients.client("other");
    let refused = Client::new(proxy.address("admin"), &pki.servers.pem(), Some(&other))
        .get("/status")
        .await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("bears none of the names"));
}

#[tokio::test]
async fn changed_certificates_count_from_the_next_handshake_on() {
    let mut setup = setup(|launch| launch).await;
    let Setup {
        admin,
        pki,
        proxy,
        directory,
        ..
    } = &mut setup;
    let address = proxy.address("admin");
    let mut kept = admin.connect().await.unwrap();
    assert_eq!(kept.ask(Ask::get("/status")).await.status, 200);

    // A key that does not fit, as between two writes: the old pair stays.
    let renewed = Authority::new("proxies, renewed");
    let server = renewed.server();
    write(directory.path(), "tls.key", &server.key);
    let warning = proxy.line_with("changed certificates can't be used").await;
    assert!(warning.contains("tls.crt"), "{warning}");
    assert_eq!(admin.get("/status").await.status, 200);
    write(directory.path(), "tls.crt", &server.certificate);
    let controller = pki.clients.client("controller");
    let trusting = Client::new(address, &renewed.pem(), Some(&controller));
    eventually("the new server certificate", async || {
        let mut connection = trusting.connect().await.ok()?;
        (connection.ask(Ask::get("/status")).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(kept.ask(Ask::get("/status")).await.status, 200, "connections stay");

    // Another authority for clients: whom the old one vouched for is refused, on kept connections as well.
    let successors = Authority::new("controllers, renewed");
    let successor = Client::new(address, &renewed.pem(), Some(&successors.client("controller")));
    assert_eq!(successor.get("/status").await.status, 400);
    write(directory.path(), "ca.crt", &successors.pem());
    eventually("the new authority", async || {
        (successor.get("/status").await.status == 200).then_some(())
    })
    .await;
    let refused = kept.ask(Ask::get("/status")).await;
    assert_page(&refused, "180", "The SSL certificate error");
    let resuming = trusting.get("/status").await;
    assert_page(&resuming, "180", "The SSL certificate error");
}

#[tokio::test]
async fn a_connection_that_says_nothing_disturbs_nobody() {
    let setup = setup(|launch| launch).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(setup.proxy.address("admin")).await.unwrap());
    }
    let mut garbage = TcpStream::connect(setup.proxy.address("admin")).await.unwrap();
    garbage
        .write_all(&[0x16, 0x03, 0x01, 0xff, 0xff, 0, 0, 0])
        .await
        .unwrap();
    garbage.shutdown().await.unwrap();
    let _ = garbage.read_to_end(&mut Vec::new()).await;
    assert_eq!(setup.admin.get("/status").await.status, 200);
}

#[tokio::test]
async fn without_client_certificates_web_pages_stay_out() {
    let directory = tempfile::tempdir().unwrap();
    let proxy = crate::Launch::bare(&[
        "--proxy-listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
        "--status-listen=127.0.0.1:0",
    ])
    .start()
    .await;
    let admin = Client::plain(proxy.address("admin"));
    assert_eq!(admin.push(configuration("a")).await.status, 201);
    let page = Ask::new("POST", "/config").header("origin", "https://evil.example");
    let form = page.body("application/x-www-form-urlencoded", "config=%7B%7D");
    let refused = admin.ask(form).await;
    assert_eq!(refused.status, 403);
    assert!(!refused.headers.contains_key("access-control-allow-origin"));
    drop(directory);
}
