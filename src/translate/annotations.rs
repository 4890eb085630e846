//! Names of annotations (`kic.md` 3) and how their values are read: a bad value is reported and counts as unset.

use std::ops::RangeInclusive;

use super::problems::{Owner, Problems};
use crate::manifest::nearest;
pub(super) use crate::model::annotations::{
    CA_CERTIFICATES_CONFIG_MAPS, CA_CERTIFICATES_SECRETS, CLIENT_CERT, DEFAULT_CLASS, INGRESS_CLASS,
};

/// Sends plain HTTP to HTTPS.
pub(super) const FORCE_SSL_REDIRECT: &str = "ingress.kubernetes.io/force-ssl-redirect";
/// Sends requests to the Service's DNS name instead of its endpoints.
pub(super) const SERVICE_UPSTREAM: &str = "ingress.kubernetes.io/service-upstream";

/// Where Kong's own annotations begin.
pub(super) const PREFIX: &str = "konghq.com/";

macro_rules! annotations {
    ($($name:ident = $suffix:literal;)*) => {
        $(pub(super) const $name: &str = concat!("konghq.com/", $suffix);)*

        /// All of Kong's that are read, but for headers.
        const NAMES: &[&str] = &[
            CA_CERTIFICATES_CONFIG_MAPS,
            CA_CERTIFICATES_SECRETS,
            CLIENT_CERT,
            $($name),*
        ];
    };
}

annotations! {
    CONNECT_TIMEOUT = "connect-timeout";
    HEADERS_SEPARATOR = "headers-separator";
    HOST_ALIASES = "host-aliases";
    HOST_HEADER = "host-header";
    HTTPS_REDIRECT_STATUS_CODE = "https-redirect-status-code";
    METHODS = "methods";
    OVERRIDE = "override";
    PATH = "path";
    PATH_HANDLING = "path-handling";
    PLUGINS = "plugins";
    PRESERVE_HOST = "preserve-host";
    PROTOCOL = "protocol";
    PROTOCOLS = "protocols";
    READ_TIMEOUT = "read-timeout";
    REGEX_PREFIX = "regex-prefix";
    REGEX_PRIORITY = "regex-priority";
    REQUEST_BUFFERING = "request-buffering";
    RESPONSE_BUFFERING = "response-buffering";
    RETRIES = "retries";
    REWRITE = "rewrite";
    SNIS = "snis";
    STRIP_PATH = "strip-path";
    TAGS = "tags";
    TLS_VERIFY = "tls-verify";
    TLS_VERIFY_DEPTH = "tls-verify-depth";
    UPSTREAM_POLICY = "upstream-policy";
    WRITE_TIMEOUT = "write-timeout";
}

/// Where the annotations begin that match on a header: the header's name follows.
pub(super) const HEADERS: &str = "konghq.com/headers.";

/// Reports mistyped names: an annotation that is nearly one of Kong's acts no more than any other that nobody reads.
pub(super) fn check_names(owner: Owner<'_>, problems: &mut Problems) {
    for name in owner.metadata.annotations.keys() {
        let Some(suffix) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if NAMES.contains(&name.as_str()) || name.starts_with(HEADERS) {
            continue;
        }
        let suffixes = NAMES.iter().filter_map(|name| name.strip_prefix(PREFIX));
        if let Some(meant) = nearest(suffix, suffixes) {
            let message = format!("Kong has no annotation {name}");
            let remedy = format!("did you mean {PREFIX}{meant}?");
            Reader { owner, problems }.reject(name, message, remedy);
        }
    }
}

/// The items of a comma list, trimmed, empty ones dropped.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Reads the annotations of one object.
pub(super) struct Reader<'a, 'p> {
    pub(super) owner: Owner<'a>,
    pub(super) problems: &'p mut Problems,
}

impl<'a> Reader<'a, '_> {
    /// Whether the object has any annotation that Kong's configuration depends on: most objects have none.
    pub(super) fn is_plain(owner: Owner<'_>) -> bool {
        !owner
            .metadata
            .annotations
            .keys()
            .any(|name| name.starts_with(PREFIX) || name.starts_with("ingress.kubernetes.io/"))
    }

    /// The value as it is written.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.owner.metadata.annotation(name)
    }

    /// `true` or `false`, in capitals or not.
    pub(super) fn true_or_false(&mut self, name: &str) -> Option<bool> {
        let value = self.text(name)?;
        match value.trim().to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                let message = format!("{value:?} is neither true nor false");
                self.reject(name, message, "set it to \"true\" or \"false\"");
                None
            }
        }
    }

    /// The same, and the short spellings that Go's `strconv.ParseBool` takes.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.text(name)?.trim() {
            "1" | "t" | "T" => Some(true),
            "0" | "f" | "F" => Some(false),
            _ => self.true_or_false(name),
        }
    }

    /// Whether it is `true`, in just these letters, as Kong Ingress Controller wants what is not its own.
    pub(super) fn is_true(&mut self, name: &str) -> bool {
        match self.text(name) {
            None | Some("false") => false,
            Some("true") => true,
            Some(value) => {
                let message = format!("{value:?} is neither \"true\" nor \"false\"");
                self.reject(name, message, "set it to \"true\" or \"false\"");
                false
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.text(name)?;
        match value.trim().parse::<i64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let (least, greatest) = (range.start(), range.end());
                self.reject(
                    name,
                    format!("{value:?} is not a whole number from {least} to {greatest}"),
                    format!("set it to a number from {least} to {greatest}"),
                );
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word(&mut self, name: &str, words: &[&str]) -> Option<&'a str> {
        let value = self.text(name)?.trim();
        if words.contains(&value) {
            return Some(value);
        }
        let choice = words.join(", ");
        self.reject(
            name,
            format!("{value:?} is none of {choice}"),
            format!("set it to one of {choice}"),
        );
        None
    }

    /// A list whose items must all pass; one that does not makes the whole list count as unset.
    pub(super) fn list_of(
        &mut self,
        name: &str,
        what: &str,
        remedy: &str,
        passes: impl Fn(&str) -> bool,
    ) -> Option<Vec<&'a str>> {
        let items: Vec<_> = list(self.text(name)?).collect();
        if let Some(bad) = items.iter().find(|item| !passes(item)) {
            self.reject(name, format!("{bad:?} is not {what}"), remedy);
            return None;
        }
        Some(items)
    }

    /// Reports a value that can't be used.
    pub(super) fn reject(&mut self, name: &str, message: String, remedy: impl Into<String>) {
        let message = message + "; the annotation is ignored";
        self.problems.annotation(self.owner, name, message, remedy);
    }
}
