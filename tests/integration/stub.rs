//! A Kong that takes or refuses configurations as a test wants, and remembers them: for what a real one cannot be made to
//! do at will.

use std::{
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex},
};

use proxy_config_schema::ConfigHash;
use serde_json::{Value, json};

use crate::harness::{converse, fake};

/// It ends with the test's process.
pub(crate) struct Stub {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    hash: Option<String>,
    process: u32,
    /// They end with it.
    connections: Vec<TcpStream>,
    accepted: Vec<Value>,
    refused: usize,
    /// What the process was asked, in order.
    asked: Vec<String>,
    /// It answers nothing yet.
    is_starting: bool,
}

impl Stub {
    /// Starts one; `judge` says what it answers to a configuration: nothing to take it, else status and body.
    pub(crate) fn start(judge: impl Fn(&Value) -> Option<(&'static str, Value)> + Send + Sync + 'static) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let (shared, judge) = (state.clone(), Arc::new(judge));
        let url = fake(move |stream| {
            shared.lock().unwrap().connections.push(stream.try_clone().unwrap());
            converse(stream, &|request: &str, sent: &[u8]| {
                answer(&shared, &*judge, request, sent)
            });
        });
        Self { url, state }
    }

    /// It is not there yet, until it begins.
    pub(crate) fn starting(self) -> Self {
        self.state.lock().unwrap().is_starting = true;
        self
    }

    /// It is there.
    pub(crate) fn begin(&self) {
        self.state.lock().unwrap().is_starting = false;
    }

    /// The configurations that it took, in order.
    pub(crate) fn accepted(&self) -> Vec<Value> {
        self.state.lock().unwrap().accepted.clone()
    }

    /// How many it refused.
    pub(crate) fn refused(&self) -> usize {
        self.state.lock().unwrap().refused
    }

    /// What it was asked since it started, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Another process answers from now on, without a configuration.
    pub(crate) fn restart(&self) {
        self.state.lock().unwrap().restart(None);
    }

    /// Another process answers from now on, with the configuration that the last one took.
    pub(crate) fn restart_with_its_disk(&self) {
        let mut state = self.state.lock().unwrap();
        let kept = state.hash.take();
        state.restart(kept);
    }
}

impl State {
    fn restart(&mut self, hash: Option<String>) {
        self.process += 1;
        self.hash = hash;
        self.asked.clear();
        for connection in self.connections.drain(..) {
            // An error means that the other side was first.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn answer(
    state: &Mutex<State>,
    judge: &impl Fn(&Value) -> Option<(&'static str, Value)>,
    request: &str,
    sent: &[u8],
) -> (&'static str, Value) {
    let ended = ("503 Service Unavailable", json!({"message": "not here"}));
    let process = {
        let mut state = state.lock().unwrap();
        state.asked.push(request.to_owned());
        match request {
            _ if state.is_starting => return ended,
            "GET /" => return ("200 OK", root(state.process)),
            "GET /status" => {
                let hash = state.hash.clone().unwrap_or_else(|| "0".repeat(32));
                return (
                    "200 OK",
                    json!({"configuration_hash": hash, "server": {"total_requests": 1}}),
                );
            }
            _ => state.process,
        }
    };
    let document: Value = serde_json::from_slice(sent).unwrap();
    // It may take its time, and answers probes meanwhile.
    let refusal = judge(&document);
    let mut state = state.lock().unwrap();
    match refusal {
        // What was under way ends with its process.
        _ if state.process != process => ended,
        Some(refusal) => {
            state.refused += 1;
            refusal
        }
        None => {
            state.hash = Some(ConfigHash::of(sent).to_string());
            state.accepted.push(document);
            ("201 Created", json!({}))
        }
    }
}

fn root(process: u32) -> Value {
    json!({
        "version": "3.9.1", "tagline": "Welcome to kong", "hostname": "stub",
        "node_id": format!("4c2c0a64-3d2b-4e43-9d4f-{process:012}"),
        "configuration": {"database": "off", "router_flavor": "traditional_compatible"},
    })
}
