//! A configuration that changes every second, whatever happens.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context;
use serde_json::json;

use crate::{
    api::Api,
    cluster::Cluster,
    scenario::release::{SHOP, all_answer_for, ingress_of},
};

const HOST: &str = "changes.example";
const NAME: &str = "changes";

/// Changes until they are finished.
pub(super) struct Changes {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Changes {
    pub(super) fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        cluster.apply(&ingress_of(NAME, HOST, "/0", "web"))?;
        let api = Api::new(&cluster.kubeconfig())?;
        let (stop, made, refused) = (Arc::new(AtomicBool::new(false)), Arc::default(), Arc::default());
        let thread = thread::spawn({
            let (stop, made, refused) = (Arc::clone(&stop), Arc::clone(&made), Arc::clone(&refused));
            move || change(&api, &stop, &made, &refused)
        });
        Ok(Self {
            stop,
            made,
            refused,
            thread,
        })
    }

    /// Ends them. The last one must be on all proxies.
    pub(super) fn finish(self, cluster: &Cluster) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("whoever changes panicked")??;
        let made = self.made.load(Ordering::Relaxed);
        println!(
            "   {made} changes, {} more that the API server did not take",
            self.refused.load(Ordering::Relaxed)
        );
        let last = all_answer_for(cluster, HOST, &format!("/{made}"), 200);
        cluster.kubectl(&["delete", "ingress", "-n", SHOP, NAME])?;
        last.context("the last change is not everywhere")
    }
}

fn change(api: &Api, stop: &AtomicBool, made: &AtomicU64, refused: &AtomicU64) -> anyhow::Result<()> {
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{SHOP}/ingresses/{NAME}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    while !stop.load(Ordering::Relaxed) {
        let number = made.load(Ordering::Relaxed) + 1;
        let patch = json!({"spec": {"rules": [{"host": HOST, "http": {"paths": [{
            "path": format!("/{number}"), "pathType": "Prefix",
            "backend": {"service": {"name": "web", "port": {"number": 80}}},
        }]}}]}});
        match runtime.block_on(api.merge(&path, &patch)) {
            Ok(()) => made.store(number, Ordering::Relaxed),
            Err(_) => drop(refused.fetch_add(1, Ordering::Relaxed)),
        }
        thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}
