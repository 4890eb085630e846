//! Filters of rules -> plugins of their routes (`kic.md` 4.6.5).
//!
//! A filter that can't be had closes its rule: nothing runs without what its user put in front. Of raw objects the whole
//! service is left out, as in Kong Ingress Controller.

use proxy_config_schema as kong;
use serde_json::{Map, Value, json};

use super::{
    backends::plugin,
    http_match::{Match, PathKind, PathRule},
    note_error,
};
use crate::{
    model::{
        Kind, Reason,
        gateway::{HttpHeaderFilter, HttpRequestRedirectFilter, HttpRouteFilter, HttpUrlRewriteFilter},
    },
    translate::{Settings, draft::Extension, problems::Owner, state::State},
};

/// The version of Kong that brings the plugin `redirect`.
const REDIRECT_SINCE: (u16, u16) = (3, 9);

/// What the filters of a rule come to.
#[derive(Debug, Default)]
pub(super) struct Filters<'a> {
    request: Transformer,
    response: Transformer,
    redirect: Option<Redirect<'a>>,
    /// What stands in for the prefix that matched, without slashes at its end.
    prefix: Option<&'a str>,
    /// KongPlugins that are named.
    pub(super) extensions: Vec<Extension<'a>>,
    /// Whether a filter can't be had.
    pub(super) is_closed: bool,
    /// Whether that is for another one beside it.
    pub(super) is_incompatible: bool,
    /// Plain HTTP is sent to HTTPS with this status code: the route does that by itself.
    pub(super) https_redirect_status_code: Option<u16>,
}

/// Changes of headers and path, in the form of Kong's transformer plugins.
#[derive(Debug, Default)]
struct Transformer {
    remove: Vec<String>,
    replace: Vec<String>,
    add: Vec<String>,
    append: Vec<String>,
    uri: Option<String>,
}

#[derive(Debug)]
struct Redirect<'a> {
    status_code: u16,
    /// Scheme, host and port; empty to stay at those of the request.
    origin: String,
    /// The new path; `None` to keep that of the request.
    path: Option<&'a str>,
    /// Whether the proxy has a plugin for it.
    by_plugin: bool,
}

/// Who has the filters, and what its routes are reached by.
pub(super) struct Place<'a, 'c> {
    pub(super) owner: Owner<'a>,
    pub(super) rule: usize,
    pub(super) protocols: Option<&'c [&'static str]>,
}

impl<'a> Filters<'a> {
    /// Reads the filters of a rule.
    pub(super) fn read(place: &Place<'a, '_>, filters: &'a [HttpRouteFilter], state: &mut State<'a>) -> Self {
        let mut found = Self::default();
        for (position, filter) in filters.iter().enumerate() {
            let field = format!("spec.rules[{}].filters[{position}]", place.rule);
            if let Err(fault) = found.add(place, &field, filter, state.settings) {
                found.close(place, field, fault, state);
            }
        }
        let of_type = |type_: &str| filters.iter().position(|filter| filter.type_ == type_);
        if let (Some(_), Some(position), false) = (
            of_type("RequestRedirect"),
            of_type("URLRewrite"),
            state.settings.raw_objects,
        ) {
            found.is_incompatible = !found.is_closed;
            let message = "the Gateway API lets a rule redirect requests or rewrite them, not both".to_owned();
            let remedy =
                "keep RequestRedirect or URLRewrite; requests that want the other one need a rule of their own";
            let fault = Fault::unsupported(".type", message, remedy);
            found.close(
                place,
                format!("spec.rules[{}].filters[{position}]", place.rule),
                fault,
                state,
            );
        }
        found
    }

    /// Requests of the rule are not served: something that its user put in front of it can't be had.
    fn close(&mut self, place: &Place<'a, '_>, field: String, fault: Fault, state: &mut State<'a>) {
        self.is_closed = true;
        let consequence = if state.settings.raw_objects {
            "the rule's backends are left out"
        } else {
            "requests of the rule get 500"
        };
        let message = format!("{}; {consequence}", fault.message);
        let field = field + fault.field;
        note_error(place.owner, &format!("{field}: {message}"), state);
        state
            .problems
            .report(place.owner, field, fault.reason, message, fault.remedy);
    }

    /// Closes a rule that replaces a prefix which none of its matches has.
    pub(super) fn check_against(&mut self, matches: &[Match<'a>], place: &Place<'a, '_>, state: &mut State<'a>) {
        let is_prefix = |found: &Match<'_>| found.path.as_ref().is_some_and(|path| path.kind == PathKind::Prefix);
        if state.settings.raw_objects || self.is_closed || !self.replaces_prefix() || matches.iter().all(is_prefix) {
            return;
        }
        let field = format!("spec.rules[{}].filters", place.rule);
        let message = "a prefix is replaced, and a match of the rule has none; its requests get 500".to_owned();
        note_error(place.owner, &format!("{field}: {message}"), state);
        let remedy = "match by a path of type PathPrefix, or use ReplaceFullPath";
        state
            .problems
            .report(place.owner, field, Reason::InvalidField, message, remedy);
        self.is_closed = !matches.iter().any(is_prefix);
    }

    fn add(
        &mut self,
        place: &Place<'a, '_>,
        field: &str,
        filter: &'a HttpRouteFilter,
        settings: &Settings,
    ) -> Result<(), Fault> {
        let is_http = place.owner.kind == Kind::HTTPRoute;
        match filter.type_.as_str() {
            "RequestHeaderModifier" => self
                .request
                .add(".requestHeaderModifier", &filter.request_header_modifier),
            "ResponseHeaderModifier" => self
                .response
                .add(".responseHeaderModifier", &filter.response_header_modifier),
            "RequestRedirect" if is_http => {
                let redirect = filter.request_redirect.as_ref();
                self.redirect(redirect.ok_or(Fault::empty(".requestRedirect"))?, place, settings)
            }
            "URLRewrite" if is_http => self.rewrite(filter.url_rewrite.as_ref().ok_or(Fault::empty(".urlRewrite"))?),
            "ExtensionRef" => {
                let reference = filter.extension_ref.as_ref().ok_or(Fault::empty(".extensionRef"))?;
                if reference.group != Kind::KongPlugin.group() || reference.kind != Kind::KongPlugin.name() {
                    let message = format!("filters of kind {} are not supported", reference.kind);
                    return Err(Fault::unsupported(".extensionRef.kind", message, "name a KongPlugin"));
                }
                self.extensions.push(Extension {
                    name: &reference.name,
                    field: format!("{field}.extensionRef"),
                });
                Ok(())
            }
            other => Err(Fault::unsupported(
                ".type",
                format!("httpFilter {other} unsupported"),
                "remove the filter, or use a KongPlugin by ExtensionRef",
            )),
        }
    }

    fn redirect(
        &mut self,
        given: &'a HttpRequestRedirectFilter,
        place: &Place<'_, '_>,
        settings: &Settings,
    ) -> Result<(), Fault> {
        let status_code = given.status_code.unwrap_or(302);
        if !matches!(status_code, 301 | 302 | 303 | 307 | 308) {
            let message = format!("{status_code} is not a status code of redirects");
            let remedy = "use 301, 302, 303, 307 or 308";
            return Err(Fault::invalid(".requestRedirect.statusCode", message, remedy));
        }
        let scheme = given.scheme.as_deref().map(str::to_ascii_lowercase);
        if scheme
            .as_deref()
            .is_some_and(|scheme| !matches!(scheme, "http" | "https"))
        {
            let message = "the scheme is neither http nor https".to_owned();
            return Err(Fault::invalid(".requestRedirect.scheme", message, "use http or https"));
        }
        let path = match given.path.as_ref().map(|path| (path.type_.as_str(), path)) {
            None => None,
            Some(("ReplaceFullPath", path)) => Some(path.replace_full_path.as_deref().unwrap_or("/")),
            // Kong Ingress Controller redirects to where the request came from.
            Some(_) if settings.raw_objects => None,
            Some(_) => {
                let message = "a redirect can't replace a part of the path".to_owned();
                let remedy = "replace the path as a whole, or rewrite it without a redirect";
                return Err(Fault::unsupported(".requestRedirect.path", message, remedy));
            }
        };
        let port = given.port.map(|port| format!(":{port}")).unwrap_or_default();
        let origin = match &given.hostname {
            Some(host) => {
                let is_secure = place.protocols == Some(&["https"]) && !settings.raw_objects;
                let own = if is_secure { "https" } else { "http" };
                format!("{}://{host}{port}", scheme.as_deref().unwrap_or(own))
            }
            None => String::new(),
        };
        if given.hostname.is_none() && !settings.raw_objects && (scheme.is_some() || given.port.is_some()) {
            let is_upgrade = scheme.as_deref() == Some("https") && matches!(given.port, None | Some(443));
            if is_upgrade && path.is_none() && status_code != 303 {
                self.https_redirect_status_code.get_or_insert(status_code);
                return Ok(());
            }
            let message = "a redirect to another scheme or port needs a host name with Kong".to_owned();
            let remedy = "name the host in requestRedirect.hostname; scheme https alone works without one";
            return Err(Fault::unsupported(".requestRedirect.hostname", message, remedy));
        }
        let by_plugin = settings
            .profile
            .version
            .is_some_and(|version| version >= REDIRECT_SINCE);
        self.redirect.get_or_insert(Redirect {
            status_code,
            origin,
            path,
            by_plugin,
        });
        Ok(())
    }

    fn rewrite(&mut self, given: &'a HttpUrlRewriteFilter) -> Result<(), Fault> {
        if let Some(host) = &given.hostname {
            let header = format!("host:{host}");
            self.request.replace.push(header.clone());
            self.request.add.push(header);
        }
        let Some(path) = &given.path else { return Ok(()) };
        match path.type_.as_str() {
            "ReplaceFullPath" => {
                let full = path.replace_full_path.as_deref().unwrap_or("/");
                self.request.uri.get_or_insert_with(|| full.to_owned());
            }
            "ReplacePrefixMatch" => {
                let prefix = path.replace_prefix_match.as_deref().unwrap_or("/");
                self.prefix.get_or_insert(prefix.trim_end_matches('/'));
            }
            other => {
                let message = format!("changes of the path of type {other:?} are not supported");
                let remedy = "use ReplaceFullPath or ReplacePrefixMatch";
                return Err(Fault::unsupported(".urlRewrite.path.type", message, remedy));
            }
        }
        Ok(())
    }

    /// Whether the part of the path that matched is replaced: it must be captured then.
    pub(super) fn replaces_prefix(&self) -> bool {
        self.prefix.is_some() && self.request.uri.is_none()
    }

    /// Whether what is made of the filters depends on the path, so that matches need routes of their own.
    pub(super) fn needs_own_route(&self) -> bool {
        self.redirect
            .as_ref()
            .is_some_and(|redirect| !redirect.by_plugin && redirect.path.is_none())
    }

    /// The plugins of a route with that path. What of the filters does not fit the path closes the route.
    pub(super) fn plugins(&self, path: Option<&PathRule<'_>>) -> Vec<kong::Plugin> {
        let is_prefix = path.is_some_and(|path| path.kind == PathKind::Prefix);
        if self.is_closed || (self.replaces_prefix() && !is_prefix) {
            let message = "a filter of this rule is not supported";
            return vec![plugin(
                "request-termination",
                json!({"status_code": 500, "message": message}),
            )];
        }
        let mut plugins = Vec::new();
        let mut location = None;
        if let Some(redirect) = &self.redirect {
            if redirect.by_plugin {
                let config = json!({
                    "status_code": redirect.status_code,
                    "location": format!("{}{}", redirect.origin, redirect.path.unwrap_or("/")),
                    "keep_incoming_path": redirect.path.is_none(),
                });
                plugins.push(plugin("redirect", config));
            } else {
                let own = path
                    .filter(|path| path.kind != PathKind::Regex)
                    .map_or("/", |path| path.value);
                location = Some(format!("Location:{}{}", redirect.origin, redirect.path.unwrap_or(own)));
                plugins.push(plugin(
                    "request-termination",
                    json!({"status_code": redirect.status_code}),
                ));
            }
        }
        let uri = match self.prefix.filter(|_| self.replaces_prefix()) {
            Some(prefix) => Some(captured(prefix, path.is_some_and(PathRule::is_root))),
            None => self.request.uri.clone(),
        };
        plugins.extend(self.request.plugin("request-transformer", uri, None));
        plugins.extend(self.response.plugin("response-transformer", None, location.as_ref()));
        plugins
    }
}

/// What stands in for a path whose rest was captured.
fn captured(prefix: &str, is_root: bool) -> String {
    match (is_root, prefix.is_empty()) {
        (true, true) => r#"$(uri_captures[1] == nil and "/" or "/" .. uri_captures[1])"#.to_owned(),
        (true, false) => format!(r#"{prefix}$(uri_captures[1] == nil and "" or "/" .. uri_captures[1])"#),
        (false, true) => r#"$(uri_captures[1] == nil and "/" or uri_captures[1])"#.to_owned(),
        (false, false) => format!("{prefix}$(uri_captures[1])"),
    }
}

impl Transformer {
    fn add(&mut self, field: &'static str, given: &Option<HttpHeaderFilter>) -> Result<(), Fault> {
        let given = given.as_ref().ok_or(Fault::empty(field))?;
        let names = given.set.iter().chain(&given.add).map(|header| &header.name);
        let bad = names.chain(&given.remove).find(|name| !is_header_name(name));
        if let Some(bad) = bad {
            let message = format!("{bad:?} is not a name of a header");
            return Err(Fault::invalid(field, message, "use letters, digits and hyphens"));
        }
        let mut values = given.set.iter().chain(&given.add);
        if let Some(bad) = values.find(|header| header.value.chars().any(char::is_control)) {
            let message = format!("the value for the header {} holds a control character", bad.name);
            return Err(Fault::invalid(field, message, "use printable characters"));
        }
        for header in &given.set {
            let item = format!("{}:{}", header.name, header.value);
            self.replace.push(item.clone());
            self.add.push(item);
        }
        let added = given
            .add
            .iter()
            .map(|header| format!("{}:{}", header.name, header.value));
        self.append.extend(added);
        self.remove.extend(given.remove.iter().cloned());
        Ok(())
    }

    /// The plugin that makes the changes, if there are any.
    fn plugin(&self, name: &str, uri: Option<String>, location: Option<&String>) -> Option<kong::Plugin> {
        let mut config = Map::new();
        let mut put = |part: &str, headers: Vec<&String>, uri: Option<String>| {
            let mut fields = Map::new();
            if !headers.is_empty() {
                fields.insert("headers".to_owned(), json!(headers));
            }
            if let Some(uri) = uri {
                fields.insert("uri".to_owned(), json!(uri));
            }
            if !fields.is_empty() {
                config.insert(part.to_owned(), Value::Object(fields));
            }
        };
        put("remove", self.remove.iter().collect(), None);
        put("replace", self.replace.iter().collect(), uri);
        put("add", location.into_iter().chain(&self.add).collect(), None);
        put("append", self.append.iter().collect(), None);
        (!config.is_empty()).then(|| plugin(name, Value::Object(config)))
    }
}

/// Whether it is a name of a header (RFC 9110: a token).
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Why a filter can't be had.
#[derive(Debug)]
struct Fault {
    /// What follows the filter's field.
    field: &'static str,
    reason: Reason,
    message: String,
    remedy: &'static str,
}

impl Fault {
    fn unsupported(field: &'static str, message: String, remedy: &'static str) -> Self {
        Self {
            field,
            reason: Reason::Unsupported,
            message,
            remedy,
        }
    }

    fn invalid(field: &'static str, message: String, remedy: &'static str) -> Self {
        Self {
            field,
            reason: Reason::InvalidField,
            message,
            remedy,
        }
    }

    fn empty(field: &'static str) -> Self {
        Self::invalid(
            field,
            "the filter says nothing".to_owned(),
            "fill in what the type asks for",
        )
    }
}
