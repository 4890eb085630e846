//! A Kong that takes or refuses configurations as a test wants, and remembers them: for what a real one cannot be made to
//! do at will.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use proxy_config_schema::ConfigHash;
use serde_json::{Value, json};

/// What it says to a configuration: `None` takes it, else status and body.
type Judge = dyn Fn(&Value) -> Option<(&'static str, Value)> + Send + Sync;

/// It ends with the test's process.
pub(crate) struct Stub {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    hash: Option<String>,
    process: u32,
    accepted: Vec<Value>,
    refused: usize,
}

impl Stub {
    pub(crate) fn start(judge: impl Fn(&Value) -> Option<(&'static str, Value)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let (shared, judge): (_, Arc<Judge>) = (state.clone(), Arc::new(judge));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, judge) = (shared.clone(), judge.clone());
                thread::spawn(move || serve(stream, &state, &*judge));
            }
        });
        Self { url, state }
    }

    /// The configurations that it took, in order.
    pub(crate) fn accepted(&self) -> Vec<Value> {
        self.state.lock().unwrap().accepted.clone()
    }

    /// How many it refused.
    pub(crate) fn refused(&self) -> usize {
        self.state.lock().unwrap().refused
    }

    /// Another process answers from now on, without a configuration.
    pub(crate) fn restart(&self) {
        let mut state = self.state.lock().unwrap();
        state.process += 1;
        state.hash = None;
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, judge: &Judge) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
            if line == "\r\n" {
                break;
            }
        }
        let mut sent = vec![0; length];
        if reader.read_exact(&mut sent).is_err() {
            return;
        }
        let mut state = state.lock().unwrap();
        let (status, body) = match head.split_whitespace().take(2).collect::<Vec<_>>()[..] {
            ["GET", "/"] => ("200 OK", root(state.process)),
            ["GET", "/status"] => {
                let hash = state.hash.clone().unwrap_or_else(|| "0".repeat(32));
                (
                    "200 OK",
                    json!({"configuration_hash": hash, "server": {"total_requests": 1}}),
                )
            }
            _ => {
                let document: Value = serde_json::from_slice(&sent).unwrap();
                match judge(&document) {
                    Some(refusal) => {
                        state.refused += 1;
                        refusal
                    }
                    None => {
                        state.hash = Some(ConfigHash::of(&sent).to_string());
                        state.accepted.push(document);
                        ("201 Created", json!({}))
                    }
                }
            }
        };
        drop(state);
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 {status}\r\nServer: kong/3.9.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
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
