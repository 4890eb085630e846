//! What stands in the cluster, before an API server in memory: of each kind of object in its file, and
//! in `requests` what that server is asked.

mod addresses;
mod fleets;
mod own_rows;
mod pods;
mod requests;
mod rows;
