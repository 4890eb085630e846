//! The flags of `run`. Each has a variable `CONTROLLER_<FLAG>`; those that Kong Ingress Controller has keep their names
//! and meaning (its command line reference).
//!
//! One file per group of the help. What can't be checked flag by flag is checked in `run`.

mod admin;
mod admission;
mod archive;
mod certificates;
mod inert;
#[cfg(test)]
pub(crate) mod kong_flags;
mod serving;
mod source;
mod status;
#[cfg(test)]
mod tests;
pub(crate) mod variables;

use std::{collections::BTreeMap, sync::LazyLock};

use clap::Args;

#[cfg(test)]
pub(crate) use self::inert::REFUSED;
pub(crate) use self::{
    admin::AdminArguments,
    admission::AdmissionArguments,
    archive::ArchiveArguments,
    certificates::CertificateArguments,
    inert::{INERT, InertArguments, refusal},
    serving::{AccessFilter, LogFormat, LogLevel, ServingArguments, listener},
    source::SourceArguments,
    status::{Election, StatusArguments},
};
use super::{translation::TranslationArguments, variable_of};

/// Flags of `silverback run`.
#[derive(Debug, Clone, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Each flag has a variable, which it wins over; variables that no flag has are errors. Flags of Kong Ingress Controller that
have no effect here are accepted with a warning; docs/reference/flags.md lists them.

Examples:
  silverback run --kong-admin-svc kong/kong-admin --publish-service kong/kong-proxy
  silverback run --directory manifests/ --proxy https://127.0.0.1:8444"
)]
pub(super) struct RunArguments {
    #[command(flatten)]
    pub(super) source: SourceArguments,
    #[command(flatten)]
    pub(super) admin: AdminArguments,
    #[command(flatten)]
    pub(super) certificates: CertificateArguments,
    #[command(flatten)]
    pub(super) archive: ArchiveArguments,
    #[command(flatten)]
    pub(super) translation: TranslationArguments,
    #[command(flatten)]
    pub(super) status: StatusArguments,
    #[command(flatten)]
    pub(super) admission: AdmissionArguments,
    #[command(flatten)]
    pub(super) serving: ServingArguments,
    #[command(flatten)]
    pub(super) inert: InertArguments,
}

/// The variables of the flags that stand in the table: clap keeps names for as long as the process lives.
static VARIABLES: LazyLock<BTreeMap<&str, String>> = LazyLock::new(|| {
    let flags = INERT.iter().map(|inert| inert.flag);
    flags.map(|flag| (flag, variable_of(flag))).collect()
});

fn lasting_variable_of(flag: &str) -> &'static str {
    VARIABLES.get(flag).expect("every flag of the table is there")
}
