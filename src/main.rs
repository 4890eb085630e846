//! The `silverback` command: parse, install the crypto provider, run. No logic.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "controller")]
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("no provider was installed before the first line of main");
    silverback::cli::main()
}
