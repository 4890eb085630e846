//! What a user sees of manifests.

use proptest::prelude::*;

use super::{Broken, Limits, Manifests, load, parse};
use crate::model::{Kind, NamespacedName, Object, Reason};

fn yaml(text: &str) -> Manifests {
    parse("shop.yaml", text.as_bytes(), &Limits::default())
}

/// The only problem, as the user reads it.
fn only_problem(manifests: &Manifests) -> String {
    assert_eq!(manifests.problems.len(), 1, "{:#?}", manifests.problems);
    manifests.problems[0].to_string()
}

fn names(manifests: &Manifests) -> Vec<String> {
    manifests
        .objects
        .iter()
        .map(|object| object.object_ref().to_string())
        .collect()
}

const WEB: &str = "\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
  namespace: shop
  annotations:
    konghq.com/strip-path: \"true\"
spec:
  rules:
  - host: shop.example
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: web
            port: {number: 80}
";

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, creationTimestamp: null}
spec:
  ports: [{name: http, port: 80, targetPort: http}]
";

#[test]
fn objects_know_their_place() {
    let manifests = yaml(&format!("# the shop\n\n{WEB}---\n# its backend\n{SERVICE}"));
    assert_eq!(manifests.problems, []);
    assert_eq!(names(&manifests), ["Ingress shop/web", "Service default/web"]);
    let places = manifests.objects.iter().map(|object| object.metadata().source.as_ref());
    let places: Vec<_> = places
        .map(|source| source.expect("every object has a place").to_string())
        .collect();
    assert_eq!(places, ["shop.yaml:3", "shop.yaml:23"]);
    let Object::Ingress(ingress) = &manifests.objects[0] else {
        panic!("an Ingress stands first")
    };
    let path = &ingress.spec.rules[0].http.as_ref().expect("it has paths").paths[0];
    assert_eq!(path.backend.service.as_ref().expect("it has a Service").port.number, 80);
}

#[test]
fn a_wrong_type_names_field_line_and_remedy() {
    let text = WEB.replace("number: 80", "number: eighty");
    let manifests = yaml(&text);
    assert_eq!(
        only_problem(&manifests),
        "shop.yaml:18: Ingress shop/web spec.rules[0].http.paths[0].backend.service.port.number: InvalidField: \
         expected an integer, found \"eighty\"; write an integer there"
    );
    assert_eq!(manifests.objects, []);
    assert_eq!(
        manifests.broken,
        [Broken::Object(Kind::Ingress, NamespacedName::new("shop", "web"))]
    );
}

#[test]
fn values_out_of_range_or_in_the_wrong_notation_are_told() {
    for (from, to, expected) in [
        (
            "number: 80",
            "number: 80000",
            "expected a port number from 1 to 65535, found 80000; use a port from 1 to 65535",
        ),
        (
            "number: 80",
            "number: \"80\"",
            "expected an integer, found \"80\"; remove the quotes",
        ),
        (
            "\"true\"",
            "true",
            "expected a string, found true; put the value in quotes",
        ),
        ("Prefix", "prefix", "found \"prefix\"; did you mean \"Prefix\"?"),
        (
            "name: web\n            port",
            "nme: web\n            port",
            "unknown field \"nme\"; did you mean \"name\"?",
        ),
        (
            "      - path: /\n        ",
            "        path: /\n        ",
            "expected a list, found an object",
        ),
    ] {
        let text = WEB.replace(from, to);
        assert_ne!(text, WEB);
        let manifests = yaml(&text);
        let told = manifests
            .problems
            .iter()
            .any(|problem| problem.to_string().contains(expected));
        assert!(told, "{to}: {:#?}", manifests.problems);
        assert_eq!(manifests.objects, []);
    }
}

#[test]
fn an_unknown_field_finds_its_name() {
    let manifests = yaml(&WEB.replace("  rules:", "  rulez:"));
    assert_eq!(
        only_problem(&manifests),
        "shop.yaml:9: Ingress shop/web spec.rulez: UnknownField: unknown field \"rulez\"; did you mean \"rules\"?"
    );
}

#[test]
fn a_missing_name_is_told() {
    let manifests = yaml(&SERVICE.replace("name: web, ", ""));
    let problem = only_problem(&manifests);
    assert!(
        problem.contains("metadata.name: InvalidField: the field is missing"),
        "{problem}"
    );
    let manifests = yaml("metadata: {name: web}\n");
    let fields: Vec<_> = manifests
        .problems
        .iter()
        .map(|problem| problem.field.as_deref())
        .collect();
    assert_eq!(fields, [Some("apiVersion"), Some("kind")]);
}

#[test]
fn a_file_of_another_tool_is_told_once_and_by_its_name() {
    let problem = only_problem(&yaml("replicas: 3\nimage: {tag: v1}\n"));
    assert!(
        problem.contains("InvalidManifest: expected a Kubernetes object"),
        "{problem}"
    );
    assert!(problem.contains("move the file elsewhere"), "{problem}");
}

#[test]
fn a_name_that_an_api_server_refuses_is_told() {
    let long = "x".repeat(100_000);
    for name in ["Web", "web/app", "-web", "\"\"", "\"web app\"", long.as_str()] {
        let manifests = yaml(&SERVICE.replace("name: web,", &format!("name: {name},")));
        let problem = only_problem(&manifests);
        assert!(problem.contains("metadata.name: InvalidField: "), "{problem}");
        assert!(
            problem.contains("is not a valid name; use at most 253") && problem.len() < 1000,
            "{problem}"
        );
        assert_eq!(manifests.objects, []);
    }
    let manifests = yaml(&SERVICE.replace("name: web,", "name: web, namespace: Shop,"));
    let problem = only_problem(&manifests);
    assert!(
        problem.contains("metadata.namespace: InvalidField: \"Shop\" is not a valid namespace"),
        "{problem}"
    );
    assert_eq!(
        names(&yaml(&SERVICE.replace("name: web,", "name: web, namespace: \"\","))),
        ["Service default/web"]
    );
}

#[test]
fn kinds_of_kubernetes_are_skipped_in_silence_and_others_are_told() {
    let silent = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: x}\n";
    assert_eq!(yaml(silent), Manifests::default());
    for (text, expected) in [
        (
            "apiVersion: networking.k8s.io/v1\nkind: Ingres\nmetadata: {name: web}",
            "did you mean \"Ingress\"?",
        ),
        (
            "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: web}",
            "use apiVersion networking.k8s.io/v1",
        ),
        (
            "apiVersion: apps/v1\nkind: Deploymnet\nmetadata: {name: web}",
            "did you mean \"Deployment\"?",
        ),
        (
            "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: web}",
            "kind Widget of example.com/v1 is not read",
        ),
    ] {
        let manifests = yaml(text);
        assert_eq!(manifests.problems[0].reason, Reason::UnknownKind);
        let problem = only_problem(&manifests);
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn a_broken_document_takes_no_other_with_it() {
    let broken = WEB.replace("  rules:\n", "  rules: [\n");
    for broken in [
        broken.as_str(),
        "a: \"never closed\n",
        "[}\n",
        "- just\n- a list\n",
        "\t: x\n",
    ] {
        let manifests = yaml(&format!(
            "{SERVICE}---\n{broken}---\n{}",
            SERVICE.replace("name: web", "name: api")
        ));
        assert_eq!(
            names(&manifests),
            ["Service default/web", "Service default/api"],
            "{broken}"
        );
        let problem = only_problem(&manifests);
        assert!(problem.contains("InvalidManifest"), "{problem}");
        assert_eq!(manifests.broken.len(), 1);
    }
    let manifests = yaml(&format!("{SERVICE}---\n{broken}"));
    assert_eq!(
        manifests.broken,
        [Broken::Object(Kind::Ingress, NamespacedName::new("shop", "web"))]
    );
    let problem = only_problem(&manifests);
    assert!(problem.contains("Ingress shop/web"), "{problem}");
    let line = manifests.problems[0].source.as_ref().and_then(|source| source.line);
    assert!(line.is_some_and(|line| (15..=26).contains(&line)), "{problem}");
}

#[test]
fn one_object_twice_is_told_with_both_places() {
    let manifests = yaml(&format!("{SERVICE}---\n{SERVICE}"));
    assert_eq!(names(&manifests), ["Service default/web"]);
    assert_eq!(
        only_problem(&manifests),
        "shop.yaml:7: Service default/web metadata.name: DuplicateObject: \
         the same object stands in shop.yaml:1; this one is ignored; remove one of the two, or give it another name"
    );
    assert_eq!(manifests.broken, []);
}

#[test]
fn lists_and_json_are_read_with_lines() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n\
                - apiVersion: v1\n  kind: Service\n  metadata: {name: b}\n  spec: {ports: [{port: x}]}\n";
    let manifests = yaml(list);
    assert_eq!(names(&manifests), ["Service default/a"]);
    let problem = only_problem(&manifests);
    assert!(
        problem.starts_with("shop.yaml:10: Service default/b spec.ports[0].port: "),
        "{problem}"
    );

    let json = "{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {\"name\": \"a\"}}\n\
                {\"apiVersion\": \"v1\", \"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"\\u0062\"},\n\
                \t\"spec\": {\"type\": 3}}\n{\"apiVersion\": [";
    let manifests = parse("shop.json", json.as_bytes(), &Limits::default());
    assert_eq!(names(&manifests), ["Service default/a"]);
    let problems: Vec<_> = manifests.problems.iter().map(ToString::to_string).collect();
    assert!(
        problems[0].starts_with("shop.json:4: Service default/b spec.type: InvalidField: "),
        "{problems:?}"
    );
    assert!(
        problems[1].starts_with("shop.json:5: Manifest shop.json: InvalidManifest: not valid JSON"),
        "{problems:?}"
    );
}

#[test]
fn secrets_are_read_and_never_quoted() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ntype: Opaque\ndata: {a: aGVsbG8=}\n\
                  stringData: {b: plain}\n";
    let manifests = yaml(secret);
    let Object::Secret(read) = &manifests.objects[0] else {
        panic!("a Secret stands there")
    };
    assert_eq!(
        (read.value("a"), read.value("b")),
        (Some(&b"hello"[..]), Some(&b"plain"[..]))
    );
    for (from, to) in [
        ("aGVsbG8=", "hunter2!"),
        ("plain", "31337"),
        ("{a: aGVsbG8=}", "hunter2"),
        ("plain", "[hunter2]"),
        ("plain", "*hunter2"),
        ("plain", "\"\\hunter2\""),
    ] {
        let manifests = yaml(&secret.replace(from, to));
        let problem = only_problem(&manifests);
        assert!(!problem.contains("hunter2") && !problem.contains("31337"), "{problem}");
        assert_eq!(manifests.objects, []);
    }
}

#[test]
fn input_is_bounded() {
    let limits = Limits {
        file_bytes: 1000,
        documents: 3,
        objects: 2,
        ..Limits::default()
    };
    let manifests = parse("big.yaml", &[b'#'; 1200], &limits);
    assert!(only_problem(&manifests).contains("the file is over 1000 bytes, the limit: it is skipped; split it"));
    let many: String = (0..5)
        .map(|index| format!("---\n{}", SERVICE.replace("web", &format!("s{index}"))))
        .collect();
    let mut manifests = parse("many.yaml", many.as_bytes(), &limits);
    assert_eq!(manifests.objects.len(), 3);
    assert!(
        only_problem(&manifests)
            .starts_with("many.yaml:20: Manifest many.yaml: InvalidManifest: more than 3 documents")
    );
    manifests.finish(&limits);
    assert_eq!(manifests.objects.len(), 2);

    let deep = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let problem = only_problem(&yaml(&deep));
    assert!(
        problem.contains("the document is nested more than 64 levels deep; split"),
        "{problem}"
    );
    let limits = Limits {
        nodes: 100,
        ..Limits::default()
    };
    let wide = format!("a: [{}]", "x, ".repeat(200));
    let problem = only_problem(&parse("wide.yaml", wide.as_bytes(), &limits));
    assert!(problem.contains("the document has more than 100 values"), "{problem}");
    let deep = format!("{{\"a\": {}{}}}", "[".repeat(100), "]".repeat(100));
    let problem = only_problem(&parse("deep.json", deep.as_bytes(), &Limits::default()));
    assert!(problem.contains("InvalidManifest"), "{problem}");
}

#[test]
fn a_bomb_of_aliases_does_not_go_off() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let manifests = yaml(&format!("{SERVICE}---\n{bomb}---\n{}", SERVICE.replace("web", "api")));
    assert_eq!(names(&manifests), ["Service default/web", "Service default/api"]);
    let problem = only_problem(&manifests);
    assert!(
        problem.contains("aliases (*name) repeat more than 100000 values, as in a YAML bomb")
            && problem.contains("write out what its aliases repeat"),
        "{problem}"
    );
    let shared: String = (0..200).map(|index| format!("l{index}: *shared, ")).collect();
    let many = SERVICE.replace(
        "name: web,",
        &format!("name: web, annotations: {{a: &shared v}}, labels: {{{shared}}},"),
    );
    let manifests = yaml(&many);
    assert_eq!(
        names(&manifests),
        ["Service default/web"],
        "{:?}: many aliases of one value are no bomb",
        manifests.problems
    );
}

#[test]
fn a_directory_is_read_in_order_and_without_hidden_files() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has a parent")).expect("directories can be made");
        std::fs::write(path, text).expect("files can be written");
    };
    write("b.yml", &SERVICE.replace("web", "b"));
    write("a/a.yaml", &SERVICE.replace("web", "a"));
    write("..data/hidden.yaml", SERVICE);
    write(".hidden.yaml", SERVICE);
    write("notes.txt", "not yaml: [");
    write("big.yaml", &"#".repeat(2000));
    let limits = Limits {
        file_bytes: 1000,
        ..Limits::default()
    };
    let manifests = load(directory.path(), &limits);
    assert_eq!(names(&manifests), ["Service default/a", "Service default/b"]);
    assert!(only_problem(&manifests).contains("big.yaml"));
    let manifests = load(&directory.path().join("none.yaml"), &limits);
    assert!(only_problem(&manifests).contains("failed to read the file"));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[-:{}\\[\\]&*!|>'\"#%@` \t\nakinds0-9é]{0,200}") {
        let manifests = yaml(&text);
        prop_assert!(manifests.objects.is_empty());
        let _ = parse("any.json", text.as_bytes(), &Limits::default());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse("any.yaml", &bytes, &Limits::default());
        let _ = parse("any.json", &bytes, &Limits::default());
    }

    #[test]
    fn damage_to_one_document_leaves_the_others(at in 0..WEB.len(), damage in "[-:{}\\[\\]&*!|>'\"#%@` \t\nx]{1,4}") {
        let mut web = WEB.to_owned();
        web.insert_str(at, &damage);
        let manifests = yaml(&format!("{SERVICE}---\n{web}\n---\n{}", SERVICE.replace("web", "api")));
        let names = names(&manifests);
        prop_assert!(names.contains(&"Service default/api".to_owned()), "{names:?}");
        prop_assert!(names.contains(&"Service default/web".to_owned()), "{names:?}");
    }
}
