//! A store in memory, and the task that puts away in it what a fleet accepts.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use proxy_config_schema::ConfigHash;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    archive::{
        Error, LastGoods, Store,
        seal::Key,
        task::{Inputs, run},
    },
    fleet::{FleetEvent, FleetView},
    model::{Epoch, Leadership, NamespacedName, Profile, Snapshot, Storage},
    render::{LastGood, Origin, Rendered},
};

pub(super) fn profile(minor: u16) -> Profile {
    Profile {
        router_flavor: Default::default(),
        edition: None,
        version: Some((3, minor)),
        plugins: None,
    }
}

pub(super) fn good(text: &str, sources: Snapshot) -> Arc<LastGood> {
    let bytes = Bytes::from(text.to_owned());
    let rendered = Rendered {
        hash: ConfigHash::of(&bytes),
        bytes,
        confidential: Arc::new(["hunter2".to_owned()].into()),
    };
    Arc::new(LastGood {
        rendered: Arc::new(rendered),
        sources: Arc::new(sources),
        accepted_at: jiff::Timestamp::UNIX_EPOCH,
        origin: Origin::Confirmed,
    })
}

pub(super) fn goods(text: &str) -> LastGoods {
    [(profile(9), good(text, Snapshot::default()))].into()
}

/// A store in memory that can be made to fail.
#[derive(Clone)]
pub(super) struct Memory(pub(super) Arc<Mutex<Kept>>);

pub(super) struct Kept {
    pub(super) key: Key,
    pub(super) sealed: Option<Vec<u8>>,
    writes: usize,
    pub(super) room: usize,
    /// The API server does not permit it.
    pub(super) forbidden: bool,
}

impl Store for Memory {
    async fn key(&self) -> Result<Key, Error> {
        Ok(self.0.lock().unwrap().key.clone())
    }

    async fn load(&self) -> Result<Option<Vec<u8>>, Error> {
        let kept = self.0.lock().unwrap();
        match kept.forbidden {
            true => Err(forbidden("get")),
            false => Ok(kept.sealed.clone()),
        }
    }

    async fn save(&self, sealed: Vec<u8>) -> Result<(), Error> {
        let mut kept = self.0.lock().unwrap();
        if kept.forbidden {
            return Err(forbidden("update"));
        }
        if sealed.len() > kept.room {
            return Err(Error::TooLarge {
                needed: sealed.len(),
                room: kept.room,
            });
        }
        kept.writes += 1;
        kept.sealed = Some(sealed);
        Ok(())
    }
}

pub(super) struct World {
    kept: Memory,
    pub(super) view: watch::Sender<Arc<FleetView>>,
    pub(super) leadership: watch::Sender<Leadership>,
    pub(super) events: mpsc::Receiver<FleetEvent>,
    pub(super) reports: watch::Receiver<Storage>,
    pub(super) stop: CancellationToken,
    pub(super) task: tokio::task::JoinHandle<()>,
}

pub(super) fn memory() -> Memory {
    Memory(Arc::new(Mutex::new(Kept {
        key: Key::random(),
        sealed: None,
        writes: 0,
        room: usize::MAX,
        forbidden: false,
    })))
}

fn forbidden(verb: &'static str) -> Error {
    Error::Forbidden {
        secret: NamespacedName::new("gateway", "last-good-0"),
        verb,
    }
}

pub(super) fn leader() -> Leadership {
    Leadership::Leader {
        epoch: Epoch {
            lease_uid: "lease".into(),
            transitions: 1,
        },
    }
}

impl World {
    pub(super) fn new(kept: &Memory) -> Self {
        let (view, views) = watch::channel(Arc::new(FleetView::default()));
        let (leadership, parts) = watch::channel(leader());
        let (sender, events) = mpsc::channel(64);
        let (reporter, reports) = watch::channel(Storage::Waiting);
        let stop = CancellationToken::new();
        let inputs = Inputs {
            view: views,
            leadership: parts,
            events: sender,
            reports: reporter,
            stop: stop.clone(),
        };
        Self {
            kept: kept.clone(),
            view,
            leadership,
            events,
            reports,
            stop,
            task: tokio::spawn(run(kept.clone(), inputs)),
        }
    }

    /// In its first term.
    pub(super) fn accept(&self, text: &str) {
        let view = FleetView {
            good: goods(text),
            term: 1,
            ..FleetView::default()
        };
        self.view.send_replace(Arc::new(view));
    }

    pub(super) fn writes(&self) -> usize {
        self.kept.0.lock().unwrap().writes
    }

    /// Time passes; blocking work is awaited by polling, since the clock stands still meanwhile.
    pub(super) async fn pass(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    pub(super) async fn written(&self, count: usize) {
        let limit = std::time::Instant::now() + Duration::from_secs(30);
        while self.writes() < count {
            assert!(
                std::time::Instant::now() < limit,
                "{} writes, not {count}",
                self.writes()
            );
            tokio::task::yield_now().await;
        }
    }
}
