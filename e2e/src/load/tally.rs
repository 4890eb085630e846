//! What became of the requests of each step, and the table of it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{
    clients::{Answered, Connection},
    follow::{Backend, Backends},
    open::Way,
};

/// Share of what is planned that must have been sent, or the run says nothing.
const LEAST: f64 = 0.95;

/// A request that has failed.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    /// How it was sent, and what happened.
    pub(crate) what: String,
    /// What it went over, or waited for.
    pub(crate) over: Vec<Over>,
    is_followed: bool,
}

/// A connection of a failed request.
#[derive(Debug, Clone)]
pub(crate) struct Over {
    pub(crate) connection: Connection,
    /// The pod that it led to, once it was looked up and if it was found.
    pub(crate) led_to: Option<Backend>,
}

impl Lost {
    /// One that nobody has looked for yet.
    pub(crate) fn new(what: String, connections: Vec<Connection>) -> Self {
        let over = connections.into_iter().map(|connection| Over {
            connection,
            led_to: None,
        });
        Self {
            what,
            over: over.collect(),
            is_followed: false,
        }
    }

    /// The same, looked up.
    pub(crate) fn followed(mut self, backends: &Backends) -> Self {
        for over in &mut self.over {
            let key = (over.connection.port, over.connection.is_tls);
            over.led_to = backends.get(&key).cloned();
        }
        self.is_followed = true;
        self
    }

    /// The addresses that it went to, as far as they are known.
    pub(crate) fn led_to(&self) -> impl Iterator<Item = &str> {
        let led_to = self.over.iter().filter_map(|over| over.led_to.as_ref());
        led_to.map(|backend| backend.address.as_str())
    }
}

/// Where a failed request is: the step, and its number in it.
pub(super) type Place = (usize, usize);

/// One step of a run.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// What the rate makes of the time that it took.
    pub(crate) planned: u64,
    pub(crate) sent: u64,
    pub(crate) lost: Vec<Lost>,
    /// Whether failures are no fault: what has failed was lost with a node.
    pub(crate) may_fail: bool,
    /// WebSockets and gRPC calls that were told that their proxy goes away.
    pub(crate) ended_in_order: u64,
    pub(crate) slowest: Duration,
    pub(crate) synced: Option<Duration>,
}

impl Row {
    pub(crate) fn failed(&self) -> u64 {
        self.lost.len() as u64
    }

    /// How often each failure was seen.
    pub(crate) fn failures(&self) -> BTreeMap<&str, u64> {
        let mut failures = BTreeMap::new();
        for lost in &self.lost {
            *failures.entry(lost.what.as_str()).or_default() += 1;
        }
        failures
    }

    /// Whether enough was sent to say anything.
    pub(crate) fn is_telling(&self) -> bool {
        is_telling(self.sent, self.planned)
    }
}

/// Whether so many requests of so many that were planned say anything.
pub(crate) fn is_telling(sent: u64, planned: u64) -> bool {
    sent as f64 >= LEAST * planned as f64
}

struct Step {
    row: Row,
    began: Instant,
}

/// Counts by step. Number 0 is before the first.
pub(super) struct Tally {
    rate: u32,
    steps: Mutex<Vec<Step>>,
}

impl Tally {
    pub(super) fn new(rate: u32) -> Self {
        let tally = Self {
            rate,
            steps: Mutex::default(),
        };
        tally.step("", false);
        tally
    }

    pub(super) fn step(&self, name: &str, may_fail: bool) {
        let mut steps = self.steps.lock().expect("no holder panics");
        let now = Instant::now();
        if let Some(last) = steps.last_mut() {
            last.row.planned = (now.duration_since(last.began).as_secs_f64() * f64::from(self.rate)) as u64;
        }
        steps.push(Step {
            row: Row {
                name: name.to_owned(),
                planned: 0,
                sent: 0,
                lost: Vec::new(),
                may_fail,
                ended_in_order: 0,
                slowest: Duration::ZERO,
                synced: None,
            },
            began: now,
        });
    }

    pub(super) fn synced(&self, after: Duration) {
        if let Some(last) = self.steps.lock().expect("no holder panics").last_mut() {
            last.row.synced = Some(after);
        }
    }

    pub(super) fn failures(&self) -> u64 {
        let steps = self.steps.lock().expect("no holder panics");
        steps.last().map_or(0, |step| step.row.failed())
    }

    /// A request begins: the step that it counts for.
    pub(super) fn planned(&self) -> usize {
        let mut steps = self.steps.lock().expect("no holder panics");
        let number = steps.len() - 1;
        steps[number].row.sent += 1;
        number
    }

    pub(super) fn ended(
        &self,
        step: usize,
        way: Way,
        outcome: Result<Answered, (String, Vec<Connection>)>,
        took: Duration,
    ) {
        let mut steps = self.steps.lock().expect("no holder panics");
        let row = &mut steps[step].row;
        match outcome {
            Ok(answered) => {
                row.slowest = row.slowest.max(took);
                row.ended_in_order += u64::from(answered == Answered::AfterGoingAway);
            }
            Err((error, over)) => row.lost.push(Lost::new(format!("{}: {error}", way.name()), over)),
        }
    }

    /// Failed requests that nobody has looked for yet.
    pub(super) fn not_followed(&self) -> Vec<Place> {
        let steps = self.steps.lock().expect("no holder panics");
        let failed = steps.iter().enumerate().flat_map(|(step, of)| {
            let lost = of.row.lost.iter().enumerate();
            lost.filter(|(_, lost)| !lost.is_followed)
                .map(move |(number, _)| (step, number))
        });
        failed.collect()
    }

    /// Connections had led to these when the requests at these places had failed.
    pub(super) fn followed(&self, places: Vec<Place>, backends: &Backends) {
        let mut steps = self.steps.lock().expect("no holder panics");
        for (step, number) in places {
            let lost = &mut steps[step].row.lost[number];
            *lost = lost.clone().followed(backends);
        }
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        let steps = self.steps.lock().expect("no holder panics");
        let rows = steps.iter().map(|step| step.row.clone());
        rows.filter(|row| !row.name.is_empty()).collect()
    }
}

/// The rows for a reader.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<34} {:>9} {:>9} {:>9} {:>11} {:>11}\n",
        "step", "requests", "failures", "slowest", "synced in", "told to go"
    );
    for row in rows {
        let synced = row
            .synced
            .map_or_else(|| "-".to_owned(), |after| format!("{:.1} s", after.as_secs_f64()));
        let _ = writeln!(
            text,
            "{:<34} {:>9} {:>9} {:>7.0} ms {:>11} {:>11}",
            row.name,
            row.sent,
            row.failed(),
            row.slowest.as_secs_f64() * 1000.0,
            synced,
            row.ended_in_order
        );
        for (failure, count) in row.failures() {
            let _ = writeln!(text, "    {count} × {failure}");
        }
        if !row.is_telling() {
            let _ = writeln!(
                text,
                "    only {} of {} planned requests were sent",
                row.sent, row.planned
            );
        }
    }
    text
}
