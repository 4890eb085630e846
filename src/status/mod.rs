//! Writes what is known to Kubernetes: `ProxyInstance`, `ProxyFleet`, statuses, events, pod conditions. Leader only.
