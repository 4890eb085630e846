//! What docs/guide/laptop.md shows part by part: the controller alone on a directory, a proxy beside it, an upstream.

use std::{net::TcpListener, path::Path};

use silverback::pki::Validity;

use crate::harness::{Running, client, eventually, free_ports, metric, silverback};

/// An upstream that says which one it is.
fn upstream(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::{BufRead, BufReader, Write};
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap())
                    .lines()
                    .map_while(Result::ok);
                while lines.by_ref().find(String::is_empty).is_some() {
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// The manifests of the guide, with another port, and a Service by a DNS name.
fn manifests(directory: &Path, port: u16, named_port: u16) {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/laptop/web.yaml");
    let web = std::fs::read_to_string(guide)
        .unwrap()
        .replace("port: 9000", &format!("port: {port}"));
    std::fs::write(directory.join("web.yaml"), web).unwrap();
    let named = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: named, namespace: demo}}\n\
         spec: {{type: ExternalName, externalName: localhost}}\n---\n\
         apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: named, namespace: demo}}\nspec:\n  \
         ingressClassName: kong\n  rules:\n    - host: named.localhost\n      http:\n        paths:\n          - path: /\n            \
         pathType: Prefix\n            backend: {{service: {{name: named, port: {{number: {named_port}}}}}}}\n"
    );
    std::fs::write(directory.join("named.yaml"), named).unwrap();
}

#[tokio::test]
async fn a_controller_and_a_proxy_started_by_hand_find_one_another() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().join("manifests");
    std::fs::create_dir(&directory).unwrap();
    manifests(&directory, upstream("by its slice"), upstream("by its name"));
    let ports = free_ports(6);
    let (http, admin, status, health, metrics) = (ports, ports + 1, ports + 2, ports + 3, ports + 4);
    let pki = state.path().join("pki");
    let mut controller = silverback();
    controller
        .arg("run")
        .arg(format!("--directory={}", directory.display()))
        .arg(format!("--pki-directory={}", pki.display()))
        .arg(format!("--proxy=https://127.0.0.1:{admin}"))
        .args(["--probe-interval=200ms", "--dashboard-bind-address=127.0.0.1:0"])
        .arg(format!("--health-probe-bind-address=127.0.0.1:{health}"))
        .arg(format!("--metrics-bind-address=127.0.0.1:{metrics}"));
    let _controller = Running::start(&mut controller);
    let client = client().build().unwrap();
    let get = async |port: u16, host: &str, path: &str| {
        let request = client
            .get(format!("http://127.0.0.1:{port}{path}"))
            .header("host", host);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        Ok::<_, String>((status, answer.text().await.map_err(|error| error.to_string())?))
    };
    let answers = async |port: u16, host: &str, path: &str, expected: &str| {
        eventually(
            &format!("{host}{path} on {port} answers {expected}"),
            async || match get(port, host, path).await? {
                (200, body) if body.contains(expected) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        )
        .await;
    };
    answers(health, "localhost", "/healthz", "ok").await;
    answers(health, "localhost", "/readyz", "").await;

    // As the guide says: in the directory that the controller made, with the names of files alone.
    let own = pki.join(format!("proxies/127.0.0.1-{admin}"));
    eventually("the proxy's certificates are there", async || {
        match own.join("ca.crt").exists() {
            true => Ok(()),
            false => Err(format!("no {}", own.display())),
        }
    })
    .await;
    // Nobody is there yet, whose certificate could be verified.
    let name = format!("127.0.0.1:{admin}");
    let of_proxy = async |metric_name: &str| {
        let (_, metrics) = get(metrics, "localhost", "/metrics").await?;
        Ok::<_, String>(metric(&metrics, metric_name, &[("proxy", &name)]))
    };
    let shows = async |metric_name: &str, value: Option<f64>| {
        eventually(&format!("{metric_name} is {value:?}"), async || {
            let found = of_proxy(metric_name).await?;
            (found == value).then_some(()).ok_or(format!("{found:?}"))
        })
        .await;
    };
    shows("silverback_proxy_mutual_tls", Some(0.0)).await;
    shows("silverback_proxy_certificate_expiry_seconds", None).await;
    let mut proxy = silverback();
    proxy
        .current_dir(&own)
        .args(["proxy", "--admin-ssl-cert=tls.crt", "--admin-ssl-cert-key=tls.key"])
        .arg("--admin-ssl-client-certificate=ca.crt")
        .arg(format!("--prefix={}", state.path().display()))
        .arg(format!("--proxy-listen=127.0.0.1:{http}"))
        .arg(format!("--admin-listen=127.0.0.1:{admin} http2 ssl"))
        .arg(format!("--status-listen=127.0.0.1:{status}"));
    let _proxy = Running::start(&mut proxy);
    answers(http, "web.localhost", "/", "by its slice").await;
    answers(http, "named.localhost", "/", "by its name").await;
    answers(status, "localhost", "/status/ready", "ready").await;
    answers(metrics, "localhost", "/metrics", "silverback_leader 1").await;
    let certificate = std::fs::read_to_string(own.join("tls.crt")).unwrap();
    let ends = Validity::of_pem(&certificate).unwrap().not_after.as_second() as f64;
    shows("silverback_proxy_mutual_tls", Some(1.0)).await;
    shows("silverback_proxy_certificate_expiry_seconds", Some(ends)).await;
}
