//! Controllers as a whole, before an API server in memory: what none of the modules can show alone.

mod handover;
mod late;
mod replica;
mod secrecy;
