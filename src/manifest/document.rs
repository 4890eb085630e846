//! Bytes -> documents: where each one starts, and its tree or why it has none.

use serde::de::IgnoredAny;
use serde_saphyr::{DuplicateKeyPolicy, Error, Options, budget::BudgetBreach};

use super::{Limits, file_problem, node::Node};
use crate::model::Problem;

/// A document of a file.
pub(super) struct Document<'a> {
    /// Its text.
    pub(super) text: &'a str,
    /// The line of its first content, from 1.
    pub(super) line: u32,
    /// Lines of the file before its text.
    pub(super) lines_before: u32,
    /// Its content, or what is wrong with it.
    pub(super) content: Result<Node, SyntaxError>,
}

/// Why a document can't be read.
pub(super) struct SyntaxError {
    /// Line within the file, from 1.
    pub(super) line: Option<u32>,
    pub(super) message: String,
    pub(super) remedy: &'static str,
}

/// Values that the aliases of a document may repeat altogether.
const MAX_REPEATED: usize = 100_000;

const YAML_REMEDY: &str = "correct the YAML at that line: indentation, colons and quotes are the usual suspects";

/// The documents of a file that have any content; and problems of the file as a whole.
pub(super) fn split<'a>(file_name: &str, bytes: &'a [u8], limits: &Limits) -> (Vec<Document<'a>>, Vec<Problem>) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let line = line_at(bytes, error.valid_up_to());
            let message = "the file is not UTF-8 text".to_owned();
            let problem = file_problem(file_name, Some(line), message, "save it as UTF-8");
            return (Vec::new(), vec![problem]);
        }
    };
    let (texts, mut problems) = if file_name.ends_with(".json") {
        json_documents(file_name, text)
    } else {
        (yaml_documents(text), Vec::new())
    };
    if texts.len() > limits.documents {
        let (text, before) = texts[limits.documents];
        let line = first_line(text, before);
        let message = format!(
            "more than {} documents: this one and those after it are skipped",
            limits.documents
        );
        problems.push(file_problem(file_name, Some(line), message, "split the file"));
    }
    let documents = texts.into_iter().take(limits.documents);
    (
        documents.map(|(text, before)| read(text, before, limits)).collect(),
        problems,
    )
}

/// Splits at `---` and `...`: at the start of a line they are markers wherever they stand, also within quotes
/// and block scalars (YAML 1.2 §9.1.2), so a broken document can't hide the next one.
fn yaml_documents(text: &str) -> Vec<(&str, u32)> {
    let mut documents = Vec::new();
    let (mut start, mut start_line) = (0, 0);
    let (mut at, mut line) = (0, 0);
    for piece in text.split_inclusive('\n') {
        if is_marker(piece, "---") && at > start {
            documents.push((&text[start..at], start_line));
            (start, start_line) = (at, line);
        }
        at += piece.len();
        line += 1;
        if is_marker(piece, "...") {
            documents.push((&text[start..at], start_line));
            (start, start_line) = (at, line);
        }
    }
    documents.push((&text[start..], start_line));
    documents.retain(|(text, _)| first_content(text).is_some());
    documents
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// How many lines stand before the first that is neither blank, nor a comment, a directive or a bare marker.
fn first_content(text: &str) -> Option<u32> {
    let is_content = |line: &str| {
        let bare = if is_marker(line, "---") || is_marker(line, "...") {
            &line[3..]
        } else {
            line
        };
        let trimmed = bare.trim();
        !(trimmed.is_empty() || trimmed.starts_with('#') || line.starts_with('%'))
    };
    let position = text.lines().position(is_content)?;
    Some(u32::try_from(position).unwrap_or(u32::MAX))
}

/// The line of a document's first content within its file, from 1.
fn first_line(text: &str, lines_before: u32) -> u32 {
    let first = first_content(text).unwrap_or(0);
    lines_before.saturating_add(first).saturating_add(1)
}

/// Splits a stream of JSON values. After a syntax error nothing tells where the next one would start.
fn json_documents<'a>(file_name: &str, text: &'a str) -> (Vec<(&'a str, u32)>, Vec<Problem>) {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut start = 0;
    while let Some(result) = stream.next() {
        let end = stream.byte_offset();
        if let Err(error) = result {
            let line = u32::try_from(error.line()).ok();
            let message = format!("not valid JSON: {error}");
            problems.push(file_problem(file_name, line, message, "correct the JSON at that line"));
            break;
        }
        documents.push((&text[start..end], line_at(text.as_bytes(), start) - 1));
        start = end;
    }
    (documents, problems)
}

fn line_at(bytes: &[u8], offset: usize) -> u32 {
    let lines = bytes[..offset].iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1)
}

fn read<'a>(text: &'a str, lines_before: u32, limits: &Limits) -> Document<'a> {
    let content = serde_saphyr::from_str_with_options::<Node>(text, options(limits)).map_err(|error| {
        let error = error.without_snippet();
        let line = error
            .location()
            .map(|location| u32::try_from(location.line()).unwrap_or(u32::MAX));
        SyntaxError {
            line: line
                .filter(|line| *line > 0)
                .map(|line| line.saturating_add(lines_before)),
            message: exceeded(error, limits)
                .unwrap_or_else(|| format!("not valid YAML: {}", without_location(&error.to_string()))),
            remedy: if exceeded(error, limits).is_some() {
                LIMIT_REMEDY
            } else {
                YAML_REMEDY
            },
        }
    });
    Document {
        text,
        line: first_line(text, lines_before),
        lines_before,
        content,
    }
}

const LIMIT_REMEDY: &str = "split the document, or write out what its aliases repeat";

/// Which bound of ours the document exceeds.
fn exceeded(error: &Error, limits: &Limits) -> Option<String> {
    let breach = match error {
        Error::Budget { breach, .. } => breach,
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => return Some(aliases_exceeded()),
        // The same, met while an alias was followed: only the text is left.
        Error::AliasError { msg, .. } if msg.contains("exceeded") => return Some(aliases_exceeded()),
        // The scanner has a bound of its own, above ours.
        error if error.to_string().contains("recursion limit exceeded") => return Some(too_deep(limits)),
        _ => return None,
    };
    Some(match breach {
        BudgetBreach::Depth { .. } => too_deep(limits),
        BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
            format!("the document has more than {} values", limits.nodes)
        }
        BudgetBreach::Aliases { .. } | BudgetBreach::Anchors { .. } | BudgetBreach::MergeKeys { .. } => {
            "the document has more anchors, aliases or merge keys than any manifest needs".to_owned()
        }
        _ => "the document is larger than any manifest needs to be".to_owned(),
    })
}

fn too_deep(limits: &Limits) -> String {
    format!("the document is nested more than {} levels deep", limits.depth)
}

fn aliases_exceeded() -> String {
    format!("the document's aliases (*name) repeat more than {MAX_REPEATED} values, as in a YAML bomb")
}

/// Characters of the parser's messages that are told.
const MESSAGE_LENGTH: usize = 300;

/// The parser's errors end in locations that count from the document's start: ours count from the file's.
fn without_location(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let end = line.find(" at line ").unwrap_or(line.len());
    // It may quote a key.
    line[..end].trim_end_matches(',').chars().take(MESSAGE_LENGTH).collect()
}

fn options(limits: &Limits) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits.depth,
            max_nodes: limits.nodes,
            max_events: limits.nodes.saturating_mul(2),
            max_documents: 2,
            // Many aliases of few anchors are fine: how much they repeat is bounded below.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPEATED,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    }
}
