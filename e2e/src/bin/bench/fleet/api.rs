//! The API server, as far as the benchmark speaks to it.

use std::path::Path;

use anyhow::{Context, bail};
use reqwest::{
    Client, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::Value;
use tokio::task::JoinSet;

use super::{pki, requests::Requests};

/// How many objects are made at once.
const CONCURRENCY: usize = 16;

/// A client. Clones share connections.
#[derive(Clone)]
pub(super) struct Api {
    http: Client,
    server: String,
    token: String,
}

impl Api {
    pub(super) fn new(server: &str, token: &str, authority: &Path) -> anyhow::Result<Self> {
        let http = Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(pki::verifying_config(authority)?)
            .build()?;
        Ok(Self {
            http,
            server: server.to_owned(),
            token: format!("Bearer {token}"),
        })
    }

    pub(super) async fn get(&self, path: &str) -> anyhow::Result<String> {
        self.send(Method::GET, path, "application/json", String::new()).await
    }

    /// Makes an object.
    pub(super) async fn create(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        let answer = self
            .send(Method::POST, path, "application/json", object.to_string())
            .await?;
        serde_json::from_str(&answer).context("the API server answered no JSON")
    }

    /// Makes an object that is given as YAML.
    pub(super) async fn create_yaml(&self, path: &str, object: String) -> anyhow::Result<()> {
        self.send(Method::POST, path, "application/yaml", object)
            .await
            .map(drop)
    }

    /// Makes many objects of one kind, in no order.
    pub(super) async fn create_all(
        &self,
        path: &str,
        objects: impl Iterator<Item = Value>,
    ) -> anyhow::Result<Vec<Value>> {
        let mut made = Vec::new();
        let mut under_way = JoinSet::new();
        for object in objects {
            if under_way.len() == CONCURRENCY
                && let Some(ended) = under_way.join_next().await
            {
                made.push(ended??);
            }
            let (api, path) = (self.clone(), path.to_owned());
            under_way.spawn(async move { api.create(&path, &object).await });
        }
        while let Some(ended) = under_way.join_next().await {
            made.push(ended??);
        }
        Ok(made)
    }

    /// Applies a JSON patch.
    pub(super) async fn patch(&self, path: &str, patch: &Value) -> anyhow::Result<()> {
        let kind = "application/json-patch+json";
        self.send(Method::PATCH, path, kind, patch.to_string()).await.map(drop)
    }

    /// What the API server has answered so far, by its own count.
    pub(super) async fn requests(&self) -> anyhow::Result<Requests> {
        Ok(Requests::of(&self.get("/metrics").await?))
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: String) -> anyhow::Result<String> {
        let request = self
            .http
            .request(method.clone(), format!("{}{path}", self.server))
            .header(AUTHORIZATION, &self.token)
            .header(CONTENT_TYPE, kind)
            .body(body);
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!(
                "{method} {path}: {status}: {}",
                text.chars().take(400).collect::<String>()
            );
        }
        Ok(text)
    }
}
