//! Where objects come from: Kubernetes streams, or a directory of manifests. IO; feeds `store`.

pub mod directory;
pub mod kubernetes;
