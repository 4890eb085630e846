//! `:PORT` is all addresses of both families, whatever the machine's settings.

use std::{
    os::unix::fs::MetadataExt,
    process::{Command, Stdio},
};

use crate::harness::{Running, eventually, silverback};

/// How a network of one's own is made and entered: with users of its own, which most may make, or as root without.
const WAYS: [(&[&str], &[&str]); 2] = [
    (
        &["--user", "--map-root-user", "--net"],
        &["--user", "--preserve-credentials", "--net"],
    ),
    (&["--net"], &["--net"]),
];

/// The first of these ways that this user may go.
fn way() -> Option<(&'static [&'static str], &'static [&'static str])> {
    WAYS.into_iter().find(|(made, _)| {
        let tried = Command::new("unshare")
            .args(*made)
            .args(["ip", "link", "set", "lo", "up"])
            .output();
        tried.is_ok_and(|output| output.status.success())
    })
}

#[tokio::test]
async fn probes_by_ipv4_are_answered_where_ipv6_sockets_take_no_ipv4_by_themselves() {
    let Some((made, entered)) = way() else {
        // There is no other way to change how the machine binds.
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        assert!(
            !is_root,
            "root can't make a network namespace: are unshare and ip there?"
        );
        eprintln!("skipped: this user may not make network namespaces");
        return;
    };
    let state = tempfile::tempdir().unwrap();
    let manifests = state.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let mut controller = Command::new("unshare");
    controller
        .args(made)
        .args(["sh", "-c"])
        .arg("ip link set lo up && echo 1 >/proc/sys/net/ipv6/bindv6only && exec \"$@\"")
        .arg("sh")
        .arg(silverback().get_program())
        .args(["run", "--proxy=http://127.0.0.1:1", "--dashboard-bind-address=:10256"])
        .args(["--health-probe-bind-address=:10254", "--metrics-bind-address=:10255"])
        .arg(format!("--directory={}", manifests.display()))
        .arg(format!("--pki-directory={}", state.path().join("pki").display()));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CONTROLLER_")) {
        controller.env_remove(name);
    }
    let controller = Running::start(&mut controller);
    let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).unwrap();
    let pid = controller.0.id().to_string();
    eventually("the controller has a network of its own", async || {
        match namespace(&pid) != namespace("self") {
            true => Ok(()),
            false => Err("not yet".to_owned()),
        }
    })
    .await;
    for url in [
        "http://127.0.0.1:10254/healthz",
        "http://[::1]:10254/healthz",
        "http://127.0.0.1:10255/metrics",
        "http://127.0.0.1:10256/",
    ] {
        let asked = Command::new("nsenter")
            .args(entered)
            .args(["--target", &pid])
            .arg(silverback().get_program())
            .args(["request", "--timeout=30s", url])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    }
}
