//! Manifest files -> objects and problems: YAML and JSON documents, bounded, with file and line.
//!
//! Pure: it is given bytes. Called by the directory source of `watch` and by the offline verbs.
