//! Questions to a proxy's Admin API whose answers are awaited by somebody: over the same certificates as pushes, on
//! connections that are kept.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::{sync::watch, time::Instant};

use crate::{
    admission::{Answer, Method, Question},
    model::ProxyTarget,
    pki::client::{self, AdminClient, AdminError, AdminTls, ConnectionLimits},
};

/// Answers are read up to this size, in bytes: the schema of a large plugin has 100 KB.
const MAX_ANSWER: usize = 1 << 20;
/// How long a connection is kept for the next question.
const KEEP: Duration = Duration::from_secs(30);
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
            if let Ok(answer) = ask(&client, question, self.limit).await {
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
            keep: KEEP,
            is_abrupt: false,
        };
        let client = Arc::new(tls.client(url, target, &limits).ok()?);
        clients.by_address.insert(url.clone(), client.clone());
        Some(client)
    }
}

async fn ask(client: &AdminClient, question: &Question, limit: Duration) -> Result<Answer, AdminError> {
    let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let (method, headers, body) = match question.method {
        Method::Get => (hyper::Method::GET, Vec::new(), String::new()),
        Method::Post => {
            let body = question.body.as_ref().map(ToString::to_string);
            (hyper::Method::POST, vec![json], body.unwrap_or_default())
        }
    };
    let asked = client::Question {
        method,
        headers: &headers,
        path: &question.path,
        body: body.into(),
        deadline: Instant::now() + limit,
        wanted: |_| MAX_ANSWER,
    };
    let answer = client.ask(&asked).await?;
    Ok(Answer {
        status: answer.status.as_u16(),
        body: if answer.is_whole {
            answer.body.into()
        } else {
            Vec::new()
        },
    })
}
