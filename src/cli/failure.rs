//! What a failure says on one line. Pure; the verbs print it.

use anyhow::Error;

/// The failure and its causes, from what was tried to why it did not work, each once: many libraries repeat their cause in
/// a message of their own.
pub(super) fn one_line(error: &Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_that_is_told_already_is_not_told_again() {
        let error = anyhow!("no such file").context("failed to read a: no such file");
        let error = error.context("no access to a cluster");
        assert_eq!(
            one_line(&error),
            "no access to a cluster: failed to read a: no such file"
        );
        assert_eq!(
            one_line(&anyhow!("permission denied").context("b")),
            "b: permission denied"
        );
    }
}
