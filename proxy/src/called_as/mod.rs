//! What pod templates of the kong chart call in the proxy's image: `kong` and `rm`, links to the one program there.
//!
//! Neither is a shell's: they do what those templates ask of them, say so when something else is asked, and nothing more.
//! Called by the `main` of `silverback-proxy`, by the name that the program was started under.

mod kong;
mod rm;

pub use kong::end;

use std::{ffi::OsString, path::Path, process::ExitCode};

/// Acts as the program whose name the first word ends with, if it is one of ours to stand in for.
pub fn act_as(words: &[OsString]) -> Option<ExitCode> {
    let name = Path::new(words.first()?).file_name()?.to_str()?;
    match name {
        "kong" => Some(kong::main(words)),
        "rm" => Some(rm::main(words)),
        _ => None,
    }
}
