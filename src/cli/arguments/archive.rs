//! Where is put away what proxies accepted last.

use std::path::PathBuf;

use clap::Args;

use crate::model::NamespacedName;

const ARCHIVE: &str = "What proxies accepted last";

/// Flags of what outlives the controller.
#[derive(Debug, Clone, Args)]
pub(crate) struct ArchiveArguments {
    /// Secrets to keep what proxies accepted last, encrypted: NAME-0 to NAME-3, and NAME-key for the key; must exist.
    #[arg(long, env = "CONTROLLER_LAST_GOOD_SECRET", value_name = "NAMESPACE/NAME", conflicts_with = "last_good_directory", help_heading = ARCHIVE)]
    pub(crate) last_good_secret: Option<NamespacedName>,
    /// Directory on a volume for the same, if it is too large for Secrets.
    #[arg(long, env = "CONTROLLER_LAST_GOOD_DIRECTORY", value_name = "DIR", help_heading = ARCHIVE)]
    pub(crate) last_good_directory: Option<PathBuf>,
    /// File with the key to that directory (made when missing); by default last-good.key in --pki-directory.
    #[arg(long, env = "CONTROLLER_LAST_GOOD_KEY_FILE", value_name = "FILE", requires = "last_good_directory", help_heading = ARCHIVE)]
    pub(crate) last_good_key_file: Option<PathBuf>,
}
