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
    /// When the API server was asked last, and under which epoch this replica led.
    last: Mutex<Option<(Instant, Option<Epoch>)>>,
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

    /// Whether this replica led under that epoch at a moment after this was called. No if the API server does not say so.
    pub async fn leads(&self, under: &Epoch) -> bool {
        let called = Instant::now();
        let mut last = self.last.lock().await;
        let led = match &*last {
            Some((asked, led)) if *asked >= called => led.clone(),
            _ => {
                let asked = Instant::now();
                let led = self.ask().await;
                *last = Some((asked, led.clone()));
                led
            }
        };
        led.as_ref() == Some(under)
    }

    async fn ask(&self) -> Option<Epoch> {
        let limit = self.settings.timing.renew_deadline / 2;
        let lease = timeout(limit, self.api.get(&self.settings.lease.name)).await;
        let lease = lease.ok()?.ok()?;
        (holder(&lease) == Some(&*self.settings.identity)).then(|| epoch(&lease))
    }
}
