//! `silverback wait KIND/NAME`: returns when what stands in the cluster is what all proxies run.
//!
//! It reads the objects and asks the controller; what the answers mean `judgement` says. Called by the command line.

mod judgement;

use std::{process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use judgement::{Standing, asides, judge};

use super::{
    cluster::{self, ClusterArguments, failure, is_missing},
    controller::{Controller, ControllerArguments},
    failure::one_line,
    offline::{OutputFormat, USAGE},
    run::block_on,
    value::positive_duration,
};
use crate::{
    liveness::{Answer, Content},
    manifest::nearest,
    model::{Digest, Kind, NamespacedName, kong::schema::DEFINITIONS},
};

/// From one question to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// Flags of `silverback wait`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
It reads the object and all that it refers to (Services, Secrets, plugins, …), and returns when exactly that is what every
proxy that serves runs: also when only an annotation or a Secret changed, which no generation counts. Needs get on these
objects, and access to the controller: list on pods and create on pods/portforward in its namespace, list on proxyfleets; or
--controller URL.

A mistake in what the object itself says ends it at once, since no waiting mends that. What others can mend is waited for: a
Secret or a key of it, a Service, plugin or Gateway that it names and that may still come. So are endpoints of a Service; if there are none by
the time-out, that is a note, since nothing of the Service is left out.

Exit code: 0 it is live everywhere, 1 it is not (it says what holds it back, and where), 2 usage.

Examples:
  kubectl apply -f web.yaml && silverback wait ingress/web -n shop
  silverback wait httproute/api -n shop --timeout 10s --output json
  silverback wait secret/web-tls -n shop --controller http://127.0.0.1:10256")]
pub(super) struct WaitArguments {
    /// The object: ingress/web, httproute/api, kongplugin/limit, secret/web-tls
    #[arg(value_name = "KIND/NAME")]
    object: String,
    /// Its namespace; that of the kubeconfig's context by default
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// How long to wait for what may still come
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = positive_duration)]
    timeout: Duration,
    /// How the outcome is printed
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    controller: ControllerArguments,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    object: String,
    live: bool,
    waited_milliseconds: u128,
    /// From the reading of the latest change to the last proxy that ran it.
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_after_milliseconds: Option<i128>,
    /// What holds it back.
    held_back: Vec<String>,
    /// What else there is to say.
    notes: Vec<String>,
}

/// Carries the verb out.
pub(super) fn run(arguments: WaitArguments) -> ExitCode {
    let (kind, name) = match parse(&arguments.object) {
        Ok(parsed) => parsed,
        Err(message) => {
            eprintln!("silverback wait: {message}");
            return ExitCode::from(USAGE);
        }
    };
    let output = arguments.output;
    block_on(async move {
        let client = arguments.cluster.client().await?;
        let namespace = match kind.is_namespaced() {
            true => cluster::namespace(arguments.namespace.as_deref(), &client),
            false => String::new(),
        };
        let name = NamespacedName::new(namespace, name);
        let controller = arguments.controller.find(Some(&client)).await?;
        let wait = Wait {
            client,
            controller,
            kind,
            name,
        };
        let outcome = wait.until_live(arguments.timeout).await?;
        match output {
            OutputFormat::Text => print!("{}", text(&outcome)),
            OutputFormat::Json => println!("{}", serde_json::to_string(&outcome).expect("keys are strings")),
        }
        if !outcome.live {
            bail!("{} is not live", outcome.object);
        }
        Ok(())
    })
}

/// `KIND/NAME`, where the kind is as kubectl takes it: any case, singular, plural or short, with or without its group.
fn parse(text: &str) -> Result<(Kind, String), String> {
    let (word, name) = text
        .split_once('/')
        .filter(|(kind, name)| !kind.is_empty() && !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| format!("{text:?} names no object; write it like ingress/web"))?;
    let lower = word.to_lowercase();
    let (word, group) = lower.split_once('.').unwrap_or((&lower, ""));
    let short: &[(&str, Kind)] = &[
        ("ing", Kind::Ingress),
        ("svc", Kind::Service),
        ("cm", Kind::ConfigMap),
        ("gtw", Kind::Gateway),
        ("gc", Kind::GatewayClass),
        ("btlspolicy", Kind::BackendTLSPolicy),
    ];
    let short_of_kong = |kind: Kind| {
        let definition = DEFINITIONS.iter().find(|definition| definition.kind == kind);
        definition.map(|definition| definition.short_names).unwrap_or_default()
    };
    let is_meant = |kind: Kind| {
        kind.name().to_lowercase() == word
            || kind.plural() == word
            || short.contains(&(word, kind))
            || short_of_kong(kind).contains(&word)
    };
    let waited_for = |kind: &Kind| ![Kind::EndpointSlice, Kind::ProxyFleet, Kind::Namespace].contains(kind);
    let mut kinds = Kind::ALL.iter().copied().filter(waited_for);
    let found = kinds.find(|kind| is_meant(*kind) && (group.is_empty() || kind.group().starts_with(group)));
    found.map(|kind| (kind, name.to_owned())).ok_or_else(|| {
        let names: Vec<String> = Kind::ALL
            .iter()
            .filter(|kind| waited_for(kind))
            .map(|kind| kind.name().to_lowercase())
            .collect();
        match nearest(word, names.iter().map(String::as_str)) {
            Some(meant) => format!("{word:?} is no kind that proxies are configured by; did you mean {meant}?"),
            None => format!(
                "{word:?} is no kind that proxies are configured by; there are {}",
                names.join(", ")
            ),
        }
    })
}

struct Wait {
    client: Client,
    controller: Controller,
    kind: Kind,
    name: NamespacedName,
}

impl Wait {
    async fn until_live(mut self, limit: Duration) -> anyhow::Result<Outcome> {
        let began = Instant::now();
        loop {
            let (standing, notes) = self.look().await?;
            let mut outcome = Outcome {
                object: format!("{} {}", self.kind.name(), self.name),
                waited_milliseconds: began.elapsed().as_millis(),
                notes,
                ..Outcome::default()
            };
            match standing {
                Standing::Live(answer, to_come) if to_come.is_empty() || began.elapsed() >= limit => {
                    outcome.live = true;
                    outcome.notes.extend(to_come);
                    outcome.effective_after_milliseconds = answer.seen.zip(answer.effective).map(milliseconds);
                    if !answer.used && self.kind.group().contains('.') && self.kind != Kind::IngressClass {
                        outcome
                            .notes
                            .push("nothing of the configuration comes from it".to_owned());
                    }
                    return Ok(outcome);
                }
                Standing::Wrong(held_back) => {
                    outcome.held_back = held_back;
                    return Ok(outcome);
                }
                Standing::NotYet(held_back) if began.elapsed() >= limit => {
                    outcome.held_back = held_back;
                    return Ok(outcome);
                }
                Standing::Live(..) | Standing::NotYet(_) => sleep(PAUSE).await,
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<(Standing, Vec<String>)> {
        let path = format!(
            "/api/v1/objects/{}/{}?namespace={}",
            self.kind.name(),
            self.name.name,
            self.name.namespace
        );
        // The object first: what the controller says afterwards can't be older.
        let own = self.read(self.kind, &self.name).await?;
        let Some(own) = own else {
            bail!("there is no {} {}", self.kind.name(), self.name);
        };
        let answer: Answer = serde_json::from_slice(&self.controller.get(&path).await?)
            .with_context(|| format!("{} is of another version, or no silverback", self.controller.place()))?;
        let mut notes = Vec::new();
        let mut behind = Vec::new();
        for content in &answer.contents {
            let is_own = content.kind == self.kind && content.name == self.name;
            let here = match is_own {
                true => Some(Some(own)),
                false => self.compared(content, &mut notes).await,
            };
            if here.is_some_and(|here| here != content.digest) {
                behind.push(format!(
                    "the controller has not read the latest {} {}",
                    content.kind.name(),
                    content.name
                ));
            }
        }
        notes.extend(asides(&answer));
        Ok((judge(answer, behind), notes))
    }

    /// What an object says that ours refers to; `None` if it may not be read, and so is not compared.
    async fn compared(&self, content: &Content, notes: &mut Vec<String>) -> Option<Option<Digest>> {
        match self.read(content.kind, &content.name).await {
            Ok(digest) => Some(digest),
            Err(error) => {
                notes.push(format!(
                    "{} {} was not compared: {}",
                    content.kind.name(),
                    content.name,
                    one_line(&error)
                ));
                None
            }
        }
    }

    async fn read(&self, kind: Kind, name: &NamespacedName) -> anyhow::Result<Option<Digest>> {
        let mut missing = None;
        for version in kind.versions() {
            let named = GroupVersionKind::gvk(kind.group(), version, kind.name());
            let resource = ApiResource::from_gvk_with_plural(&named, kind.plural());
            let api: Api<DynamicObject> = match kind.is_namespaced() {
                true => Api::namespaced_with(self.client.clone(), &name.namespace, &resource),
                false => Api::all_with(self.client.clone(), &resource),
            };
            match api.get(&name.name).await {
                Ok(object) => return Ok(Some(digest(&object))),
                // There may be no such version.
                Err(error) if is_missing(&error) => missing = Some(error),
                Err(error) => {
                    let right = format!("get on {}", kind.plural());
                    return Err(failure(&format!("read {} {name}", kind.name()), &right, &error));
                }
            }
        }
        debug_assert!(missing.is_some(), "each kind has a version");
        Ok(None)
    }
}

/// What an object says, as the controller computes it.
fn digest(object: &DynamicObject) -> Digest {
    let metadata = &object.metadata;
    let uid = metadata.uid.as_deref().unwrap_or_default();
    Digest::of(
        uid,
        metadata.labels.as_ref(),
        metadata.annotations.as_ref(),
        &object.data,
    )
}

fn milliseconds((seen, effective): (Timestamp, Timestamp)) -> i128 {
    effective.duration_since(seen).as_millis().max(0)
}

fn text(outcome: &Outcome) -> String {
    let mut lines = Vec::new();
    if outcome.live {
        let effective = match outcome.effective_after_milliseconds {
            Some(time) => format!(", {time} ms after the controller had read it"),
            None => String::new(),
        };
        lines.push(format!("{} is live on all proxies{effective}", outcome.object));
    } else {
        let seconds = outcome.waited_milliseconds as f64 / 1000.0;
        lines.push(format!("{} is not live after {seconds:.1} s:", outcome.object));
        lines.extend(outcome.held_back.iter().map(|reason| format!("  {reason}")));
    }
    lines.extend(outcome.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn kinds_are_named_as_with_kubectl() {
        for (text, kind) in [
            ("ingress/web", Kind::Ingress),
            ("Ingresses/web", Kind::Ingress),
            ("ing/web", Kind::Ingress),
            ("httproutes.gateway.networking.k8s.io/web", Kind::HTTPRoute),
            ("kp/limit", Kind::KongPlugin),
            ("secret/tls", Kind::Secret),
        ] {
            assert_eq!(parse(text).unwrap().0, kind, "{text}");
        }
        assert!(parse("ingres/web").unwrap_err().contains("did you mean ingress"));
        assert!(parse("pod/web").unwrap_err().contains("no kind"));
        assert!(parse("web").unwrap_err().contains("ingress/web"));
    }

    #[test]
    fn the_outcome_is_one_line_when_it_is_good() {
        let live = Outcome {
            object: "Ingress shop/web".to_owned(),
            live: true,
            effective_after_milliseconds: Some(84),
            ..Outcome::default()
        };
        assert_eq!(
            text(&live),
            "Ingress shop/web is live on all proxies, 84 ms after the controller had read it\n"
        );
        let held = Outcome {
            held_back: vec!["proxy a: Paced: it rests".to_owned()],
            waited_milliseconds: 10_000,
            live: false,
            ..live
        };
        assert_eq!(
            text(&held),
            "Ingress shop/web is not live after 10.0 s:\n  proxy a: Paced: it rests\n"
        );
    }
}
