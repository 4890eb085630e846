//! Log lines to standard error, by Kong's levels.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::settings::{LogFormat, ProxyArguments, SettingsError};

/// Begins to log as the arguments say. Does nothing if the process logs already.
///
/// # Errors
/// A level that is not known.
pub fn start_logging(arguments: &ProxyArguments) -> Result<(), SettingsError> {
    let filter = filter(arguments.log_level.as_deref().unwrap_or_default().trim())?;
    let subscriber = fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match arguments.log_format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

/// Libraries below are told of in trouble only.
fn filter(level: &str) -> Result<&'static str, SettingsError> {
    match level {
        "debug" => Ok("info,silverback_proxy=debug"),
        // Kong's notice is where a start and a change of configuration are told.
        "" | "notice" | "info" => Ok("warn,silverback_proxy=info"),
        "warn" => Ok("warn"),
        "error" | "crit" | "alert" | "emerg" => Ok("error"),
        other => Err(SettingsError {
            variable: "KONG_LOG_LEVEL",
            flag: "--log-level",
            message: format!("{other:?} is not one of debug, info, notice, warn, error, crit, alert, emerg"),
        }),
    }
}
