//! A configuration made ready to serve.

use std::sync::Arc;

use proxy_config_schema::{Configuration, EntityError};

use super::{statistics::RouteTraffic, tls::CertificateStore};

/// A configuration made ready to serve. Immutable but for balancer positions and counters.
#[derive(Default)]
pub(crate) struct Runtime {
    certificates: CertificateStore,
}

impl Runtime {
    /// Builds everything that can fail. Whatever is unchanged since `previous` is taken over.
    pub(super) fn compile(configuration: &Arc<Configuration>, previous: &Self) -> Result<Self, Vec<EntityError>> {
        let _ = (configuration, previous);
        Ok(Self::default())
    }

    /// Certificates by server name.
    pub(super) fn certificates(&self) -> &CertificateStore {
        &self.certificates
    }

    /// Requests so far per route.
    pub(super) fn traffic(&self) -> Vec<RouteTraffic> {
        Vec::new()
    }
}
