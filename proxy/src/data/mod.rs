//! The data plane: listeners, routing, balancing, forwarding.
