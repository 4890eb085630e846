//! Probes each proxy over a connection of its own. IO.
