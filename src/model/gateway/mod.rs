//! The Gateway API's objects (`gateway.networking.k8s.io`), as far as they are used. Field names and meanings are the
//! Gateway API's.
//!
//! Pure values.

mod backend_tls_policy;
mod gateways;
mod grpc_route;
mod http_route;
mod reference_grant;
mod route;
pub mod schema;
mod stream_route;

pub use backend_tls_policy::*;
pub use gateways::*;
pub use grpc_route::*;
pub use http_route::*;
pub use reference_grant::*;
pub use route::*;
pub use stream_route::*;

use super::kubernetes::null_default;
