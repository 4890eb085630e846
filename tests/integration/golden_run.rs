//! Every golden case of Kong Ingress Controller through `run --directory`: to the byte what `render` prints, which the
//! golden test of the library holds to the expected configuration.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use proxy_config_schema::ConfigHash;

use crate::harness::{Running, client, eventually, free_ports, ingress, silverback};

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// Hash of what `render` prints.
fn rendered(input: &Path, flags: &[&str]) -> String {
    let output = silverback()
        .args(["render", "--format", "json", "-f"])
        .arg(input)
        .args(flags)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    ConfigHash::of(&output.stdout).to_string()
}

/// Hash of what `run` would push; no proxy is there to push it to.
async fn run(input: &Path, flags: &[&str]) -> String {
    let state = tempfile::tempdir().unwrap();
    let manifests = state.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    std::fs::copy(input, manifests.join("in.yaml")).unwrap();
    let port = free_ports(2);
    let mut controller = silverback();
    controller
        .arg("run")
        .arg("--directory")
        .arg(&manifests)
        .arg("--pki-directory")
        .arg(state.path().join("pki"))
        .args(["--health-probe-bind-address=off", "--metrics-bind-address=off"])
        .arg(format!("--dashboard-bind-address=127.0.0.1:{port}"))
        .arg(format!("--proxy=https://127.0.0.1:{}", port + 1))
        .args(flags);
    let _running = Running::start(&mut controller);
    let client = client().build().unwrap();
    let url = format!("http://127.0.0.1:{port}/api/v1/configuration");
    eventually(&format!("run renders {}", input.display()), async || {
        let answer = client.get(&url).send().await.map_err(|error| error.to_string())?;
        let body = answer.bytes().await.map_err(|error| error.to_string())?;
        let profiles: serde_json::Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        let hash = profiles[0]["hash"].as_str().map(str::to_owned);
        hash.ok_or_else(|| "nothing yet".to_owned())
    })
    .await
}

#[tokio::test]
async fn golden_cases_come_out_of_run_as_they_come_out_of_render() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/translate/testdata/kic");
    let mut runs = 0;
    for case in directories(&root) {
        let input = case.join("in.yaml");
        for variant in directories(&case) {
            let arguments = std::fs::read_to_string(variant.join("arguments")).unwrap();
            let flags: Vec<&str> = arguments.split_whitespace().collect();
            assert_eq!(
                run(&input, &flags).await,
                rendered(&input, &flags),
                "{}",
                variant.display()
            );
            runs += 1;
        }
    }
    assert!(runs >= 10, "only {runs} runs were found");
}

#[tokio::test]
async fn a_kind_that_is_switched_off_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let [input, nothing] = ["in.yaml", "nothing.yaml"].map(|name| directory.path().join(name));
    std::fs::write(&input, ingress("web", "web.example", "/")).unwrap();
    std::fs::write(&nothing, "").unwrap();
    let off = ["--enable-controller-ingress-networkingv1=false"];
    assert_eq!(run(&input, &off).await, rendered(&nothing, &[]));
    assert_ne!(run(&input, &[]).await, rendered(&nothing, &[]));
}
