//! The Admin API client: sends configurations over mTLS, one task per proxy. IO.
