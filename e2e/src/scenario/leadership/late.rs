//! A Kong beside the embedded proxies. It knows no epochs: what a deposed leader has sent lands, whenever it lands.

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::{
    super::{
        bad_proxies,
        release::{CHANGE, LIMIT, NAMESPACE},
    },
    container_of,
};
use crate::{
    Arguments,
    cluster::{Cluster, Forward},
    http,
    poll::eventually,
};

/// `--probe-interval`, and a second for the push.
const REPAIRED: Duration = Duration::from_secs(6);

/// `testapp bad-proxy late`.
pub(super) struct LateKong {
    way: Forward,
}

/// What it tells of itself.
struct Told {
    /// A configuration has been received and is not loaded.
    held: bool,
    loads: Vec<Load>,
}

/// It has loaded a configuration.
struct Load {
    number: usize,
    /// Since 1970, by its own clock.
    at: Duration,
}

/// An older configuration after a newer one.
struct Landing {
    number: usize,
    newest: usize,
    /// Until something as new ran again; `None` when it did not.
    repaired: Option<Duration>,
}

fn landings(loads: &[Load]) -> Vec<Landing> {
    let mut newest = 0;
    let mut found = Vec::new();
    for (index, load) in loads.iter().enumerate() {
        if load.number < newest {
            let repair = loads[index..].iter().find(|later| later.number >= newest);
            found.push(Landing {
                number: load.number,
                newest,
                repaired: repair.map(|repair| repair.at.saturating_sub(load.at)),
            });
        }
        newest = newest.max(load.number);
    }
    found
}

impl LateKong {
    /// Starts it and waits until it is given configurations.
    pub(super) fn start(cluster: &Cluster, arguments: &Arguments) -> anyhow::Result<Self> {
        cluster.apply(&bad_proxies::pod("late", &arguments.application_image))?;
        let way = eventually("the Kong has an address", LIMIT, || {
            let pod = cluster.get(&["pod", "-n", NAMESPACE, "bad-late"])?;
            let address = pod["status"]["podIP"].as_str().context("none yet")?;
            let (node, _) = container_of(cluster, "bad-late")?;
            // As seen from its own node, which stays true while that node is cut off.
            cluster.forward_from(&node, &format!("{address}:8000"))
        })?;
        let kong = Self { way };
        kong.runs(1)?;
        Ok(kong)
    }

    fn told(&self) -> anyhow::Result<Told> {
        let answer = http::get(self.way.address, "late", "/")?;
        let told: Value = serde_json::from_str(&answer.body)?;
        let load = |load: &Value| {
            Some(Load {
                number: load["number"].as_u64()?.try_into().ok()?,
                at: Duration::from_millis(load["millisecond"].as_u64()?),
            })
        };
        let loads = told["loads"]
            .as_array()
            .and_then(|loads| loads.iter().map(load).collect());
        Ok(Told {
            held: told["held"] == true,
            loads: loads.with_context(|| format!("it tells {told}"))?,
        })
    }

    /// Waits until it runs this change, or a later one.
    pub(super) fn runs(&self, number: usize) -> anyhow::Result<()> {
        eventually(&format!("the Kong runs change {number}"), LIMIT, || {
            let told = self.told()?;
            let latest = told.loads.last().map_or(0, |load| load.number);
            ensure!(latest >= number, "it runs {latest}");
            Ok(())
        })
    }

    /// Waits until a configuration has come whole, and keeps it from being loaded. Others are loaded meanwhile, as by
    /// another worker.
    pub(super) fn hold(&self) -> anyhow::Result<()> {
        http::get(self.way.address, "late", "/hold")?;
        eventually("the Kong has received a configuration", CHANGE, || {
            ensure!(self.told()?.held, "it holds none");
            Ok(())
        })
    }

    /// What is held lands now; waits until that is put right.
    pub(super) fn let_go(&self) -> anyhow::Result<()> {
        let before = landings(&self.told()?.loads).len();
        http::get(self.way.address, "late", "/release")?;
        let landing = eventually("what has landed late is put right", LIMIT, || {
            let landing = landings(&self.told()?.loads).into_iter().nth(before);
            let landing = landing.context("nothing older has landed")?;
            ensure!(landing.repaired.is_some(), "it runs {} again", landing.number);
            Ok(landing)
        })?;
        println!(
            "   on the Kong, change {} of the deposed leader landed after change {}: put right after {:.1} s",
            landing.number,
            landing.newest,
            landing.repaired.unwrap_or_default().as_secs_f64()
        );
        Ok(())
    }

    /// Takes it away.
    ///
    /// # Errors
    /// An older configuration ran there for longer than from one probe to the next.
    pub(super) fn finish(self, cluster: &Cluster) -> anyhow::Result<()> {
        let loads = self.told()?.loads;
        let landings = landings(&loads);
        let longest = landings.iter().filter_map(|landing| landing.repaired).max();
        println!(
            "   the Kong: {} configurations, {} times an older one after a newer one, for {:.1} s at most",
            loads.len(),
            landings.len(),
            longest.unwrap_or_default().as_secs_f64()
        );
        remove(cluster)?;
        ensure!(!landings.is_empty(), "nothing has landed late: nothing is shown");
        for landing in &landings {
            ensure!(
                landing.repaired.is_some_and(|took| took <= REPAIRED),
                "it went back from {} to {}, and that was put right after {:?}",
                landing.newest,
                landing.number,
                landing.repaired
            );
        }
        Ok(())
    }
}

/// Takes it away if it is there.
pub(super) fn remove(cluster: &Cluster) -> anyhow::Result<()> {
    let arguments = ["delete", "pods", "-n", NAMESPACE, "-l", "bad-proxy=late"];
    cluster.kubectl(&[&arguments[..], &["--wait", "--timeout=60s"]].concat())?;
    Ok(())
}
