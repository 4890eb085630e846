//! Rules of HTTPRoutes -> routes of the traditional router (`kic.md` 4.6.2): matches that differ in their paths alone share
//! a route.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use super::{
    http_match::{Match, PathKind, PathRule},
    http_route::Rule,
    translation_error,
};
use crate::{
    model::Reason,
    translate::{
        draft::{FieldMatches, Matches, RouteDefaults, RouteDraft},
        field_path::{self, FieldPath, Origin},
        state::State,
    },
};

/// Matches that become one route.
type Group<'r, 'a> = Vec<(&'r Rule<'a>, &'r Match<'a>)>;

/// The routes of a service.
pub(super) fn routes<'a>(rules: &[Rule<'a>], state: &mut State<'a>) -> Vec<RouteDraft<'a>> {
    let mut groups: Vec<Group<'_, 'a>> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut routes = Vec::new();
    for rule in rules {
        if rule.spec.matches.is_empty() && rule.matches.is_empty() {
            routes.extend(unmatched(rule, state));
        }
        let filters = filters_key(rule);
        for found in &rule.matches {
            let key = format!("{filters} {}", match_key(rule, found));
            match positions.entry(key) {
                Entry::Occupied(entry) => groups[*entry.get()].push((rule, found)),
                Entry::Vacant(entry) => {
                    entry.insert(groups.len());
                    groups.push(vec![(rule, found)]);
                }
            }
        }
    }
    routes.extend(groups.iter().map(|group| route(group, state)));
    routes
}

/// Rules with equal filters, in whatever order they stand, are treated alike.
fn filters_key(rule: &Rule<'_>) -> String {
    let filters = rule.spec.filters.iter();
    let mut texts: Vec<_> = filters
        .map(|filter| serde_json::to_string(filter).expect("filters have string keys only"))
        .collect();
    texts.sort_unstable();
    texts.join(",")
}

/// What matches of one route have in common.
fn match_key(rule: &Rule<'_>, found: &Match<'_>) -> String {
    let mut headers: Vec<_> = found
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), header.is_regex, header.value))
        .collect();
    headers.sort_unstable();
    let metadata = rule.context.owner.metadata;
    let path = found.path.as_ref().filter(|_| rule.filters.replaces_prefix());
    let path = path.map(|path| (path.kind == PathKind::Prefix, path.is_root()));
    let own = rule.filters.needs_own_route().then_some((rule.index, found.index));
    format!(
        "{:?}",
        (
            (&metadata.namespace, &metadata.name, found.method, headers),
            (path, own, rule.https_redirect_status_code),
        )
    )
}

/// A rule of a raw object without matches: by host names alone.
fn unmatched<'a>(rule: &Rule<'a>, state: &mut State<'a>) -> Option<RouteDraft<'a>> {
    let context = &rule.context;
    if context.hostnames.is_empty() {
        translation_error(
            context.owner,
            &format!("spec.rules[{}].matches", rule.index),
            Reason::InvalidField,
            "no match rules or hostnames specified",
            "add a match or a host name",
            state,
        );
        return None;
    }
    let fields = FieldMatches {
        hosts: context.hostnames.clone(),
        rule: (rule.index, 0),
        ..FieldMatches::default()
    };
    Some(RouteDraft {
        name: format!("{}.{}.0", rule.prefix(), rule.index),
        owner: context.owner,
        matches: Matches::Fields(fields),
        defaults: RouteDefaults {
            preserve_host: Some(true),
            protocols: context.protocols.clone(),
            ..RouteDefaults::default()
        },
        settings: context.settings.clone(),
        rule_names: Vec::new(),
        plugins: Vec::new(),
        extensions: Vec::new(),
    })
}

fn route<'a>(group: &Group<'_, 'a>, state: &State<'a>) -> RouteDraft<'a> {
    let (first, found) = group[0];
    let context = &first.context;
    let mut fields = FieldMatches {
        hosts: context.hostnames.clone(),
        methods: found.method.into_iter().map(str::to_owned).collect(),
        headers: headers(found),
        paths: Vec::new(),
        rule: (first.index, found.index),
        gives_way: first.filters.https_redirect_status_code.is_some(),
    };
    let mut rule_names = Vec::new();
    for (rule, found) in group {
        for path in found
            .path
            .iter()
            .flat_map(|path| paths(rule, path, state.settings.raw_objects))
        {
            if state.settings.raw_objects {
                fields.paths.push(path);
            } else {
                field_path::add(&mut fields.paths, path);
            }
        }
        if let Some(name) = rule.name().filter(|name| !rule_names.contains(name)) {
            rule_names.push(name);
        }
    }
    RouteDraft {
        name: format!("{}.{}.{}", first.prefix(), first.index, found.index),
        owner: context.owner,
        matches: Matches::Fields(fields),
        defaults: defaults(first),
        settings: context.settings.clone(),
        rule_names,
        plugins: first.filters.plugins(found.path.as_ref()),
        extensions: first.filters.extensions.clone(),
    }
}

/// What routes of an HTTPRoute are without annotations, in either flavour.
pub(super) fn defaults(rule: &Rule<'_>) -> RouteDefaults {
    let protocols = match rule.filters.https_redirect_status_code {
        Some(_) => Some(vec!["https"]),
        None => rule.context.protocols.clone(),
    };
    RouteDefaults {
        strip_path: Some(false),
        preserve_host: Some(true),
        https_redirect_status_code: rule.https_redirect_status_code,
        protocols,
        ..RouteDefaults::default()
    }
}

fn headers(found: &Match<'_>) -> BTreeMap<String, Vec<String>> {
    let headers = found.headers.iter();
    headers
        .map(|header| (header.name.to_owned(), vec![header.traditional()]))
        .collect()
}

fn paths(rule: &Rule<'_>, path: &PathRule<'_>, raw_objects: bool) -> Vec<FieldPath> {
    if !rule.filters.replaces_prefix() || path.kind != PathKind::Prefix {
        return path.traditional(raw_objects);
    }
    let prefix = path.literal();
    if path.is_root() {
        vec![FieldPath::below("~/(.*)", "/")]
    } else {
        vec![
            FieldPath::new(format!("~{prefix}$"), Origin::PrefixItself),
            FieldPath::below(format!("~{prefix}(/.*)"), format!("{}/", path.trimmed())),
        ]
    }
}
