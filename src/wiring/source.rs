//! Objects from a cluster or a directory, and statuses back to the cluster.

