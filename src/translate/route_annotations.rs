//! What the annotations of a route object (an Ingress, later the routes of the Gateway API) say about all its routes.
//!
//! Order and effect are `kic.md` 3. A value that can't be used is reported and counts as unset.

use std::collections::BTreeMap;

use super::{
    annotations::{self, Reader},
    path::Regexes,
    problems::{Owner, Problems},
    syntax,
};
use crate::model::{Edition, Profile, Reason, RouterFlavor};

const HTTP_PROTOCOLS: &[&str] = &["http", "https", "grpc", "grpcs", "ws", "wss"];
/// Marks a header value as a regular expression.
pub(super) const HEADER_REGEX_MARKER: &str = "~*";

/// Settings of all routes of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RouteSettings {
    pub(super) strip_path: bool,
    pub(super) preserve_host: bool,
    pub(super) https_redirect_status_code: u16,
    pub(super) request_buffering: bool,
    pub(super) response_buffering: bool,
    /// `None` leaves them to Kong: http and https.
    pub(super) protocols: Option<Vec<String>>,
    pub(super) regex_priority: i64,
    pub(super) path_handling: String,
    pub(super) methods: Option<Vec<String>>,
    pub(super) snis: Option<Vec<String>>,
    pub(super) host_aliases: Vec<String>,
    pub(super) headers: BTreeMap<String, Vec<String>>,
}

impl Default for RouteSettings {
    fn default() -> Self {
        Self {
            strip_path: false,
            preserve_host: true,
            https_redirect_status_code: 426,
            request_buffering: true,
            response_buffering: true,
            protocols: None,
            regex_priority: 0,
            path_handling: "v0".to_owned(),
            methods: None,
            snis: None,
            host_aliases: Vec::new(),
            headers: BTreeMap::new(),
        }
    }
}

impl RouteSettings {
    /// Reads the annotations of a route object.
    pub(super) fn read(owner: Owner<'_>, profile: &Profile, regexes: &mut Regexes, problems: &mut Problems) -> Self {
        let mut settings = Self::default();
        if Reader::is_plain(owner) {
            return settings;
        }
        let mut reader = Reader { owner, problems };
        settings.strip_path = reader
            .true_or_false(annotations::STRIP_PATH)
            .unwrap_or(settings.strip_path);
        settings.read_redirect(&mut reader);
        settings.preserve_host = reader
            .true_or_false(annotations::PRESERVE_HOST)
            .unwrap_or(settings.preserve_host);
        settings.request_buffering = reader.boolean(annotations::REQUEST_BUFFERING).unwrap_or(true);
        settings.response_buffering = reader.boolean(annotations::RESPONSE_BUFFERING).unwrap_or(true);
        settings.read_protocols(&mut reader, profile);
        let priorities = i64::from(i32::MIN)..=i64::from(i32::MAX);
        settings.regex_priority = reader.number(annotations::REGEX_PRIORITY, priorities).unwrap_or(0);
        if let Some(handling) = reader.word(annotations::PATH_HANDLING, &["v0", "v1"]) {
            handling.clone_into(&mut settings.path_handling);
        }
        settings.read_matches(&mut reader, profile.router_flavor, regexes);
        settings
    }

    fn read_redirect(&mut self, reader: &mut Reader<'_, '_>) {
        let codes = ["301", "302", "307", "308", "426"];
        let code = reader.word(annotations::HTTPS_REDIRECT_STATUS_CODE, &codes);
        if let Some(code) = code.and_then(|code| code.parse().ok()) {
            self.https_redirect_status_code = code;
        }
        if reader.text(annotations::FORCE_SSL_REDIRECT) == Some("true") {
            if code.is_none() {
                self.https_redirect_status_code = 302;
            }
            self.protocols = Some(vec!["https".to_owned()]);
        }
    }

    /// An explicit list goes before what the redirect made of the protocols, as in Kong Ingress Controller.
    fn read_protocols(&mut self, reader: &mut Reader<'_, '_>, profile: &Profile) {
        let remedy = "use http, https, grpc, grpcs, ws, wss";
        let is_known = |protocol: &str| HTTP_PROTOCOLS.contains(&protocol);
        let list = reader.list_of(annotations::PROTOCOLS, "a protocol of HTTP routes", remedy, is_known);
        let Some(protocols) = list.filter(|list| !list.is_empty()) else {
            return;
        };
        let is_websocket = |protocol: &&&str| matches!(**protocol, "ws" | "wss");
        let websocket = protocols.iter().find(is_websocket);
        if websocket.is_some() && !protocols.iter().all(|protocol| is_websocket(&protocol)) {
            let message = "Kong takes ws and wss by themselves only".to_owned();
            reader.reject(
                annotations::PROTOCOLS,
                message,
                "use http and https: they carry WebSockets as well",
            );
            return;
        }
        if matches!(profile.edition, Some(Edition::OpenSource | Edition::Embedded))
            && let Some(protocol) = websocket
        {
            reader.problems.report(
                reader.owner,
                super::problems::annotation_field(annotations::PROTOCOLS),
                Reason::Unsupported,
                format!("the protocol {protocol} needs Kong Gateway Enterprise; the annotation is ignored"),
                "use http and https: they carry WebSockets as well",
            );
            return;
        }
        self.protocols = Some(protocols.into_iter().map(str::to_owned).collect());
    }

    fn read_matches(&mut self, reader: &mut Reader<'_, '_>, flavor: RouterFlavor, regexes: &mut Regexes) {
        if let Some(value) = reader.text(annotations::METHODS) {
            let methods: Vec<_> = annotations::list(value).map(str::to_uppercase).collect();
            match methods.iter().find(|method| !syntax::is_method(method)) {
                Some(bad) => {
                    let message = format!("{bad:?} is not an HTTP method");
                    reader.reject(annotations::METHODS, message, "use methods such as GET,POST");
                }
                None if methods.is_empty() => {}
                None => self.methods = Some(methods),
            }
        }
        let keep_good = flavor == RouterFlavor::Expressions;
        self.snis = names(reader, annotations::SNIS, keep_good, syntax::is_server_name);
        let aliases = names(reader, annotations::HOST_ALIASES, keep_good, syntax::is_host);
        self.host_aliases = aliases.unwrap_or_default();
        self.read_headers(reader, regexes);
        self.drop_what_protocols_exclude(reader);
    }

    fn read_headers(&mut self, reader: &mut Reader<'_, '_>, regexes: &mut Regexes) {
        let separator = reader
            .text(annotations::HEADERS_SEPARATOR)
            .filter(|text| !text.is_empty())
            .unwrap_or(",");
        let names = reader
            .owner
            .metadata
            .annotations
            .range(annotations::HEADERS.to_owned()..);
        for (annotation, value) in names.take_while(|(name, _)| name.starts_with(annotations::HEADERS)) {
            let name = &annotation[annotations::HEADERS.len()..];
            let values: Vec<_> = value
                .split(separator)
                .map(str::trim)
                .filter(|value| !value.is_empty())
                .collect();
            if !syntax::is_header_name(name) {
                let message = format!("a route can't match on the header {name:?}");
                reader.reject(
                    annotation,
                    message,
                    "name another header; hosts are matched by rules and host-aliases",
                );
            } else if values.is_empty() {
                let message = format!("no value is given for the header {name}");
                reader.reject(annotation, message, "give the values that match");
            } else if let Some(fault) = values.iter().find_map(|value| header_fault(value, regexes)) {
                reader.problems.report(
                    reader.owner,
                    super::problems::annotation_field(annotation),
                    Reason::InvalidRegex,
                    format!("the regular expression for the header {name} does not compile: {fault}; it is ignored"),
                    "correct the expression after ~*",
                );
            } else {
                self.headers
                    .insert(name.to_owned(), values.into_iter().map(str::to_owned).collect());
            }
        }
    }

    /// Kong refuses methods on routes for gRPC alone, and server names on routes without TLS.
    fn drop_what_protocols_exclude(&mut self, reader: &mut Reader<'_, '_>) {
        let Some(protocols) = &self.protocols else { return };
        let listed = protocols.join(",");
        if self.methods.is_some() && protocols.iter().all(|protocol| protocol.starts_with("grpc")) {
            self.methods = None;
            let message = format!("routes with the protocols {listed} can't match on methods");
            reader.reject(annotations::METHODS, message, "remove one of the two annotations");
        }
        let is_plain = |protocol: &String| matches!(protocol.as_str(), "http" | "grpc" | "ws");
        if self.snis.is_some() && protocols.iter().all(is_plain) {
            self.snis = None;
            let message = format!("routes with the protocols {listed} can't match on TLS server names");
            reader.reject(
                annotations::SNIS,
                message,
                "add https to the protocols, or remove one of the two annotations",
            );
        }
    }

    /// What tells its routes apart from others with the same hosts and paths.
    pub(super) fn distinction(&self) -> Option<String> {
        let is_default =
            self.methods.is_none() && self.snis.is_none() && self.headers.is_empty() && self.protocols.is_none();
        let parts = (
            &self.methods,
            &self.snis,
            &self.headers,
            &self.protocols,
            self.regex_priority,
        );
        (!is_default || self.regex_priority != 0).then(|| format!("{parts:?}"))
    }
}

/// A list of names. One bad name spoils all in the traditional router and is left out in the other, as in KIC.
fn names(
    reader: &mut Reader<'_, '_>,
    annotation: &str,
    keep_good: bool,
    passes: impl Fn(&str) -> bool,
) -> Option<Vec<String>> {
    let remedy = "use host names such as shop.example.com";
    let names = if keep_good {
        let value = reader.text(annotation)?;
        for bad in annotations::list(value).filter(|name| !passes(name)) {
            let message = format!("{bad:?} is not a host name; it is ignored");
            reader.problems.annotation(reader.owner, annotation, message, remedy);
        }
        annotations::list(value).filter(|name| passes(name)).collect()
    } else {
        reader.list_of(annotation, "a host name", remedy, passes)?
    };
    (!names.is_empty()).then(|| names.into_iter().map(str::to_owned).collect())
}

fn header_fault(value: &str, regexes: &mut Regexes) -> Option<String> {
    regexes.check(value.strip_prefix(HEADER_REGEX_MARKER)?).err()
}
