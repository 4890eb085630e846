//! The `silverback` command: parse, install the crypto provider, run. No logic.

fn main() {}
