//! Questions to a proxy's Admin API whose answers are awaited by somebody: over the same certificates as pushes, on
//! connections that are kept.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::header::CONTENT_TYPE;
use tokio::sync::watch;

use crate::{
    admission::{Answer, Method, Question},
    model::ProxyTarget,
    pki::client::{AdminClient, AdminTls, ConnectionLimits},
};

/// Answers are read up to this size, in bytes: the schema of a large plugin has 100 KB.
const MAX_ANSWER: usize = 1 << 20;
/// Clients that are kept: one for each profile, and a few for those that come and go.
const MAX_CLIENTS: usize = 32;

/// Asks proxies.
pub struct Inquirer {
    tls: watch::Receiver<Option<Arc<AdminTls>>>,
    limit: Duration,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    /// The certificates that they were made with.
    tls: Option<Arc<AdminTls>>,
    by_address: HashMap<Arc<str>, Arc<AdminClient>>,
}

impl Inquirer {
    /// Asks with the certificates of the moment; gives up after `limit`.
    pub fn new(tls: watch::Receiver<Option<Arc<AdminTls>>>, limit: Duration) -> Self {
        Self {
            tls,
            limit,
            clients: Mutex::default(),
        }
    }

    /// The proxy's answer; `None` if it gives none.
    pub async fn ask(&self, target: &ProxyTarget, question: &Question) -> Option<Answer> {
        for url in &target.urls {
            let Some(client) = self.client(url, target) else {
                continue;
            };
            if let Ok(answer) = ask(&client, question).await {
                return Some(answer);
            }
        }
        None
    }

    fn client(&self, url: &Arc<str>, target: &ProxyTarget) -> Option<Arc<AdminClient>> {
        let tls = self.tls.borrow().clone()?;
        let mut clients = self.clients.lock().expect("no holder of the lock panics");
        let is_same = clients.tls.as_ref().is_some_and(|known| Arc::ptr_eq(known, &tls));
        if !is_same || clients.by_address.len() >= MAX_CLIENTS {
            clients.by_address.clear();
            clients.tls = Some(tls.clone());
        }
        if let Some(client) = clients.by_address.get(url) {
            return Some(client.clone());
        }
        let limits = ConnectionLimits {
            connect: self.limit,
            request: self.limit,
            keep_alive: true,
        };
        let client = Arc::new(tls.client(url, target, &limits).ok()?);
        clients.by_address.insert(url.clone(), client.clone());
        Some(client)
    }
}

async fn ask(client: &AdminClient, question: &Question) -> Result<Answer, reqwest::Error> {
    let request = match question.method {
        Method::Get => client.get(&question.path),
        Method::Post => {
            let body = question.body.as_ref().map(ToString::to_string).unwrap_or_default();
            let request = client.post(&question.path, "");
            request.header(CONTENT_TYPE, "application/json").body(body)
        }
    };
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            body.clear();
            break;
        }
    }
    Ok(Answer {
        status: response.status().as_u16(),
        body,
    })
}
