#![allow(clippy::unwrap_used)]
//! The data plane over real sockets and real TLS on loopback: what a client and an upstream see.

mod clients;
mod drain;
mod forwarding;
mod harness;
mod names;
mod protocols;
mod reload;
mod transcripts;
