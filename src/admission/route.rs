//! Routes of all kinds, and whatever else translation alone judges. Pure.

use proxy_config_schema::{Route, Secrets};
use serde_json::Value;

use super::{
    Change, Question, Review,
    needs::Unknown,
    translation::{self, Translated},
    verdict::{self, Gravity},
};
use crate::model::{Kind, Object, Problem, Reason};

/// Most routes of an object that proxies are asked about.
const MAX_QUESTIONS: usize = 16;
const PROTOCOLS: &str = "konghq.com/protocols";

/// Judges by the problems that the change brings to its object, and asks the proxies about its routes.
pub(super) fn check(change: &Change, translations: &[Translated], unknown: &Unknown, review: &mut Review) {
    for (problem, is_everywhere) in translation::problems_of(translations, change.kind, &change.key) {
        if unknown.may_be_behind(&problem) {
            continue;
        }
        match verdict::gravity(change.kind, &problem) {
            Gravity::Denial if is_everywhere => review.verdict.deny(denial(change, &problem)),
            Gravity::Denial | Gravity::Warning => review.verdict.warn(verdict::text(&problem)),
            Gravity::None => {}
        }
    }
    if review.verdict.is_allowed() && matches!(change.kind, Kind::Ingress | Kind::HTTPRoute) {
        for translated in translations {
            ask(change, translated, review);
        }
    }
}

/// Why, in the words of Kong Ingress Controller as far as it has some.
fn denial(change: &Change, problem: &Problem) -> String {
    let kind = change.kind.name();
    let text = verdict::text(problem);
    match problem.reason {
        Reason::InvalidAnnotation => match invalid_protocol(&change.new, problem) {
            Some(protocol) => {
                format!("{kind} has invalid Kong annotations: invalid {PROTOCOLS} value: {protocol}: {text}")
            }
            None => format!("{kind} has invalid Kong annotations: {text}"),
        },
        Reason::Unsupported if change.kind == Kind::HTTPRoute => {
            format!("HTTPRoute spec did not pass validation: {}{text}", unsupported(problem))
        }
        _ if matches!(change.kind, Kind::Ingress | Kind::HTTPRoute) => {
            format!("{kind} failed schema validation: {text}")
        }
        _ => text,
    }
}

/// What Kong Ingress Controller says of a field of an HTTPRoute: `rules[0].filters[1]: filter type CORS is unsupported: `.
fn unsupported(problem: &Problem) -> String {
    let field = problem.field.as_deref().unwrap_or_default();
    let Some((place, rest)) = field
        .strip_prefix("spec.")
        .and_then(|field| Some((&field[..=field.rfind(']')?], &field[field.rfind(']')? + 1..])))
    else {
        return String::new();
    };
    let words = match rest {
        ".filters" => "filters in backendRef is unsupported".to_owned(),
        ".queryParams" => "queryparam matching is supported with expression router only".to_owned(),
        _ => match http_filters_type(&problem.message) {
            Some(type_) => format!("filter type {type_} is unsupported"),
            None => return String::new(),
        },
    };
    format!("{place}: {words}: ")
}

/// The type that a message of translation's is about.
fn http_filters_type(message: &str) -> Option<&str> {
    message
        .strip_prefix("httpFilter ")?
        .split_once(" unsupported")
        .map(|(type_, _)| type_)
}

/// The item of the annotation that the problem is about.
fn invalid_protocol<'a>(object: &'a Object, problem: &Problem) -> Option<&'a str> {
    let value = object.metadata().annotation(PROTOCOLS)?;
    let is_meant = problem.field.as_deref().is_some_and(|field| field.contains(PROTOCOLS));
    let mut items = value.split(',').map(str::trim).filter(|_| is_meant);
    items.find(|item| problem.message.contains(&format!("{item:?}")))
}

/// Asks the proxies of a profile about the routes of the object: they have other regular expressions than we have.
fn ask(change: &Change, translated: &Translated, review: &mut Review) {
    let configuration = &translated.configuration;
    let nested = configuration.services.iter().flat_map(|service| &service.routes);
    let routes = nested.chain(&configuration.routes);
    let own = routes.filter(|route| translation::comes_from(route.tags.as_ref(), &change.new));
    for route in own.take(MAX_QUESTIONS) {
        let mut question = Question::schema(
            "routes",
            entity(route),
            format!("{} failed schema validation: ", change.kind.name()),
            Secrets::default(),
        );
        question.profile = Some(translated.profile.to_string());
        question.subject = format!("route {}", route.name.as_deref().unwrap_or_default());
        review.questions.push(question);
    }
}

fn entity(route: &Route) -> Value {
    let mut route = route.clone();
    route.plugins.clear();
    route.service = None;
    serde_json::to_value(route).expect("entities have string keys only")
}
