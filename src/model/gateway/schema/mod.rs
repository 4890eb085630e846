//! What objects of the Gateway API may say: tables that manifests are checked against and get their defaults from.
//!
//! The fields of the experimental channel of v1.3, which Kong Ingress Controller reads, and of v1.7; where the two
//! differ, the wider bounds. What the API says in rules (CEL) is judged where it is used.

mod filter;
mod gateway;
mod grpc_route;
mod http_route;
mod policy;
mod reference;
mod stream_route;

pub use gateway::{GATEWAY, GATEWAY_CLASS};
pub use grpc_route::GRPC_ROUTE;
pub use http_route::HTTP_ROUTE;
pub use policy::{BACKEND_TLS_POLICY, REFERENCE_GRANT};
pub use stream_route::{STREAM_ROUTE, TLS_ROUTE};
