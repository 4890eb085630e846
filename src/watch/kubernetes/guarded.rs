//! A watch that survives: it restarts, backs off, and says when it can't go on.

use std::time::Duration;

use futures_util::{Stream, StreamExt, stream::BoxStream};
use kube::runtime::watcher;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use crate::{back_off::BackOff, model::NamespacedName};

/// How long errors other than a refusal may go on before they are told.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same before the first list: there, something is wrong with the way to the API server more often than not, and
/// somebody waits.
const FIRST_PATIENCE: Duration = Duration::from_secs(3);

/// Errors further apart than this have nothing to do with one another: in between the watch worked, silently.
const UNRELATED: Duration = Duration::from_secs(90);

/// How long a page of a list may take.
const PAGE_AT_MOST: Duration = Duration::from_secs(60);

/// When a kind that does not exist is looked for again, should nothing have said that it appeared.
const ABSENT_RETRY: Duration = Duration::from_secs(300);

/// What happens in a watch.
#[derive(Debug)]
pub(super) enum Change<T> {
    /// All objects: those that are not among them are gone.
    Listed(Vec<T>),
    /// An object was added or changed.
    Applied(T),
    /// An object went away.
    Deleted(NamespacedName),
    /// It does not work for now; it is tried again. The next success is a `Listed`.
    Failing(Failure),
}

/// Why a watch does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Permissions are missing.
    Forbidden,
    /// The API server does not know the kind.
    Absent,
    /// Its CRD is being deleted, and its objects with it.
    Dying,
    /// Anything else: what, and what to do about it.
    Other(String, Remedy),
}

/// What helps when the API server does not do what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// It does not answer, or not well.
    Reach,
    /// It does not take us for whom we say that we are.
    Credentials,
    /// We don't take it for whom it says that it is.
    Authority,
}

impl Remedy {
    /// In words.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Reach => "check that it is up and in reach",
            Self::Credentials => "check the user of the kubeconfig, or in a pod the ServiceAccount and its token",
            Self::Authority => "check the server and the certificate authority of the kubeconfig",
        }
    }
}

impl Failure {
    /// What an error of the client means.
    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status.code, &status.message),
            // A page where an answer of the API should be. Its status is not told, and what does not fit says little.
            kube::Error::SerdeError(error) => Self::Other(
                format!("what it answers is not of the Kubernetes API ({error})"),
                Remedy::Reach,
            ),
            // Other errors have long debug forms in their messages; their first cause says it in short.
            error => {
                let source = std::error::Error::source(error);
                let first = std::iter::successors(source, |cause| cause.source()).last();
                let cause = first.map_or_else(|| error.to_string(), ToString::to_string);
                let remedy = match error {
                    kube::Error::Auth(_) => Remedy::Credentials,
                    _ if cause.contains("certificate") => Remedy::Authority,
                    _ => Remedy::Reach,
                };
                Self::Other(cause, remedy)
            }
        }
    }

    fn of_status(code: u16, message: &str) -> Self {
        match code {
            403 => Self::Forbidden,
            404 => Self::Absent,
            401 => Self::Other(format!("it answers 401: {message}"), Remedy::Credentials),
            code => Self::Other(format!("it answers {code}: {message}"), Remedy::Reach),
        }
    }
}

/// Whether only a new list helps: the API server no longer has the changes since the last one, or it answers a watch with
/// no events. So it does when the kind is gone: with a page, of which the client does not tell the status. That of a list
/// it tells.
fn takes_a_list(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410,
        watcher::Error::WatchStartFailed(kube::Error::SerdeError(_))
        | watcher::Error::WatchFailed(kube::Error::SerdeError(_)) => true,
        _ => false,
    }
}

fn failure_of(error: &watcher::Error) -> Failure {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Failure::of(error),
        watcher::Error::WatchError(status) => Failure::of_status(status.code, &status.message),
        watcher::Error::NoResourceVersion => Failure::Other("it gives no resource versions".to_owned(), Remedy::Reach),
    }
}

/// An event of a watch, with its object cut down.
pub(super) type Event<T> = Result<watcher::Event<Cut<T>>, watcher::Error>;

/// An object cut down, and its name.
pub(super) struct Cut<T> {
    pub(super) key: NamespacedName,
    pub(super) object: T,
}

/// Cuts the objects of a watch down, as they come.
pub(super) fn cut<K, T>(
    stream: impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + 'static,
    cut: impl Fn(K) -> Cut<T> + Send + 'static,
) -> BoxStream<'static, Event<T>> {
    let convert = move |event| match event {
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(cut(object)),
        watcher::Event::InitDone => watcher::Event::InitDone,
        watcher::Event::Apply(object) => watcher::Event::Apply(cut(object)),
        watcher::Event::Delete(object) => watcher::Event::Delete(cut(object)),
    };
    stream.map(move |result| result.map(&convert)).boxed()
}

/// A watch that survives.
pub(super) struct Guarded<T> {
    open: Box<dyn Fn() -> BoxStream<'static, Event<T>> + Send + Sync>,
    stream: Option<BoxStream<'static, Event<T>>>,
    /// Whether there has been a whole list.
    listed: bool,
    /// What has come of a list that is under way.
    listing: Option<Vec<T>>,
    back_off: BackOff,
    resume_at: Option<Instant>,
    /// When the present trouble began, and its latest error.
    trouble: Option<(Instant, Instant)>,
    absent: bool,
    /// Changes when a kind that did not exist may have appeared.
    wake: watch::Receiver<u64>,
}

impl<T> Guarded<T> {
    /// A watch that is opened, and opened again after trouble, by a function.
    pub(super) fn new(
        open: impl Fn() -> BoxStream<'static, Event<T>> + Send + Sync + 'static,
        wake: watch::Receiver<u64>,
    ) -> Self {
        Self {
            open: Box::new(open),
            stream: None,
            listed: false,
            listing: None,
            back_off: BackOff::default(),
            resume_at: None,
            trouble: None,
            absent: false,
            wake,
        }
    }

    /// Lists again, after a pause: something got lost.
    pub(super) fn restart(&mut self) {
        self.stream = None;
        self.listing = None;
        self.pause();
    }

    /// The next change. May be dropped and called again without losing one.
    pub(super) async fn next(&mut self) -> Change<T> {
        loop {
            self.wait().await;
            let stream = self.stream.get_or_insert_with(&self.open);
            let event = if self.listing.is_some() {
                timeout(PAGE_AT_MOST, stream.next()).await
            } else {
                Ok(stream.next().await)
            };
            match event {
                Ok(Some(Ok(event))) => {
                    if let Some(change) = self.take(event) {
                        return change;
                    }
                }
                Ok(Some(Err(error))) => {
                    tracing::debug!(%error, "watch failed");
                    if takes_a_list(&error) {
                        self.restart();
                    }
                    if let Some(change) = self.fail(failure_of(&error)) {
                        return change;
                    }
                }
                // It ended with its last error, which was told, and after which there was a pause.
                Ok(None) => {
                    self.stream = None;
                    self.listing = None;
                }
                Err(_) => {
                    self.restart();
                    let seconds = PAGE_AT_MOST.as_secs();
                    let failure = Failure::Other(format!("it does not answer within {seconds} s"), Remedy::Reach);
                    if let Some(change) = self.fail(failure) {
                        return change;
                    }
                }
            }
        }
    }

    fn take(&mut self, event: watcher::Event<Cut<T>>) -> Option<Change<T>> {
        if matches!(event, watcher::Event::Init) {
            // Said before the request is made: no sign of life yet.
            self.listing = Some(Vec::new());
            return None;
        }
        self.trouble = None;
        self.absent = false;
        match event {
            watcher::Event::Init => None,
            watcher::Event::InitApply(cut) => {
                self.listing.get_or_insert_default().push(cut.object);
                None
            }
            watcher::Event::InitDone => {
                self.listed = true;
                Some(Change::Listed(self.listing.take().unwrap_or_default()))
            }
            watcher::Event::Apply(cut) => Some(Change::Applied(cut.object)),
            watcher::Event::Delete(cut) => Some(Change::Deleted(cut.key)),
        }
    }

    /// Notes an error. Returns what is to be told.
    fn fail(&mut self, failure: Failure) -> Option<Change<T>> {
        let now = Instant::now();
        let since = match self.trouble {
            Some((since, latest)) if now - latest < UNRELATED => since,
            _ => now,
        };
        self.trouble = Some((since, now));
        self.absent = failure == Failure::Absent;
        self.pause();
        let told = match failure {
            Failure::Forbidden | Failure::Absent | Failure::Dying => true,
            Failure::Other(..) => now - since >= if self.listed { PATIENCE } else { FIRST_PATIENCE },
        };
        if !told {
            return None;
        }
        // A watch that is resumed is silent until something changes; a new list says at once that it works again.
        self.stream = None;
        self.listing = None;
        Some(Change::Failing(failure))
    }

    fn pause(&mut self) {
        let pause = if self.absent {
            ABSENT_RETRY
        } else {
            self.back_off.next().unwrap_or(PATIENCE)
        };
        self.resume_at = Some(Instant::now() + pause);
    }

    async fn wait(&mut self) {
        let Some(at) = self.resume_at else {
            return;
        };
        if self.absent {
            let appeared = async {
                if self.wake.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = sleep_until(at) => {}
                () = appeared => {}
            }
        } else {
            sleep_until(at).await;
        }
        self.resume_at = None;
    }
}
