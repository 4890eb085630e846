//! Connections as a node makes them: a thread in its network, with a runtime of its own.

use std::{collections::BTreeMap, fs, os::fd::AsFd, path::Path, thread};

use anyhow::Context;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use tokio::{runtime::Handle, sync::oneshot};

/// All nodes, by name. Their threads end with this.
pub(super) struct Nodes {
    nodes: BTreeMap<String, Node>,
}

struct Node {
    runtime: Handle,
    /// Its end ends the thread.
    _until: oneshot::Sender<()>,
}

impl Nodes {
    /// The nodes of a cluster that is up, by what it says of itself in its directory.
    pub(super) fn of(cluster: &Path) -> anyhow::Result<Self> {
        let state = fs::read_to_string(cluster.join("state.json")).context("the state of the cluster")?;
        let state: Value = serde_json::from_str(&state)?;
        let nodes = state["nodes"].as_object().context("the cluster has no nodes")?;
        let nodes = nodes.iter().map(|(name, pid)| {
            let namespace = format!("/proc/{pid}/ns/net");
            Ok((name.clone(), start(&namespace).with_context(|| name.clone())?))
        });
        Ok(Self {
            nodes: nodes.collect::<anyhow::Result<_>>()?,
        })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.nodes.keys()
    }

    /// Where tasks that speak from that node are to be spawned.
    pub(super) fn on(&self, node: &str) -> Option<&Handle> {
        self.nodes.get(node).map(|node| &node.runtime)
    }
}

fn start(namespace: &str) -> anyhow::Result<Node> {
    let namespace = fs::File::open(namespace).with_context(|| namespace.to_owned())?;
    let (until, end) = oneshot::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    thread::spawn(move || {
        // Sockets belong to the network that their thread is in: all tasks of this runtime run on this thread.
        let runtime = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(std::io::Error::from)
            .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
        match runtime {
            Ok(runtime) => {
                let _ = tell.send(Ok(runtime.handle().clone()));
                let _ = runtime.block_on(end);
            }
            Err(error) => drop(tell.send(Err(error))),
        }
    });
    let runtime = told.recv().context("the thread of a node ended")?;
    Ok(Node {
        runtime: runtime.context("its network can't be entered")?,
        _until: until,
    })
}
