//! Leadership by a Lease, as a watch channel.
