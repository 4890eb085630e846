//! `rm -vrf PATH…`: what the init container `clear-stale-pid` runs before the proxy starts.

use std::{ffi::OsString, fs, io, path::PathBuf, process::ExitCode};

use clap::Parser;

/// Removes files and directories.
#[derive(Debug, Parser)]
#[command(name = "rm")]
struct Arguments {
    /// Remove directories and what is in them
    #[arg(short, long, alias = "R")]
    recursive: bool,
    /// Take what is not there for removed
    #[arg(short, long)]
    force: bool,
    /// Say what is removed
    #[arg(short, long)]
    verbose: bool,
    /// What to remove
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn main(words: &[OsString]) -> ExitCode {
    let arguments = Arguments::parse_from(words);
    let mut code = ExitCode::SUCCESS;
    for path in &arguments.paths {
        match remove(path, arguments.recursive) {
            Ok(()) if arguments.verbose => println!("removed '{}'", path.display()),
            Ok(()) => {}
            Err(error) if arguments.force && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                eprintln!("rm: cannot remove '{}': {error}", path.display());
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

/// Never follows a symbolic link.
fn remove(path: &PathBuf, recursive: bool) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    if !recursive {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a directory; give -r",
        ));
    }
    fs::remove_dir_all(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rm(arguments: &[&str]) -> ExitCode {
        let words: Vec<OsString> = ["/bin/rm"].iter().chain(arguments).map(OsString::from).collect();
        main(&words)
    }

    #[test]
    fn stale_files_are_removed_and_missing_ones_are_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let pids = directory.path().join("pids");
        fs::create_dir(&pids).unwrap();
        fs::write(pids.join("nginx.pid"), "1").unwrap();
        assert_eq!(rm(&["-vr", pids.to_str().unwrap()]), ExitCode::SUCCESS);
        assert!(!pids.exists());
        assert_eq!(rm(&["-vrf", pids.to_str().unwrap()]), ExitCode::SUCCESS);
        assert_eq!(rm(&["-r", pids.to_str().unwrap()]), ExitCode::FAILURE);
    }

    #[test]
    fn what_a_link_points_to_stays() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        fs::write(&kept, "").unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        assert_eq!(rm(&["-rf", link.to_str().unwrap()]), ExitCode::SUCCESS);
        assert!(kept.exists() && !link.exists());
    }
}
