//! A directory of manifests as the source: everything is read again when something in it changes.
//!
//! What breaks keeps its last good state: an object whose document can't be read any more stays as it was, with the
//! problem beside it, until the document is mended or taken away. Called by `wiring` in directory mode.

mod files;

#[cfg(test)]
mod tests;

use std::{
    fs::Metadata,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use crate::{
    manifest::Limits,
    model::{Kind, Unavailable},
    store::Event,
};
use files::Files;

/// Editors write a file in several steps, and tools write many: this long nothing may happen before it is read.
const SETTLE: Duration = Duration::from_millis(10);
/// And this long it may go on at most.
const SETTLE_AT_MOST: Duration = Duration::from_millis(200);
/// How often it is checked that the directory is still the one that is watched; and how often it is read where the
/// system can't tell of changes.
const POLL: Duration = Duration::from_secs(1);

/// How changes in a directory are noticed; `None` if the system can't tell of them.
type Watch = fn(&Path, &Arc<Changes>) -> Option<RecommendedWatcher>;

/// What a watcher has to say.
#[derive(Debug, Default)]
struct Changes {
    /// Something changed.
    seen: Notify,
    /// The directory itself was removed: the watcher is blind, though there may be another directory in the same place,
    /// even one with the same inode.
    lost: AtomicBool,
}

/// Reads the directory, then again after every change, until nobody listens.
///
/// While there is no such directory, what was read before is kept, and Ingresses are [`Event::Unavailable`].
pub async fn run(directory: PathBuf, limits: Limits, events: mpsc::Sender<Event>) {
    run_with(directory, limits, events, watch).await;
}

async fn run_with(directory: PathBuf, limits: Limits, events: mpsc::Sender<Event>, watch: Watch) {
    let mut files = Files::new(directory.clone(), limits);
    loop {
        let changes = Arc::new(Changes::default());
        let identity = inode(&directory);
        // Watched before it is read: what changes in between is read again.
        let watcher = identity.and_then(|_| watch(&directory, &changes));
        let event = if identity.is_some() {
            Event::Available(Kind::Ingress)
        } else {
            let name = directory.display();
            let unavailable = Unavailable::directory(
                &name.to_string(),
                format!("there is no directory {name}"),
                "make it again, or give another one with --directory",
            );
            tracing::warn!(reason = %unavailable, "manifests can't be read; what is known of them is kept");
            Event::Unavailable(Kind::Ingress, unavailable)
        };
        if events.send(event).await.is_err() {
            return;
        }
        while inode(&directory) == identity && !changes.lost.load(Ordering::Relaxed) {
            if identity.is_some() {
                // Thousands of files are read at the start: other tasks go on meanwhile.
                let reading = tokio::task::spawn_blocking(move || {
                    let event = files.read();
                    (files, event)
                });
                let (read, event) = reading.await.expect("reading manifests does not panic");
                files = read;
                if let Some(event) = event
                    && events.send(event).await.is_err()
                {
                    return;
                }
            }
            tokio::select! {
                () = wait(&directory, identity, watcher.is_some(), &changes.seen) => {}
                () = events.closed() => return,
            }
        }
    }
}

/// Waits for a change in the directory, or for the directory to be another one.
async fn wait(directory: &Path, identity: Option<u64>, watched: bool, seen: &Notify) {
    loop {
        tokio::select! {
            () = seen.notified() => return settle(seen).await,
            () = tokio::time::sleep(POLL) => if inode(directory) != identity || (identity.is_some() && !watched) {
                return;
            },
        }
    }
}

/// Tells a directory from another one of the same name; `None` when there is none.
fn inode(directory: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(directory)
        .ok()
        .filter(Metadata::is_dir)
        .map(|metadata| metadata.ino())
}

fn watch(directory: &Path, changes: &Arc<Changes>) -> Option<RecommendedWatcher> {
    let (changes, watched) = (changes.clone(), directory.to_owned());
    let handler = move |event: notify::Result<notify::Event>| {
        let event = event.unwrap_or_else(|_| notify::Event::new(EventKind::Any));
        let kind = event.kind;
        if matches!(kind, EventKind::Remove(_)) && event.paths.contains(&watched) {
            changes.lost.store(true, Ordering::Relaxed);
        }
        // Our own reading must not wake us.
        let is_read = matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write));
        if !is_read {
            changes.seen.notify_one();
        }
    };
    let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
        watcher.watch(directory, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| {
            tracing::warn!(%error, "the system can't tell of changes in the directory; it is read every second");
        })
        .ok()
}

async fn settle(seen: &Notify) {
    let end = Instant::now() + SETTLE_AT_MOST;
    while Instant::now() < end {
        if tokio::time::timeout(SETTLE, seen.notified()).await.is_err() {
            return;
        }
    }
}
