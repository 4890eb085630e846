//! The file in which the last accepted configuration outlives its process: one line of metadata, then the text as it
//! came. It holds secrets: mode 0600. It is replaced whole, and not used if it was cut short.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use proxy_config_schema::ConfigHash;
use serde::{Deserialize, Serialize};

use super::fence::Fence;

/// Larger files are not read: nothing that the Admin API takes by default is nearly as large.
const MAX_BYTES: u64 = 1 << 30;

/// The version of the format.
const FORMAT: u32 = 1;

/// What is remembered beside the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Metadata {
    format: u32,
    /// What `/status` reported; not always the MD5 of the text.
    pub(super) hash: ConfigHash,
    /// The MD5 of the text.
    text_hash: ConfigHash,
    /// Leaderships that were seen.
    pub(super) fence: Fence,
}

impl Metadata {
    pub(super) fn new(hash: ConfigHash, text_hash: ConfigHash, fence: Fence) -> Self {
        Self {
            format: FORMAT,
            hash,
            text_hash,
            fence,
        }
    }
}

/// The file.
#[derive(Debug, Clone)]
pub(super) struct KeptConfiguration(PathBuf);

impl KeptConfiguration {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Replaces the file. It is complete or untouched for every reader; it is not forced to the disk, since a controller
    /// sends what a power cut took.
    pub(super) fn write(&self, metadata: &Metadata, text: &[u8]) -> io::Result<()> {
        if let Some(directory) = self.0.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let temporary = self.0.with_extension("new");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        let mut head = serde_json::to_vec(metadata)?;
        head.push(b'\n');
        file.write_all(&head)?;
        file.write_all(text)?;
        drop(file);
        fs::rename(&temporary, &self.0)
    }

    /// Remembers other leaderships with what is kept, if something is.
    ///
    /// # Errors
    /// It can't be read or written.
    pub(super) fn write_fence(&self, fence: Fence) -> anyhow::Result<()> {
        let Some((metadata, text)) = self.read()? else {
            return Ok(());
        };
        Ok(self.write(&Metadata { fence, ..metadata }, &text)?)
    }

    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// It can't be read, or it is not whole.
    pub(super) fn read(&self) -> anyhow::Result<Option<(Metadata, Bytes)>> {
        let size = match fs::metadata(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata?.len(),
        };
        ensure!(size <= MAX_BYTES, "{} has {size} bytes", self.0.display());
        let content = Bytes::from(fs::read(&self.0)?);
        let end = content
            .iter()
            .position(|byte| *byte == b'\n')
            .context("the first line is missing")?;
        let metadata: Metadata = serde_json::from_slice(&content[..end]).context("the first line is not metadata")?;
        ensure!(metadata.format == FORMAT, "format {} is not known", metadata.format);
        let text = content.slice(end + 1..);
        ensure!(ConfigHash::of(&text) == metadata.text_hash, "the text is not whole");
        Ok(Some((metadata, text)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_is_private() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = KeptConfiguration::new(directory.path().join("below/kept.json"));
        assert!(kept.read().expect("no file is no error").is_none());
        for text in [&b"first\nsecond"[..], b""] {
            let metadata = Metadata::new(ConfigHash::of(b"x"), ConfigHash::of(text), Fence::default());
            kept.write(&metadata, text).expect("written");
            let (read, back) = kept.read().expect("readable").expect("there");
            assert_eq!((read, &back[..]), (metadata, text));
        }
        let mode = fs::metadata(kept.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn another_leadership_is_kept_with_the_same_text() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = KeptConfiguration::new(directory.path().join("kept.json"));
        let fence = || Fence::from(vec!["a:1".parse().expect("valid")]);
        kept.write_fence(fence()).expect("nothing is kept");
        assert!(kept.read().expect("no file").is_none());
        let metadata = Metadata::new(ConfigHash::of(b"x"), ConfigHash::of(b"text"), Fence::default());
        kept.write(&metadata, b"text").expect("written");
        kept.write_fence(fence()).expect("written");
        let (read, text) = kept.read().expect("readable").expect("there");
        assert_eq!(
            (read, &text[..]),
            (
                Metadata {
                    fence: fence(),
                    ..metadata
                },
                &b"text"[..]
            )
        );
    }

    #[test]
    fn a_file_that_is_not_whole_is_not_used() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = KeptConfiguration::new(directory.path().join("kept.json"));
        let text = b"{\"services\": []}";
        kept.write(
            &Metadata::new(ConfigHash::of(text), ConfigHash::of(text), Fence::default()),
            text,
        )
        .expect("written");
        let whole = fs::read(kept.path()).expect("there");
        for length in 0..whole.len() {
            fs::write(kept.path(), &whole[..length]).expect("written");
            assert!(kept.read().is_err(), "cut at {length}");
        }
    }
}
