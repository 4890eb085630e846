//! What holds for every configuration: nothing is lost on the way through bytes, order means nothing, and whatever is
//! read never panics.

mod arbitrary;

use std::sync::Arc;

use arbitrary::{configuration, settings};
use proptest::{collection::vec, prelude::*};
use proxy_config_schema::{ConfigHash, Configuration, Limits, Plugin, RouterFlavor, ValidationOptions};
use serde_json::{Value, json};

/// The same without what a proxy would refuse: references to nothing, names that appear twice.
fn acceptable(mut configuration: Configuration) -> Configuration {
    let mut count = 0;
    let mut unique = |name: &mut String| {
        count += 1;
        *name = format!("{name}x{count}");
    };
    let detach = |plugins: &mut Vec<Plugin>| {
        plugins.truncate(1);
        for plugin in plugins {
            (plugin.service, plugin.consumer) = (None, None);
        }
    };
    configuration.plugins.truncate(1);
    for plugin in configuration.plugins.iter_mut().map(Arc::make_mut) {
        (plugin.service, plugin.consumer) = (None, None);
    }
    let services = configuration.services.iter_mut().map(Arc::make_mut);
    for service in services {
        service.name.iter_mut().for_each(&mut unique);
        detach(&mut service.plugins);
        configuration.routes.append(&mut service.routes);
    }
    for route in configuration.routes.iter_mut().map(Arc::make_mut) {
        route.name.iter_mut().for_each(&mut unique);
        detach(&mut route.plugins);
        route.paths = Some(vec!["/a".to_owned()]);
        (route.sources, route.headers) = (None, None);
    }
    for upstream in configuration.upstreams.iter_mut().map(Arc::make_mut) {
        unique(&mut upstream.name);
        upstream
            .targets
            .iter_mut()
            .for_each(|target| unique(&mut target.target));
    }
    for consumer in configuration.consumers.iter_mut().map(Arc::make_mut) {
        unique(consumer.username.get_or_insert_default());
        consumer.custom_id.iter_mut().for_each(&mut unique);
        consumer.acls.truncate(1);
        detach(&mut consumer.plugins);
        consumer
            .keyauth_credentials
            .iter_mut()
            .filter_map(|credential| credential.key.as_mut())
            .for_each(&mut unique);
        for credential in &mut consumer.basicauth_credentials {
            unique(&mut credential.username);
            credential.password.get_or_insert_with(|| "password".to_owned());
        }
    }
    for certificate in configuration.certificates.iter_mut().map(Arc::make_mut) {
        for sni in &mut certificate.snis {
            unique(&mut sni.name);
            sni.certificate = None;
        }
    }
    for group in configuration.consumer_groups.iter_mut().map(Arc::make_mut) {
        unique(&mut group.name);
        detach(&mut group.plugins);
    }
    configuration.consumer_group_consumers.clear();
    configuration.vaults.truncate(1);
    configuration
        .vaults
        .iter_mut()
        .map(Arc::make_mut)
        .for_each(|vault| vault.prefix = "prefix".to_owned());
    configuration
}

/// The same content with every list of entities in another order.
fn shuffled(configuration: &Configuration, seed: usize) -> Configuration {
    fn turn<T>(list: &mut [T], seed: usize) {
        if !list.is_empty() {
            let by = seed % list.len();
            list.rotate_left(by);
            if seed % 2 == 1 {
                list.reverse();
            }
        }
    }
    let mut copy = configuration.clone();
    turn(&mut copy.services, seed);
    for service in copy.services.iter_mut().map(Arc::make_mut) {
        turn(&mut service.routes, seed);
        turn(&mut service.plugins, seed);
        service
            .routes
            .iter_mut()
            .map(Arc::make_mut)
            .for_each(|route| turn(&mut route.plugins, seed));
    }
    turn(&mut copy.routes, seed);
    turn(&mut copy.upstreams, seed);
    copy.upstreams
        .iter_mut()
        .map(Arc::make_mut)
        .for_each(|upstream| turn(&mut upstream.targets, seed));
    turn(&mut copy.plugins, seed);
    turn(&mut copy.consumers, seed);
    for consumer in copy.consumers.iter_mut().map(Arc::make_mut) {
        turn(&mut consumer.keyauth_credentials, seed);
        turn(&mut consumer.basicauth_credentials, seed);
        turn(&mut consumer.acls, seed);
        turn(&mut consumer.plugins, seed);
    }
    turn(&mut copy.consumer_groups, seed);
    copy.consumer_groups
        .iter_mut()
        .map(Arc::make_mut)
        .for_each(|group| turn(&mut group.plugins, seed));
    turn(&mut copy.consumer_group_consumers, seed);
    turn(&mut copy.certificates, seed);
    copy.certificates
        .iter_mut()
        .map(Arc::make_mut)
        .for_each(|certificate| turn(&mut certificate.snis, seed));
    turn(&mut copy.ca_certificates, seed);
    turn(&mut copy.vaults, seed);
    copy.custom.values_mut().for_each(|entities| turn(entities, seed));
    copy
}

fn options() -> ValidationOptions {
    ValidationOptions {
        router_flavor: RouterFlavor::Expressions,
        enterprise: true,
        ..ValidationOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_through_bytes(configuration in configuration()) {
        let bytes = configuration.to_bytes();
        let parsed = Configuration::parse(&bytes, &Limits::default()).expect("what we write we read");
        prop_assert_eq!(&parsed, &configuration);
        prop_assert_eq!(parsed.to_bytes(), bytes);
    }

    #[test]
    fn order_means_nothing(configuration in configuration(), seed in any::<usize>()) {
        let mut one = configuration.clone();
        one.canonicalize();
        let mut other = shuffled(&configuration, seed);
        other.canonicalize();
        prop_assert_eq!(ConfigHash::of(&one.to_bytes()), ConfigHash::of(&other.to_bytes()));
        let mut again = one.clone();
        again.canonicalize();
        prop_assert_eq!(again, one);
    }

    #[test]
    fn a_verdict_does_not_depend_on_order(configuration in configuration(), seed in any::<usize>()) {
        let mut verdicts = [configuration.clone(), shuffled(&configuration, seed)]
            .map(|configuration| configuration.validate(&options()).is_ok());
        verdicts.sort_unstable();
        prop_assert_eq!(verdicts[0], verdicts[1]);
    }

    #[test]
    fn what_is_loaded_can_be_loaded_again_and_stays(configuration in configuration()) {
        let document = serde_json::to_value(acceptable(configuration)).expect("JSON");
        let loaded = match Configuration::load(document, &options()) {
            Ok(loaded) => loaded,
            Err(invalid) => return Err(TestCaseError::fail(invalid.to_answer(true).to_string())),
        };
        let again = serde_json::to_value(&loaded).expect("JSON");
        prop_assert_eq!(Configuration::load(again, &options()).expect("it was fine"), loaded);
    }

    #[test]
    fn a_damaged_document_is_an_error_or_fine_but_no_panic(
        configuration in configuration(),
        damage in settings(),
        at in any::<usize>(),
    ) {
        let mut document = serde_json::to_value(&configuration).expect("JSON");
        let damage = damage.into_iter().next().map_or(json!("x"), |(_, value)| value);
        replace(&mut document, at, damage);
        if let Err(invalid) = Configuration::load(document.clone(), &options()) {
            prop_assert!(!invalid.entities.is_empty() || !invalid.fields.is_empty());
            invalid.to_answer(true);
            invalid.to_answer(false);
        }
        if let Err(invalid) = Configuration::from_value(document) {
            prop_assert!(!invalid.entities.is_empty() || !invalid.fields.is_empty());
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_fine_but_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Configuration::parse(&bytes, &Limits::default());
    }
}

/// Replaces one value somewhere in the document.
fn replace(document: &mut Value, at: usize, by: Value) {
    fn find<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
        if *left == 0 {
            return Some(value);
        }
        *left -= 1;
        match value {
            Value::Array(elements) => elements.iter_mut().find_map(|element| find(element, left)),
            Value::Object(entries) => entries.values_mut().find_map(|entry| find(entry, left)),
            _ => None,
        }
    }
    let mut left = at % 200;
    if let Some(found) = find(document, &mut left) {
        *found = by;
    }
}
