//! A directory of manifests as the source: everything is read again when something in it changes.
//!
//! What breaks keeps its last good state: an object whose document can't be read any more stays as it was, with the
//! problem beside it, until the document is mended or taken away. Called by `wiring` in directory mode.

use std::{
    collections::BTreeMap,
    fs::Metadata,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

use crate::{
    manifest::{self, Broken, Limits, Manifests},
    model::{Kind, Object, Problem},
    store::Event,
};

/// Editors write a file in several steps, and tools write many: this long nothing may happen before it is read.
const SETTLE: Duration = Duration::from_millis(20);
/// And this long it may go on at most.
const SETTLE_AT_MOST: Duration = Duration::from_millis(200);
/// How often it is checked that the directory is still the one that is watched; and how often it is read where the
/// system can't tell of changes.
const POLL: Duration = Duration::from_secs(1);

/// Reads the directory, then again after every change, until nobody listens.
pub async fn run(directory: PathBuf, limits: Limits, events: mpsc::Sender<Event>) {
    let mut files = Files {
        directory: directory.clone(),
        limits,
        known: BTreeMap::new(),
        problems: Vec::new(),
        empty: false,
    };
    let changed = Arc::new(Notify::new());
    loop {
        let identity = inode(&directory);
        // Watched before it is read: what changes in between is read again.
        let watcher = identity.and_then(|_| watch(&directory, &changed));
        if identity.is_none() {
            let reason = format!("the directory {} is gone", directory.display());
            if events.send(Event::Unavailable(Kind::Ingress, reason)).await.is_err() {
                return;
            }
        } else if events.send(Event::Available(Kind::Ingress)).await.is_err() {
            return;
        }
        while inode(&directory) == identity {
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
                () = wait(&directory, identity, watcher.is_some(), &changed) => {}
                () = events.closed() => return,
            }
        }
    }
}

/// Waits for a change in the directory, or for the directory to be another one.
async fn wait(directory: &Path, identity: Option<u64>, watched: bool, changed: &Notify) {
    loop {
        tokio::select! {
            () = changed.notified() => return settle(changed).await,
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

fn watch(directory: &Path, changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let notify = changed.clone();
    let handler = move |event: notify::Result<notify::Event>| {
        // Our own reading must not wake us.
        let reading = matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(notify::event::AccessMode::Write)));
        if !reading {
            notify.notify_one();
        }
    };
    let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
        watcher.watch(directory, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watcher
        .inspect_err(|error| tracing::warn!(%error, "the system can't tell of changes in the directory; it is read every second"))
        .ok()
}

async fn settle(changed: &Notify) {
    let end = Instant::now() + SETTLE_AT_MOST;
    while Instant::now() < end {
        if tokio::time::timeout(SETTLE, changed.notified()).await.is_err() {
            return;
        }
    }
}

/// The files as they were read last.
struct Files {
    directory: PathBuf,
    limits: Limits,
    known: BTreeMap<PathBuf, File>,
    problems: Vec<Problem>,
    /// Whether it was said that there is nothing.
    empty: bool,
}

struct File {
    stamp: Option<Stamp>,
    manifests: Manifests,
}

/// What changes when a file's content does.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            modified: metadata.modified().ok(),
            bytes: metadata.len(),
            inode: metadata.ino(),
        }
    }
}

impl Files {
    /// Reads the files that changed; gives all objects and problems when something is new.
    fn read(&mut self) -> Option<Event> {
        let (paths, problems) = manifest::files(&self.directory, &self.limits);
        let mut former = std::mem::take(&mut self.known);
        let mut changed = problems != self.problems;
        self.problems = problems;
        for path in paths {
            let stamp = std::fs::metadata(&path).ok().as_ref().map(Stamp::of);
            let before = former.remove(&path);
            if let Some(before) = before {
                if before.stamp == stamp && stamp.is_some() {
                    self.known.insert(path, before);
                    continue;
                }
                let manifests = keep_last_good(self.parse(&path), &before.manifests.objects);
                changed |= manifests != before.manifests;
                self.known.insert(path, File { stamp, manifests });
            } else {
                changed = true;
                let manifests = self.parse(&path);
                self.known.insert(path, File { stamp, manifests });
            }
        }
        // What is left over is gone.
        changed |= !former.is_empty();
        let empty = self.known.is_empty() && self.problems.is_empty();
        changed |= empty && !self.empty;
        self.empty = empty;
        changed.then(|| {
            let mut all = Manifests {
                problems: self.problems.clone(),
                ..Manifests::default()
            };
            for file in self.known.values() {
                all.extend(file.manifests.clone());
            }
            all.finish(&self.limits);
            Event::Loaded(all.objects, all.problems)
        })
    }

    fn parse(&self, path: &Path) -> Manifests {
        let name = path.to_string_lossy();
        match manifest::read(path, &self.limits) {
            Ok(bytes) => manifest::parse(&name, &bytes, &self.limits),
            Err(error) => {
                let mut manifests = Manifests::default();
                manifests.give_up(&name, &error);
                manifests
            }
        }
    }
}

/// Adds the former objects of a file whose documents can't be read now.
fn keep_last_good(mut current: Manifests, former: &[Object]) -> Manifests {
    let is_broken = |object: &Object| {
        current.broken.iter().any(|broken| match broken {
            Broken::Object(kind, name) => *kind == object.kind() && *name == object.key(),
            Broken::Unknown => true,
        })
    };
    let is_there = |object: &Object| {
        current
            .objects
            .iter()
            .any(|other| other.kind() == object.kind() && other.key() == object.key())
    };
    let kept: Vec<_> = former
        .iter()
        .filter(|object| is_broken(object) && !is_there(object))
        .cloned()
        .collect();
    current.objects.extend(kept);
    current
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const GOOD: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n";

    async fn next(events: &mut mpsc::Receiver<Event>) -> (Vec<Object>, Vec<Problem>) {
        loop {
            let event = tokio::time::timeout(Duration::from_secs(20), events.recv())
                .await
                .expect("an event in time");
            if let Event::Loaded(objects, problems) = event.expect("the source goes on") {
                return (objects, problems);
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_breaks_keeps_its_last_good_state_until_it_is_mended_or_removed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yaml");
        std::fs::write(&file, GOOD).unwrap();
        let (sender, mut events) = mpsc::channel(16);
        let task = tokio::spawn(run(directory.path().to_owned(), Limits::default(), sender));
        let (objects, problems) = next(&mut events).await;
        assert_eq!((objects.len(), problems.len()), (1, 0));

        std::fs::write(&file, GOOD.replace("80", "eighty")).unwrap();
        let (kept, problems) = next(&mut events).await;
        assert_eq!((kept.len(), problems.len()), (1, 1), "{problems:?}");
        assert_eq!(kept, objects);

        std::fs::write(&file, GOOD.replace("80", "81")).unwrap();
        let (mended, problems) = next(&mut events).await;
        assert!(problems.is_empty() && mended != objects, "{problems:?}");

        std::fs::remove_file(&file).unwrap();
        assert!(next(&mut events).await.0.is_empty());
        task.abort();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_empty_directory_is_a_complete_one() {
        let directory = tempfile::tempdir().unwrap();
        let (sender, mut events) = mpsc::channel(16);
        let task = tokio::spawn(run(directory.path().to_owned(), Limits::default(), sender));
        assert_eq!(next(&mut events).await, (Vec::new(), Vec::new()));
        std::fs::write(directory.path().join("new.yaml"), GOOD).unwrap();
        assert_eq!(next(&mut events).await.0.len(), 1);
        task.abort();
    }
}
