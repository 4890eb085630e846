//! What the annotations of a route object (an Ingress, a route of the Gateway API, ...) say about all its routes.
//!
//! Order and effect are `kic.md` 3. A value that can't be used is reported and counts as unset.

use std::collections::BTreeMap;

use proxy_config_schema::Plugin;

use super::{
    annotations::{self, Reader},
    draft::StreamMatches,
    problems::{Owner, Problems},
    regexes::Regexes,
    syntax,
};
use crate::model::{Edition, Kind, Profile, Reason, RouterFlavor};

const HTTP_PROTOCOLS: &[&str] = &["http", "https", "grpc", "grpcs", "ws", "wss"];
const TCP_PROTOCOLS: &[&str] = &["tcp", "tls", "tls_passthrough"];
const UDP_PROTOCOLS: &[&str] = &["udp"];
/// Marks a header value as a regular expression.
pub(super) const HEADER_REGEX_MARKER: &str = "~*";

/// Settings of all routes of an object; `None` where no annotation says anything that can be used.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct RouteSettings {
    pub(super) strip_path: Option<bool>,
    pub(super) preserve_host: Option<bool>,
    pub(super) https_redirect_status_code: Option<u16>,
    pub(super) request_buffering: Option<bool>,
    pub(super) response_buffering: Option<bool>,
    pub(super) protocols: Option<Vec<String>>,
    /// Whether plain protocols give way to those with TLS, unless `protocols` says otherwise.
    pub(super) force_https: bool,
    pub(super) regex_priority: Option<i64>,
    pub(super) path_handling: Option<String>,
    pub(super) methods: Option<Vec<String>>,
    /// Empty to take those away that the object has.
    pub(super) snis: Option<Vec<String>>,
    pub(super) host_aliases: Vec<String>,
    pub(super) headers: BTreeMap<String, Vec<String>>,
    /// What gives requests another path.
    pub(super) rewrite: Option<Plugin>,
}

/// What routes carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Http,
    Tcp,
    Udp,
}

impl Family {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::TCPRoute | Kind::TLSRoute | Kind::TCPIngress => Self::Tcp,
            Kind::UDPRoute | Kind::UDPIngress => Self::Udp,
            _ => Self::Http,
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
        settings.strip_path = reader.true_or_false(annotations::STRIP_PATH);
        settings.read_redirect(&mut reader);
        settings.preserve_host = reader.true_or_false(annotations::PRESERVE_HOST);
        settings.request_buffering = reader.boolean(annotations::REQUEST_BUFFERING);
        settings.response_buffering = reader.boolean(annotations::RESPONSE_BUFFERING);
        settings.read_protocols(&mut reader, profile);
        let priorities = i64::from(i32::MIN)..=i64::from(i32::MAX);
        settings.regex_priority = reader.number(annotations::REGEX_PRIORITY, priorities);
        let handling = reader.word(annotations::PATH_HANDLING, &["v0", "v1"]);
        settings.path_handling = handling.map(str::to_owned);
        settings.read_matches(&mut reader, profile.router_flavor, regexes);
        settings.drop_what_is_without_effect(&mut reader, profile.router_flavor);
        settings
    }

    fn read_redirect(&mut self, reader: &mut Reader<'_, '_>) {
        let codes = ["301", "302", "307", "308", "426"];
        let code = reader.word(annotations::HTTPS_REDIRECT_STATUS_CODE, &codes);
        if let Some(code) = code.and_then(|code| code.parse().ok()) {
            self.https_redirect_status_code = Some(code);
        }
        if reader.is_true(annotations::FORCE_SSL_REDIRECT) {
            self.https_redirect_status_code = self.https_redirect_status_code.or(Some(302));
            self.force_https = true;
        }
    }

    /// An explicit list goes before what the redirect made of the protocols, as in Kong Ingress Controller.
    fn read_protocols(&mut self, reader: &mut Reader<'_, '_>, profile: &Profile) {
        let (what, known) = match Family::of(reader.owner.kind) {
            Family::Http => ("a protocol of HTTP routes", HTTP_PROTOCOLS),
            Family::Tcp => ("a protocol of TCP routes", TCP_PROTOCOLS),
            Family::Udp => ("a protocol of UDP routes", UDP_PROTOCOLS),
        };
        let remedy = format!("use {}", known.join(", "));
        let is_known = |protocol: &str| known.contains(&protocol);
        let list = reader.list_of(annotations::PROTOCOLS, what, &remedy, is_known);
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
        if protocols.len() > 1 && protocols.contains(&"tls_passthrough") {
            let message = "Kong takes tls_passthrough by itself only".to_owned();
            reader.reject(annotations::PROTOCOLS, message, "name tls_passthrough alone");
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
        let keep_good = flavor.is_expressions();
        self.snis = names(reader, annotations::SNIS, keep_good, syntax::is_server_name);
        if reader
            .text(annotations::SNIS)
            .is_some_and(|value| annotations::list(value).next().is_none())
        {
            self.snis = Some(Vec::new());
        }
        let aliases = names(reader, annotations::HOST_ALIASES, keep_good, syntax::is_host);
        self.host_aliases = aliases.unwrap_or_default();
        self.read_headers(reader, regexes);
        self.drop_what_protocols_exclude(reader);
    }

    fn read_headers(&mut self, reader: &mut Reader<'_, '_>, regexes: &mut Regexes) {
        if !annotations::is_read_on(annotations::HEADERS, reader.owner.kind) {
            return;
        }
        let separator = reader
            .text(annotations::HEADERS_SEPARATOR)
            .filter(|text| !text.is_empty())
            .unwrap_or(",");
        let annotated = &reader.owner.metadata.annotations;
        for (annotation, value) in annotated.starting_with(annotations::HEADERS) {
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
                for pattern in values
                    .iter()
                    .filter_map(|value| value.strip_prefix(HEADER_REGEX_MARKER))
                {
                    let field = || super::problems::annotation_field(annotation);
                    regexes.tell_doubt(reader.owner, field, pattern, reader.problems);
                }
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
        let is_plain = |protocol: &String| matches!(protocol.as_str(), "http" | "grpc" | "ws" | "tcp" | "udp");
        // Those of gRPC and of HTTP together become http and https.
        let starts = |prefix: &str| protocols.iter().any(|protocol| protocol.starts_with(prefix));
        let has_tls = !protocols.iter().all(is_plain) || (starts("grpc") && starts("http"));
        if self.snis.as_ref().is_some_and(|names| !names.is_empty()) && !has_tls {
            self.snis = None;
            let message = format!("routes with the protocols {listed} can't match on TLS server names");
            reader.reject(
                annotations::SNIS,
                message,
                "add https to the protocols, or remove one of the two annotations",
            );
        }
    }

    /// Takes away, with a problem, what can't act on routes of that kind in that router (`kic.md` 3, last column).
    fn drop_what_is_without_effect(&mut self, reader: &mut Reader<'_, '_>, flavor: RouterFlavor) {
        let kind = reader.owner.kind;
        if !flavor.is_expressions() || kind == Kind::Ingress {
            return;
        }
        let why = "with the expressions router it acts on Ingresses alone";
        let remedy = format!("remove the annotation, and match in the rules of the {}", kind.name());
        let mut dropped = Vec::new();
        if self.methods.take().is_some() {
            dropped.push(annotations::METHODS.to_owned());
        }
        if !std::mem::take(&mut self.host_aliases).is_empty() {
            dropped.push(annotations::HOST_ALIASES.to_owned());
        }
        let headers = std::mem::take(&mut self.headers);
        dropped.extend(headers.into_keys().map(|name| annotations::HEADERS.to_owned() + &name));
        for annotation in dropped {
            reader.reject(&annotation, why.to_owned(), remedy.as_str());
        }
    }

    /// Takes server names away, with a problem, from routes whose listeners have no TLS: Kong refuses them.
    pub(super) fn fit_server_names(&mut self, owner: Owner<'_>, own: Option<&[&str]>, problems: &mut Problems) {
        let is_tls = |protocol: &String| matches!(protocol.as_str(), "https" | "grpcs" | "wss");
        let has_tls = self.protocols(own).is_none_or(|protocols| protocols.iter().any(is_tls));
        if !has_tls && self.snis.take().is_some_and(|names| !names.is_empty()) {
            let message = "its listeners have no TLS, so that there are no server names".to_owned();
            let remedy = "remove the annotation, or attach the route to an HTTPS listener";
            Reader { owner, problems }.reject(annotations::SNIS, message, remedy);
        }
    }

    /// Takes methods away, with a problem, from routes for gRPC: Kong refuses them.
    pub(super) fn fit_methods(&mut self, owner: Owner<'_>, own: Option<&[&str]>, problems: &mut Problems) {
        let is_grpc = |protocol: &String| protocol.starts_with("grpc");
        let protocols = self.protocols(own).unwrap_or_default();
        if !protocols.is_empty() && protocols.iter().all(is_grpc) && self.methods.take().is_some() {
            let message = "gRPC calls all have the same method".to_owned();
            let remedy = "remove the annotation, and match in the rules of the route";
            Reader { owner, problems }.reject(annotations::METHODS, message, remedy);
        }
    }

    /// Takes away, with a problem, what would leave a stream route without anything to match by, or with what its
    /// protocols don't have.
    pub(super) fn fit_stream(
        &mut self,
        owner: Owner<'_>,
        matches: &StreamMatches,
        own: &'static str,
        problems: &mut Problems,
    ) {
        let protocols = self.protocols(Some(&[own])).unwrap_or_default();
        let is_tls = |protocol: &String| protocol.starts_with("tls");
        let mut reader = Reader { owner, problems };
        if let Some(names) = &self.snis {
            let fault = if names.is_empty() {
                matches
                    .ports
                    .is_empty()
                    .then_some("the route would match nothing without server names")
            } else {
                (!protocols.iter().any(is_tls)).then_some("connections without TLS have no server names")
            };
            if let Some(fault) = fault {
                let remedy = format!("remove the annotation, or set {} to tls", annotations::PROTOCOLS);
                reader.reject(annotations::SNIS, fault.to_owned(), remedy);
                self.snis = None;
            }
        }
        let names = self.snis.as_ref().unwrap_or(&matches.server_names);
        let fault = if names.is_empty() {
            let is_passthrough = protocols.iter().any(|protocol| protocol == "tls_passthrough");
            is_passthrough.then_some("tls_passthrough needs server names to match by")
        } else {
            (!protocols.iter().any(is_tls)).then_some("the route matches by server names, which need TLS")
        };
        if let Some(fault) = fault.filter(|_| self.protocols.is_some()) {
            reader.reject(annotations::PROTOCOLS, fault.to_owned(), "remove the annotation");
            self.protocols = None;
        }
    }

    /// The protocols of a route that has these by itself; `None` leaves them to Kong.
    pub(super) fn protocols(&self, own: Option<&[&str]>) -> Option<Vec<String>> {
        if let Some(protocols) = &self.protocols {
            return Some(protocols.clone());
        }
        let own = own.unwrap_or_default();
        if !self.force_https {
            return (!own.is_empty()).then(|| own.iter().map(|protocol| (*protocol).to_owned()).collect());
        }
        let secured = own.iter().map(|protocol| match *protocol {
            "http" => "https",
            "grpc" => "grpcs",
            other => other,
        });
        let mut protocols: Vec<_> = secured.map(str::to_owned).collect();
        if protocols.is_empty() {
            protocols.push("https".to_owned());
        }
        protocols.dedup();
        Some(protocols)
    }

    /// What tells its routes apart from others with the same hosts and paths.
    pub(super) fn distinction(&self) -> Option<String> {
        let protocols = self.protocols(None);
        let parts = (
            &self.methods,
            &self.snis,
            &self.headers,
            &protocols,
            self.regex_priority.unwrap_or_default(),
        );
        let is_default = parts == (&None, &None, &BTreeMap::new(), &None, 0);
        (!is_default).then(|| format!("{parts:?}"))
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
