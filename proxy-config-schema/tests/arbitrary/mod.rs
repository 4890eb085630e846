//! Configurations of all kinds, for property tests. Each of these uses a part of it.
#![allow(dead_code)]

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, option, prelude::*, sample::select};
use proxy_config_schema::{
    Acl, ActiveHealthcheck, BasicAuthCredential, CaCertificate, Certificate, Configuration, Consumer, ConsumerGroup,
    ConsumerGroupConsumer, Endpoint, Healthchecks, HealthyThresholds, JsonObject, KeyAuthCredential, License, Plugin,
    Reference, Route, RouterFlavor, Service, Sni, Target, Upstream, ValidationOptions, Vault,
};
use serde_json::Value;

fn name() -> impl Strategy<Value = String> {
    "[a-z]([a-z0-9-]{0,7}[a-z0-9])?"
}

fn text() -> impl Strategy<Value = String> {
    "\\PC{1,12}"
}

/// Numbers that survive serde_json's reading, which may be off by the last bit.
fn quarters() -> impl Strategy<Value = f64> {
    any::<i32>().prop_map(|number| f64::from(number) / 4.0)
}

fn tags() -> impl Strategy<Value = Option<Vec<String>>> {
    option::of(vec("[a-z]{1,4}:[a-z]{1,4}", 0..3))
}

fn reference() -> impl Strategy<Value = Reference> {
    prop_oneof![
        name().prop_map(Reference::Key),
        any::<u128>().prop_map(|id| Reference::Id { id: uuid(id) }),
    ]
}

fn uuid(value: u128) -> String {
    let digits = format!("{value:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}

pub(crate) fn settings() -> impl Strategy<Value = JsonObject> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        quarters().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |below| {
        prop_oneof![
            vec(below.clone(), 0..4).prop_map(Value::from),
            vec((name(), below), 0..4).prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    });
    vec((name(), value), 0..4).prop_map(|entries| entries.into_iter().collect())
}

fn plugin() -> impl Strategy<Value = Plugin> {
    (
        name(),
        option::of(settings()),
        option::of(any::<bool>()),
        option::of(reference()),
        option::of(reference()),
        tags(),
    )
        .prop_map(|(name, config, enabled, service, consumer, tags)| Plugin {
            name,
            config: config.map(Into::into),
            enabled,
            service,
            consumer,
            tags,
            ..Plugin::default()
        })
}

fn route() -> impl Strategy<Value = Route> {
    let matchers = (
        option::of(vec(name(), 0..3)),
        option::of(vec("/[a-z]{0,6}", 0..3)),
        option::of(
            vec((name(), vec(text(), 1..3)), 0..3).prop_map(|headers| headers.into_iter().collect::<BTreeMap<_, _>>()),
        ),
        option::of(vec(
            (option::of(Just("10.0.0.0/8".to_owned())), option::of(any::<u16>())),
            0..2,
        )),
        option::of(0..=70_368_744_177_663_u64),
        option::of(any::<i64>()),
    );
    (
        option::of(name()),
        matchers,
        vec(plugin(), 0..3),
        tags(),
        option::of(select(vec![426, 301, 302, 307, 308])),
    )
        .prop_map(
            |(name, (hosts, paths, headers, sources, priority, regex_priority), plugins, tags, redirect)| Route {
                name,
                hosts,
                paths,
                headers,
                sources: sources.map(|sources| sources.into_iter().map(|(ip, port)| Endpoint { ip, port }).collect()),
                priority,
                regex_priority,
                plugins,
                tags,
                https_redirect_status_code: redirect,
                ..Route::default()
            },
        )
}

fn service() -> impl Strategy<Value = Service> {
    (
        option::of(name()),
        option::of(name()),
        option::of(any::<u16>()),
        option::of(1..2_147_483_646_u32),
        vec(route(), 0..4),
        vec(plugin(), 0..3),
        tags(),
    )
        .prop_map(|(name, host, port, read_timeout, routes, plugins, tags)| Service {
            name,
            url: host.is_none().then(|| "http://h.example/x".to_owned()),
            host,
            port,
            read_timeout,
            routes: shared(routes),
            plugins,
            tags,
            ..Service::default()
        })
}

fn upstream() -> impl Strategy<Value = Upstream> {
    let target = (
        name(),
        option::of(0..=65535_u32),
        option::of(quarters().prop_map(f64::abs)),
    )
        .prop_map(|(target, weight, created_at)| Target {
            target,
            weight,
            created_at,
            ..Target::default()
        });
    let healthchecks = (
        option::of(quarters().prop_map(|number| number.abs() % 100.0)),
        option::of(vec(100..=999_u16, 0..3)),
    )
        .prop_map(|(threshold, http_statuses)| Healthchecks {
            threshold,
            active: Some(ActiveHealthcheck {
                healthy: Some(HealthyThresholds {
                    http_statuses,
                    ..HealthyThresholds::default()
                }),
                ..ActiveHealthcheck::default()
            }),
            passive: None,
        });
    (name(), vec(target, 0..4), option::of(healthchecks), tags()).prop_map(|(name, targets, healthchecks, tags)| {
        Upstream {
            name,
            targets,
            healthchecks,
            tags,
            ..Upstream::default()
        }
    })
}

fn consumer() -> impl Strategy<Value = Consumer> {
    let key = (option::of(text()), option::of(0..1000_u64)).prop_map(|(key, ttl)| KeyAuthCredential {
        key,
        ttl,
        ..KeyAuthCredential::default()
    });
    let basic = (text(), option::of(text())).prop_map(|(username, password)| BasicAuthCredential {
        username,
        password,
        ..BasicAuthCredential::default()
    });
    let acl = name().prop_map(|group| Acl {
        group,
        ..Acl::default()
    });
    (
        option::of(text()),
        option::of(text()),
        vec(key, 0..3),
        vec(basic, 0..3),
        vec(acl, 0..3),
        vec(plugin(), 0..2),
    )
        .prop_map(
            |(username, custom_id, keyauth_credentials, basicauth_credentials, acls, plugins)| Consumer {
                username,
                custom_id,
                keyauth_credentials,
                basicauth_credentials,
                acls,
                plugins,
                ..Consumer::default()
            },
        )
}

fn certificate() -> impl Strategy<Value = Certificate> {
    (text(), text(), vec((name(), option::of(reference())), 0..3), tags()).prop_map(|(cert, key, snis, tags)| {
        Certificate {
            cert,
            key,
            tags,
            snis: snis
                .into_iter()
                .map(|(name, certificate)| Sni {
                    name,
                    certificate,
                    ..Sni::default()
                })
                .collect(),
            ..Certificate::default()
        }
    })
}

fn shared<T, L: FromIterator<Arc<T>>>(entities: Vec<T>) -> L {
    entities.into_iter().map(Arc::new).collect()
}

pub(crate) fn configuration() -> impl Strategy<Value = Configuration> {
    let first = (
        vec(service(), 0..4),
        vec(route(), 0..3),
        vec(upstream(), 0..3),
        vec(plugin(), 0..4),
        vec(consumer(), 0..3),
    );
    let groups = vec((name(), vec(plugin(), 0..2)), 0..3);
    let members = vec((reference(), reference()), 0..3);
    let vaults = vec((name(), name(), option::of(settings())), 0..3);
    let second = (
        vec(certificate(), 0..3),
        vec(text(), 0..3),
        groups,
        members,
        vaults,
        vec(settings(), 0..3),
    );
    (first, second).prop_map(
        |(
            (services, routes, upstreams, plugins, consumers),
            (certificates, authorities, groups, members, vaults, custom),
        )| {
            Configuration {
                services: shared(services),
                routes: shared(routes),
                upstreams: shared(upstreams),
                plugins: shared(plugins),
                consumers: shared(consumers),
                certificates: shared(certificates),
                ca_certificates: authorities
                    .into_iter()
                    .map(|cert| CaCertificate {
                        cert,
                        ..CaCertificate::default()
                    })
                    .map(Arc::new)
                    .collect(),
                licenses: shared(vec![License {
                    payload: "payload".to_owned(),
                    ..License::default()
                }]),
                consumer_groups: groups
                    .into_iter()
                    .map(|(name, plugins)| ConsumerGroup {
                        name,
                        plugins,
                        ..ConsumerGroup::default()
                    })
                    .map(Arc::new)
                    .collect(),
                consumer_group_consumers: members
                    .into_iter()
                    .map(|(consumer_group, consumer)| ConsumerGroupConsumer {
                        consumer_group,
                        consumer,
                    })
                    .map(Arc::new)
                    .collect(),
                vaults: vaults
                    .into_iter()
                    .map(|(name, prefix, config)| Vault {
                        name,
                        prefix,
                        config,
                        ..Vault::default()
                    })
                    .map(Arc::new)
                    .collect(),
                custom: BTreeMap::from([("degraphql_routes".to_owned(), custom)]),
                ..Configuration::new()
            }
        },
    )
}

/// The same without what a proxy would refuse: references to nothing, names that appear twice.
pub(crate) fn acceptable(mut configuration: Configuration) -> Configuration {
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

/// Of a proxy that takes all of these.
pub(crate) fn options() -> ValidationOptions {
    ValidationOptions {
        router_flavor: RouterFlavor::Expressions,
        enterprise: true,
        ..ValidationOptions::default()
    }
}

/// Replaces one value somewhere in the document.
pub(crate) fn replace(document: &mut Value, at: usize, by: Value) {
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
