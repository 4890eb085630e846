//! What preflight reads of a cluster. What it may not read is a fact too.

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
        core::v1::{ConfigMap, ResourceQuota, Secret, Service},
        networking::v1::IngressClass,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource,
    api::{ListParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::super::{
    cluster::{failure, is_missing},
    failure::one_line,
    helm,
};
use crate::{
    status::resource::definitions,
    upgrade::{
        definitions::Definition,
        preflight::{Controller, Facts, IssuedCertificate, Plan, Right, Unread},
        release::Release,
    },
};

/// Objects in one answer.
const PAGE: u32 = 500;
/// Objects of one kind that are looked at.
const MOST: usize = 20_000;
/// A definition of the Gateway API that every release has.
const GATEWAY_DEFINITION: &str = "gateways.gateway.networking.k8s.io";

/// Reads everything. An API server that can't be reached at all is an error.
pub(super) async fn facts(client: &Client, plan: &Plan) -> anyhow::Result<Facts> {
    let version = client.apiserver_version().await;
    let version = version.map_err(|error| failure("ask the API server for its version", "get on /version", &error))?;
    let mut reader = Reader {
        client,
        facts: Facts {
            now: Timestamp::now(),
            kubernetes: Some((number(&version.major), number(&version.minor))),
            ..Facts::default()
        },
    };
    reader.definitions().await;
    reader.releases(plan).await;
    reader.workloads(plan).await;
    reader.certificates(plan).await;
    if !plan.is_hook {
        reader.rights(plan).await;
    }
    Ok(reader.facts)
}

/// `34` of `34+`
fn number(text: &str) -> u32 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

struct Reader<'a> {
    client: &'a Client,
    facts: Facts,
}

impl Reader<'_> {
    fn unread(&mut self, what: &str, right: &str, error: &kube::Error) {
        let why = match error {
            kube::Error::Api(status) if status.code == 403 => "forbidden".to_owned(),
            kube::Error::Api(status) => status.message.clone(),
            error => error.to_string(),
        };
        self.facts.unread.push(Unread {
            what: what.to_owned(),
            right: right.to_owned(),
            why,
        });
    }

    /// One object; `None` if there is none or it can't be read.
    async fn get<K>(&mut self, api: Api<K>, name: &str, what: &str, right: &str) -> Option<Value>
    where
        K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
    {
        match api.get(name).await {
            Ok(object) => Some(serde_json::to_value(object).expect("an object is plain data")),
            Err(error) if is_missing(&error) => None,
            Err(error) => {
                self.unread(what, right, &error);
                None
            }
        }
    }

    /// All objects, page by page.
    async fn list<K>(&mut self, api: Api<K>, parameters: ListParams, what: &str, right: &str) -> Vec<Value>
    where
        K: Clone + std::fmt::Debug + DeserializeOwned + Serialize + Resource<DynamicType = ()>,
    {
        let mut objects = Vec::new();
        let mut parameters = parameters.limit(PAGE);
        loop {
            let page = match api.list(&parameters).await {
                Ok(page) => page,
                Err(error) => {
                    self.unread(what, right, &error);
                    return objects;
                }
            };
            objects.extend(page.items.into_iter().map(|object| {
                let mut value = serde_json::to_value(object).expect("an object is plain data");
                value["kind"] = json!(K::kind(&()));
                value
            }));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) if objects.len() < MOST => parameters = parameters.continue_token(&token),
                _ => return objects,
            }
        }
    }

    async fn definitions(&mut self) {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        const RIGHT: &str = "get on customresourcedefinitions (apiextensions.k8s.io)";
        for wanted in definitions() {
            let wanted = Definition::read(&serde_json::to_value(wanted).expect("a definition is plain data"));
            let found = self.get(api.clone(), &wanted.name, "definitions", RIGHT).await;
            if !self.facts.unread.is_empty() {
                return;
            }
            self.facts
                .definitions
                .push((wanted, found.as_ref().map(Definition::read)));
        }
        if let Some(found) = self.get(api, GATEWAY_DEFINITION, "definitions", RIGHT).await {
            let text = |name: &str| {
                let value = &found["metadata"]["annotations"][format!("gateway.networking.k8s.io/{name}")];
                value.as_str().unwrap_or("unknown").to_owned()
            };
            self.facts.gateway_api = Some((text("bundle-version"), text("channel")));
        }
    }

    async fn releases(&mut self, plan: &Plan) {
        let revisions = match helm::revisions(self.client, &plan.release_namespace).await {
            Ok(revisions) => revisions,
            Err(error) => {
                self.unread(
                    "Helm releases",
                    "list and get on secrets in the release's namespace",
                    &error,
                );
                return;
            }
        };
        let own: Vec<_> = revisions
            .iter()
            .filter(|revision| revision.release == plan.release)
            .collect();
        let deployed = helm::deployed(&own);
        let pending = own.last().filter(|revision| revision.is_pending());
        self.facts.deployed = match deployed {
            Some(revision) => self.release(plan, revision).await,
            None => None,
        };
        self.facts.pending = match pending {
            Some(revision) => self.release(plan, revision).await,
            None => None,
        };
        let mut others: Vec<&helm::Revision> = Vec::new();
        for revision in revisions.iter().filter(|revision| revision.release != plan.release) {
            match others.iter_mut().find(|other| other.release == revision.release) {
                Some(other) => *other = revision,
                None => others.push(revision),
            }
        }
        for revision in others {
            let release = self.release(plan, revision).await;
            self.facts.neighbours.extend(release);
        }
    }

    async fn release(&mut self, plan: &Plan, revision: &helm::Revision) -> Option<Release> {
        match helm::read(self.client, &plan.release_namespace, revision).await {
            Ok(release) => Some(release),
            Err(error) => {
                self.facts.unread.push(Unread {
                    what: format!("revision {} of release {}", revision.number, revision.release),
                    right: "get on secrets in the release's namespace".to_owned(),
                    why: one_line(&error),
                });
                None
            }
        }
    }

    async fn workloads(&mut self, plan: &Plan) {
        let (client, namespace) = (self.client.clone(), plan.namespace.as_str());
        let all = ListParams::default;
        let deployments = self
            .list(
                Api::<Deployment>::all(client.clone()),
                all(),
                "Deployments of all namespaces",
                "list on deployments (apps)",
            )
            .await;
        let daemon_sets = self
            .list(
                Api::<DaemonSet>::all(client.clone()),
                all(),
                "DaemonSets of all namespaces",
                "list on daemonsets (apps)",
            )
            .await;
        let workloads = deployments.iter().chain(&daemon_sets);
        self.facts.controllers = workloads.filter_map(Controller::of).collect();
        let here = |objects: Vec<Value>| {
            let here = objects
                .into_iter()
                .filter(|object| object["metadata"]["namespace"] == namespace);
            here.collect()
        };
        self.facts.deployments = here(deployments);
        self.facts.daemon_sets = here(daemon_sets);
        let services = Api::<Service>::namespaced(client.clone(), namespace);
        self.facts.services = self
            .list(services, all(), "Services", "list on services in the namespace")
            .await;
        let quotas = Api::<ResourceQuota>::namespaced(client.clone(), namespace);
        self.facts.quotas = self
            .list(
                quotas,
                all(),
                "ResourceQuotas",
                "list on resourcequotas in the namespace",
            )
            .await;
        let classes = Api::<IngressClass>::all(client);
        self.facts.ingress_class = self
            .get(
                classes,
                &plan.ingress_class,
                "the IngressClass",
                "get on ingressclasses (networking.k8s.io)",
            )
            .await;
    }

    async fn certificates(&mut self, plan: &Plan) {
        let client = self.client.clone();
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &plan.namespace);
        const RIGHT: &str = "list and get on secrets in the namespace";
        if let Some(name) = &plan.proxy_certificate_secret {
            let found = self
                .get(secrets.clone(), name, "Secrets with certificates", RIGHT)
                .await;
            self.facts.proxy_certificate = found.as_ref().and_then(certificate);
        }
        let of_tls = ListParams::default().fields("type=kubernetes.io/tls");
        let found = self.list(secrets, of_tls, "Secrets with certificates", RIGHT).await;
        self.facts.certificates = found.iter().filter_map(certificate).collect();
        let Some(deployed) = &self.facts.deployed else { return };
        let names = deployed.of_kind("ConfigMap").map(|object| object.name.name.clone());
        let names: Vec<String> = names.filter(|name| name.ends_with("-admin-client-ca")).collect();
        let config_maps: Api<ConfigMap> = Api::namespaced(client, &plan.namespace);
        for name in names {
            let right = "get on configmaps in the namespace";
            let found = self
                .get(config_maps.clone(), &name, "the gateways' client authority", right)
                .await;
            if let Some(pem) = found.as_ref().and_then(|found| found["data"]["tls.crt"].as_str()) {
                let place = format!("ConfigMap {}/{name}", plan.namespace);
                self.facts.client_authorities.push((place, pem.to_owned()));
            }
        }
    }

    /// Whether whoever runs this may install: objects that the chart makes, and definitions.
    async fn rights(&mut self, plan: &Plan) {
        let cluster = [
            ("apiextensions.k8s.io", "customresourcedefinitions", "patch"),
            ("rbac.authorization.k8s.io", "clusterroles", "create"),
            ("rbac.authorization.k8s.io", "clusterrolebindings", "create"),
            ("networking.k8s.io", "ingressclasses", "create"),
            (
                "admissionregistration.k8s.io",
                "validatingwebhookconfigurations",
                "create",
            ),
        ];
        let namespaced = [
            ("apps", "deployments", "create"),
            ("batch", "jobs", "create"),
            ("", "secrets", "create"),
            ("", "services", "create"),
            ("", "serviceaccounts", "create"),
            ("rbac.authorization.k8s.io", "roles", "create"),
            ("rbac.authorization.k8s.io", "rolebindings", "create"),
            ("policy", "poddisruptionbudgets", "create"),
            ("networking.k8s.io", "networkpolicies", "create"),
        ];
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let cluster = cluster.map(|right| (right, None));
        let namespaced = namespaced.map(|right| (right, Some(plan.namespace.as_str())));
        for ((group, resource, verb), namespace) in cluster.into_iter().chain(namespaced) {
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(ResourceAttributes {
                        group: Some(group.to_owned()),
                        resource: Some(resource.to_owned()),
                        verb: Some(verb.to_owned()),
                        namespace: namespace.map(str::to_owned),
                        ..ResourceAttributes::default()
                    }),
                    ..SelfSubjectAccessReviewSpec::default()
                },
                ..SelfSubjectAccessReview::default()
            };
            let status = match reviews.create(&PostParams::default(), &review).await {
                Ok(review) => review.status,
                Err(error) => {
                    self.unread("your rights", "create on selfsubjectaccessreviews", &error);
                    return;
                }
            };
            let place = namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
            let group = if group.is_empty() {
                String::new()
            } else {
                format!(" ({group})")
            };
            self.facts.rights.push(Right {
                what: format!("{verb} {resource}{group}{place}"),
                is_allowed: status.is_some_and(|status| status.allowed),
            });
        }
    }
}

/// The certificate in a Secret, if it holds one.
fn certificate(secret: &Value) -> Option<IssuedCertificate> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let data = secret["data"]["tls.crt"].as_str().filter(|data| !data.is_empty())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &secret["metadata"];
    Some(IssuedCertificate {
        secret: format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"])),
        pem: String::from_utf8(STANDARD.decode(data).ok()?).ok()?,
    })
}
