//! The Admin API over mutual TLS, and the status listener.
