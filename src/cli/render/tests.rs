//! Golden directories, and what a user sees of problems.
//!
//! Below `src/translate/testdata` a directory with `in.yaml` is a case; each directory in it is a run: `arguments` are
//! flags of `silverback render`, `config.yaml` is the configuration expected, `problems.yaml` the problems (any, where
//! there is no such file). `UPDATE_GOLDEN=1 cargo test golden` writes what is new, after which one reads the difference.
#![allow(clippy::unwrap_used)]

// By the table of cases, with the names that the reference pages show, which only the whole build has.
#[cfg(feature = "controller")]
mod bad_values;
#[cfg(feature = "controller")]
mod coverage;
mod misplaced;
#[cfg(feature = "controller")]
mod mutations;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::FromArgMatches;
use proptest::prelude::*;
use proxy_config_schema::{RouterFlavor as KongFlavor, ValidationOptions};
use serde_json::{Value, json};

use super::*;
use crate::{
    cli,
    manifest::{self, Limits, Manifests},
    model::{Edition, Kind, Object, RouterFlavor},
    translate::MissingPlugin,
};

fn parse(flags: &str) -> Result<RenderArguments, clap::Error> {
    let words = ["silverback", "render"].into_iter().chain(flags.split_whitespace());
    let matches = cli::command().try_get_matches_from(words)?;
    RenderArguments::from_arg_matches(matches.subcommand_matches("render").unwrap())
}

fn arguments(flags: &str) -> TranslationArguments {
    parse(&format!("-f - {flags}")).unwrap().translation
}

fn outcome(manifests: Manifests, arguments: &TranslationArguments) -> Outcome {
    Outcome::new(manifests, &arguments.settings().unwrap())
}

fn render(flags: &str, text: &str) -> Outcome {
    let arguments = arguments(flags);
    outcome(
        manifest::parse("in.yaml", text.as_bytes(), &arguments.limits()),
        &arguments,
    )
}

fn value(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

/// All directories that hold a case.
fn cases(root: &Path) -> Vec<PathBuf> {
    directories(root)
        .into_iter()
        .flat_map(|path| {
            if path.join("in.yaml").exists() {
                vec![path]
            } else {
                cases(&path)
            }
        })
        .collect()
}

/// What a real proxy of the profile would say: that it takes it, unless the run has a file `refused`, which says why not.
fn assert_accepted(outcome: &Outcome, arguments: &TranslationArguments, refused: bool) {
    let profile = arguments.settings().unwrap().profile;
    let flavor = match profile.router_flavor {
        RouterFlavor::Traditional | RouterFlavor::TraditionalCompatible => KongFlavor::TraditionalCompatible,
        RouterFlavor::Expressions => KongFlavor::Expressions,
    };
    let options = ValidationOptions {
        router_flavor: flavor,
        sticky_sessions: profile.version.is_none_or(|version| version >= (3, 11)),
        enterprise: matches!(profile.edition, None | Some(Edition::Enterprise)),
        ..ValidationOptions::default()
    };
    match outcome.configuration.validate(&options) {
        Err(invalid) if !refused => panic!("a proxy refuses it: {:#}", invalid.to_answer(true)),
        Ok(()) if refused => panic!("a proxy takes it"),
        _ => {}
    }
}

/// Orders of the objects that all must give the same.
fn orders(objects: &[Object]) -> Vec<Vec<Object>> {
    let reversed = objects.iter().rev().cloned().collect();
    let mut rotated = objects.to_vec();
    rotated.rotate_left(objects.len() / 2);
    vec![reversed, rotated]
}

#[test]
fn golden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/translate/testdata");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut runs = 0;
    for case in cases(&root) {
        let input = fs::read_to_string(case.join("in.yaml")).unwrap();
        for run in directories(&case) {
            println!("{}", run.display());
            let arguments = arguments(&fs::read_to_string(run.join("arguments")).unwrap());
            let manifests = manifest::parse("in.yaml", input.as_bytes(), &arguments.limits());
            let got = outcome(manifests.clone(), &arguments);
            assert_accepted(&got, &arguments, run.join("refused").exists());
            for objects in orders(&manifests.objects) {
                let shuffled = Manifests {
                    objects,
                    ..manifests.clone()
                };
                let other = outcome(shuffled, &arguments);
                assert_eq!(
                    (&got.rendered, &got.problems),
                    (&other.rendered, &other.problems),
                    "order matters"
                );
            }
            let configuration = yaml(&got.configuration);
            let as_sent: Value = serde_json::from_slice(&got.rendered.bytes).unwrap();
            assert_eq!(value(&configuration), as_sent, "YAML and JSON differ");
            let problems = serde_saphyr::to_string(&got.problems).unwrap();
            if update && !case.starts_with(root.join("kic")) {
                fs::write(run.join("config.yaml"), &configuration).unwrap();
                fs::write(run.join("problems.yaml"), &problems).unwrap();
            }
            let expected = fs::read_to_string(run.join("config.yaml")).unwrap();
            similar(&value(&expected), &value(&configuration), &run);
            if let Ok(expected) = fs::read_to_string(run.join("problems.yaml")) {
                similar(&value(&expected), &value(&problems), &run);
            }
            runs += 1;
        }
    }
    assert!(runs >= 15, "only {runs} runs were found");
}

/// Equal down to the order of lists; else says what differs first.
fn similar(expected: &Value, got: &Value, run: &Path) {
    let text = |value| serde_saphyr::to_string(value).unwrap();
    let (expected, got) = (text(expected), text(got));
    let pairs = expected.lines().zip(got.lines()).enumerate();
    for (line, (expected, got)) in pairs {
        assert_eq!(expected, got, "{}, line {line} with keys in order", run.display());
    }
    assert_eq!(expected, got, "{}", run.display());
}

const CLASS: &str = "kong";
const HOSTS: &[&str] = &[
    "",
    "a.example",
    "*.a.example",
    "a.*",
    "b_c.example",
    "bad host",
    "10.0.0.1",
    "a..b",
];
const PATHS: &[&str] = &[
    "", "/", "//", "/a", "/a/", "/a/b", "/a%2Fb", "/a%zz", "/ü", "/a/../b", "a", "/~/a\\d", "/~/(", "/~x", "/~", "/a(",
    "/@/x",
];
const SERVICES: &[&str] = &["web", "api", "gone", "external", "", "Not a name!"];
const VALUES: &[&str] = &[
    "",
    "true",
    "false",
    "1",
    "0",
    "-1",
    "99999999999",
    "http",
    "https",
    "grpc",
    "grpcs",
    "grpcs,http",
    "ws",
    "tcp",
    "tls",
    "/x",
    "x//y",
    "/a b",
    "a.example",
    "*.a.example,b.example",
    "GET,post",
    "p u t",
    "~*^v\\d$",
    "~*(",
    "v0",
    "v1",
    "302",
    "/@",
    "a,b/c",
    "secret",
    ",",
];
const ANNOTATIONS: &[&str] = &[
    "konghq.com/strip-path",
    "konghq.com/preserve-host",
    "konghq.com/protocols",
    "konghq.com/protocol",
    "konghq.com/path",
    "konghq.com/methods",
    "konghq.com/snis",
    "konghq.com/host-aliases",
    "konghq.com/headers.x-a",
    "konghq.com/headers.host",
    "konghq.com/headers-separator",
    "konghq.com/regex-prefix",
    "konghq.com/regex-priority",
    "konghq.com/path-handling",
    "konghq.com/https-redirect-status-code",
    "konghq.com/tags",
    "konghq.com/plugins",
    "konghq.com/client-cert",
    "konghq.com/tls-verify",
    "konghq.com/tls-verify-depth",
    "konghq.com/host-header",
    "konghq.com/retries",
    "konghq.com/read-timeout",
    "ingress.kubernetes.io/force-ssl-redirect",
    "ingress.kubernetes.io/service-upstream",
];

fn annotations() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(ANNOTATIONS);
    prop::collection::btree_map(names, prop::sample::select(VALUES), 0..4)
        .prop_map(|map| serde_json::to_value(map).unwrap())
}

prop_compose! {
    fn backend()(service in prop::sample::select(SERVICES), port in prop::sample::select(&[0_u16, 80, 443, 81][..]), named in any::<bool>()) -> Value {
        if named {
            json!({"service": {"name": service, "port": {"name": "http"}}})
        } else {
            json!({"service": {"name": service, "port": {"number": port}}})
        }
    }
}

prop_compose! {
    fn path()(
        path in prop::sample::select(PATHS),
        kind in prop::sample::select(&["Exact", "Prefix", "ImplementationSpecific"][..]),
        backend in backend(),
    ) -> Value {
        json!({"path": path, "pathType": kind, "backend": backend})
    }
}

prop_compose! {
    fn rule()(host in prop::sample::select(HOSTS), paths in prop::collection::vec(path(), 0..4)) -> Value {
        json!({"host": host, "http": {"paths": paths}})
    }
}

prop_compose! {
    fn ingress(name: usize)(
        annotations in annotations(),
        rules in prop::collection::vec(rule(), 0..3),
        default in prop::option::of(backend()),
        tls in prop::collection::vec((prop::collection::vec(prop::sample::select(HOSTS), 0..3), prop::sample::select(&["", "secret", "broken", "gone"][..])), 0..2),
        year in 2020..2023,
    ) -> Object {
        let tls: Vec<_> = tls.into_iter().map(|(hosts, secret)| json!({"hosts": hosts, "secretName": secret})).collect();
        object(Kind::Ingress, json!({
            "metadata": {"name": format!("i{name}"), "namespace": "shop", "annotations": annotations,
                "creationTimestamp": format!("{year}-01-01T00:00:00Z")},
            "spec": {"ingressClassName": CLASS, "rules": rules, "defaultBackend": default, "tls": tls},
        }))
    }
}

prop_compose! {
    fn service(name: &'static str)(annotations in annotations(), target in prop::sample::select(HOSTS)) -> Object {
        let external = (name == "external").then_some("ExternalName");
        object(Kind::Service, json!({
            "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
            "spec": {"type": external, "externalName": target, "ports": [{"name": "http", "port": 80}, {"name": "https", "port": 443}]},
        }))
    }
}

fn object(kind: Kind, value: Value) -> Object {
    Object::from_json(kind, value).unwrap()
}

fn fixed_objects() -> Vec<Object> {
    let pem = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src/translate/testdata/pem")
            .join(name);
        fs::read_to_string(path).unwrap()
    };
    let slice = json!({
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080}], "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["fd00::1"]}, {"addresses": ["not an address"]}],
    });
    let good = json!({"metadata": {"name": "secret", "namespace": "shop"}, "stringData": {"tls.crt": pem("ec.crt"), "tls.key": pem("ec.key")}});
    let bad = json!({"metadata": {"name": "broken", "namespace": "shop"}, "stringData": {"tls.crt": pem("ec.crt"), "tls.key": pem("rsa.key")}});
    vec![
        object(Kind::EndpointSlice, slice),
        object(Kind::Secret, good),
        object(Kind::Secret, bad),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever users write: a configuration comes out that a proxy takes, the same for any order of the objects.
    #[test]
    fn any_objects_give_a_configuration_that_a_proxy_takes(
        ingresses in (ingress(0), ingress(1), ingress(2)),
        services in (service("web"), service("api"), service("external")),
        flags in prop::sample::select(&["--edition open-source", "--edition open-source --router-flavor expressions", "--edition embedded --enable-drain-support"][..]),
    ) {
        let mut objects = fixed_objects();
        objects.extend([ingresses.0, ingresses.1, ingresses.2, services.0, services.1, services.2]);
        let arguments = arguments(flags);
        let of = |objects: Vec<Object>| outcome(Manifests { objects, ..Manifests::default() }, &arguments);
        let got = of(objects.clone());
        assert_accepted(&got, &arguments, false);
        for objects in orders(&objects) {
            let other = of(objects);
            prop_assert_eq!((&got.rendered, &got.problems), (&other.rendered, &other.problems));
        }
        for problem in &got.problems {
            prop_assert!(problem.field.is_some() && !problem.remedy.is_empty(), "{}", problem);
        }
    }
}

#[test]
fn problems_are_readable_as_text_and_as_one_json_array() {
    let manifest = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: shop}\nspec:\n  \
        ingressClassName: kong\n  rules: [{host: a.example, http: {paths: [{path: /, pathType: Prefix, backend: \
        {service: {name: gone, port: {number: 80}}}}]}}]\n";
    let outcome = render("", manifest);
    assert_eq!(
        problems_text(&outcome.problems),
        "in.yaml:1: Ingress shop/web spec.rules[0].http.paths[0].backend.service.name\n    \
         ServiceNotFound: there is no Service gone in namespace shop; requests get 503\n    \
         remedy: create the Service, or correct the name\n"
    );
    let array: Value = serde_json::from_str(&problems_json(&outcome.problems)).unwrap();
    assert_eq!(array[0]["object"]["name"], "web");
    assert_eq!(array[0]["source"]["line"], 1);
    assert_eq!(problems_json(&[]), "[]\n");
    assert_eq!(problems_text(&[]), "");
    assert_eq!(
        outcome.configuration.services.len(),
        1,
        "the rest is printed all the same"
    );
}

#[test]
fn a_service_may_have_thousands_of_endpoints() {
    let mut objects = vec![
        object(
            Kind::Ingress,
            json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ingressClassName": CLASS, "rules": [
                {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}},
            ]}}),
        ),
        object(
            Kind::Service,
            json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}),
        ),
    ];
    // 50 slices of 100 endpoints, as the cluster makes them; neighbours share an endpoint.
    for slice in 0..50 {
        let endpoints: Vec<_> = (slice * 99..slice * 99 + 100)
            .map(|number| json!({"addresses": [format!("10.0.{}.{}", number / 250, number % 250 + 1)]}))
            .collect();
        objects.push(object(
            Kind::EndpointSlice,
            json!({"metadata": {"name": format!("web-{slice}"), "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
                "ports": [{"port": 8080}], "endpoints": endpoints}),
        ));
    }
    let arguments = arguments("");
    let of = |objects: Vec<Object>| {
        outcome(
            Manifests {
                objects,
                ..Manifests::default()
            },
            &arguments,
        )
    };
    let got = of(objects.clone());
    assert_eq!(got.configuration.upstreams[0].targets.len(), 50 * 99 + 1);
    assert_eq!(got.problems, []);
    for objects in orders(&objects) {
        assert_eq!(of(objects).rendered, got.rendered);
    }
}

#[test]
fn nothing_to_configure_is_the_stub() {
    assert_eq!(
        value(&yaml(&render("", "").configuration))["upstreams"],
        json!([{"name": "kong"}])
    );
}

#[test]
fn files_and_directories_are_read_together_and_a_path_to_nowhere_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let service = |name: &str| format!("{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{}}}}");
    fs::create_dir(directory.path().join("below")).unwrap();
    fs::write(directory.path().join("below/a.yaml"), service("a")).unwrap();
    let file = directory.path().join("b.txt");
    fs::write(&file, service("b")).unwrap();
    let found = read(&[directory.path().join("below"), file], &Limits::default()).unwrap();
    assert_eq!(found.objects.len(), 2);
    let missing = directory.path().join("missing.yaml");
    let message = read(&[missing], &Limits::default()).unwrap_err();
    assert!(message.contains("missing.yaml"), "{message}");
}

#[test]
fn flags_have_the_spellings_that_users_of_kong_know() {
    let flags = "--router-flavor traditional_compatible --kong-version 3.9.1 --edition community --missing-plugin omit";
    let settings = arguments(flags).settings().unwrap();
    assert_eq!(settings.profile.to_string(), "traditional_compatible/open-source/3.9");
    assert_eq!(settings.missing_plugin, MissingPlugin::Omit);
    assert!(parse("").is_err(), "-f is required");
    assert!(parse("-f - --kong-version three").is_err());
}

#[test]
fn identifiers_are_those_of_the_workspace() {
    let service =
        "{apiVersion: v1, kind: Service, metadata: {name: s1, namespace: default}, spec: {ports: [{port: 80}]}}";
    let backend = "{service: {name: s1, port: {number: 80}}}";
    let ingress = format!(
        "{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i1, namespace: default}}, \
         spec: {{ingressClassName: kong, rules: [{{http: {{paths: [{{path: /, pathType: Prefix, backend: {backend}}}]}}}}]}}}}"
    );
    let id = |flags: &str| {
        let outcome = render(flags, &format!("{service}\n---\n{ingress}"));
        outcome.configuration.services[0].id.clone().unwrap()
    };
    assert_eq!(id(""), "9e262d22-26f2-5bcb-8d57-c5229fb8c5a2");
    assert_eq!(id("--kong-workspace ws1"), "102a7114-4222-574d-89b3-ad8b11b62b6a");
}
