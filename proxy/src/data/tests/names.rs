//! Services and targets by name, over a name server on loopback.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{net::UdpSocket, task::JoinHandle};

use super::harness::{Client, Echo, Gateway, PATIENCE, request, to, until, within};
use crate::data::{DataPlaneOptions, DnsOptions};

/// A name server that knows one name.
struct NameServer {
    address: SocketAddr,
    /// What the name resolves to; none: there is no such name.
    answer: Arc<Mutex<Vec<Ipv4Addr>>>,
    /// Questions for addresses so far.
    questions: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

const NAME: &str = "echo.example.test";

impl NameServer {
    /// Answers hold for so many seconds.
    async fn start(ttl: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(vec![Ipv4Addr::LOCALHOST]));
        let questions = Arc::new(AtomicUsize::new(0));
        let (known, asked) = (Arc::clone(&answer), Arc::clone(&questions));
        let server = tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
                let known = known.lock().unwrap().clone();
                let reply = reply(&buffer[..length], &known, ttl, &asked);
                socket.send_to(&reply, client).await.unwrap();
            }
        });
        Self {
            address,
            answer,
            questions,
            server,
        }
    }

    fn options(&self) -> DataPlaneOptions {
        DataPlaneOptions {
            dns: DnsOptions {
                servers: vec![self.address],
                timeout: PATIENCE,
                ..DnsOptions::default()
            },
            ..DataPlaneOptions::default()
        }
    }
}

/// The answer to a question (RFC 1035, section 4).
fn reply(question: &[u8], known: &[Ipv4Addr], ttl: u32, asked: &AtomicUsize) -> Vec<u8> {
    let mut labels = Vec::new();
    let mut end = 12;
    while question[end] != 0 {
        let length = usize::from(question[end]);
        labels.push(String::from_utf8_lossy(&question[end + 1..=end + length]).to_lowercase());
        end += length + 1;
    }
    let is_address = question[end + 1..end + 3] == [0, 1];
    let exists = labels.join(".") == NAME && !known.is_empty();
    let records: &[Ipv4Addr] = if exists && is_address { known } else { &[] };
    if is_address {
        asked.fetch_add(1, Relaxed);
    }
    let code = if exists { 0 } else { 3 };
    let mut reply = question[..2].to_vec();
    reply.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::try_from(records.len()).unwrap(),
        0,
        0,
        0,
        0,
    ]);
    reply.extend(&question[12..end + 5]);
    for record in records {
        reply.extend([0xc0, 12, 0, 1, 0, 1]);
        reply.extend(ttl.to_be_bytes());
        reply.extend([0, 4]);
        reply.extend(record.octets());
    }
    reply
}

/// A configuration whose service is known by name.
fn by_name(port: u16) -> Value {
    let mut configuration = to(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    configuration["services"][0]["host"] = NAME.into();
    configuration
}

#[tokio::test]
async fn a_name_is_asked_for_once_while_its_answer_holds() {
    let (echo, names) = (Echo::start().await, NameServer::start(300).await);
    let gateway = Gateway::start_with(names.options(), by_name(echo.address.port())).await;
    let answers = join_all((0..20).map(|_| gateway.get("/"))).await;
    for answer in answers {
        assert_eq!(answer.seen_header("host"), format!("{NAME}:{}", echo.address.port()));
    }
    assert_eq!(names.questions.load(Relaxed), 1);
}

#[tokio::test]
async fn a_name_that_moves_is_followed_and_kept_while_the_name_server_is_away() {
    let (echo, names) = (Echo::start().await, NameServer::start(0).await);
    *names.answer.lock().unwrap() = vec![Ipv4Addr::new(127, 0, 0, 99)];
    let mut configuration = by_name(echo.address.port());
    configuration["services"][0]["retries"] = 0.into();
    let gateway = Gateway::start_with(names.options(), configuration).await;
    assert_eq!(gateway.get("/").await.status, 502, "nothing listens there");
    *names.answer.lock().unwrap() = vec![Ipv4Addr::LOCALHOST];
    let moved = async {
        while gateway.get("/").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    within(moved).await;
    names.server.abort();
    for _ in 0..3 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn a_retry_takes_another_address_of_the_name() {
    let (echo, names) = (Echo::start().await, NameServer::start(300).await);
    *names.answer.lock().unwrap() = vec![Ipv4Addr::new(127, 0, 0, 99), Ipv4Addr::LOCALHOST];
    let gateway = Gateway::start_with(names.options(), by_name(echo.address.port())).await;
    for _ in 0..4 {
        assert_eq!(gateway.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn a_name_without_address_is_503_until_it_has_one() {
    let (echo, names) = (Echo::start().await, NameServer::start(300).await);
    names.answer.lock().unwrap().clear();
    let port = echo.address.port();
    let gateway = Gateway::start_with(names.options(), by_name(port)).await;
    let answer = gateway.get("/").await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("name resolution failed"));
    *names.answer.lock().unwrap() = vec![Ipv4Addr::LOCALHOST];
    let known = async {
        while gateway.get("/").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    within(known).await;
    let mut targets = by_name(port);
    targets["services"][0]["host"] = "up".into();
    let named = |name: &str| json!({"target": format!("{name}:{port}")});
    targets["upstreams"] = json!([{"name": "up", "targets": [named("gone.example.test"), named(NAME)]}]);
    gateway.install(targets);
    let mut client = Client::connect(gateway.http).await;
    for _ in 0..4 {
        let answer = within(client.ask(request("GET", "/", &[], ""))).await;
        assert_eq!(answer.status, 200, "a target without address is passed over");
    }
    until("the upstream was reached", || echo.requests.load(Relaxed) >= 5).await;
}
