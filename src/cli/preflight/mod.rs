//! `silverback preflight`: may this release be installed or upgraded here, and what will happen? Reads, and changes nothing.

mod read;

use std::{collections::BTreeMap, process::ExitCode};

use clap::{Args, ValueEnum};

use super::{
    cluster::{self, ClusterArguments},
    offline::{OutputFormat, PROBLEMS, usage_error},
    run::block_on,
};
use crate::upgrade::preflight::{Adopt, NewPods, Plan, Share, judge};

/// Flags of `silverback preflight`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Exit code: 0 it can go on (warnings included), 1 something fails or can't be read, 2 usage. Each failure has a remedy; a
failure that is meant to be is made a warning by --ignore CHECK.

Examples:
  silverback preflight --release shop -n gateway
  silverback preflight --release shop -n gateway --adopt ingress --output json
  silverback preflight --release shop -n gateway --new-pods 2,requests.cpu=50m,requests.memory=64Mi")]
pub(super) struct PreflightArguments {
    /// Name of the Helm release
    #[arg(long, value_name = "NAME")]
    release: String,
    /// Namespace of its objects; that of the kubeconfig's context by default
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Namespace where Helm keeps the release; that of its objects by default (the chart's value `namespace` parts the two)
    #[arg(long, value_name = "NAMESPACE")]
    release_namespace: Option<String>,
    /// Where controllers run: in a Deployment of their own, or one in each proxy pod
    #[arg(long, value_name = "MODE", default_value = "split")]
    mode: ModeArgument,
    /// Whose names it keeps: those of the chart kong, or of the chart ingress
    #[arg(long, value_name = "CHART", default_value = "kong")]
    adopt: AdoptArgument,
    /// Name of the proxies' Deployment; RELEASE-kong or RELEASE-gateway by default
    #[arg(long, value_name = "NAME")]
    proxy_deployment: Option<String>,
    /// Labels by which that Deployment selects its pods, A=B,C=D; those of the chart by default
    #[arg(long, value_name = "LABELS", value_parser = labels)]
    proxy_selector: Option<Labels>,
    /// Name of the proxies' Service; that of the Deployment with -proxy by default
    #[arg(long, value_name = "NAME")]
    proxy_service: Option<String>,
    /// Name of the controller's Deployment; RELEASE-kong-controller or RELEASE-controller by default
    #[arg(long, value_name = "NAME")]
    controller_deployment: Option<String>,
    /// Name of the Service by which proxies are found; RELEASE-kong-gateway-admin or RELEASE-gateway-admin by default
    #[arg(long, value_name = "NAME")]
    admin_service: Option<String>,
    /// Name of the IngressClass
    #[arg(long, value_name = "NAME", default_value = "kong")]
    ingress_class: String,
    /// Whether the chart makes the IngressClass (ingressClass.create)
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set)]
    create_ingress_class: bool,
    /// Whether the chart applies the definitions (crds.manage)
    #[arg(long, value_name = "BOOL", default_value = "true", action = clap::ArgAction::Set)]
    manage_crds: bool,
    /// Secret that the proxy pods mount, to look at a certificate that is there already
    #[arg(long, value_name = "NAME")]
    proxy_certificate_secret: Option<String>,
    /// Pods that come, for quotas: COUNT,requests.cpu=50m,limits.memory=1Gi; of a Deployment that may be there,
    /// with deployment=NAME and surge=1 or 25%; of an autoscaler the least COUNT. May be given several times
    #[arg(long, value_name = "PODS", value_parser = new_pods)]
    new_pods: Vec<NewPods>,
    /// Run as the chart's hook: Helm is at work on the release, and the rights are the hook's, not those of who installs
    #[arg(long)]
    hook: bool,
    /// Make failures of that check warnings; may be given several times
    #[arg(long, value_name = "CHECK")]
    ignore: Vec<String>,
    /// How the report is printed
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text")]
    output: OutputFormat,
    #[command(flatten)]
    cluster: ClusterArguments,
}

/// `--adopt`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AdoptArgument {
    /// `REL-kong`, `REL-kong-proxy`.
    Kong,
    /// `REL-gateway`, `REL-gateway-proxy`, `REL-controller`.
    Ingress,
}

/// `--mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeArgument {
    /// In a Deployment of their own.
    Split,
    /// One in each proxy pod.
    Sidecar,
}

/// `A=B,C=D`
type Labels = BTreeMap<String, String>;

fn labels(text: &str) -> Result<Labels, String> {
    let pairs = text.split(',').map(|pair| {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("{pair:?} is no label; write it like a=b"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    pairs.collect()
}

fn new_pods(text: &str) -> Result<NewPods, String> {
    let (count, resources) = text.split_once(',').unwrap_or((text, ""));
    let count = count
        .trim()
        .parse()
        .map_err(|_| format!("{count:?} is no number of pods"))?;
    let mut resources = match resources {
        "" => BTreeMap::new(),
        resources => labels(resources)?,
    };
    let surge = match resources.remove("surge") {
        None => Share::Pods(1),
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text:?} is no number or share of pods"))?,
    };
    Ok(NewPods {
        count,
        deployment: resources.remove("deployment"),
        surge,
        resources,
    })
}

impl PreflightArguments {
    fn plan(self, namespace: String) -> Plan {
        let release = self.release;
        let (adopt, name, controller) = match self.adopt {
            AdoptArgument::Kong => (Adopt::Kong, "kong", "kong-controller"),
            AdoptArgument::Ingress => (Adopt::Ingress, "gateway", "controller"),
        };
        let proxy_deployment = self.proxy_deployment.unwrap_or_else(|| format!("{release}-{name}"));
        let admin_service = match adopt {
            Adopt::Kong => format!("{proxy_deployment}-gateway-admin"),
            Adopt::Ingress => format!("{proxy_deployment}-admin"),
        };
        let selector = || {
            let labels = [("name", name), ("component", "app"), ("instance", release.as_str())];
            labels
                .map(|(label, value)| (format!("app.kubernetes.io/{label}"), value.to_owned()))
                .into()
        };
        Plan {
            adopt,
            has_sidecars: self.mode == ModeArgument::Sidecar,
            release_namespace: self.release_namespace.unwrap_or_else(|| namespace.clone()),
            proxy_selector: self.proxy_selector.unwrap_or_else(selector),
            proxy_service: self
                .proxy_service
                .unwrap_or_else(|| format!("{proxy_deployment}-proxy")),
            controller_deployment: self
                .controller_deployment
                .unwrap_or_else(|| format!("{release}-{controller}")),
            admin_service: self.admin_service.unwrap_or(admin_service),
            ingress_class: self.ingress_class,
            creates_ingress_class: self.create_ingress_class,
            manages_definitions: self.manage_crds,
            proxy_certificate_secret: self.proxy_certificate_secret,
            new_pods: self.new_pods,
            is_hook: self.hook,
            ignored: self.ignore,
            proxy_deployment,
            namespace,
            release,
        }
    }
}

/// Carries the verb out.
pub(super) fn run(arguments: PreflightArguments) -> ExitCode {
    if arguments.release.is_empty() {
        return usage_error("preflight", "--release is empty");
    }
    let output = arguments.output;
    let mut failures = 0;
    let outcome = block_on(async {
        let client = arguments.cluster.client().await?;
        let namespace = cluster::namespace(arguments.namespace.as_deref(), &client);
        let plan = arguments.plan(namespace);
        let facts = read::facts(&client, &plan).await?;
        let report = judge(&plan, &facts);
        failures = report.failures();
        match output {
            OutputFormat::Text => print!("{report}"),
            OutputFormat::Json => println!("{}", serde_json::to_string(&report).expect("keys are strings")),
        }
        Ok(())
    });
    if failures > 0 {
        ExitCode::from(PROBLEMS)
    } else {
        outcome
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: PreflightArguments,
    }

    fn plan(words: &[&str]) -> Plan {
        let line = Line::try_parse_from([&["preflight", "--release", "shop"], words].concat()).unwrap();
        line.arguments.plan("gateway".to_owned())
    }

    #[test]
    fn names_follow_from_the_release_as_in_the_charts() {
        let kong = plan(&[]);
        assert_eq!((&*kong.release_namespace, kong.has_sidecars), ("gateway", false));
        let parted = plan(&["--release-namespace", "helm", "--mode", "sidecar"]);
        assert_eq!((&*parted.namespace, &*parted.release_namespace), ("gateway", "helm"));
        assert!(parted.has_sidecars);
        assert_eq!(kong.proxy_deployment, "shop-kong");
        assert_eq!(kong.proxy_service, "shop-kong-proxy");
        assert_eq!(kong.controller_deployment, "shop-kong-controller");
        assert_eq!(kong.admin_service, "shop-kong-gateway-admin");
        assert_eq!(kong.proxy_selector["app.kubernetes.io/name"], "kong");
        let ingress = plan(&["--adopt", "ingress"]);
        assert_eq!(ingress.proxy_deployment, "shop-gateway");
        assert_eq!(ingress.proxy_service, "shop-gateway-proxy");
        assert_eq!(ingress.controller_deployment, "shop-controller");
        assert_eq!(ingress.admin_service, "shop-gateway-admin");
        assert_eq!(ingress.proxy_selector["app.kubernetes.io/name"], "gateway");
    }

    #[test]
    fn pods_and_labels_are_read() {
        let plan = plan(&[
            "--new-pods",
            "2,requests.cpu=50m",
            "--new-pods",
            "1",
            "--proxy-selector",
            "a=b,c=d",
        ]);
        assert_eq!(plan.new_pods[0].resources["requests.cpu"], "50m");
        assert_eq!((plan.new_pods[0].count, plan.new_pods[1].count), (2, 1));
        assert_eq!(plan.proxy_selector["c"], "d");
        let rolling = new_pods("5,deployment=shop-kong,surge=25%,requests.cpu=1").unwrap();
        assert_eq!(
            (rolling.deployment.as_deref(), rolling.surge),
            (Some("shop-kong"), Share::Percent(25))
        );
        assert_eq!(rolling.resources.len(), 1);
        assert!(new_pods("many").is_err() && new_pods("1,surge=all").is_err() && labels("a").is_err());
    }
}
