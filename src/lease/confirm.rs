//! Whether this replica still leads, asked of the API server: what it last heard may be over.
//!
//! Writes nothing. Called for pushes that a proxy refuses since it has seen another leader.

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{
    LeaseSettings,
    election::{epoch, holder},
};
use crate::model::Epoch;

/// Asks the API server who leads; questions that come together are one.
pub struct Confirmation {
    api: Api<Lease>,
    settings: LeaseSettings,
    /// When the API server was asked last, and the Lease, if it answered with one.
    last: Mutex<Option<(Instant, Option<Lease>)>>,
}

impl Confirmation {
    /// For the replica that competes with the same settings.
    pub fn new(client: Client, settings: LeaseSettings) -> Self {
        Self {
            api: Api::namespaced(client, &settings.lease.namespace),
            settings,
            last: Mutex::new(None),
        }
    }

    /// Whether this replica led under that epoch at a moment after this was called. Nothing if the API server does not say: it
    /// does not answer, or there is no Lease, as while it is made again.
    pub async fn leads(&self, under: &Epoch) -> Option<bool> {
        let called = Instant::now();
        let mut last = self.last.lock().await;
        if last.as_ref().is_none_or(|(asked, _)| *asked < called) {
            let asked = Instant::now();
            *last = Some((asked, self.ask().await));
        }
        let lease = last.as_ref()?.1.as_ref()?;
        Some(holder(lease) == Some(&*self.settings.identity) && epoch(lease) == *under)
    }

    async fn ask(&self) -> Option<Lease> {
        let limit = self.settings.timing.renew_deadline / 2;
        let lease = timeout(limit, self.api.get(&self.settings.lease.name)).await;
        lease.ok()?.ok()
    }
}
