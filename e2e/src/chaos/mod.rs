//! A fleet to which everything happens, one thing after another in a random order, while configurations change all the time
//! and requests never stop. Whether rows told the truth is the `observer`'s to say; whether requests were lost, the load's.
//!
//! - `fault`: what happens, each with its end
//! - `bed`: what faults do it with
//! - `changes`, `traffic`: what goes on meanwhile
//! - `random`: the order, which a seed decides

mod bed;
mod changes;
mod fault;
mod random;
mod traffic;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use self::{changes::Changes, fault::Fault, random::Random, traffic::Traffic};
use crate::{
    Arguments,
    cluster::Cluster,
    observer::{Excluded, Observer, Report},
    scenario::release::{NAMESPACE, RELEASE, in_sync},
};

pub(crate) use self::bed::Bed;

/// Nothing happens before the first fault, and between two.
const CALM: Duration = Duration::from_secs(2);
/// From when requests count for a fault until it begins: those on their way are met by it.
const AHEAD: Duration = Duration::from_millis(300);
/// Until all is in order again after a fault, as far as planning goes.
const RECOVERY: Duration = Duration::from_secs(15);
/// Part of the time that must have been compared, or the report says little, whatever explains the rest.
const LEAST_COMPARED: f64 = 0.7;

/// How long, with which seed, with how many proxies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
    pub(crate) proxies: usize,
    /// Leave out what takes long.
    pub(crate) brief: bool,
}

/// Goes through the plan, prints what was found, and fails if rows were wrong or requests were lost.
pub(crate) fn run(cluster: &Cluster, arguments: &Arguments, plan: Plan) -> anyhow::Result<()> {
    println!(
        "   seed {}, {} s, {} proxies",
        plan.seed,
        plan.duration.as_secs(),
        plan.proxies
    );
    let deployment = format!("deployment/{RELEASE}-kong");
    let scale = |count: usize| {
        let replicas = format!("--replicas={count}");
        cluster.kubectl(&["scale", "-n", NAMESPACE, &deployment, &replicas])
    };
    scale(plan.proxies)?;
    in_sync(cluster, plan.proxies)?;
    let traffic = Traffic::start(cluster)?;
    let bed = Bed::new(cluster, arguments, plan.proxies, Some(traffic.certificate()))?;
    bed.forget_what_ended()?;
    let observer = bed.observe()?;
    let outcome = Changes::start(cluster).and_then(|changes| {
        let faults = go_through(&bed, &observer, &traffic, plan);
        let changes = changes.finish(cluster);
        faults.and(changes)
    });
    let report = observer.finish()?;
    for line in report.text().lines() {
        println!("   {line}");
    }
    let lost = traffic.finish(cluster);
    let ended = bed.ended();
    scale(2)?;
    outcome?;
    judge(&report)?;
    lost?;
    ensure!(
        ended.is_empty(),
        "these ended, and nobody had killed them: {}",
        ended.join("; ")
    );
    in_sync(cluster, 2)
}

fn go_through(bed: &Bed<'_>, observer: &Observer, traffic: &Traffic, plan: Plan) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut random = Random::new(plan.seed);
    for round in 1.. {
        let mut faults: Vec<&Fault> = fault::ALL
            .iter()
            .filter(|fault| fault.is_brief || !plan.brief)
            .collect();
        random.shuffle(&mut faults);
        for fault in faults {
            if began.elapsed() + fault.lasts + RECOVERY > plan.duration {
                return Ok(());
            }
            observer.during("calm");
            traffic.step("calm", fault::Costs::Nothing);
            thread::sleep(CALM);
            let name = format!("{round}. {}", fault.name);
            observer.during(&name);
            traffic.step(&name, fault.costs.meanwhile());
            thread::sleep(AHEAD);
            let since = jiff::Timestamp::now();
            let ends = || {
                if fault.costs != fault.costs.meanwhile() {
                    traffic.step(&afterwards(&name), fault.costs);
                    thread::sleep(AHEAD);
                }
            };
            happen(bed, &mut random, fault, began, ends).with_context(|| name.clone())?;
            let taken = bed.taken(since)?;
            traffic.took(&afterwards(&name), taken.clone());
            traffic.took(&name, taken);
        }
    }
    Ok(())
}

/// What requests count for from the end of a fault that costs something only then.
fn afterwards(name: &str) -> String {
    format!("{name}, after it")
}

/// One fault from its beginning to when all is in order again; `ends` is told before it is undone.
fn happen(
    bed: &Bed<'_>,
    random: &mut Random,
    fault: &Fault,
    began: Instant,
    ends: impl FnOnce(),
) -> anyhow::Result<()> {
    println!("   {:>7.1} s  {}", began.elapsed().as_secs_f64(), fault.name);
    let undo = (fault.begin)(bed, random)?;
    thread::sleep(fault.lasts);
    ends();
    undo()?;
    let ended = Instant::now();
    bed.in_order()?;
    println!(
        "   {:>7.1} s    in order {:.1} s after its end",
        began.elapsed().as_secs_f64(),
        ended.elapsed().as_secs_f64()
    );
    Ok(())
}

fn judge(report: &Report) -> anyhow::Result<()> {
    let mismatches = report.findings.mismatches.len();
    if mismatches > 0 {
        bail!("{mismatches} times a row was wrong for longer than it may be");
    }
    let unexplained = unexplained(&report.findings.excluded);
    ensure!(
        unexplained.is_empty(),
        "for longer than what was done explains nobody told how proxies are: {}",
        unexplained.join("; ")
    );
    let excluded = report.excluded().as_secs_f64() / report.findings.duration.as_secs_f64().max(1.0);
    ensure!(
        excluded < 1.0 - LEAST_COMPARED,
        "{:.0} % of the time was excluded: the report says nothing",
        excluded * 100.0
    );
    Ok(())
}

/// Times in which nothing was compared, as far as they are longer than the fault of that time explains. Each fault happens once
/// in a round, so that its times go by one name.
fn unexplained(excluded: &[Excluded]) -> Vec<String> {
    let mut sums: BTreeMap<&str, Duration> = BTreeMap::new();
    for time in excluded {
        let length = time.until.saturating_sub(time.from);
        // Between faults each time is one of its own.
        match &*time.during {
            "calm" if length <= fault::blinds("calm") => {}
            during => *sums.entry(during).or_default() += length,
        }
    }
    let too_long = sums.into_iter().filter(|(during, sum)| *sum > fault::blinds(during));
    too_long
        .map(|(during, sum)| {
            let limit = fault::blinds(during).as_secs();
            format!("{:.1} s of at most {limit} s during {during:?}", sum.as_secs_f64())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(during: &str, from: u64, until: u64) -> Excluded {
        Excluded {
            why: "nobody renews the Lease",
            from: Duration::from_secs(from),
            until: Duration::from_secs(until),
            during: during.to_owned(),
        }
    }

    #[test]
    fn what_a_fault_explains_is_excluded_and_no_more() {
        let explained = [
            time("calm", 0, 1),
            time("1. the leader is killed", 10, 20),
            time("1. the leader is killed", 22, 24),
            time("2. the leader is killed", 50, 60),
            time("calm", 70, 72),
            time("calm", 80, 82),
        ];
        assert_eq!(unexplained(&explained), Vec::<String>::new());
        let others = [
            time("1. a proxy is killed", 0, 5),
            time("1. the leader is killed", 10, 20),
            time("1. the leader is killed", 30, 40),
            time("calm", 50, 60),
        ];
        assert_eq!(unexplained(&others).len(), 3, "{:?}", unexplained(&others));
    }
}
