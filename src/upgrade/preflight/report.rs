//! What preflight says, as text and as JSON.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Good,
    /// It works, and somebody should know.
    Warning,
    /// The release must not be touched before this is put right.
    Failure,
}

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check: a stable word, for `--ignore`.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Good,
            message: message.into(),
            remedy: None,
        }
    }

    pub(super) fn warning(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Warning,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }

    pub(super) fn failure(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Failure,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// All that preflight says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The release.
    pub release: String,
    /// Its namespace.
    pub namespace: String,
    /// What the checks came to.
    pub findings: Vec<Finding>,
    /// What will happen, in order.
    pub outlook: Vec<String>,
}

impl Report {
    /// How many checks failed.
    pub fn failures(&self) -> usize {
        let failures = self.findings.iter();
        failures.filter(|finding| finding.level == Level::Failure).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "Release {} in namespace {}", self.release, self.namespace)?;
        let width = self
            .findings
            .iter()
            .map(|finding| finding.check.len())
            .max()
            .unwrap_or(0);
        for finding in &self.findings {
            let level = match finding.level {
                Level::Good => "good",
                Level::Warning => "warning",
                Level::Failure => "FAILURE",
            };
            writeln!(formatter, "  {level:7}  {:width$}  {}", finding.check, finding.message)?;
            if let Some(remedy) = &finding.remedy {
                writeln!(formatter, "  {:7}  {:width$}  remedy: {remedy}", "", "")?;
            }
        }
        match self.failures() {
            0 => {
                writeln!(formatter, "What will happen:")?;
                for line in &self.outlook {
                    writeln!(formatter, "  - {line}")?;
                }
                writeln!(formatter, "Result: it can go on.")
            }
            1 => writeln!(formatter, "Result: 1 failure. Nothing was changed."),
            count => writeln!(formatter, "Result: {count} failures. Nothing was changed."),
        }
    }
}
