//! `silverback support-bundle`: what somebody needs who is to help, in one file, without a secret.

mod archive;
mod collect;
mod summary;

use std::{fs::OpenOptions, io::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use self::{archive::Archive, collect::Collector};
use super::{
    cluster::{self, ClusterArguments},
    controller::ControllerArguments,
    value::byte_count,
};

/// Flags of `silverback support-bundle`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The file holds versions, states of proxies and pods, problems of objects, the configuration without its secrets, events
and recent logs of the controller's namespace; contents.json lists it. It holds no Secret and no value of an
environment variable. Look through it all the same before you give it away: host names and paths of your routes are in it.

What can't be read is left out, and named. Exit code: 0 written, 1 not written, 2 usage.")]
pub(super) struct SupportBundleArguments {
    /// Namespace of the controller; that of the kubeconfig's context by default
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// File to write; silverback-support-TIME.tar.gz by default
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
    /// Its largest size, at least 1M; what does not fit is left out, logs first
    #[arg(long, value_name = "BYTES", default_value = "32M", value_parser = max_size)]
    max_size: u64,
    /// Lines of each log
    #[arg(long, value_name = "COUNT", default_value_t = 5000)]
    log_lines: i64,
    /// Address of the controller's dashboard, such as http://127.0.0.1:10256; through the API server by default
    #[arg(long, value_name = "URL")]
    controller: Option<String>,
    #[command(flatten)]
    cluster: ClusterArguments,
}

fn max_size(text: &str) -> Result<u64, String> {
    match byte_count(text)? {
        size @ ..1_048_576 => Err(format!("{size} is too small; give at least 1M")),
        size => Ok(size),
    }
}

/// Carries the verb out.
pub(super) async fn run(arguments: SupportBundleArguments) -> anyhow::Result<()> {
    let client = arguments.cluster.client().await?;
    let namespace = cluster::namespace(arguments.namespace.as_deref(), &client);
    let now = Timestamp::now();
    let name = format!("silverback-support-{}", now.strftime("%Y%m%d-%H%M%S"));
    let path = arguments
        .output_file
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    // For the owner alone, and over nothing that is there.
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path);
    let file = file.with_context(|| format!("failed to make {}", path.display()))?;
    let archive = Archive::new(
        std::io::BufWriter::new(file),
        &name,
        arguments.max_size,
        now.as_second().unsigned_abs(),
    );
    let controller = ControllerArguments::new(arguments.controller.clone(), Some(namespace.clone()));
    let collector = Collector {
        client,
        namespace,
        log_lines: arguments.log_lines,
        controller,
        archive,
    };
    let left_out = collector.collect(now).await?;
    for line in left_out {
        eprintln!("left out: {line}");
    }
    println!("{}", path.display());
    std::io::stdout().flush()?;
    Ok(())
}
