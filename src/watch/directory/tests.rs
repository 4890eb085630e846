//! What readers of the source see when files change.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{Changes, Watch, run_with, watch};
use crate::{
    manifest::Limits,
    model::{Object, Problem},
    store::Event,
};

/// How long a change may take to be seen, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

struct Source {
    directory: TempDir,
    events: mpsc::Receiver<Event>,
    /// What was loaded last.
    objects: Vec<Object>,
    problems: Vec<Problem>,
    loads: usize,
    unavailable: Option<String>,
    task: JoinHandle<()>,
}

impl Source {
    fn start(watch: Watch) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let manifests = directory.path().join("manifests");
        fs::create_dir(&manifests).expect("directories can be made");
        let (sender, events) = mpsc::channel(16);
        let limits = Limits {
            file_bytes: 10_000,
            ..Limits::default()
        };
        Self {
            directory,
            events,
            objects: Vec::new(),
            problems: Vec::new(),
            loads: 0,
            unavailable: None,
            task: tokio::spawn(run_with(manifests, limits, sender, watch)),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("manifests").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("files can be written");
    }

    /// What the kubelet does for a new version of a ConfigMap.
    fn mount(&self, version: &str, port: &str) {
        fs::create_dir(self.path(version)).expect("directories can be made");
        self.write(&format!("{version}/a.yaml"), &service("a", port));
        self.write(&format!("{version}/b.yaml"), &service("b", port));
        symlink(version, self.path("..data_tmp")).expect("links can be made");
        fs::rename(self.path("..data_tmp"), self.path("..data")).expect("links can be renamed");
    }

    /// Waits until what was loaded last shows it.
    async fn until(&mut self, what: &str, shows: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        loop {
            if shows(self) {
                return;
            }
            let Ok(event) = timeout(end - Instant::now(), self.events.recv()).await else {
                panic!("never seen: {what}; last: {:?} {:?}", self.ports(), self.problems);
            };
            match event.expect("the source goes on") {
                Event::Loaded(objects, problems) => {
                    (self.objects, self.problems) = (objects, problems);
                    self.loads += 1;
                }
                Event::Unavailable(_, reason) => self.unavailable = Some(reason.to_string()),
                Event::Available(_) => self.unavailable = None,
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// Name and port of each Service, sorted.
    fn ports(&self) -> Vec<(String, u16)> {
        let port = |object: &Object| match object {
            Object::Service(service) => Some((service.metadata.name.to_string(), service.spec.ports[0].port)),
            _ => None,
        };
        let mut ports: Vec<_> = self.objects.iter().filter_map(port).collect();
        ports.sort();
        ports
    }

    fn is(&self, ports: &[(&str, u16)]) -> bool {
        let ports: Vec<_> = ports.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        self.ports() == ports
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn service(name: &str, port: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n")
}

fn no_watch(_: &Path, _: &Arc<Changes>) -> Option<notify::RecommendedWatcher> {
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_seen_with_and_without_help_of_the_system() {
    for watch in [watch as Watch, no_watch] {
        let mut source = Source::start(watch);
        source
            .until("that there is nothing", |source| {
                source.loads == 1 && source.objects.is_empty()
            })
            .await;
        source.write("a.yaml", &service("a", "80"));
        source.until("a new file", |source| source.is(&[("a", 80)])).await;
        for port in 81..90 {
            // The same size, again and again: only the time tells.
            source.write("a.yaml", &service("a", &port.to_string()));
        }
        source
            .until("the last of many changes", |source| source.is(&[("a", 89)]))
            .await;
        // As an editor saves.
        fs::write(source.path(".a.swp"), service("a", "90")).expect("files can be written");
        fs::rename(source.path(".a.swp"), source.path("a.yaml")).expect("files can be renamed");
        source.until("a renamed file", |source| source.is(&[("a", 90)])).await;
        fs::create_dir(source.path("deep")).expect("directories can be made");
        source.write("deep/b.yaml", &service("b", "80"));
        source
            .until("a file below", |source| source.is(&[("a", 90), ("b", 80)]))
            .await;
        fs::remove_dir_all(source.path("deep")).expect("directories can be removed");
        source.until("its removal", |source| source.is(&[("a", 90)])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_keeps_its_last_good_state_until_it_is_mended_or_removed() {
    let mut source = Source::start(watch);
    let (a, b) = (service("a", "80"), service("b", "80"));
    source.write("ab.yaml", &format!("{a}---\n{b}"));
    source.until("both", |source| source.is(&[("a", 80), ("b", 80)])).await;

    // A wrong type; the other document of the file goes on.
    source.write(
        "ab.yaml",
        &format!("{}---\n{}", service("a", "eighty"), service("b", "81")),
    );
    source
        .until("the good change", |source| source.is(&[("a", 80), ("b", 81)]))
        .await;
    let problem = source.problems[0].to_string();
    assert!(
        problem.contains("ab.yaml:4: Service default/a spec.ports[0].port: InvalidField: expected an integer"),
        "{problem}"
    );

    // Not even YAML, and it does not say what it is.
    source.write("ab.yaml", &format!("{{{a}---\n{}", service("b", "82")));
    source
        .until("the next good change", |source| source.is(&[("a", 80), ("b", 82)]))
        .await;
    assert_eq!(source.problems.len(), 1);

    // Too large as a whole: nothing of it is lost. An unrelated file goes live.
    source.write("ab.yaml", &"#".repeat(20_000));
    source.write("c.yaml", &service("c", "80"));
    source
        .until("all three", |source| source.is(&[("a", 80), ("b", 82), ("c", 80)]))
        .await;
    assert!(
        source.problems[0]
            .message
            .contains("the file is over 9.8 KiB, the limit: it is skipped"),
        "{:?}",
        source.problems
    );

    // What moves to another file is taken from there.
    source.write("a.yaml", &service("a", "84"));
    source
        .until("the moved one", |source| source.is(&[("a", 84), ("b", 82), ("c", 80)]))
        .await;
    assert_eq!(source.problems.len(), 1, "{:?}", source.problems);

    // Mended: what is no longer in it is gone.
    source.write("ab.yaml", &service("b", "85"));
    source
        .until("it mended", |source| source.is(&[("a", 84), ("b", 85), ("c", 80)]))
        .await;
    assert_eq!(source.problems, []);
    source.write("ab.yaml", "kind: [");
    source.until("it broken", |source| source.problems.len() == 1).await;
    fs::remove_file(source.path("ab.yaml")).expect("files can be removed");
    source
        .until("it gone", |source| {
            source.is(&[("a", 84), ("c", 80)]) && source.problems.is_empty()
        })
        .await;
}

/// What claims the same as something older loses (`translate`), whatever their names.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_later_is_younger_and_a_copy_does_not_replace_what_was_there() {
    let mut source = Source::start(watch);
    source.write("m.yaml", &service("m", "80"));
    source.until("the first", |source| source.is(&[("m", 80)])).await;
    let age = |source: &Source, name: &str| {
        let mut objects = source.objects.iter();
        let found = objects.find(|object| &*object.metadata().name == name);
        found.expect("it is there").metadata().creation_timestamp
    };
    source.write("a.yaml", &service("a", "80"));
    source
        .until("the second", |source| source.is(&[("a", 80), ("m", 80)]))
        .await;
    source.write(
        "b.yaml",
        &service("b", "80").replace(
            "metadata: {",
            "metadata: {creationTimestamp: \"2020-01-01T00:00:00Z\", ",
        ),
    );
    source
        .until("the third", |source| source.is(&[("a", 80), ("b", 80), ("m", 80)]))
        .await;
    let ages = ["m", "a", "b"].map(|name| age(&source, name));
    assert_eq!(ages[0], None);
    assert!(ages.is_sorted() && ages[1].is_some() && ages[1] != ages[2], "{ages:?}");

    // Copies, in files whose names come first and last.
    for (file, port) in [("0.yaml", "81"), ("z.yaml", "82")] {
        source.write(file, &service("m", port));
        source
            .until("that it is a copy", |source| source.problems.len() == 1)
            .await;
        let problem = source.problems[0].to_string();
        assert!(
            problem.contains(file) && problem.contains("the same object stands in") && problem.contains("m.yaml:1;"),
            "{problem}"
        );
        assert!(source.is(&[("a", 80), ("b", 80), ("m", 80)]), "{:?}", source.ports());
        // Changes of what counts go on.
        source.write("m.yaml", &service("m", "83"));
        source
            .until("a change", |source| source.is(&[("a", 80), ("b", 80), ("m", 83)]))
            .await;
        source.write("m.yaml", &service("m", "80"));
        fs::remove_file(source.path(file)).expect("files can be removed");
        source
            .until("all as before", |source| {
                source.problems.is_empty() && source.is(&[("a", 80), ("b", 80), ("m", 80)])
            })
            .await;
    }
    // What takes its place is as old, and what comes again is new.
    source.write("0.yaml", &service("a", "81"));
    source
        .until("that it is a copy", |source| source.problems.len() == 1)
        .await;
    fs::remove_file(source.path("a.yaml")).expect("files can be removed");
    source
        .until("the copy", |source| source.is(&[("a", 81), ("b", 80), ("m", 80)]))
        .await;
    assert_eq!(age(&source, "a"), ages[1]);
    fs::remove_file(source.path("m.yaml")).expect("files can be removed");
    source
        .until("it gone", |source| source.is(&[("a", 81), ("b", 80)]))
        .await;
    source.write("m.yaml", &service("m", "80"));
    source
        .until("it again", |source| source.is(&[("a", 81), ("b", 80), ("m", 80)]))
        .await;
    assert!(age(&source, "m") > age(&source, "b"));
}

/// However far it is: what is said of it stays the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_for_long_is_one_problem() {
    let mut source = Source::start(no_watch);
    source.write("big.yaml", &"#".repeat(20_000));
    source.until("the problem", |source| source.problems.len() == 1).await;
    let first = source.problems.clone();
    for size in [30_000, 40_000] {
        source.write("big.yaml", &"#".repeat(size));
        source.write("a.yaml", &service("a", &(size / 1000).to_string()));
        source
            .until("what was written after it", |source| {
                source.is(&[("a", u16::try_from(size / 1000).expect("it is small"))])
            })
            .await;
        assert_eq!(source.problems, first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_goes_away_and_comes_back() {
    let mut source = Source::start(watch);
    source.write("a.yaml", &service("a", "80"));
    source.until("the file", |source| source.is(&[("a", 80)])).await;
    let (here, away) = (source.path(""), source.directory.path().join("away"));
    fs::rename(&here, &away).expect("directories can be renamed");
    source
        .until("that it is gone", |source| source.unavailable.is_some())
        .await;
    let reason = source.unavailable.clone().unwrap_or_default();
    assert!(
        reason.contains("there is no directory") && reason.contains("--directory"),
        "{reason}"
    );
    assert!(source.is(&[("a", 80)]));
    fs::create_dir(&here).expect("directories can be made");
    source.write("a.yaml", &service("a", "81"));
    source
        .until("another directory", |source| {
            source.is(&[("a", 81)]) && source.unavailable.is_none()
        })
        .await;
    source.write("a.yaml", &service("a", "82"));
    source.until("a change in it", |source| source.is(&[("a", 82)])).await;
    // Most file systems give the new directory the inode of the old one.
    for port in 83..86 {
        fs::remove_dir_all(&here).expect("directories can be removed");
        fs::create_dir(&here).expect("directories can be made");
        source.write("a.yaml", &service("a", &port.to_string()));
        source.until("the change", |source| source.is(&[("a", port)])).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_config_map_changes_as_a_whole() {
    let mut source = Source::start(watch);
    source.mount("..2026_01", "80");
    for name in ["a.yaml", "b.yaml"] {
        symlink(format!("..data/{name}"), source.path(name)).expect("links can be made");
    }
    source
        .until("the first version", |source| source.is(&[("a", 80), ("b", 80)]))
        .await;
    source.mount("..2026_02", "81");
    fs::remove_dir_all(source.path("..2026_01")).expect("directories can be removed");
    source
        .until("the second version", |source| source.is(&[("a", 81), ("b", 81)]))
        .await;
    assert_eq!(source.problems, []);
}
