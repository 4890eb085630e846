//! A certificate in the pod's own name (`--identity-url`): it is renewed under traffic, and nobody notices.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, header::AUTHORIZATION, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::{
    Ask, Client, Launch, configuration,
    support::{
        eventually,
        pki::{Pki, write},
    },
};

/// A certificate is renewed at two thirds of its life, which is looked at every two seconds: between 5 and 7 s from its issue.
const BEFORE: Duration = Duration::from_secs(3);
const LIFE: Duration = Duration::from_secs(9);
const TOKEN: &str = "the-token-of-this-pod";
/// First one, and renewed twice.
const CERTIFICATES: usize = 3;

/// A controller that issues certificates of a short life.
#[derive(Clone)]
struct Issuer {
    pki: Arc<Pki>,
    /// When each one expires.
    issued: Arc<Mutex<Vec<SystemTime>>>,
}

impl Issuer {
    async fn start(pki: Arc<Pki>) -> (Self, SocketAddr) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let own = pki.clients.issuer();
        let tls = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = Self {
            pki,
            issued: Arc::default(),
        };
        let served = issuer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, issuer) = (acceptor.clone(), served.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(move |request| answer(issuer.clone(), request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    // It ends as the proxy ends it.
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        (issuer, address)
    }

    fn issued(&self) -> Vec<SystemTime> {
        self.issued.lock().unwrap().clone()
    }
}

async fn answer(issuer: Issuer, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let text = match head.uri.path() {
        "/v1/challenge" => "a-challenge".to_owned(),
        "/v1/certificate" => {
            assert_eq!(head.headers[AUTHORIZATION], format!("Bearer {TOKEN}"));
            let body = body.collect().await.unwrap().to_bytes();
            let now = SystemTime::now();
            let chain = issuer
                .pki
                .servers
                .sign(std::str::from_utf8(&body).unwrap(), now - BEFORE, now + LIFE);
            issuer.issued.lock().unwrap().push(now + LIFE);
            chain
        }
        other => panic!("asked for {other}"),
    };
    Ok(Response::new(Full::from(text)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_under_traffic_and_no_request_fails() {
    let directory = tempfile::tempdir().unwrap();
    let pki = Arc::new(Pki::new());
    let (issuer, address) = Issuer::start(pki.clone()).await;
    write(directory.path(), "ca.crt", &pki.clients.pem());
    write(directory.path(), "token", TOKEN);
    let file = |name: &str| directory.path().join(name).display().to_string();
    let proxy = Launch::new(directory.path())
        .without("--admin-ssl-cert")
        .without("--admin-ssl-cert-key")
        .argument(format!("--prefix={}", file("prefix")))
        .argument(format!("--identity-url=https://localhost:{}", address.port()))
        .argument(format!("--identity-token-file={}", file("token")))
        .start()
        .await;
    let controller = pki.clients.client("controller");
    // It verifies whom it speaks to: authority, name and time.
    let admin = Client::new(proxy.address("admin"), &pki.servers.pem(), Some(&controller));
    let mut kept = eventually("the first certificate is shown", async || admin.connect().await.ok()).await;
    let pushed = Ask::new("POST", "/config?check_hash=1").body("application/yaml", configuration("a"));
    assert_eq!(kept.ask(pushed).await.status, 201);

    let (mut new, began) = (0, Instant::now());
    loop {
        let mut connection = admin.connect().await.expect("a new connection");
        assert_eq!(connection.ask(Ask::get("/status")).await.status, 200);
        new += 1;
        assert_eq!(
            kept.ask(Ask::get("/status")).await.status,
            200,
            "on the kept connection"
        );
        let issued = issuer.issued();
        // The one that the kept connection began with has run out, and so has the second one.
        if issued.len() >= CERTIFICATES && issued[1] < SystemTime::now() {
            break;
        }
        assert!(began.elapsed() < 6 * LIFE, "{} certificates", issued.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(new > 50, "only {new} connections: nothing is shown");
    // Not at every look, and not too late: one for every two thirds of a life.
    let issued = issuer.issued().len();
    assert!(
        (CERTIFICATES..=CERTIFICATES + 1).contains(&issued),
        "{issued} certificates"
    );
}
