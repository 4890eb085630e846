//! A hundred proxies end and start again at the same time, under traffic: those that stay serve on, and each that comes
//! back is sent the newest configuration before a Service would choose it.

use std::{
    collections::BTreeSet,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

use crate::harness::{Demo, ECHO_SERVICE, Running, client, eventually, ingress, signal};

const STAYING: usize = 2;
const RESTARTING: usize = 100;

fn field(proxy: &Value, name: &str) -> String {
    proxy[name].as_str().unwrap().to_owned()
}

/// Asks a proxy as long as it is wanted; how many requests it answered, and each that failed.
async fn traffic(client: reqwest::Client, url: String, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let (mut answered, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        match client.get(&url).header("host", "web.localhost").send().await {
            Ok(answer) if answer.status() == 200 => answered += 1,
            Ok(answer) => failed.push(answer.status().to_string()),
            Err(error) => failed.push(format!("{error:?}")),
        }
    }
    (answered, failed)
}

/// What a proxy that has just begun to call itself ready answers to the newest route.
async fn first_answer(client: &reqwest::Client, proxy: &Value) -> u16 {
    let readiness = format!("{}/status/ready", field(proxy, "status"));
    let what = format!("{} is ready again", field(proxy, "name"));
    eventually(&what, async || match client.get(&readiness).send().await {
        Ok(answer) if answer.status() == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let newest = format!("{}/newest", field(proxy, "http"));
    let answer = client.get(newest).header("host", "web.localhost").send().await;
    answer.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_proxies_that_restart_at_once_are_configured_before_they_are_ready() {
    let demo = Demo::start(
        u16::try_from(STAYING + RESTARTING).unwrap(),
        &[
            ("web.yaml", &ingress("web", "web.localhost", "/a")),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    let proxies = demo.proxies();
    let (staying, restarting) = proxies.split_at(STAYING);
    let client = client().build().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = staying
        .iter()
        .map(|proxy| {
            let url = format!("{}/a", field(proxy, "http"));
            tokio::spawn(traffic(client.clone(), url, stop.clone()))
        })
        .collect();

    for proxy in restarting {
        signal(u32::try_from(proxy["pid"].as_u64().unwrap()).unwrap(), "KILL");
    }
    demo.write("newest.yaml", &ingress("newest", "web.localhost", "/newest"));
    for index in 0..STAYING {
        demo.answers(index, "web.localhost", "/newest", 200).await;
    }
    let started: Vec<Running> = restarting
        .iter()
        .map(|proxy| {
            let words: Vec<String> = serde_json::from_value(proxy["start"].clone()).unwrap();
            Running::start(Command::new(&words[0]).args(&words[1..]))
        })
        .collect();
    let firsts = restarting.iter().map(|proxy| first_answer(&client, proxy));
    let firsts: BTreeSet<u16> = futures_util::future::join_all(firsts).await.into_iter().collect();
    assert_eq!(
        firsts,
        BTreeSet::from([200]),
        "a proxy was ready without the newest route"
    );

    eventually("all are in sync, with one configuration", async || {
        let shown = demo.api("proxies").await;
        let shown = shown.as_array().unwrap();
        let phases: BTreeSet<_> = shown.iter().map(|proxy| proxy["phase"].to_string()).collect();
        let hashes: BTreeSet<_> = shown.iter().map(|proxy| proxy["observedHash"].to_string()).collect();
        if shown.len() == proxies.len() && phases.len() == 1 && phases.contains("\"Synced\"") && hashes.len() == 1 {
            Ok(())
        } else {
            Err(format!("{} proxies: {phases:?} {hashes:?}", shown.len()))
        }
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for load in load {
        let (answered, failed) = load.await.unwrap();
        assert!(
            answered > 0 && failed.is_empty(),
            "{answered} answered, failed: {failed:?}"
        );
    }
    drop(started);
}
