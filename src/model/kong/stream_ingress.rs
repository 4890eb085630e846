//! `configuration.konghq.com/v1beta1`: TCPIngress and UDPIngress.

use serde::{Deserialize, Serialize};

use super::null_default;
use crate::model::kubernetes::{IngressTls, Metadata};

/// Connections by port, and by server name within TLS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TCPIngress {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: TcpIngressSpec,
}

/// Wanted state of a TCPIngress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpIngressSpec {
    /// Rules.
    #[serde(deserialize_with = "null_default")]
    pub rules: Vec<TcpIngressRule>,
    /// TLS Secrets by host.
    #[serde(deserialize_with = "null_default")]
    pub tls: Vec<IngressTls>,
}

/// Where connections of a port go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpIngressRule {
    /// Server name within TLS; empty for any connection.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Port that the proxy listens on.
    pub port: u16,
    /// The Service behind it.
    pub backend: StreamIngressBackend,
}

/// Datagrams by port.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UDPIngress {
    /// Metadata.
    pub metadata: Metadata,
    /// Wanted state.
    #[serde(deserialize_with = "null_default")]
    pub spec: UdpIngressSpec,
}

/// Wanted state of a UDPIngress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UdpIngressSpec {
    /// Rules.
    #[serde(deserialize_with = "null_default")]
    pub rules: Vec<UdpIngressRule>,
}

/// Where datagrams of a port go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UdpIngressRule {
    /// Port that the proxy listens on.
    pub port: u16,
    /// The Service behind it.
    pub backend: StreamIngressBackend,
}

/// A port of a Service of the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamIngressBackend {
    /// Name of the Service.
    pub service_name: String,
    /// Number of its port.
    pub service_port: u16,
}
