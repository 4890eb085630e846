//! What stands in the cluster already when this replica becomes the leader, and what others take away later. IO.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{Stream, StreamExt, future, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Resource,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind, NamespaceResourceScope, PartialObjectMeta},
    runtime::{
        WatchStreamExt,
        utils::Backoff,
        watcher::{self, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{
    author::{
        Bundle,
        addresses::{self, sorted},
        gateway, objects,
    },
    document::{Document, Key},
    entry::Entries,
    gateway_status::{GatewayClassStatus, GatewayStatus},
    object_condition::Programmed,
    resource::{ProxyFleet, ProxyInstance, name_of},
    served::Served,
    settings::{OwnPod, Rows, Settings},
};
use crate::model::{Kind, NamespacedName, ObjectRef};

/// How many objects come in one answer.
const PAGE: u32 = 500;
/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest wait before a kind that can't be read is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What stands in the cluster.
#[derive(Debug)]
pub(super) enum Found {
    /// A `ProxyInstance`.
    Instance(Box<ProxyInstance>),
    /// Somebody wrote a `ProxyInstance`: we ourselves, mostly.
    InstanceWritten(Box<ProxyInstance>),
    /// Somebody deleted a `ProxyInstance`.
    InstanceDeleted(Box<ProxyInstance>),
    /// All `ProxyInstance`s of a namespace have been told: these.
    InstancesListed(Arc<str>, HashSet<NamespacedName>),
    /// A `ProxyFleet`.
    Fleet(Box<ProxyFleet>),
    /// Somebody deleted a `ProxyFleet`.
    FleetDeleted(Box<ProxyFleet>),
    /// All `ProxyFleet`s have been told.
    FleetsListed,
    /// A kind can't be read now; it is tried again.
    Failed,
    /// Statuses of users' objects.
    Statuses(Vec<(Key, Document)>),
    /// All statuses of a kind have been told, or can't be.
    StatusesListed(Kind),
    /// Which bundle of the Gateway API is installed, if one is.
    Bundle(Option<Bundle>),
    /// The controller's own Pod.
    OwnPod(ObjectRef),
}

/// Namespaces where `ProxyInstance`s are: those of the Admin Services, since Pods are in the namespace of their Service.
pub(super) fn instance_namespaces(settings: &Settings) -> BTreeSet<Arc<str>> {
    match &settings.rows {
        Rows::Fleet => settings
            .services
            .iter()
            .map(|service| service.namespace.clone())
            .collect(),
        Rows::Own(pod) => [pod.namespace.clone()].into(),
        Rows::None => BTreeSet::new(),
    }
}

/// Everything that there is to know, then what changes. Does not end.
pub(super) fn follow(
    client: &Client,
    settings: &Settings,
    served: &Served,
) -> impl Stream<Item = Found> + Send + use<> {
    let instances = instance_namespaces(settings).into_iter().map(|namespace| {
        let mut wanted = watcher::Config::default();
        if let Rows::Own(pod) = &settings.rows {
            wanted = wanted.fields(&format!("metadata.name={}", pod.name));
        }
        objects::<ProxyInstance>(client.clone(), &namespace, wanted)
            .scan(HashSet::new(), move |listed, event| {
                future::ready(Some(instance_event(event, &namespace, listed)))
            })
            .filter_map(future::ready)
            .boxed()
    });
    let mut streams: Vec<_> = instances.collect();
    if !settings.services.is_empty() {
        let fleets = objects::<ProxyFleet>(client.clone(), &settings.namespace, watcher::Config::default());
        let found = fleets.filter_map(|event| future::ready(fleet_event(event)));
        streams.push(found.boxed());
    }
    if settings.update_status {
        streams.push(statuses(client, settings, served).boxed());
        streams.push(bundles(client).boxed());
    }
    if let (true, Some(pod)) = (settings.emit_events, settings.own_pod.clone()) {
        streams.push(
            stream::once(own_pod(client.clone(), pod))
                .filter_map(future::ready)
                .boxed(),
        );
    }
    stream::select_all(streams)
}

fn objects<K>(
    client: Client,
    namespace: &str,
    wanted: watcher::Config,
) -> impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + use<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Send
        + 'static,
{
    let api: Api<K> = Api::namespaced(client, namespace);
    let namespace = namespace.to_owned();
    let mut told = false;
    watcher(api, wanted)
        .backoff(Patience::default())
        .inspect(move |event| match event {
            Ok(_) => told = false,
            Err(error) if told => debug!(%namespace, %error, "{} still can't be read", K::plural(&())),
            Err(error) => {
                told = true;
                warn!(
                    %namespace,
                    %error,
                    "{} can't be read, so that none are written, which passes by itself where the API server is starting; \
                     if it lasts, install the definitions (silverback crds print) and allow get, list and watch on them",
                    K::plural(&())
                );
            }
        })
}

/// Waits from 1 s to 30 s between attempts. kube's own back-off begins anew with every attempt, since a watch says that
/// it begins (`Init`) before it fails.
#[derive(Debug, Default)]
struct Patience {
    wait: Duration,
    last: Option<Instant>,
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let went_well = self.last.is_none_or(|last| last.elapsed() > LONGEST_WAIT * 4);
        self.wait = match went_well {
            true => Duration::from_secs(1),
            false => (self.wait * 2).min(LONGEST_WAIT),
        };
        self.last = Some(Instant::now());
        Some(self.wait)
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {}
}

fn instance_event(
    event: watcher::Result<watcher::Event<ProxyInstance>>,
    namespace: &Arc<str>,
    listed: &mut HashSet<NamespacedName>,
) -> Option<Found> {
    match event {
        Ok(watcher::Event::Init) => {
            listed.clear();
            None
        }
        Ok(watcher::Event::InitApply(instance)) => {
            listed.insert(name_of(&instance));
            Some(Found::Instance(Box::new(instance)))
        }
        Ok(watcher::Event::InitDone) => Some(Found::InstancesListed(namespace.clone(), std::mem::take(listed))),
        Ok(watcher::Event::Delete(instance)) => Some(Found::InstanceDeleted(Box::new(instance))),
        Ok(watcher::Event::Apply(instance)) => Some(Found::InstanceWritten(Box::new(instance))),
        Err(_) => Some(Found::Failed),
    }
}

fn fleet_event(event: watcher::Result<watcher::Event<ProxyFleet>>) -> Option<Found> {
    match event {
        Ok(watcher::Event::InitApply(fleet) | watcher::Event::Apply(fleet)) => Some(Found::Fleet(Box::new(fleet))),
        Ok(watcher::Event::InitDone) => Some(Found::FleetsListed),
        Ok(watcher::Event::Delete(fleet)) => Some(Found::FleetDeleted(Box::new(fleet))),
        Ok(watcher::Event::Init) => None,
        Err(_) => Some(Found::Failed),
    }
}

/// Kinds whose statuses are written.
pub(super) fn status_kinds() -> impl Iterator<Item = Kind> {
    addresses::KINDS.into_iter().chain(objects::KINDS).chain(gateway::KINDS)
}

/// What stands in the statuses of users' objects, kind by kind and page by page: a new leader need not write it again.
fn statuses(client: &Client, settings: &Settings, served: &Served) -> impl Stream<Item = Found> + Send + use<> {
    let (client, settings, served) = (client.clone(), settings.clone(), served.clone());
    stream::iter(status_kinds()).flat_map(move |kind| {
        let (client, settings, served) = (client.clone(), settings.clone(), served.clone());
        let pages = async move {
            let apis = match tokio::time::timeout(LIMIT, served.resource(kind)).await {
                Ok(Ok(Some(resource))) => apis(&client, kind, &resource, &settings),
                Ok(Ok(None)) | Err(_) => Vec::new(),
                Ok(Err(error)) => {
                    debug!(?kind, %error, "statuses can't be read: they are written anew");
                    Vec::new()
                }
            };
            stream::iter(apis).flat_map(move |api| pages(kind, api, settings.clone()).boxed())
        };
        let pages = stream::once(pages).flatten();
        pages.chain(stream::once(future::ready(Found::StatusesListed(kind))))
    })
}

/// A kind wherever it is watched.
fn apis(client: &Client, kind: Kind, resource: &ApiResource, settings: &Settings) -> Vec<Api<DynamicObject>> {
    match settings.watched_namespaces.as_slice() {
        some @ [_, ..] if kind.is_namespaced() => some
            .iter()
            .map(|namespace| Api::namespaced_with(client.clone(), namespace, resource))
            .collect(),
        _ => vec![Api::all_with(client.clone(), resource)],
    }
}

/// Which bundle of the Gateway API is installed: its definitions say so.
fn bundles(client: &Client) -> impl Stream<Item = Found> + Send + use<> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let class = Kind::GatewayClass;
    let name = format!("metadata.name={}.{}", class.plural(), class.group());
    let events = watcher(api, watcher::Config::default().fields(&name)).backoff(Patience::default());
    events
        .scan(None, |bundle: &mut Option<Bundle>, event| {
            let found = match event {
                Ok(watcher::Event::Init) => {
                    *bundle = None;
                    None
                }
                Ok(watcher::Event::InitApply(definition)) => {
                    *bundle = bundle_of(&definition);
                    None
                }
                Ok(watcher::Event::Apply(definition)) => {
                    *bundle = bundle_of(&definition);
                    Some(bundle.clone())
                }
                Ok(watcher::Event::Delete(_)) => {
                    *bundle = None;
                    Some(None)
                }
                Ok(watcher::Event::InitDone) => Some(bundle.clone()),
                Err(error) => {
                    debug!(%error, "the definitions of the Gateway API can't be read");
                    // The watch goes on where it was: what is known stays known.
                    Some(bundle.clone())
                }
            };
            future::ready(Some(found.map(Found::Bundle)))
        })
        .filter_map(future::ready)
}

fn bundle_of<K: Resource>(definition: &K) -> Option<Bundle> {
    let annotation = |name: &str| definition.meta().annotations.as_ref()?.get(name).cloned();
    Some(Bundle {
        version: annotation("gateway.networking.k8s.io/bundle-version"),
    })
}

fn pages(kind: Kind, api: Api<DynamicObject>, settings: Settings) -> impl Stream<Item = Found> + Send {
    stream::unfold(Some(String::new()), move |token| {
        let (api, settings) = (api.clone(), settings.clone());
        async move {
            let mut parameters = ListParams::default().limit(PAGE);
            match token? {
                first if first.is_empty() => {}
                token => parameters = parameters.continue_token(&token),
            }
            let page = match tokio::time::timeout(LIMIT, api.list(&parameters)).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    debug!(?kind, %error, "statuses can't be read: they are written anew");
                    return None;
                }
                Err(_) => return None,
            };
            let token = page.metadata.continue_.filter(|token| !token.is_empty());
            let found = page.items.iter();
            let found = found
                .filter_map(|object| status_document(kind, object, &settings))
                .collect();
            Some((Found::Statuses(found), token))
        }
    })
}

fn status_document(kind: Kind, object: &DynamicObject, settings: &Settings) -> Option<(Key, Document)> {
    let uid = object.metadata.uid.as_deref()?;
    let status = object.data.get("status")?;
    let name = name_of_dynamic(object);
    let document = match kind {
        _ if addresses::KINDS.contains(&kind) => {
            let entries = status.get("loadBalancer")?.get("ingress")?.as_array()?.iter();
            let addresses = entries.filter_map(|entry| serde_json::from_value(entry.clone()).ok());
            Document::Addresses(sorted(addresses.collect()))
        }
        Kind::KongUpstreamPolicy => Document::Ancestors(Entries::found(
            status,
            objects::policy_writer(settings),
            &name.namespace,
        )?),
        Kind::KongLicense => {
            let controller = objects::license_controller(settings);
            Document::Programmed(Programmed::found(status, Some(&controller))?)
        }
        Kind::GatewayClass => Document::GatewayClass(GatewayClassStatus::found(status)),
        Kind::Gateway => Document::Gateway(Box::new(GatewayStatus::found(status))),
        Kind::BackendTLSPolicy => {
            Document::Ancestors(Entries::found(status, gateway::writer(settings), &name.namespace)?)
        }
        _ if gateway::KINDS.contains(&kind) => {
            Document::Parents(Entries::found(status, gateway::writer(settings), &name.namespace)?)
        }
        _ => Document::Programmed(Programmed::found(status, None)?),
    };
    Some((Key::Object(kind, name, uid.into()), document))
}

fn name_of_dynamic(object: &DynamicObject) -> NamespacedName {
    let metadata = &object.metadata;
    NamespacedName::new(
        metadata.namespace.as_deref().unwrap_or_default(),
        metadata.name.as_deref().unwrap_or_default(),
    )
}

/// The controller's own Pod, with the UID that events need to show with it.
async fn own_pod(client: Client, pod: OwnPod) -> Option<Found> {
    let uid = match pod.uid {
        Some(uid) => uid,
        None => {
            let api: Api<Pod> = Api::namespaced(client, &pod.namespace);
            match tokio::time::timeout(LIMIT, api.get_metadata(&pod.name)).await {
                Ok(Ok(found)) => found.metadata.uid?.into(),
                Ok(Err(error)) => {
                    debug!(%error, "no events on the controller's own Pod: set POD_UID, or allow get on pods");
                    return None;
                }
                Err(_) => return None,
            }
        }
    };
    Some(Found::OwnPod(ObjectRef {
        group: "".into(),
        version: "v1".into(),
        kind: "Pod".into(),
        namespace: pod.namespace,
        name: pod.name,
        uid,
    }))
}
