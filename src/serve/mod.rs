//! What people and probes read over HTTP: health, metrics, the dashboard and its JSON API.
