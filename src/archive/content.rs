//! What is put away: for each profile the bytes that were accepted, and the objects that they were made of, but for
//! addresses and Secrets, which are taken from the cluster as they are then. Pure.
//!
//! Lines of JSON, one for each object and profile, the bytes after the line of their profile. Whoever reads it knows that it was written by this
//! program: it has been authenticated.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Write},
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;
use proxy_config_schema::ConfigHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Error, LastGoods};
use crate::{
    model::{Kind, Object, Profile, Snapshot},
    render::{LastGood, Origin, Rendered},
};

/// Of what is read: another one is another program's.
const VERSION: u32 = 2;
/// Largest configuration that is read, in bytes.
const MAX_BYTES: usize = 256 << 20;

/// Kinds that are not put away: they are taken from the cluster as they are when they are needed.
fn is_live(kind: Kind) -> bool {
    matches!(kind, Kind::Secret | Kind::EndpointSlice | Kind::ProxyFleet)
}

#[derive(Serialize, Deserialize)]
enum Line {
    Version(u32),
    /// When it was put away.
    Written(Timestamp),
    /// The objects of the snapshot of that number, until the next.
    Snapshot(usize),
    Object(Kind, Value),
    Profile {
        profile: Profile,
        snapshot: usize,
        length: usize,
        confidential: Vec<String>,
        /// When the first proxy was found to run it.
        accepted_at: Timestamp,
    },
}

/// Writes it.
pub(super) fn write(profiles: &LastGoods, written_at: Timestamp, mut out: impl Write) -> io::Result<()> {
    line(&mut out, &Line::Version(VERSION))?;
    line(&mut out, &Line::Written(written_at))?;
    // Profiles are mostly made of the same objects.
    let mut snapshots: Vec<&Arc<Snapshot>> = Vec::new();
    for good in profiles.values() {
        if snapshots.iter().any(|known| is_same(known, &good.sources)) {
            continue;
        }
        line(&mut out, &Line::Snapshot(snapshots.len()))?;
        snapshots.push(&good.sources);
        for kind in Kind::ALL.iter().copied().filter(|kind| !is_live(*kind)) {
            for key in good.sources.keys(kind) {
                let Some(object) = good.sources.get(kind, &key) else {
                    continue;
                };
                let value = object.to_json().map_err(io::Error::other)?;
                line(&mut out, &Line::Object(kind, value))?;
            }
        }
    }
    for (profile, good) in profiles {
        let snapshot = snapshots.iter().position(|known| is_same(known, &good.sources));
        let bytes = &good.rendered.bytes;
        let head = Line::Profile {
            profile: profile.clone(),
            snapshot: snapshot.unwrap_or_default(),
            length: bytes.len(),
            confidential: good.rendered.confidential.iter().cloned().collect(),
            accepted_at: good.accepted_at,
        };
        line(&mut out, &head)?;
        out.write_all(bytes)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn line(mut out: impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")
}

fn is_same(one: &Arc<Snapshot>, other: &Arc<Snapshot>) -> bool {
    let mut same = true;
    if !Arc::ptr_eq(one, other) {
        one.changes_since(other, |kind, _| same &= is_live(kind));
    }
    same
}

/// Reads what [`write`] wrote, and when it did.
pub(super) fn read(mut input: impl BufRead) -> Result<(LastGoods, Timestamp), Error> {
    const DAMAGED: Error = Error::Damaged("what was put away is damaged");
    let mut snapshots: Vec<Snapshot> = Vec::new();
    let mut found = BTreeMap::new();
    let mut written_at = Timestamp::UNIX_EPOCH;
    let mut text = Vec::new();
    let mut sealed: Vec<Arc<Snapshot>> = Vec::new();
    loop {
        text.clear();
        if input.read_until(b'\n', &mut text).map_err(|_| DAMAGED)? == 0 {
            return Ok((found, written_at));
        }
        match serde_json::from_slice(&text).map_err(|_| DAMAGED)? {
            Line::Version(VERSION) => {}
            Line::Written(at) => written_at = at,
            Line::Version(_) => return Err(Error::Damaged("it was put away by another version of silverback")),
            Line::Snapshot(_) => snapshots.push(Snapshot::default()),
            Line::Object(kind, value) => {
                let object = Object::from_json(kind, value).map_err(|_| DAMAGED)?;
                snapshots.last_mut().ok_or(DAMAGED)?.insert(object);
            }
            Line::Profile {
                profile,
                snapshot,
                length,
                confidential,
                accepted_at,
            } => {
                sealed.extend(snapshots.drain(..).map(Arc::new));
                let sources = sealed.get(snapshot).ok_or(DAMAGED)?.clone();
                if length > MAX_BYTES || found.len() >= Profile::MAX {
                    return Err(DAMAGED);
                }
                let mut bytes = vec![0; length + 1];
                input.read_exact(&mut bytes).map_err(|_| DAMAGED)?;
                bytes.pop();
                let rendered = Rendered {
                    hash: ConfigHash::of(&bytes),
                    bytes: Bytes::from(bytes),
                    confidential: Arc::new(confidential.into_iter().collect()),
                };
                let good = LastGood {
                    rendered: Arc::new(rendered),
                    sources,
                    accepted_at,
                    origin: Origin::Stored,
                };
                found.insert(profile, Arc::new(good));
            }
        }
    }
}
