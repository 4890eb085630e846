//! Kong's custom resource definitions: ours over those of Kong Ingress Controller, and back, with objects in place.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use super::release::{LIMIT, NAMESPACE, all_answer, in_sync};
use crate::{Arguments, cluster::Cluster, poll::eventually};

const FULL: &str = include_str!("../../testdata/crds/full.yaml");
const FULL_PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/crds/full.yaml");
const VIOLATIONS: &str = include_str!("../../testdata/crds/violations.yaml");
const THEIRS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/kic-crds");
const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/crds");
const CONTROLLER: &str = "deployment/silverback-kong-controller";
const SPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: crds}\n";

pub(super) fn run(cluster: &Cluster, _: &Arguments) -> anyhow::Result<()> {
    // Whoever moves over has no controller of ours yet: nobody writes statuses or judges objects meanwhile.
    scale(cluster, 0)?;
    let outcome = there_and_back(cluster);
    // What is left there whatever happened would disturb the scenarios after this one.
    let restored = restore(cluster);
    outcome.and(restored)
}

fn there_and_back(cluster: &Cluster) -> anyhow::Result<()> {
    let objects: Vec<Value> = serde_saphyr::from_multiple(FULL)?;
    println!("   definitions of Kong Ingress Controller, and objects that use every field of them");
    put(cluster, THEIRS, false)?;
    cluster.apply(SPACE)?;
    let warnings = cluster.apply_and_hear(FULL)?;
    for object in &objects {
        write_status(cluster, object)?;
    }
    let before = read(cluster)?;
    ensure!(
        before.len() == objects.len(),
        "{} of {} objects",
        before.len(),
        objects.len()
    );
    for (written, read) in objects.iter().zip(&before) {
        lost(written, read, &mut String::new()).with_context(|| name(written))?;
    }
    let their_answers = violations(cluster)?;
    let their_columns = columns(cluster, &objects)?;

    println!("   ours over theirs: kubectl apply --server-side --force-conflicts -f deploy/crds");
    put(cluster, OURS, true)?;
    same(&before, &read(cluster)?, "read under ours")?;
    let our_warnings = cluster.apply_and_hear(FULL)?;
    ensure!(
        warnings == our_warnings,
        "kubectl says {our_warnings:?}, and said {warnings:?}"
    );
    touch(cluster, "ours")?;
    same(&before, &read(cluster)?, "written under ours")?;
    for object in &objects {
        write_status(cluster, object)?;
    }
    same(&before, &read(cluster)?, "with statuses written under ours")?;
    let our_answers = violations(cluster)?;
    for (name, theirs) in &their_answers {
        let ours = our_answers.get(name).map_or("", String::as_str);
        ensure!(ours == theirs, "{name}: ours say {ours:?}, theirs {theirs:?}");
    }
    let our_columns = columns(cluster, &objects)?;
    ensure!(our_columns == their_columns, "{our_columns:?}, not {their_columns:?}");
    println!("   {} mistakes are refused with the same words", their_answers.len());
    explained(cluster)?;

    println!("   theirs back over ours");
    put(cluster, THEIRS, false)?;
    same(&before, &read(cluster)?, "read under theirs again")?;
    touch(cluster, "theirs")?;
    same(&before, &read(cluster)?, "written under theirs again")
}

fn restore(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.delete(FULL)?;
    cluster.delete(SPACE)?;
    put(cluster, OURS, true)?;
    scale(cluster, 2)?;
    cluster.kubectl(&["rollout", "status", "-n", NAMESPACE, CONTROLLER, "--timeout=120s"])?;
    in_sync(cluster, 2)?;
    all_answer(cluster, "/", 200)
}

fn scale(cluster: &Cluster, replicas: u32) -> anyhow::Result<()> {
    let replicas = format!("--replicas={replicas}");
    cluster.kubectl(&["scale", "-n", NAMESPACE, CONTROLLER, &replicas])?;
    if replicas == "--replicas=0" {
        eventually("the controllers are gone", LIMIT, || {
            let pods = cluster.list(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=controller"])?;
            ensure!(pods.is_empty(), "{} are there", pods.len());
            Ok(())
        })?;
    }
    Ok(())
}

/// Puts definitions over others, and waits until the API server goes by them: ours are explained, theirs have no prose.
fn put(cluster: &Cluster, directory: &str, explained: bool) -> anyhow::Result<()> {
    cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", directory])?;
    eventually("the API server goes by the definitions", LIMIT, || {
        for (resource, words) in [
            ("kongplugins.config", "Configuration of the plugin"),
            ("kongservicefacades.spec.backendRef", "The Service behind it"),
            ("udpingresses.spec.rules", "Rules: port and backend"),
        ] {
            let text = cluster.kubectl(&["explain", resource])?;
            ensure!(text.contains(words) == explained, "{resource}: {text}");
        }
        Ok(())
    })
}

fn resource(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    let group = object["apiVersion"].as_str().unwrap_or_default();
    let group = group.split('/').next().unwrap_or_default();
    format!("{kind}.{group}")
}

fn name(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    format!("{}/{name}", resource(object))
}

fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or("default")
}

fn write_status(cluster: &Cluster, object: &Value) -> anyhow::Result<()> {
    let Some(status) = object.get("status") else {
        return Ok(());
    };
    let patch = json!({ "status": status }).to_string();
    cluster.kubectl(&[
        "patch",
        &name(object),
        "-n",
        namespace(object),
        "--subresource=status",
        "--type=merge",
        "--patch",
        &patch,
    ])?;
    Ok(())
}

/// Lets the API server write the objects anew, without a change of content.
fn touch(cluster: &Cluster, by: &str) -> anyhow::Result<()> {
    let annotation = format!("touched={by}");
    cluster.kubectl(&["annotate", "--overwrite", "-f", FULL_PATH, &annotation])?;
    Ok(())
}

fn read(cluster: &Cluster) -> anyhow::Result<Vec<Value>> {
    cluster.list(&["-f", FULL_PATH])
}

/// Fails with the path of what was written and is not there.
fn lost(written: &Value, read: &Value, path: &mut String) -> anyhow::Result<()> {
    let length = path.len();
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => {
            for (field, value) in written {
                write!(path, ".{field}")?;
                lost(value, read.get(field).unwrap_or(&Value::Null), path)?;
                path.truncate(length);
            }
        }
        (Value::Array(written), Value::Array(read)) if written.len() == read.len() => {
            for (index, (value, read)) in written.iter().zip(read).enumerate() {
                write!(path, "[{index}]")?;
                lost(value, read, path)?;
                path.truncate(length);
            }
        }
        _ => ensure!(written == read, "{path}: {written} was written, {read} is there"),
    }
    Ok(())
}

/// Compares all but what every write changes.
fn same(before: &[Value], after: &[Value], when: &str) -> anyhow::Result<()> {
    let content = |object: &Value| {
        let mut object = object.clone();
        for field in ["managedFields", "resourceVersion"] {
            object["metadata"][field] = Value::Null;
        }
        object["metadata"]["annotations"]["touched"] = Value::Null;
        object
    };
    for (before, after) in before.iter().zip(after) {
        let (before, after) = (content(before), content(after));
        ensure!(before == after, "{when}: {after:#}\nwas {before:#}");
    }
    Ok(())
}

/// What the API server says of each object that breaks a rule, by the object's name.
fn violations(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, String>> {
    let cases: Vec<Value> = serde_saphyr::from_multiple(VIOLATIONS)?;
    let named = |index: usize, mut object: Value| {
        object["metadata"]["name"] = json!(format!("violation-{index}"));
        object
    };
    let (mut befores, mut objects) = (Vec::new(), Vec::new());
    for (index, case) in cases.iter().enumerate() {
        befores.extend(case.get("before").map(|before| named(index, before.clone())));
        objects.push(named(index, case["object"].clone()));
    }
    let list = |items: &[Value]| json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string();
    cluster.apply(&list(&befores))?;
    for before in &befores {
        write_status(cluster, before)?;
    }
    let said = match cluster.try_out(&list(&objects)) {
        Ok(_) => bail!("objects that break rules were taken"),
        Err(error) => format!("{error:#}"),
    };
    cluster.delete(&list(&befores))?;
    let mut answers = BTreeMap::new();
    for (index, case) in cases.iter().enumerate() {
        let name = format!("violation-{index}");
        let marker = format!("\"{name}\"");
        let answer = said.split("\nThe ").find(|answer| answer.contains(&marker));
        let answer = answer.with_context(|| format!("{case} was taken: {said}"))?;
        let message = case["message"].as_str().context("a case has a message")?;
        ensure!(answer.contains(message), "{case} is refused with other words: {answer}");
        answers.insert(name, answer.trim().to_owned());
    }
    Ok(answers)
}

/// Headings of `kubectl get`, by kind.
fn columns(cluster: &Cluster, objects: &[Value]) -> anyhow::Result<BTreeMap<String, [String; 2]>> {
    let mut columns = BTreeMap::new();
    for object in objects {
        let heading = |further: &[&str]| {
            let resource = resource(object);
            let arguments = [&["get", &resource, "-n", namespace(object)], further].concat();
            let table = cluster.kubectl(&arguments)?;
            anyhow::Ok(table.lines().next().unwrap_or_default().to_owned())
        };
        columns.insert(resource(object), [heading(&[])?, heading(&["-o", "wide"])?]);
    }
    Ok(columns)
}

/// What a user reads of our definitions, and that short names and categories lead there.
fn explained(cluster: &Cluster) -> anyhow::Result<()> {
    let text = cluster.show(&["explain", "kongplugin.config"])?;
    ensure!(text.contains("as Kong's Admin API takes it"), "{text}");
    for (short, heading) in [
        ("kp", "NAME PLUGIN-TYPE AGE PROGRAMMED"),
        ("kcp", "NAME PLUGIN-TYPE AGE PROGRAMMED"),
        ("kc", "NAME USERNAME AGE PROGRAMMED"),
        ("kcg", "NAME AGE PROGRAMMED"),
        ("kce", "NAME ENTITY TYPE AGE PROGRAMMED"),
        ("kv", "NAME BACKEND TYPE PREFIX AGE PROGRAMMED"),
        ("kl", "NAME AGE ENABLED"),
        ("kup", "NAME AGE"),
        ("ki", "NAME AGE"),
    ] {
        let table = cluster.kubectl(&["get", short, "-n", "crds"])?;
        let words: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
        ensure!(words.join(" ") == heading, "kubectl get {short}: {table}");
    }
    let all = cluster.kubectl(&["get", "kong", "-n", "crds", "-o", "name"])?;
    for kind in ["kongplugin", "kongconsumer", "tcpingress", "kongvault"] {
        ensure!(all.contains(kind), "kubectl get kong lists {all}");
    }
    cluster.show(&["get", "kp,kc", "-n", "crds"]).map(drop)
}
