//! `silverback crds apply`: our definitions by server-side apply. Looks at all of them before it writes the first one;
//! deletes nothing; touches no other definition, such as those of the Gateway API.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject},
};
use tokio::time::{Instant, sleep};

use super::super::{
    cluster::{ClusterArguments, failure, is_missing},
    value::positive_duration,
};
use crate::{
    status::resource::{GROUPS, definitions},
    upgrade::definitions::{Definition, Step, step},
};

/// Who owns the fields of the definitions.
const FIELD_MANAGER: &str = "silverback-crds";
/// How long to wait before an API server is asked again whether it serves a definition.
const PAUSE: Duration = Duration::from_millis(100);

/// Flags of `silverback crds apply`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Newer definitions are never replaced, and none is deleted; definitions of Kong Ingress Controller are taken over, and
objects keep all of their fields. Definitions of the Gateway API are left alone. What is in place is told by the annotation
gateway.silverback.dev/definitions-version.

Needs get, create and patch on customresourcedefinitions. Exit code: 0 all are served, 1 nothing was written or something
failed, 2 usage.")]
pub(super) struct ApplyArguments {
    /// Apply only the kinds of that API group; may be given several times
    #[arg(long, value_name = "GROUP", value_parser = GROUPS)]
    group: Vec<String>,
    /// Say what would be done and let the API server check it, but write nothing
    #[arg(long)]
    dry_run: bool,
    /// How long to wait until the API server serves them
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = positive_duration)]
    timeout: Duration,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// Carries the verb out.
pub(super) async fn run(arguments: ApplyArguments) -> anyhow::Result<()> {
    let client = arguments.cluster.client().await?;
    apply(client, &arguments, &mut |line| println!("{line}")).await
}

async fn apply(client: Client, arguments: &ApplyArguments, say: &mut (dyn FnMut(String) + Send)) -> anyhow::Result<()> {
    let api = api(client);
    let wanted = |definition: &CustomResourceDefinition| {
        arguments.group.is_empty() || arguments.group.contains(&definition.spec.group)
    };
    let definitions: Vec<_> = definitions().into_iter().filter(wanted).collect();
    let mut planned = Vec::new();
    let mut refused = Vec::new();
    for definition in &definitions {
        let value = serde_json::to_value(definition).expect("a definition is plain data");
        let ours = Definition::read(&value);
        let found = get(&api, &ours.name).await?;
        match step(&ours, found.as_ref().map(|(found, _)| found)) {
            Step::Refuse(refusal) => refused.push(format!("{}: {}; {}", ours.name, refusal.message, refusal.remedy)),
            step => planned.push((ours.name, value, step, found.and_then(|(_, version)| version))),
        }
    }
    if !refused.is_empty() {
        bail!(
            "nothing was changed, since these definitions must not be replaced\n{}",
            refused.join("\n")
        );
    }
    let mut parameters = PatchParams::apply(FIELD_MANAGER).force();
    parameters.dry_run = arguments.dry_run;
    for (name, value, step, before) in &planned {
        let applied = api.patch(name, &parameters, &Patch::Apply(value)).await;
        let applied = applied.map_err(|error| {
            failure(
                &format!("apply the definition {name}"),
                "create and patch on customresourcedefinitions (apiextensions.k8s.io)",
                &error,
            )
        })?;
        let same = applied.metadata.resource_version == *before;
        say(format!("{name}: {}", told(step, same, arguments.dry_run)));
    }
    if !arguments.dry_run {
        let names = planned.iter().map(|(name, ..)| name.as_str()).collect();
        established(&api, names, arguments.timeout).await?;
    }
    Ok(())
}

fn api(client: Client) -> Api<DynamicObject> {
    Api::all_with(client, &ApiResource::erase::<CustomResourceDefinition>(&()))
}

/// A definition that is there, with its resource version.
async fn get(api: &Api<DynamicObject>, name: &str) -> anyhow::Result<Option<(Definition, Option<String>)>> {
    match api.get(name).await {
        Ok(object) => {
            let version = object.metadata.resource_version.clone();
            let value = serde_json::to_value(object).expect("an object is plain data");
            Ok(Some((Definition::read(&value), version)))
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failure(
            &format!("read the definition {name}"),
            "get on customresourcedefinitions (apiextensions.k8s.io)",
            &error,
        )),
    }
}

fn told(step: &Step, same: bool, dry_run: bool) -> String {
    let done = match step {
        Step::Create => "created".to_owned(),
        Step::TakeOver => "taken over".to_owned(),
        Step::Upgrade { from } => format!("upgraded from {from}"),
        Step::Confirm if same => "unchanged".to_owned(),
        Step::Confirm | Step::Refuse(_) => "put right".to_owned(),
    };
    if dry_run { format!("{done} (dry run)") } else { done }
}

/// Waits until the API server serves them all.
async fn established(api: &Api<DynamicObject>, mut names: Vec<&str>, timeout: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + timeout;
    while let Some(name) = names.last() {
        if get(api, name).await?.is_some_and(|(found, _)| found.is_established) {
            names.pop();
        } else if Instant::now() >= until {
            bail!(
                "applied, but not served after {} s: {}; see the conditions of these definitions (kubectl describe crd)",
                timeout.as_secs(),
                names.join(", ")
            );
        } else {
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::needless_pass_by_value, clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;
    use crate::{lease::fake_api::FakeApi, upgrade::definitions::VERSION_ANNOTATION};

    const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

    fn arguments() -> ApplyArguments {
        ApplyArguments {
            group: Vec::new(),
            dry_run: false,
            timeout: Duration::from_secs(30),
            cluster: ClusterArguments::default(),
        }
    }

    /// Applies, with an API server that serves every definition at once.
    async fn apply_to(api: &FakeApi, arguments: &ApplyArguments) -> (anyhow::Result<()>, Vec<String>) {
        let serving = api.clone();
        let serve = async move {
            loop {
                for name in serving.names("apis/apiextensions.k8s.io/v1/customresourcedefinitions") {
                    let path = format!("{PATH}/{name}");
                    let mut found = serving.get(&path).unwrap();
                    if found["status"].is_null() {
                        found["status"] = json!({ "conditions": [{ "type": "Established", "status": "True" }] });
                        serving.put(&path, found);
                    }
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let mut said = Vec::new();
        let mut say = |line| said.push(line);
        let outcome = tokio::select! {
            outcome = apply(api.client(), arguments, &mut say) => outcome,
            () = serve => unreachable!("it does not end"),
        };
        (outcome, said)
    }

    fn in_place(api: &FakeApi, name: &str, annotations: &Value) {
        let definition = json!({
            "metadata": { "annotations": annotations },
            "spec": { "scope": "Namespaced" },
            "status": { "conditions": [{ "type": "Established", "status": "True" }], "storedVersions": ["v1"] },
        });
        api.put(&format!("{PATH}/{name}"), definition);
    }

    #[tokio::test(start_paused = true)]
    async fn definitions_are_created_once_and_kong_s_taken_over() {
        let api = FakeApi::new();
        in_place(&api, "kongplugins.configuration.konghq.com", &json!({}));
        in_place(&api, "gateways.gateway.networking.k8s.io", &json!({}));
        let (outcome, said) = apply_to(&api, &arguments()).await;
        outcome.unwrap();
        assert_eq!(said.len(), definitions().len());
        assert!(
            said.contains(&"kongplugins.configuration.konghq.com: taken over".to_owned()),
            "{said:?}"
        );
        assert!(
            said.contains(&"proxyfleets.gateway.silverback.dev: created".to_owned()),
            "{said:?}"
        );
        let taken = api
            .get(&format!("{PATH}/kongplugins.configuration.konghq.com"))
            .unwrap();
        assert_eq!(
            taken["metadata"]["annotations"][VERSION_ANNOTATION],
            env!("CARGO_PKG_VERSION")
        );

        let (outcome, said) = apply_to(&api, &arguments()).await;
        outcome.unwrap();
        assert!(said.iter().all(|line| line.ends_with(": unchanged")), "{said:?}");
        let foreign = api.get(&format!("{PATH}/gateways.gateway.networking.k8s.io")).unwrap();
        assert_eq!(foreign["metadata"]["annotations"], json!({}), "it is none of ours");
    }

    #[tokio::test(start_paused = true)]
    async fn one_newer_definition_stops_all() {
        let api = FakeApi::new();
        in_place(
            &api,
            "kongplugins.configuration.konghq.com",
            &json!({ VERSION_ANNOTATION: "99.0.0" }),
        );
        let (outcome, said) = apply_to(&api, &arguments()).await;
        let message = format!("{:#}", outcome.unwrap_err());
        assert!(
            message.contains("nothing was changed") && message.contains("99.0.0"),
            "{message}"
        );
        assert!(
            said.is_empty()
                && api
                    .get(&format!("{PATH}/kongconsumers.configuration.konghq.com"))
                    .is_none()
        );

        let mut ours = arguments();
        ours.group = vec!["gateway.silverback.dev".to_owned()];
        let (outcome, said) = apply_to(&api, &ours).await;
        outcome.unwrap();
        assert_eq!(said.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn missing_rights_and_definitions_that_are_not_served_are_told() {
        let api = FakeApi::new();
        api.fail("PATCH /apis/apiextensions.k8s.io", 403);
        let (outcome, _) = apply_to(&api, &arguments()).await;
        let message = format!("{:#}", outcome.unwrap_err());
        assert!(
            message.contains("not allowed") && message.contains("create and patch"),
            "{message}"
        );

        api.heal();
        let outcome = apply(api.client(), &arguments(), &mut drop).await;
        let message = format!("{:#}", outcome.unwrap_err());
        assert!(message.contains("not served after 30 s"), "{message}");
    }
}
