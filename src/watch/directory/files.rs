//! The manifest files of a directory as they were read last.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;

use crate::{
    manifest::{self, Broken, Limits, Manifests},
    model::{Kind, NamespacedName, Object, Problem},
    store::Event,
};

/// A file that was written this shortly before it was read may be written again within the same tick of the file
/// system's clock: its time of change does not tell.
const TOO_FRESH: Duration = Duration::from_millis(100);

/// The files as they were read last.
pub(super) struct Files {
    directory: PathBuf,
    limits: Limits,
    known: BTreeMap<PathBuf, File>,
    problems: Vec<Problem>,
    /// The objects that were there when it was read last; `None` before it was read once.
    standing: Option<BTreeMap<ObjectKey, Standing>>,
}

type ObjectKey = (Kind, NamespacedName);

/// Since when an object is there, and where. Manifests rarely say how old their objects are, and the older one wins
/// where two claim the same: what was there first keeps its traffic, as in a cluster.
struct Standing {
    /// When it came; `None` if it was there when the directory was read first, and older than all that came since.
    since: Option<Timestamp>,
    /// Of several files that hold it, this one counts.
    file: Option<String>,
}

struct File {
    stamp: Option<Stamp>,
    manifests: Manifests,
    /// Former objects whose documents can't be read now.
    kept: Vec<Object>,
}

/// What changes when a file's content does.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

impl Stamp {
    /// `None` if it could not tell of a change.
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let metadata: Metadata = std::fs::metadata(path).ok()?;
        let modified = metadata.modified().ok()?;
        let age = SystemTime::now().duration_since(modified).ok()?;
        (age > TOO_FRESH).then_some(Self {
            modified,
            bytes: metadata.len(),
            inode: metadata.ino(),
        })
    }
}

impl Files {
    pub(super) fn new(directory: PathBuf, limits: Limits) -> Self {
        Self {
            directory,
            limits,
            known: BTreeMap::new(),
            problems: Vec::new(),
            standing: None,
        }
    }

    /// Reads the files that changed; gives all objects and problems when something is new.
    pub(super) fn read(&mut self) -> Option<Event> {
        let (paths, problems) = manifest::files(&self.directory, &self.limits);
        let mut former = std::mem::take(&mut self.known);
        let mut changed = self.standing.is_none() || problems != self.problems;
        self.problems = problems;
        for path in paths {
            let stamp = Stamp::of(&path);
            let before = former.remove(&path);
            let file = match before {
                Some(before) if before.stamp == stamp && stamp.is_some() => before,
                Some(before) => {
                    let manifests = self.parse(&path);
                    let kept = kept(&manifests, &before);
                    changed |= manifests != before.manifests || kept != before.kept;
                    File { stamp, manifests, kept }
                }
                None => {
                    changed = true;
                    let (manifests, kept) = (self.parse(&path), Vec::new());
                    File { stamp, manifests, kept }
                }
            };
            self.known.insert(path, file);
        }
        // What is left over is gone.
        changed |= !former.is_empty();
        changed.then(|| self.loaded())
    }

    fn loaded(&mut self) -> Event {
        let mut all = Manifests {
            problems: self.problems.clone(),
            ..Manifests::default()
        };
        for file in self.known.values() {
            all.extend(file.manifests.clone());
        }
        // A copy in another file does not replace what was there before.
        all.objects.sort_by_key(|object| !self.is_where_it_was(object));
        all.finish(&self.limits);
        // An object that moved to another file is there anew: what its old place held no longer counts.
        let mut there: BTreeSet<_> = all.objects.iter().map(|object| (object.kind(), object.key())).collect();
        for object in self.known.values().flat_map(|file| &file.kept) {
            if there.insert((object.kind(), object.key())) {
                all.objects.push(object.clone());
            }
        }
        self.note_ages(&mut all.objects);
        Event::Loaded(all.objects, all.problems)
    }

    fn is_where_it_was(&self, object: &Object) -> bool {
        let known = self.standing.as_ref();
        let known = known.and_then(|known| known.get(&(object.kind(), object.key())));
        let source = object.metadata().source.as_ref();
        known.is_some_and(|known| known.file.as_ref() == source.map(|source| &source.file))
    }

    /// Gives objects that came since the directory was read first the time when they did.
    fn note_ages(&mut self, objects: &mut [Object]) {
        let before = self.standing.take();
        let now = before.is_some().then(Timestamp::now);
        let mut standing = BTreeMap::new();
        for object in objects {
            let key = (object.kind(), object.key());
            let known = before.as_ref().and_then(|before| before.get(&key));
            let since = known.map_or(now, |known| known.since);
            let metadata = object.metadata_mut();
            metadata.creation_timestamp = since.or(metadata.creation_timestamp);
            let file = metadata.source.as_ref().map(|source| source.file.clone());
            standing.insert(key, Standing { since, file });
        }
        self.standing = Some(standing);
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

/// The former objects of a file whose documents can't be read now.
fn kept(now: &Manifests, before: &File) -> Vec<Object> {
    let is_broken = |object: &&Object| {
        now.broken.iter().any(|broken| match broken {
            Broken::Object(kind, key) => *kind == object.kind() && *key == object.key(),
            Broken::Unknown => true,
        })
    };
    let there: BTreeSet<_> = now.objects.iter().map(|object| (object.kind(), object.key())).collect();
    let former = before.manifests.objects.iter().chain(&before.kept);
    former
        .filter(is_broken)
        .filter(|object| !there.contains(&(object.kind(), object.key())))
        .cloned()
        .collect()
}
