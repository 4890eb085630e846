//! Requests in the background, every answer counted: steady ones by a few clients, or an open loop of all kinds (`open`).

mod call;
mod clients;
mod follow;
mod open;
mod socket;
mod tally;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::bail;

use crate::http;

#[cfg(test)]
pub(crate) use clients::Connection;
pub(crate) use clients::Target;
#[cfg(test)]
pub(crate) use follow::Backend;
pub(crate) use follow::{Backends, backends};
pub(crate) use open::{LIMIT, OpenLoad, rate};
pub(crate) use tally::{Lost, Row, is_telling, table};

/// Requests until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Mutex<BTreeMap<String, usize>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins to ask, with so many clients, each a new connection per request.
    pub(crate) fn start(address: SocketAddr, host: &str, path: &str, clients: usize) -> Self {
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
        let threads = (0..clients).map(|_| {
            let (stop, counts, host, path) = (stop.clone(), counts.clone(), host.to_owned(), path.to_owned());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let outcome = match http::get(address, &host, &path) {
                        Ok(answer) => answer.status.to_string(),
                        Err(error) => format!("{error:#}"),
                    };
                    *counts.lock().expect("no holder panics").entry(outcome).or_default() += 1;
                    thread::sleep(Duration::from_millis(5));
                }
            })
        });
        let threads = threads.collect();
        Self { stop, counts, threads }
    }

    /// Ends it.
    ///
    /// # Errors
    /// Any answer but 200, or too few of them to say anything.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("clients do not panic");
        }
        let counts = self.counts.lock().expect("no holder panics");
        println!("   requests: {counts:?}");
        let good = counts.get("200").copied().unwrap_or_default();
        if good < 20 || counts.len() > 1 {
            bail!("requests were lost: {counts:?}");
        }
        Ok(())
    }
}
