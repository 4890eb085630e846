//! Loading by what changed gives what loading from nothing gives, whatever changed; and it leaves alone what did not.

mod arbitrary;

use std::{fs, path::Path, sync::Arc};

use arbitrary::{acceptable, configuration, options, replace, settings};
use proptest::{collection::vec, prelude::*};
use proxy_config_schema::{Configuration, Limits, LoadedText, ParseError, Route, Service, ValidationOptions};
use serde_json::{Value, json};

/// As the proxy does it without a configuration before.
fn from_nothing(text: &str, options: &ValidationOptions) -> Option<Configuration> {
    let document = Limits::default().read_json(text.as_bytes()).ok()?;
    Configuration::load(document, options).ok()
}

fn load(text: &str, options: &ValidationOptions, previous: Option<&LoadedText>) -> Option<LoadedText> {
    LoadedText::load(text.to_owned().into(), &Limits::default(), options, previous)
}

/// Something that may happen to a document.
#[derive(Debug, Clone)]
enum Edit {
    /// A value becomes another one: mostly an error.
    Replace(usize, Value),
    Remove(usize, usize),
    Repeat(usize, usize),
    Swap(usize, usize),
    /// A text field gets another text.
    Rename(usize, usize),
    /// A route goes to another service.
    Move(usize, usize),
    /// A service gets a route.
    Add(usize, String),
}

fn edit() -> impl Strategy<Value = Edit> {
    let damage = settings().prop_map(|damage| damage.into_iter().next().map_or(json!("x"), |(_, value)| value));
    let places = || (any::<usize>(), any::<usize>());
    prop_oneof![
        1 => (any::<usize>(), damage).prop_map(|(at, value)| Edit::Replace(at, value)),
        3 => places().prop_map(|(list, place)| Edit::Remove(list, place)),
        1 => places().prop_map(|(list, place)| Edit::Repeat(list, place)),
        3 => places().prop_map(|(list, place)| Edit::Swap(list, place)),
        3 => places().prop_map(|(list, place)| Edit::Rename(list, place)),
        3 => places().prop_map(|(from, to)| Edit::Move(from, to)),
        3 => (any::<usize>(), "[a-z]{8}").prop_map(|(service, name)| Edit::Add(service, name)),
    ]
}

/// All lists of objects: those of the document, and the routes of services.
fn lists(document: &mut Value) -> Vec<&mut Vec<Value>> {
    let mut found = Vec::new();
    for (name, list) in document.as_object_mut().into_iter().flatten() {
        let Some(list) = list.as_array_mut() else { continue };
        if name == "services" {
            found.extend(
                list.iter_mut()
                    .filter_map(|service| service.get_mut("routes")?.as_array_mut()),
            );
        } else {
            found.push(list);
        }
    }
    found
}

fn apply(document: &mut Value, edit: Edit) {
    match edit {
        Edit::Replace(at, value) => replace(document, at, value),
        Edit::Remove(list, place) => with_list(document, list, |list| {
            list.remove(place % list.len());
        }),
        Edit::Repeat(list, place) => with_list(document, list, |list| list.push(list[place % list.len()].clone())),
        Edit::Swap(list, place) => with_list(document, list, |list| {
            let place = place % list.len();
            list.swap(0, place);
        }),
        Edit::Rename(list, place) => with_list(document, list, |list| {
            let place = place % list.len();
            if let Some(Value::String(name)) = list[place].get_mut("name") {
                name.push_str("-renamed");
            }
        }),
        Edit::Move(from, to) => {
            let mut moved = None;
            let Some(services) = document
                .get_mut("services")
                .and_then(Value::as_array_mut)
                .filter(|services| !services.is_empty())
            else {
                return;
            };
            let count = services.len();
            if let Some(routes) = services[from % count].get_mut("routes").and_then(Value::as_array_mut) {
                moved = routes.pop();
            }
            if let (Some(route), Some(routes)) = (
                moved,
                services[to % count].get_mut("routes").and_then(Value::as_array_mut),
            ) {
                routes.insert(0, route);
            }
        }
        Edit::Add(service, name) => {
            let Some(services) = document
                .get_mut("services")
                .and_then(Value::as_array_mut)
                .filter(|services| !services.is_empty())
            else {
                return;
            };
            let count = services.len();
            if let Some(service) = services[service % count].as_object_mut()
                && let Some(routes) = service.entry("routes").or_insert_with(|| json!([])).as_array_mut()
            {
                // Every other one without a name: its identifier comes from the service.
                let route = if *name < *"m" {
                    json!({"paths": ["/a"]})
                } else {
                    json!({"name": name, "paths": ["/a"]})
                };
                routes.insert(routes.len() / 2, route);
            }
        }
    }
}

fn with_list(document: &mut Value, which: usize, act: impl FnOnce(&mut Vec<Value>)) {
    let mut filled = lists(document);
    filled.retain(|list| !list.is_empty());
    let count = filled.len() + 1;
    if !which.is_multiple_of(count) {
        act(filled[which % count - 1]);
    } else if let Some(services) = document.get_mut("services").and_then(Value::as_array_mut)
        && !services.is_empty()
    {
        act(services);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_same_as_from_nothing(
        configuration in configuration(),
        edits in vec(vec(edit(), 1..3), 1..6),
        pretty in any::<bool>(),
    ) {
        let configuration = nested(acceptable(configuration));
        prop_assume!(!has_twins(&serde_json::to_value(&configuration).expect("JSON")));
        let text = String::from_utf8(configuration.to_bytes().into()).expect("text");
        let mut loaded = load(&text, &options(), None).expect("it is acceptable");
        prop_assert_eq!(Some((**loaded.configuration()).clone()), from_nothing(&text, &options()));
        let mut document = serde_json::to_value(&configuration).expect("JSON");
        for edits in edits {
            let mut edited = document.clone();
            edits.into_iter().for_each(|edit| apply(&mut edited, edit));
            let text = if pretty { format!("{edited:#}") } else { edited.to_string() };
            let expected = from_nothing(&text, &options());
            match load(&text, &options(), Some(&loaded)) {
                Some(next) => {
                    prop_assert_eq!(Some((**next.configuration()).clone()), expected);
                    loaded = next;
                    document = edited;
                }
                None => {
                    // Lists that are none are left to the other way.
                    let usual = edited.as_object().is_some_and(|lists| lists.iter().all(|(name, list)| name.starts_with('_') || list.is_array()));
                    let routes = edited["services"].as_array().into_iter().flatten().all(|service| service.get("routes").is_none_or(Value::is_array));
                    prop_assert!(expected.is_none() || !usual || !routes || has_twins(&edited), "{}", text);
                }
            }
        }
    }

    #[test]
    fn damaged_bytes_are_no_configuration_unless_they_are_one(
        configuration in configuration(),
        at in any::<usize>(),
        byte in prop_oneof![Just(b'"'), Just(b'{'), Just(b'}'), Just(b']'), Just(b','), Just(b'\\'), Just(b' '), any::<u8>()],
        cut in any::<bool>(),
    ) {
        let configuration = nested(acceptable(configuration));
        prop_assume!(!has_twins(&serde_json::to_value(&configuration).expect("JSON")));
        let mut bytes = configuration.to_bytes().to_vec();
        let loaded = LoadedText::load(bytes.clone().into(), &Limits::default(), &options(), None).expect("it is acceptable");
        let at = at % bytes.len();
        if cut {
            bytes.remove(at);
        } else {
            bytes[at] = byte;
        }
        if let Some(next) = LoadedText::load(bytes.clone().into(), &Limits::default(), &options(), Some(&loaded)) {
            let document = Limits::default().read_json(&bytes).expect("it was taken");
            prop_assert_eq!(&**next.configuration(), &Configuration::load(document, &options()).expect("it was taken"));
        }
    }
}

/// With most routes in services, most of them with names, and the others unlike one another.
fn nested(mut configuration: Configuration) -> Configuration {
    let services = configuration.services.len();
    for (number, service) in configuration.services.iter_mut().enumerate() {
        let name = &mut Arc::make_mut(service).name;
        name.get_or_insert_with(|| format!("service-{number}"));
    }
    for (number, mut route) in std::mem::take(&mut configuration.routes).into_iter().enumerate() {
        let own = Arc::make_mut(&mut route);
        own.paths = Some(vec![format!("/{number}")]);
        if number % 3 > 0 {
            own.name.get_or_insert_with(|| format!("route-{number}"));
        }
        if services > 0 && number % 4 > 0 {
            Arc::make_mut(&mut configuration.services[number % services])
                .routes
                .push(route);
        } else {
            configuration.routes.push(route);
        }
    }
    configuration
}

/// Whether two entities without identifier and name are equal: their identifiers depend on how many there are.
fn has_twins(document: &Value) -> bool {
    let has_twins = |list: &[Value]| list.iter().enumerate().any(|(at, entity)| list[..at].contains(entity));
    let services = document["services"].as_array().is_some_and(|list| has_twins(list));
    let mut document = document.clone();
    services || lists(&mut document).into_iter().any(|list| has_twins(list))
}

fn configuration_of(services: usize, routes: usize) -> Configuration {
    let service = |service: usize| Service {
        id: Some(format!("00000000-0000-0000-0000-{service:012}")),
        name: Some(format!("service-{service}")),
        host: Some("h.example".to_owned()),
        routes: (0..routes)
            .map(|route| {
                Arc::new(Route {
                    name: Some(format!("route-{service}-{route}")),
                    paths: Some(vec![format!("/{route}")]),
                    ..Route::default()
                })
            })
            .collect(),
        ..Service::default()
    };
    Configuration {
        services: (0..services).map(|number| Arc::new(service(number))).collect(),
        ..Configuration::new()
    }
}

fn reload(loaded: &LoadedText, configuration: &Configuration) -> LoadedText {
    LoadedText::load(configuration.to_bytes(), &Limits::default(), &options(), Some(loaded)).expect("it is good")
}

#[test]
fn what_did_not_change_is_the_same_allocation() {
    let configuration = configuration_of(3, 4);
    let first = LoadedText::load(configuration.to_bytes(), &Limits::default(), &options(), None).expect("it is good");
    let mut changed = configuration.clone();
    let service = Arc::make_mut(&mut changed.services[1]);
    service.routes.remove(0);
    Arc::make_mut(&mut service.routes[1]).paths = Some(vec!["/other".to_owned()]);
    service.port = Some(81);
    let second = reload(&first, &changed);
    let (before, after) = (&first.configuration().services, &second.configuration().services);
    assert!(Arc::ptr_eq(&before[0], &after[0]) && Arc::ptr_eq(&before[2], &after[2]));
    assert_eq!(after[1].port, Some(81));
    let same = |old: usize, new: usize| Arc::ptr_eq(&before[1].routes[old], &after[1].routes[new]);
    assert!(same(1, 0) && !same(2, 1) && same(3, 2));

    changed.services.remove(0);
    changed.services.swap(0, 1);
    let third = reload(&second, &changed);
    let last = &third.configuration().services;
    assert!(Arc::ptr_eq(&after[2], &last[0]));
    assert!(
        after[1]
            .routes
            .iter()
            .zip(&last[1].routes)
            .all(|(one, other)| Arc::ptr_eq(one, other))
    );
}

#[test]
fn limits_are_those_of_any_text() {
    let text = configuration_of(2, 3).to_bytes();
    let load = |limits: &Limits| LoadedText::load(text.clone(), limits, &options(), None).is_some();
    assert!(load(&Limits::default()));
    for limits in [
        Limits {
            bytes: text.len() - 1,
            ..Limits::default()
        },
        Limits {
            entities: 7,
            ..Limits::default()
        },
        Limits {
            depth: 5,
            ..Limits::default()
        },
        Limits {
            values: 20,
            ..Limits::default()
        },
    ] {
        let read = limits.read_json(&text);
        assert!(!matches!(read, Err(ParseError::Invalid(_)) | Ok(_)), "{limits:?}");
        assert!(!load(&limits), "{limits:?}");
    }
    assert!(load(&Limits {
        entities: 8,
        depth: 6,
        bytes: text.len(),
        ..Limits::default()
    }));
}

#[test]
fn documents_that_kong_takes_or_refuses_are_taken_or_refused() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kong-3.9.3");
    let mut taken = 0;
    let mut last: Option<LoadedText> = None;
    for file in fs::read_dir(directory).expect("it is there") {
        let text = fs::read_to_string(file.expect("an entry").path()).expect("text");
        let case: Value = serde_json::from_str(&text).expect("JSON");
        let document = case["request"].to_string();
        let options = ValidationOptions::default();
        if let Some(loaded) = load(&document, &options, last.as_ref()) {
            assert_eq!(
                Some((**loaded.configuration()).clone()),
                from_nothing(&document, &options),
                "{document}"
            );
            taken += 1;
            last = Some(loaded);
        }
    }
    assert!(taken > 5, "{taken}");
}
