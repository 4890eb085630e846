//! The annotation `konghq.com/rewrite`: another path towards the backend, made of captures of the route's regular
//! expression (`kic.md` 4.3.6). Called for each Ingress.

use proxy_config_schema::{JsonObject, Plugin};
use serde_json::json;

use super::{
    FeatureGates, MissingPlugin, annotations,
    problems::{Owner, Problems, annotation_field},
};
use crate::model::Reason;

/// What the annotation comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rewrite {
    /// Nothing: requests keep their path.
    Keep,
    /// A plugin of every route.
    Plugin(Box<Plugin>),
    /// The routes are left out.
    LeaveOut,
}

/// Reads the annotation. One that can't be read closes the routes: with its path unchanged a request could reach what it
/// must not.
pub(super) fn read(
    owner: Owner<'_>,
    gates: &FeatureGates,
    missing_plugin: MissingPlugin,
    problems: &mut Problems,
) -> Rewrite {
    let Some(value) = owner.metadata.annotation(annotations::REWRITE) else {
        return Rewrite::Keep;
    };
    if !gates.rewrite_uris {
        problems.report(
            owner,
            annotation_field(annotations::REWRITE),
            Reason::Ignored,
            "rewriting of paths by annotation is switched off; requests keep their path",
            "switch it on with --feature-gates RewriteURIs=true, or remove the annotation",
        );
        return Rewrite::Keep;
    }
    let fault = match uri(value) {
        Ok(uri) => return Rewrite::Plugin(Box::new(transformer(&uri))),
        Err(fault) => fault,
    };
    let (consequence, rewrite) = match missing_plugin {
        MissingPlugin::FailClosed => ("its routes answer 503", Rewrite::Plugin(Box::new(termination()))),
        MissingPlugin::Omit => ("its routes are left out", Rewrite::LeaveOut),
    };
    problems.annotation(
        owner,
        annotations::REWRITE,
        format!("{value:?} can't be used: {fault}; {consequence}"),
        r"write captures as $1, $2, ..., and a dollar sign as \$",
    );
    rewrite
}

/// The path as the plugin takes it.
fn uri(value: &str) -> Result<String, Fault> {
    if value.is_empty() {
        return Ok("/".to_owned());
    }
    let mut uri = String::with_capacity(value.len());
    let mut rest = value.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '$' => {
                let mut group = String::new();
                while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                    group.push(digit);
                }
                match (group.as_str(), rest.peek()) {
                    ("", None) => return Err(Fault::LoneDollar),
                    ("", Some(_)) => return Err(Fault::NoGroup),
                    (group, _) => uri.push_str(&format!("$(uri_captures[{group}])")),
                }
            }
            '\\' => match rest.next() {
                Some('$') => uri.push('$'),
                Some(_) => return Err(Fault::UnknownEscape),
                None => return Err(Fault::LoneBackslash),
            },
            other => uri.push(other),
        }
    }
    Ok(uri)
}

/// Why a path can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("a dollar sign stands alone at the end")]
    LoneDollar,
    #[error("a dollar sign stands before something that is no digit")]
    NoGroup,
    #[error("a backslash stands alone at the end")]
    LoneBackslash,
    #[error("a backslash stands before something that is no dollar sign")]
    UnknownEscape,
}

/// Without identifier and tags, as in Kong Ingress Controller.
fn transformer(uri: &str) -> Plugin {
    let mut config = JsonObject::new();
    config.insert("replace".to_owned(), json!({ "uri": uri }));
    Plugin {
        name: "request-transformer".to_owned(),
        config: Some(config.into()),
        ..Plugin::default()
    }
}

fn termination() -> Plugin {
    let mut config = JsonObject::new();
    config.insert("status_code".to_owned(), json!(503));
    config.insert(
        "message".to_owned(),
        json!("the rewrite rule of this route can't be used"),
    );
    Plugin {
        name: "request-termination".to_owned(),
        config: Some(config.into()),
        ..Plugin::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_become_templates_and_escaped_dollars_stay() {
        for (value, expected) in [
            ("", "/"),
            ("/a", "/a"),
            ("/a/$1/$12/b", "/a/$(uri_captures[1])/$(uri_captures[12])/b"),
            (r"/\$1", "/$1"),
            ("/ü$1", "/ü$(uri_captures[1])"),
        ] {
            assert_eq!(uri(value).as_deref(), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_capture_is_named() {
        for (value, fault) in [
            ("/$", Fault::LoneDollar),
            ("/$a", Fault::NoGroup),
            (r"/\", Fault::LoneBackslash),
            (r"/\a", Fault::UnknownEscape),
        ] {
            assert_eq!(uri(value), Err(fault), "{value}");
        }
    }
}
