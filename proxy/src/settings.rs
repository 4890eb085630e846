//! What the proxy shall be: Kong's environment variables, each with a flag.
