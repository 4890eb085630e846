//! EndpointSlices: the store keeps those of Services that are referred to, and those of newly referred ones are listed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::api::ListParams;
use tokio::{sync::watch, time::timeout};

use super::{
    Source,
    guarded::Guarded,
    read::{Read, read},
    report::{Closed, Report},
};
use crate::{
    model::{Kind, kubernetes::SERVICE_NAME_LABEL},
    store::{Event, Interest},
};

/// Services whose slices are asked for in one request: the names go into its URL.
const SERVICES_PER_REQUEST: usize = 50;

/// How long such a request may take.
const REQUEST_AT_MOST: Duration = Duration::from_secs(10);

/// Watches the slices of a scope, until the store is gone.
pub(super) async fn run(
    source: Source,
    mut stream: Guarded<Read>,
    report: Arc<Report>,
    mut interest: watch::Receiver<Arc<Interest>>,
) {
    let mut handled = 0;
    loop {
        let result = tokio::select! {
            change = stream.next() => source.tell(change, &report).await,
            changed = interest.changed() => {
                if changed.is_err() {
                    return;
                }
                let wanted = interest.borrow_and_update().clone();
                let result = fetch(&source, &mut stream, &report, &wanted, handled).await;
                handled = wanted.generation;
                result
            }
        };
        if result.is_err() {
            return;
        }
    }
}

/// Lists the slices of Services that came into the interest. No change of the stream is read meanwhile, so none that is
/// older than the answer can undo it for good: all that follows is told after it.
async fn fetch(
    source: &Source,
    stream: &mut Guarded<Read>,
    report: &Report,
    wanted: &Interest,
    handled: u64,
) -> Result<(), Closed> {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (service, since) in &wanted.services {
        if *since > handled && source.covers(&service.namespace) {
            names.entry(&service.namespace).or_default().push(&service.name);
        }
    }
    'all: for (namespace, names) in names {
        for names in names.chunks(SERVICES_PER_REQUEST) {
            let selector = format!("{SERVICE_NAME_LABEL} in ({})", names.join(","));
            let api = source.api_in(namespace);
            let parameters = ListParams::default().labels(&selector);
            let Ok(Ok(list)) = timeout(REQUEST_AT_MOST, api.list(&parameters)).await else {
                tracing::debug!(namespace, "failed to list EndpointSlices: all of them are listed again");
                stream.restart();
                break 'all;
            };
            for object in list.items {
                report.applied(read(Kind::EndpointSlice, object).object).await?;
            }
        }
    }
    report.send(Event::InterestMet(wanted.generation)).await
}
