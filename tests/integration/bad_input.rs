//! Mistakes: each is reported with object, field, reason and remedy, and an unrelated change made afterwards goes live.

use std::{path::Path, process::Stdio};

use serde_json::Value;

use crate::{
    demo_screen::rows,
    harness::{Demo, ECHO_SERVICE, Lines, Running, free_ports, ingress, proxy_with, silverback},
};

/// One mistake, and what must be said of it.
struct Mistake {
    name: &'static str,
    manifest: String,
    object: &'static str,
    field: &'static str,
    reason: &'static str,
    /// Words of it.
    remedy: &'static str,
}

fn mistakes() -> Vec<Mistake> {
    let tls = |secret: &str| {
        ingress("bad", "bad.localhost", "/bad").replace(
            "  rules:",
            &format!("  tls: [{{hosts: [bad.localhost], secretName: {secret}}}]\n  rules:"),
        )
    };
    vec![
        Mistake {
            name: "an Ingress to a missing Service",
            manifest: ingress("bad", "bad.localhost", "/bad").replace("name: echo", "name: nosuch"),
            object: "Ingress demo/bad",
            field: "spec.rules[0].http.paths[0].backend.service.name",
            reason: "ServiceNotFound",
            remedy: "create the Service, or correct the name",
        },
        Mistake {
            name: "an Ingress to a missing port",
            manifest: ingress("bad", "bad.localhost", "/bad").replace("number: 80", "number: 81"),
            object: "Ingress demo/bad",
            field: "spec.rules[0].http.paths[0].backend.service.port.number",
            reason: "PortNotFound",
            remedy: "use a port of the Service: 80 (http)",
        },
        Mistake {
            name: "a missing Secret",
            manifest: tls("nosuch"),
            object: "Ingress demo/bad",
            field: "spec.tls[0].secretName",
            reason: "SecretNotFound",
            remedy: "create the Secret, or correct the name",
        },
        Mistake {
            name: "a broken key",
            manifest: format!("{}---\n{}", tls("broken"), tls_secret("broken", EC[0], "nonsense")),
            object: "Secret demo/broken",
            field: "data[tls.key]",
            reason: "InvalidCertificate",
            remedy: "put the certificate's private key there, as unencrypted PEM",
        },
        Mistake {
            name: "a regular expression that does not compile",
            manifest: ingress("bad", "bad.localhost", "'/~/bad/(['")
                .replace("pathType: Prefix", "pathType: ImplementationSpecific"),
            object: "Ingress demo/bad",
            field: "spec.rules[0].http.paths[0].path",
            reason: "InvalidRegex",
            remedy: "correct the expression",
        },
        Mistake {
            name: "the same host and path twice",
            manifest: ingress("zzz", "good.localhost", "/good"),
            object: "Ingress demo/zzz",
            field: "spec.rules[0].http.paths[0].path",
            reason: "Conflict",
            remedy: "remove the path from one of the two, or give it another host or path",
        },
        Mistake {
            // The name would win if both had come at the same time, and nobody would be there.
            name: "the same host and path twice, under a name that comes first",
            manifest: ingress("aaa", "good.localhost", "/good").replace("name: echo", "name: nosuch"),
            object: "Ingress demo/aaa",
            field: "spec.rules[0].http.paths[0].path",
            reason: "Conflict",
            remedy: "remove the path from one of the two, or give it another host or path",
        },
        Mistake {
            name: "an object again, in a file whose name comes first",
            manifest: ingress("good", "good.localhost", "/taken"),
            object: "Ingress demo/good",
            field: "metadata.name",
            reason: "DuplicateObject",
            remedy: "remove one of the two, or give it another name",
        },
        Mistake {
            name: "a Service without endpoints",
            manifest: format!(
                "{}---\napiVersion: v1\nkind: Service\nmetadata: {{name: empty, namespace: demo}}\nspec: {{ports: [{{name: admin, port: 81}}, {{name: http, port: 80}}]}}\n",
                ingress("bad", "bad.localhost", "/bad").replace("name: echo", "name: empty")
            ),
            object: "Service demo/empty",
            field: "spec.ports[1]",
            reason: "NoEndpoints",
            remedy: "add an EndpointSlice with the label kubernetes.io/service-name",
        },
        Mistake {
            name: "a wrong type",
            manifest: ingress("bad", "bad.localhost", "/bad").replace("number: 80", "number: eighty"),
            object: "Ingress demo/bad",
            field: "spec.rules[0].http.paths[0].backend.service.port.number",
            reason: "InvalidField",
            remedy: "write an integer there",
        },
        Mistake {
            name: "a bad annotation",
            manifest: annotated("konghq.com/methods: P U T"),
            object: "Ingress demo/bad",
            field: "metadata.annotations[konghq.com/methods]",
            reason: "InvalidAnnotation",
            remedy: "use methods such as GET,POST",
        },
        Mistake {
            name: "a field of a custom resource with a wrong type",
            manifest: plugin("plugin: rate-limiting\ndisabled: perhaps\n"),
            object: "KongPlugin demo/bad",
            field: "disabled",
            reason: "InvalidField",
            remedy: "write true or false, without quotes",
        },
        Mistake {
            name: "a plugin that the proxies do not have",
            manifest: plugin("plugin: no-such-plugin\n"),
            object: "KongPlugin demo/bad",
            field: "plugin",
            reason: "Unsupported",
            remedy: "use a plugin that they have, or let them load this one",
        },
        Mistake {
            name: "a key that the Secret lacks",
            manifest: format!(
                "{}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: settings, namespace: demo}}\nstringData: {{other: '{{}}'}}\n",
                plugin("plugin: request-termination\nconfigFrom: {secretKeyRef: {name: settings, key: config}}\n")
            ),
            object: "KongPlugin demo/bad",
            field: "configFrom.secretKeyRef.key",
            reason: "SecretKeyNotFound",
            remedy: "add the key to the Secret, or correct its name",
        },
        Mistake {
            name: "a Secret that a plugin lacks",
            manifest: plugin("plugin: request-termination\nconfigFrom: {secretKeyRef: {name: nosuch, key: config}}\n"),
            object: "KongPlugin demo/bad",
            field: "configFrom.secretKeyRef.name",
            reason: "SecretNotFound",
            remedy: "create the Secret, or correct the name",
        },
        Mistake {
            name: "settings of a giant",
            manifest: plugin(&format!(
                "plugin: request-termination\nconfig: {{body: \"{}\"}}\n",
                "x".repeat(2_000_000)
            )),
            object: "KongPlugin demo/bad",
            field: "config",
            reason: "InvalidPlugin",
            remedy: "make them smaller",
        },
        Mistake {
            name: "one key of two consumers",
            manifest: consumer("first") + &consumer("second"),
            object: "KongConsumer demo/second",
            field: "credentials[0]",
            reason: "Conflict",
            remedy: "give each consumer a key of its own",
        },
        Mistake {
            name: "one server name with two certificates",
            manifest: certificate("first", EC) + &certificate("second", RSA),
            object: "Ingress demo/second",
            field: "spec.tls[0].hosts[0]",
            reason: "Conflict",
            remedy: "name the same Secret in both, or list the host in one of them only",
        },
        Mistake {
            name: "an unknown field",
            manifest: ingress("bad", "bad.localhost", "/bad").replace("ingressClassName", "ingressClasName"),
            object: "Ingress demo/bad",
            field: "spec.ingressClasName",
            reason: "UnknownField",
            remedy: "did you mean \"ingressClassName\"?",
        },
        Mistake {
            name: "an unknown kind",
            manifest: "apiVersion: networking.k8s.io/v1\nkind: Ingres\nmetadata: {name: bad, namespace: demo}\n"
                .to_owned(),
            object: "Ingres demo/bad",
            field: "kind",
            reason: "UnknownKind",
            remedy: "did you mean \"Ingress\"?",
        },
        Mistake {
            name: "broken YAML",
            manifest: "apiVersion: v1\nkind: [Service\n".to_owned(),
            object: "bad.yaml",
            field: "",
            reason: "InvalidManifest",
            remedy: "correct the YAML at that line",
        },
        Mistake {
            name: "a YAML bomb",
            manifest: yaml_bomb(),
            object: "bad.yaml",
            field: "",
            reason: "InvalidManifest",
            remedy: "write out what its aliases repeat",
        },
        Mistake {
            name: "ten megabytes of YAML",
            manifest: format!("# {}\n", "x".repeat(99)).repeat(110_000),
            object: "bad.yaml",
            field: "",
            reason: "InvalidManifest",
            remedy: "split it into several files",
        },
    ]
}

/// An Ingress with an annotation.
fn annotated(annotation: &str) -> String {
    ingress("bad", "bad.localhost", "/bad").replace(
        "namespace: demo",
        &format!("namespace: demo, annotations: {{{annotation}}}"),
    )
}

/// A KongPlugin, and an Ingress that names it.
fn plugin(fields: &str) -> String {
    format!(
        "{}---\napiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nmetadata: {{name: bad, namespace: demo}}\n{fields}",
        annotated("konghq.com/plugins: bad")
    )
}

/// A KongConsumer, and a Secret with the key that all of them have.
fn consumer(name: &str) -> String {
    format!(
        "apiVersion: configuration.konghq.com/v1\nkind: KongConsumer\nmetadata: {{name: {name}, namespace: demo, \
         annotations: {{kubernetes.io/ingress.class: kong}}}}\nusername: {name}\ncredentials: [{name}-key]\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}-key, namespace: demo, \
         labels: {{konghq.com/credential: key-auth}}}}\nstringData: {{key: the-same}}\n---\n"
    )
}

const EC: [&str; 2] = [
    include_str!("../../src/translate/testdata/pem/ec.crt"),
    include_str!("../../src/translate/testdata/pem/ec.key"),
];
const RSA: [&str; 2] = [
    include_str!("../../src/translate/testdata/pem/rsa.crt"),
    include_str!("../../src/translate/testdata/pem/rsa.key"),
];

/// An Ingress with a certificate of its own for the same host.
fn certificate(name: &str, [certificate, key]: [&str; 2]) -> String {
    let ingress = ingress(name, "tls.localhost", &format!("/{name}")).replace(
        "  rules:",
        &format!("  tls: [{{hosts: [tls.localhost], secretName: {name}-tls}}]\n  rules:"),
    );
    format!(
        "{ingress}---\n{}---\n",
        tls_secret(&format!("{name}-tls"), certificate, key)
    )
}

/// A Secret with a certificate.
fn tls_secret(name: &str, certificate: &str, key: &str) -> String {
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "demo"},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key},
    });
    format!("{secret}\n")
}

fn yaml_bomb() -> String {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text
}

/// Whether a proxy is not `Complete` by such a mistake: a Service without endpoints is there, and answers 503.
fn leaves_out(reason: &str) -> bool {
    reason != "NoEndpoints"
}

/// A controller without the demo around it, on the same manifests: its log. It ends with what is given back.
fn controller_beside(demo: &Demo, state: &Path) -> ([Running; 2], Lines) {
    let port = free_ports(2);
    let pki = state.join("pki");
    let mut controller = silverback()
        .args(["run", "--health-probe-bind-address=off", "--metrics-bind-address=off"])
        .args(["--dashboard-bind-address=127.0.0.1:0", "--proxy"])
        .arg(format!("https://127.0.0.1:{}", port + 1))
        .arg("--directory")
        .arg(&demo.directory)
        .arg("--pki-directory")
        .arg(&pki)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Lines::of(controller.stderr.take().unwrap());
    let certificates = pki.join(format!("proxies/127.0.0.1-{}", port + 1));
    let proxy = proxy_with(&certificates, &state.join("prefix"), port, port + 1);
    ([Running(controller), proxy], log)
}

impl Mistake {
    fn is(&self, problem: &Value) -> bool {
        problem["reason"] == self.reason
            && problem["object"]
                .as_str()
                .is_some_and(|found| found.contains(self.object))
            && problem["field"].as_str().unwrap_or_default() == self.field
    }

    /// The dashboard's API tells it.
    async fn is_a_problem(&self, demo: &Demo) {
        let name = self.name;
        let what = format!("{name}: {} {} {}", self.object, self.field, self.reason);
        let problems = demo
            .problems(&what, |problems| problems.iter().any(|problem| self.is(problem)))
            .await;
        let problem = problems.iter().find(|problem| self.is(problem)).unwrap();
        assert!(!problem["message"].as_str().unwrap().is_empty(), "{name}: {problem}");
        assert!(
            problem["remedy"].as_str().unwrap().contains(self.remedy),
            "{name}: {problem}"
        );
        assert!(
            problem["source"]
                .as_str()
                .is_some_and(|source| source.contains(".yaml")),
            "{name}: the file is named: {problem}"
        );
    }

    /// Each proxy says whether something is left out of what it runs, and where to look.
    async fn shows_at_the_proxies(&self, demo: &Demo) {
        for proxy in 0..2 {
            let what = format!("{}: whether all is on the proxy, and where to look", self.name);
            demo.proxy(proxy, &what, |proxy| {
                let complete = &proxy["conditions"]["Complete"];
                let message = complete["message"].as_str().unwrap_or_default();
                match leaves_out(self.reason) {
                    true => {
                        complete["status"] == "False"
                            && complete["reason"] == "ObjectsLeftOut"
                            && message.contains(self.object)
                            && message.contains("/api/v1/problems")
                    }
                    false => complete["status"] == "True",
                }
            })
            .await;
        }
    }
}

#[tokio::test]
async fn every_mistake_is_reported_everywhere_and_changes_nothing_else() {
    let (demo, mut screen) = Demo::shown(
        2,
        &[
            ("good.yaml", &ingress("good", "good.localhost", "/good")),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    let state = tempfile::tempdir().unwrap();
    let (_running, mut log) = controller_beside(&demo, state.path());
    demo.all_answer("good.localhost", "/good", 200).await;
    for (number, mistake) in mistakes().into_iter().enumerate() {
        let Mistake {
            name,
            object,
            field,
            reason,
            remedy,
            ..
        } = mistake;
        let (on_screen, in_log) = (screen.seen.len(), log.seen.len());
        demo.write("bad.yaml", &mistake.manifest);
        mistake.is_a_problem(&demo).await;
        mistake.shows_at_the_proxies(&demo).await;
        let object_and_field = format!("{object}{}{field}: {reason}: ", if field.is_empty() { "" } else { " " });
        screen.say(name, on_screen, &["problem ", ".yaml", &object_and_field, remedy]);
        let logged_field = match field {
            "" => String::new(),
            field => format!(" field={field:?} "),
        };
        let logged_reason = format!(" reason={reason} ");
        let logged = [
            "WARN",
            "object=",
            object,
            &logged_field,
            &logged_reason,
            ".yaml",
            remedy,
        ];
        log.say(name, in_log, &logged);

        let path = format!("/unrelated{number}");
        demo.write("unrelated.yaml", &ingress("unrelated", "good.localhost", &path));
        demo.all_answer("good.localhost", &path, 200).await;
        demo.all_answer("good.localhost", "/good", 200).await;
        let hash = demo.api("configuration").await[0]["hash"].as_str().unwrap()[..12].to_owned();
        screen.until(&format!("{name}: rows with {hash}"), 0, |lines| {
            let rows = rows(lines);
            rows.len() == 2 && rows.values().all(|row| *row == ["True", "True", &hash])
        });

        std::fs::remove_file(demo.directory.join("bad.yaml")).unwrap();
        demo.problems(&format!("{name}: the problem goes with its cause"), |problems| {
            !problems.iter().any(|problem| mistake.is(problem))
        })
        .await;
        screen.say(name, on_screen, &["solved ", object, reason]);
        log.say(name, in_log, &["INFO", "solved", object, reason]);
    }
    for proxy in 0..2 {
        demo.proxy(proxy, "all is on the proxy in the end", |proxy| {
            proxy["conditions"]["Complete"]["status"] == "True"
        })
        .await;
    }
}

#[tokio::test]
async fn a_manifest_that_breaks_keeps_its_last_good_state() {
    let demo = Demo::start(
        1,
        &[
            ("web.yaml", &ingress("web", "web.localhost", "/a")),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    demo.write(
        "web.yaml",
        &ingress("web", "web.localhost", "/b").replace("number: 80", "number: eighty"),
    );
    demo.problems("the wrong type is reported", |problems| {
        problems.iter().any(|problem| problem["reason"] == "InvalidField")
    })
    .await;
    demo.all_answer("web.localhost", "/a", 200).await;
    demo.write("web.yaml", &ingress("web", "web.localhost", "/b"));
    demo.all_answer("web.localhost", "/b", 200).await;
}

#[tokio::test]
async fn a_directory_that_is_away_is_a_problem_until_it_is_back() {
    let demo = Demo::start(
        1,
        &[
            ("web.yaml", &ingress("web", "web.localhost", "/a")),
            ("echo.yaml", ECHO_SERVICE),
        ],
    );
    demo.all_answer("web.localhost", "/a", 200).await;
    let away = demo.directory.with_file_name("away");
    std::fs::rename(&demo.directory, &away).unwrap();
    let is_it = |problem: &Value| problem["reason"] == "SourceUnavailable";
    let problems = demo
        .problems("nothing can be read", |problems| problems.iter().any(is_it))
        .await;
    let problem = problems.iter().find(|problem| is_it(problem)).unwrap();
    let directory = demo.directory.display();
    assert_eq!(problem["object"], format!("Manifest {directory}"));
    assert_eq!(problem["message"], format!("there is no directory {directory}"));
    assert_eq!(problem["remedy"], "make it again, or give another one with --directory");
    demo.all_answer("web.localhost", "/a", 200).await;

    std::fs::rename(&away, &demo.directory).unwrap();
    demo.problems("the problem goes with its cause", |problems| {
        !problems.iter().any(is_it)
    })
    .await;
    demo.write("web.yaml", &ingress("web", "web.localhost", "/b"));
    demo.all_answer("web.localhost", "/b", 200).await;
}
