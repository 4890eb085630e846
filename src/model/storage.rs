//! How it stands with what proxies accepted last, put away for the next controller.

use jiff::Timestamp;

/// Whether what was accepted last would survive the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// Nothing has been accepted that is not put away.
    Stored {
        /// When it was written; `None` if an earlier controller did, or nothing has been accepted.
        at: Option<Timestamp>,
        /// Bytes, compressed and encrypted.
        size: Option<u64>,
    },
    /// It will be, within minutes.
    Waiting,
    /// It could not be.
    Failed {
        /// One word.
        reason: &'static str,
        /// A sentence.
        message: String,
    },
}
