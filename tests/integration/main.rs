//! silverback as a user on a laptop runs it: the real program, real proxies as processes, real TLS on loopback.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod cluster;
mod command_line;
mod controller;
mod dashboard_api;
mod demo;
mod demo_screen;
mod fallback;
mod flags;
mod golden_run;
mod harness;
mod ipv6;
mod kubeconfig;
mod laptop;
mod listeners;
mod log;
mod mass_restart;
mod mixed_fleet;
mod namespaces;
mod newcomers;
mod offline;
mod proxy_faults;
mod restarts;
mod route_conflicts;
mod stub;
mod terminal;
mod unverified;
mod webhook;
