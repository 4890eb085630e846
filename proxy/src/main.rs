//! `silverback-proxy`: the embedded proxy as a program of its own, for small images.

fn main() {}
