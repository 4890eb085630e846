#![allow(clippy::unwrap_used)]
//! The rules one by one, and the index against a plain walk over everything in order.

use std::collections::BTreeMap;

use hyper::header::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

fn route(name: &str) -> Route {
    Route {
        name: Some(name.to_owned()),
        ..Route::default()
    }
}

fn list(values: &[&str]) -> Option<Vec<String>> {
    Some(values.iter().map(|&value| value.to_owned()).collect())
}

fn shared(routes: &[Route]) -> Vec<Arc<Route>> {
    routes.iter().cloned().map(Arc::new).collect()
}

fn following(routes: &[Arc<Route>], previous: &Router) -> Router {
    Router::new(routes.iter().map(Some), previous).expect("good routes")
}

fn router(routes: &[Route]) -> Router {
    following(&shared(routes), &Router::default())
}

struct Asked {
    method: Method,
    host: &'static str,
    port: u16,
    path: &'static str,
    headers: HeaderMap,
    scheme: Scheme,
    server_name: Option<&'static str>,
}

fn get(host: &'static str, path: &'static str) -> Asked {
    Asked {
        method: Method::GET,
        host,
        port: 80,
        path,
        headers: HeaderMap::new(),
        scheme: Scheme::Http,
        server_name: None,
    }
}

impl Asked {
    fn facts(&self) -> RequestFacts<'_> {
        RequestFacts {
            method: &self.method,
            host: self.host,
            port: self.port,
            path: self.path.as_bytes(),
            headers: &self.headers,
            scheme: self.scheme,
            server_name: self.server_name,
        }
    }

    fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers
            .append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }
}

fn found<'a>(routes: &'a [Route], asked: &Asked) -> Option<&'a str> {
    let found = router(routes).find(&asked.facts())?;
    routes[found.route].name.as_deref()
}

#[test]
fn plain_hosts_win_over_wildcards_and_wildcards_over_none() {
    let under = |hosts: &[&str], name| Route {
        hosts: list(hosts),
        paths: list(&["/"]),
        ..route(name)
    };
    let routes = [
        under(&["*.example.test"], "left"),
        under(&["a.example.*"], "right"),
        under(&["a.example.test"], "exact"),
        Route {
            paths: list(&["/"]),
            ..route("path")
        },
    ];
    assert_eq!(found(&routes, &get("a.example.test", "/")), Some("exact"));
    assert_eq!(found(&routes, &get("b.example.test", "/")), Some("left"));
    assert_eq!(found(&routes, &get("deep.b.example.test", "/")), Some("left"));
    assert_eq!(found(&routes, &get("a.example.org", "/")), Some("right"));
    assert_eq!(found(&routes, &get("example.test", "/")), Some("path"));
    assert_eq!(found(&routes, &get("", "/")), Some("path"));
}

#[test]
fn more_kinds_of_criteria_win_over_anything_else() {
    let routes = [
        Route {
            hosts: list(&["a.test"]),
            ..route("host")
        },
        Route {
            paths: list(&["/a"]),
            methods: list(&["GET"]),
            ..route("path and method")
        },
        Route {
            paths: list(&["/a/b/c"]),
            ..route("longer path")
        },
    ];
    assert_eq!(found(&routes, &get("a.test", "/a/b/c")), Some("path and method"));
    let mut post = get("a.test", "/a/b/c");
    post.method = Method::POST;
    assert_eq!(found(&routes, &post), Some("host"));
}

#[test]
fn expressions_win_over_prefixes_and_by_their_priority_and_longer_prefixes_over_shorter() {
    let routes = [
        Route {
            paths: list(&["/a/b", "/a"]),
            ..route("prefix")
        },
        Route {
            paths: list(&[r"~/a/(?<id>\d+)$"]),
            regex_priority: Some(1),
            ..route("low")
        },
        Route {
            paths: list(&["~/a/4[0-9]"]),
            regex_priority: Some(2),
            ..route("high")
        },
        Route {
            paths: list(&["/a/bc"]),
            ..route("longer")
        },
    ];
    assert_eq!(found(&routes, &get("", "/a/41")), Some("high"));
    assert_eq!(found(&routes, &get("", "/a/12")), Some("low"));
    assert_eq!(found(&routes, &get("", "/a/bcd")), Some("longer"));
    assert_eq!(found(&routes, &get("", "/a/b")), Some("prefix"));
    assert_eq!(found(&routes, &get("", "/b")), None);
    let router = router(&routes);
    let asked = get("", "/a/12");
    let found = router.find(&asked.facts()).unwrap();
    assert_eq!(
        router.capture(found, asked.path.as_bytes(), "id").as_deref(),
        Some("12")
    );
    assert_eq!(router.capture(found, asked.path.as_bytes(), "1").as_deref(), Some("12"));
    assert_eq!(router.capture(found, asked.path.as_bytes(), "other"), None);
}

#[test]
fn header_values_are_compared_in_any_case_and_may_be_expressions() {
    let values = vec!["v1".to_owned(), r"~*^V2\.[0-9]+$".to_owned()];
    let routes = [Route {
        paths: list(&["/hdr"]),
        headers: Some(BTreeMap::from([("x-ver".to_owned(), values)])),
        ..route("hdr")
    }];
    assert_eq!(found(&routes, &get("", "/hdr").with_header("x-ver", "V1")), Some("hdr"));
    assert_eq!(
        found(&routes, &get("", "/hdr").with_header("x-ver", "v2.3")),
        Some("hdr")
    );
    let twice = get("", "/hdr").with_header("x-ver", "no").with_header("x-ver", "v1");
    assert_eq!(found(&routes, &twice), Some("hdr"));
    assert_eq!(found(&routes, &get("", "/hdr").with_header("x-ver", "v3")), None);
    assert_eq!(found(&routes, &get("", "/hdr")), None);
}

#[test]
fn ports_of_hosts_must_fit() {
    let routes = [
        Route {
            hosts: list(&["a.test:8443"]),
            ..route("port")
        },
        Route {
            hosts: list(&["*.b.test:8443", "c.test"]),
            ..route("wild port")
        },
    ];
    let mut asked = get("a.test", "/");
    assert_eq!(found(&routes, &asked), None);
    asked.port = 8443;
    assert_eq!(found(&routes, &asked), Some("port"));
    assert_eq!(found(&routes, &get("x.b.test", "/")), None);
    assert_eq!(found(&routes, &get("c.test", "/")), Some("wild port"));
}

#[test]
fn server_names_are_asked_of_tls_only() {
    let routes = [Route {
        snis: list(&["site1.example.test."]),
        ..route("sni")
    }];
    assert_eq!(found(&routes, &get("", "/")), Some("sni"));
    let mut asked = get("", "/");
    asked.scheme = Scheme::Https;
    assert_eq!(found(&routes, &asked), None);
    asked.server_name = Some("site1.example.test");
    assert_eq!(found(&routes, &asked), Some("sni"));
}

#[test]
fn among_equals_the_older_wins_then_the_greater_identifier() {
    let same = |name, created_at, id: &str| Route {
        paths: list(&["/"]),
        created_at,
        id: Some(id.to_owned()),
        ..route(name)
    };
    let routes = [
        same("young", Some(2), "c"),
        same("old", Some(1), "a"),
        same("undated", None, "d"),
    ];
    assert_eq!(found(&routes, &get("", "/")), Some("old"));
    let routes = [same("first", None, "a"), same("second", None, "b")];
    assert_eq!(found(&routes, &get("", "/")), Some("second"));
}

#[test]
fn what_does_not_compile_is_told_with_route_and_field() {
    let bad = Route {
        paths: list(&["/fine", "~/foo(["]),
        headers: Some(BTreeMap::from([("x-a".to_owned(), vec!["~*(".to_owned()])])),
        ..route("bad")
    };
    let routes = [route("good"), bad];
    let errors = Router::new(shared(&routes).iter().map(Some), &Router::default()).unwrap_err();
    let fields: Vec<_> = errors
        .iter()
        .map(|(position, error)| (*position, error.field.as_str()))
        .collect();
    assert_eq!(fields, [(1, "headers.x-a"), (1, "paths.2")]);
    assert!(errors[1].1.message.starts_with("invalid regex: '/foo(['"));
}

/// Every candidate in order, without any index.
fn walk(router: &Router, request: &RequestFacts<'_>) -> Option<(usize, Option<usize>)> {
    let slots = router.slots.iter().enumerate();
    let filled = slots.filter_map(|(place, slot)| Some((place, slot.as_ref()?)));
    let candidates = filled.flat_map(|(place, slot)| {
        (0..slot.rules.paths.len()).map(move |path| Candidate {
            slot: u32::try_from(place).unwrap(),
            path: u32::try_from(path).unwrap(),
        })
    });
    let mut candidates: Vec<Candidate> = candidates.collect();
    candidates.sort_by(|one, other| router.order(*one, *other));
    candidates.into_iter().find_map(|candidate| {
        let matched = router.check(candidate, request)?;
        Some((router.slot(candidate).position, matched))
    })
}

fn any_host() -> impl Strategy<Value = String> {
    let label = prop_oneof![Just("a"), Just("b"), Just("c")];
    let name = prop::collection::vec(label, 1..4).prop_map(|labels| labels.join("."));
    let shape = prop_oneof![4 => Just(0), 2 => Just(1), 2 => Just(2), 1 => Just(3), 1 => Just(4)];
    (name, shape).prop_map(|(name, shape)| match shape {
        0 => name,
        1 => format!("*.{name}"),
        2 => format!("{name}.*"),
        3 => format!("{name}:8443"),
        _ => format!("*{name}"),
    })
}

fn any_path() -> impl Strategy<Value = String> {
    let prefix = "/[ab]{0,2}(/[ab]{0,2}){0,2}";
    let pattern = prop_oneof![
        Just("~/a$".to_owned()),
        Just("~/[ab]+/b".to_owned()),
        Just("~/a|/b".to_owned()),
        Just("~/a/?b*".to_owned()),
        Just(r"~/ab/(?<x>\w)".to_owned()),
        Just("~.*b$".to_owned()),
    ];
    // Enough of them that they are looked for by their text.
    let crowd = prop_oneof!["~/\\[ab\\]\\+/[ab]{1,2}\\$?", r"~/\(\?i\)[ab]{2,3}"];
    prop_oneof![3 => prefix, 1 => pattern, 3 => crowd]
}

prop_compose! {
    fn any_route()(
        hosts in prop::option::of(prop::collection::vec(any_host(), 1..3)),
        paths in prop::option::of(prop::collection::vec(any_path(), 1..4)),
        methods in prop::option::weighted(0.2, Just(vec!["GET".to_owned()])),
        snis in prop::option::weighted(0.1, Just(vec!["a.b".to_owned()])),
        header in prop::option::weighted(0.2, prop_oneof![Just("1"), Just("~*[12]")]),
        regex_priority in prop::option::of(-2_i64..3),
        created_at in prop::option::of(1_i64..3),
        id in prop::option::of("[a-d]"),
    ) -> Route {
        let headers = header.map(|value| BTreeMap::from([("x-h".to_owned(), vec![value.to_owned()])]));
        Route { hosts, paths, methods, snis, headers, regex_priority, created_at, id, ..Route::default() }
    }
}

type AnyRequest = (String, String, bool, Option<&'static str>, Option<String>, u16);

fn any_requests() -> impl Strategy<Value = Vec<AnyRequest>> {
    let request = (
        "[abc](\\.[abc]){0,3}",
        "/[ab]{0,3}(/[ab]{0,3}){0,2}",
        prop::bool::ANY,
        prop::option::of(prop_oneof![Just("1"), Just("2"), Just("3")]),
        prop::option::of("[ab]\\.[ab]"),
        prop_oneof![Just(80_u16), Just(8443)],
    );
    prop::collection::vec(request, 1..24)
}

/// Calls `check` with each of the requests.
fn ask(
    requests: &[AnyRequest],
    mut check: impl FnMut(&RequestFacts<'_>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    for (host, path, post, header, server_name, port) in requests {
        let mut headers = HeaderMap::new();
        if let Some(value) = *header {
            headers.insert("x-h", HeaderValue::from_static(value));
        }
        check(&RequestFacts {
            method: if *post { &Method::POST } else { &Method::GET },
            host,
            port: *port,
            path: path.as_bytes(),
            headers: &headers,
            scheme: if server_name.is_some() {
                Scheme::Https
            } else {
                Scheme::Http
            },
            server_name: server_name.as_deref(),
        })?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_index_finds_what_a_walk_in_order_finds(
        routes in prop::collection::vec(any_route(), 0..48),
        requests in any_requests(),
    ) {
        let router = router(&routes);
        ask(&requests, |request| {
            let found = router.find(request).map(|found| (found.route, found.matched));
            prop_assert_eq!(found, walk(&router, request));
            Ok(())
        })?;
    }

    #[test]
    fn a_router_that_follows_another_finds_what_one_from_nothing_finds(
        routes in prop::collection::vec(any_route(), 1..32),
        steps in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..32), 1..6),
        identified in prop::bool::weighted(0.8),
        requests in any_requests(),
    ) {
        let mut routes = routes;
        if identified {
            for (number, route) in routes.iter_mut().enumerate() {
                route.id = Some(format!("{number:03}"));
            }
        }
        let routes = shared(&routes);
        let mut before = Router::default();
        for step in steps {
            let mut chosen: Vec<Arc<Route>> = Vec::new();
            for index in step {
                let route = index.get(&routes);
                if !chosen.iter().any(|known| Arc::ptr_eq(known, route)) {
                    chosen.push(Arc::clone(route));
                }
            }
            let (next, fresh) = (following(&chosen, &before), following(&chosen, &Router::default()));
            ask(&requests, |request| {
                let found = |router: &Router| router.find(request).map(|found| (found.route, found.matched));
                prop_assert_eq!(found(&next), found(&fresh));
                Ok(())
            })?;
            prop_assert_eq!(next.slots.iter().flatten().count(), chosen.len());
            before = next;
        }
    }
}

#[test]
fn ten_thousand_routes_are_not_walked_through() {
    let routes: Vec<_> = (0..10_000)
        .map(|number| Route {
            hosts: Some(vec![format!("host-{}.example.test", number / 10)]),
            paths: Some(vec![format!("/service-{number}/")]),
            ..route("one of many")
        })
        .collect();
    let router = router(&routes);
    let mut visited = 0;
    let path = b"/service-5555/deep/path";
    router.hosts.visit("host-555.example.test", |bucket| {
        let found = bucket.find(path, |_| {
            visited += 1;
            None::<()>
        });
        assert!(found.is_none(), "none was to be taken");
    });
    assert_eq!(visited, 1, "only the candidate that matches is looked at");
    let found = router.find(&get("host-555.example.test", "/service-5555/deep/path").facts());
    assert_eq!(found.unwrap().route, 5555);
}

#[test]
fn ten_thousand_expressions_are_not_walked_through() {
    for (expression, path) in [
        ("~/[^/]+/orders-NUMBER/", "/shop/orders-5555/deep"),
        // What is longest they all have.
        ("~/[^/]+/api/v[0-9]+/xNUMBER$", "/shop/api/v2/x5555"),
        ("~/(?<language>en|de)/service-NUMBER$", "/de/service-5555"),
        ("~/(?i)[a-z]+/Article-NUMBER/", "/any/ARTICLE-5555/x"),
    ] {
        let routes: Vec<_> = (0..10_000)
            .map(|number| Route {
                paths: Some(vec![expression.replace("NUMBER", &number.to_string())]),
                ..route("one of many")
            })
            .collect();
        let router = router(&routes);
        let mut visited = 0;
        router.hosts.visit("any.test", |bucket| {
            let found = bucket.find(path.as_bytes(), |_| {
                visited += 1;
                None::<()>
            });
            assert!(found.is_none(), "none was to be taken");
        });
        assert!(visited < 5, "{expression}: {visited} candidates are looked at");
        assert_eq!(router.find(&get("any.test", path).facts()).unwrap().route, 5555);
    }
}

#[test]
fn what_is_gone_is_found_no_more_and_what_stays_keeps_its_rules() {
    let routes: Vec<_> = (0..100)
        .map(|number| Route {
            id: Some(format!("{number:03}")),
            hosts: Some(vec![format!("host-{}.example.test", number / 2)]),
            paths: list(&["~/x/[0-9]"]),
            ..route("one of many")
        })
        .collect();
    let mut routes = shared(&routes);
    let first = following(&routes, &Router::default());
    routes.remove(11);
    let second = following(&routes, &first);
    let asked = get("host-5.example.test", "/x/1");
    assert_eq!(first.find(&asked.facts()).unwrap().route, 11);
    assert_eq!(second.find(&asked.facts()).unwrap().route, 10);
    assert_eq!(second.position(&routes[50]), Some(50));
    let rules = |router: &Router, position: usize| router.known(&routes[position]).map(|(_, rules)| rules);
    assert!(Arc::ptr_eq(&rules(&first, 50).unwrap(), &rules(&second, 50).unwrap()));
    let last = following(&[], &second);
    assert!(last.find(&asked.facts()).is_none());
}
