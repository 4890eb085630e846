//! What translating and rendering costs: 10,000 Ingresses with 1,000 Services, 500 plugins and 1,000 consumers, from
//! nothing and after one object changed.
//!
//! All of it is one thread; times are that thread's CPU time, so that what else the machine does hardly shows.

mod load;

use std::fs;

use silverback::{
    model::{Kind, Snapshot},
    render::Renderer,
    translate::{Settings, Translator},
};

use crate::{process::resident_mebibytes, table::Table};

/// From nothing, and for each kind of change: the median of so many.
const RUNS: usize = 21;

/// A change of the load, by its number: no two give the same objects.
type Change = fn(&mut Snapshot, usize);

const CHANGES: &[(&str, Change)] = &[
    ("an Ingress: another path", |snapshot, number| {
        snapshot.insert(load::ingress(number * 379, &format!("/changed-{number}")));
    }),
    ("an Ingress is added", |snapshot, number| {
        snapshot.insert(load::ingress(load::INGRESSES + number, "/new"));
    }),
    ("an Ingress is taken away", |snapshot, number| {
        let gone = load::ingress(load::INGRESSES + number, "/new");
        snapshot.remove(Kind::Ingress, &gone.key());
    }),
    ("a Service: an annotation", |snapshot, number| {
        snapshot.insert(load::service(number * 37, &(1000 + number).to_string()));
    }),
    ("an EndpointSlice: another address", |snapshot, number| {
        snapshot.insert(load::endpoint_slice(number * 37, 100 + number));
    }),
    ("a KongPlugin: its settings", |snapshot, number| {
        snapshot.insert(load::plugin(number * 17, 100 + number));
    }),
    ("a KongConsumer: its custom ID", |snapshot, number| {
        snapshot.insert(load::consumer(number * 37, &format!("changed-{number}")));
    }),
    ("a Secret: a consumer's key", |snapshot, number| {
        snapshot.insert(load::credential(number * 37, &format!("changed-{number}")));
    }),
];

/// Whether all limits were kept.
pub(crate) fn run() -> anyhow::Result<bool> {
    let resident = |field: &str| resident_mebibytes(std::process::id(), field);
    let snapshot = load::snapshot();
    let objects = resident("VmRSS")?;
    let settings = Settings::default();

    let (mut translator, mut renderer) = (Translator::default(), Renderer::default());
    let rendered = renderer.render(&translator.translate(&snapshot, &settings));
    // Before anything is thrown away, which allocators keep for later.
    let (all_of_it, peak) = (resident("VmRSS")?, resident("VmHWM")?);

    let (mut translations, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (mut translator, mut renderer) = (Translator::default(), Renderer::default());
        let began = CpuTime::now();
        let translation = translator.translate(&snapshot, &settings);
        translations.push(began.milliseconds());
        renderer.render(&translation);
        whole.push(began.milliseconds());
    }
    println!(
        "{} Ingresses, {} Services, {} plugins, {} consumers: {} bytes",
        load::INGRESSES,
        load::SERVICES,
        load::PLUGINS,
        load::CONSUMERS,
        rendered.bytes.len(),
    );
    let mut table = Table::new(None);
    table.limited("translated from nothing", median(&mut translations), 250.0, "ms");
    table.figure("the same with bytes and hash", median(&mut whole), "ms");

    let mut snapshot = snapshot;
    let mut last = rendered.hash;
    let mut all = Vec::new();
    for (what, change) in CHANGES {
        let (mut translations, mut whole) = (Vec::new(), Vec::new());
        for number in 0..RUNS {
            change(&mut snapshot, number);
            let began = CpuTime::now();
            let translation = translator.translate(&snapshot, &settings);
            translations.push(began.milliseconds());
            let rendered = renderer.render(&translation);
            whole.push(began.milliseconds());
            drop(translation);
            assert_ne!(rendered.hash, last, "{what}: the change makes a difference");
            last = rendered.hash;
        }
        table.limited(what, median(&mut translations), 5.0, "ms");
        table.limited("  with bytes and hash", median(&mut whole), 20.0, "ms");
        all.extend(whole);
    }
    all.sort_by(f64::total_cmp);
    table.figure("slowest change with bytes and hash", all[all.len() - 1], "ms");
    table.figure("resident, the objects alone", objects, "MiB");
    table.limited("resident, all of it", all_of_it, 80.0, "MiB");
    table.figure("resident, peak", peak, "MiB");
    Ok(table.kept())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds that this thread has been on a CPU.
struct CpuTime(u64);

impl CpuTime {
    fn now() -> Self {
        // The kernel counts when it schedules; between two ticks the figure stands still.
        std::thread::yield_now();
        let statistics = fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel keeps statistics");
        let time = statistics.split_whitespace().next().and_then(|time| time.parse().ok());
        Self(time.expect("the first figure is the time on a CPU"))
    }

    fn milliseconds(&self) -> f64 {
        (Self::now().0 - self.0) as f64 / 1e6
    }
}
