//! In which of its versions the cluster serves a kind: that one is written in. IO.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use kube::{Client, core::ApiResource};

use crate::model::Kind;

/// The versions in which kinds are served, asked of the API server once. A clone shares them.
#[derive(Clone)]
pub(super) struct Served {
    client: Client,
    known: Arc<Mutex<BTreeMap<Kind, &'static str>>>,
}

impl Served {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Arc::default(),
        }
    }

    /// A kind as a client names it: in the first version that the cluster serves, in our order. `None` if there is none;
    /// that is not remembered, since definitions can be installed later.
    pub(super) async fn resource(&self, kind: Kind) -> Result<Option<ApiResource>, kube::Error> {
        let version = match kind.versions() {
            [only] => *only,
            _ => match self.version(kind).await? {
                Some(version) => version,
                None => return Ok(None),
            },
        };
        Ok(Some(ApiResource {
            group: kind.group().to_owned(),
            version: version.to_owned(),
            api_version: format!("{}/{version}", kind.group()).trim_start_matches('/').to_owned(),
            kind: kind.name().to_owned(),
            plural: kind.plural().to_owned(),
        }))
    }

    async fn version(&self, kind: Kind) -> Result<Option<&'static str>, kube::Error> {
        let known = || self.known.lock().expect("nobody panics while holding it");
        let version = known().get(&kind).copied();
        if version.is_some() {
            return Ok(version);
        }
        for version in kind.versions() {
            let group = format!("{}/{version}", kind.group());
            match self.client.list_api_group_resources(&group).await {
                Ok(list) if list.resources.iter().any(|resource| resource.name == kind.plural()) => {
                    known().insert(kind, version);
                    return Ok(Some(*version));
                }
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Asks anew about a kind that was not found where it had been: its definition may have been replaced.
    pub(super) fn forget(&self, kind: Kind) {
        self.known.lock().expect("nobody panics while holding it").remove(&kind);
    }
}
