//! What holds for every configuration: nothing is lost on the way through bytes, order means nothing, and whatever is
//! read never panics.

mod arbitrary;

use std::sync::Arc;

use arbitrary::{acceptable, configuration, options, replace, settings};
use proptest::{collection::vec, prelude::*};
use proxy_config_schema::{ConfigHash, Configuration, Limits};
use serde_json::json;

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
