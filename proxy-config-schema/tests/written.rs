//! Bytes that are written by what changed are those that are written from nothing.

mod arbitrary;

use std::sync::Arc;

use arbitrary::configuration;
use proptest::{collection::vec, prelude::*, sample::Index};
use proxy_config_schema::{ConfigHash, Configuration, Route, Service, Written};

/// Something that may happen to a configuration; what it does not touch stays the same allocation.
#[derive(Debug, Clone)]
enum Edit {
    RenameService(Index),
    RenameRoute(Index, Index),
    RemoveService(Index),
    RemoveRoute(Index, Index),
    CopyRoute(Index, Index),
    SwapServices(Index, Index),
    SwapUpstreams(Index, Index),
    RenameUpstream(Index),
    RemoveConsumer(Index),
    Canonicalize,
    /// Lists come and go as a whole.
    TakeLists(Box<Configuration>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<Index>;
    let two = || (any::<Index>(), any::<Index>());
    prop_oneof![
        index().prop_map(Edit::RenameService),
        two().prop_map(|(service, route)| Edit::RenameRoute(service, route)),
        index().prop_map(Edit::RemoveService),
        two().prop_map(|(service, route)| Edit::RemoveRoute(service, route)),
        two().prop_map(|(from, to)| Edit::CopyRoute(from, to)),
        two().prop_map(|(one, other)| Edit::SwapServices(one, other)),
        two().prop_map(|(one, other)| Edit::SwapUpstreams(one, other)),
        index().prop_map(Edit::RenameUpstream),
        index().prop_map(Edit::RemoveConsumer),
        Just(Edit::Canonicalize),
        configuration().prop_map(|other| Edit::TakeLists(Box::new(other))),
    ]
}

fn pick<'a, T>(list: &'a mut [T], index: &Index) -> Option<&'a mut T> {
    (!list.is_empty())
        .then(|| index.index(list.len()))
        .map(|at| &mut list[at])
}

fn remove<T>(list: &mut Vec<T>, index: &Index) {
    if !list.is_empty() {
        list.remove(index.index(list.len()));
    }
}

fn swap<T>(list: &mut [T], one: &Index, other: &Index) {
    if !list.is_empty() {
        list.swap(one.index(list.len()), other.index(list.len()));
    }
}

fn service<'a>(configuration: &'a mut Configuration, index: &Index) -> Option<&'a mut Service> {
    pick(&mut configuration.services, index).map(Arc::make_mut)
}

fn apply(configuration: &mut Configuration, edit: Edit) {
    match edit {
        Edit::RenameService(index) => {
            if let Some(service) = service(configuration, &index) {
                service.name = Some("renamed".to_owned());
            }
        }
        Edit::RenameRoute(index, route) => {
            if let Some(service) = service(configuration, &index)
                && let Some(route) = pick(&mut service.routes, &route)
            {
                Arc::make_mut(route).name = Some("renamed".to_owned());
            }
        }
        Edit::RemoveService(index) => remove(&mut configuration.services, &index),
        Edit::RemoveRoute(index, route) => {
            if let Some(service) = service(configuration, &index) {
                remove(&mut service.routes, &route);
            }
        }
        Edit::CopyRoute(from, to) => {
            let route = service(configuration, &from).and_then(|service| service.routes.first().cloned());
            if let (Some(route), Some(service)) = (route, service(configuration, &to)) {
                service.routes.push(route);
            }
        }
        Edit::SwapServices(one, other) => swap(&mut configuration.services, &one, &other),
        Edit::SwapUpstreams(one, other) => swap(&mut configuration.upstreams, &one, &other),
        Edit::RenameUpstream(index) => {
            if let Some(upstream) = pick(&mut configuration.upstreams, &index) {
                Arc::make_mut(upstream).name = "renamed".to_owned();
            }
        }
        Edit::RemoveConsumer(index) => remove(&mut configuration.consumers, &index),
        Edit::Canonicalize => configuration.canonicalize(),
        Edit::TakeLists(other) => {
            configuration.plugins = other.plugins;
            configuration.certificates = other.certificates;
            configuration.custom = other.custom;
            configuration.routes = other.routes;
            configuration.comment = Some("a comment".into());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_same_as_from_nothing(first in configuration(), edits in vec(vec(edit(), 0..3), 1..8)) {
        let mut configuration = first;
        let mut written = Written::new(&configuration, None);
        prop_assert_eq!(written.bytes(), &configuration.to_bytes());
        for edits in edits {
            edits.into_iter().for_each(|edit| apply(&mut configuration, edit));
            written = Written::new(&configuration, Some(&written));
            let expected = configuration.to_bytes();
            prop_assert_eq!(written.bytes(), &expected);
            prop_assert_eq!(written.hash(), ConfigHash::of(&expected));
        }
    }
}

#[test]
fn nothing_is_written_as_nothing() {
    let written = Written::new(&Configuration::new(), None);
    assert_eq!(&written.bytes()[..], br#"{"_format_version":"3.0"}"#);
    let route = Arc::new(Route::default());
    let one = Configuration {
        services: vec![Arc::new(Service {
            routes: vec![route.clone(), route],
            ..Service::default()
        })]
        .into(),
        ..Configuration::new()
    };
    let written = Written::new(&one, Some(&written));
    assert_eq!(
        &written.bytes()[..],
        br#"{"_format_version":"3.0","services":[{"routes":[{},{}]}]}"#
    );
}
