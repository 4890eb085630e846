//! The two certificate authorities, issuing, and reloading of certificates.

pub mod client;
