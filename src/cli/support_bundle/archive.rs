//! A tar.gz of bounded size: what does not fit is left out, and named.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use tar::{Builder, Header};

/// What the list of contents may take at the end.
const RESERVE: u64 = 256 << 10;

/// The archive, as it is written.
pub(super) struct Archive<W: Write> {
    builder: Builder<GzEncoder<Counting<W>>>,
    /// Directory in which everything is.
    directory: String,
    limit: u64,
    time: u64,
    entries: Vec<Value>,
}

/// Counts what goes through.
struct Counting<W> {
    inner: W,
    written: u64,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Archive<W> {
    /// An archive of at most `limit` bytes; `time` is that of its files, in seconds since 1970.
    pub(super) fn new(output: W, directory: &str, limit: u64, time: u64) -> Self {
        let counting = Counting {
            inner: output,
            written: 0,
        };
        Self {
            builder: Builder::new(GzEncoder::new(counting, Compression::default())),
            directory: directory.to_owned(),
            limit,
            time,
            entries: Vec::new(),
        }
    }

    /// Adds a file. Whether it fits is told by its size as it is: text gets smaller, so that this is on the safe side.
    pub(super) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        // What the compressor holds back is bounded by its window.
        self.builder.get_mut().flush()?;
        let written = self.builder.get_ref().get_ref().written;
        if written + content.len() as u64 + RESERVE > self.limit {
            self.entries
                .push(json!({ "file": name, "leftOut": "it does not fit into --max-size", "bytes": content.len() }));
            return Ok(());
        }
        self.entries.push(json!({ "file": name, "bytes": content.len() }));
        self.append(name, content)
    }

    /// Notes why something is not there.
    pub(super) fn leave_out(&mut self, name: &str, why: &str) {
        self.entries.push(json!({ "file": name, "leftOut": why }));
    }

    fn append(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.time);
        let path = format!("{}/{name}", self.directory);
        self.builder.append_data(&mut header, path, content)
    }

    /// Writes the list of contents, and ends it; what was left out.
    pub(super) fn finish(mut self) -> io::Result<Vec<String>> {
        let left_out = self.entries.iter().filter(|entry| !entry["leftOut"].is_null());
        let left_out = left_out.map(|entry| {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            format!("{}: {}", text("file"), text("leftOut"))
        });
        let left_out = left_out.collect();
        let contents = serde_json::to_string_pretty(&self.entries).expect("keys are strings");
        self.append("contents.json", contents.as_bytes())?;
        let mut output = self.builder.into_inner()?.finish()?;
        output.flush()?;
        Ok(left_out)
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{collections::BTreeMap, io::Read};

    use super::*;

    /// Its files by name.
    pub(in super::super) fn unpacked(archive: &[u8]) -> BTreeMap<String, String> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        let files = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (name, text)
        });
        files.collect()
    }

    #[test]
    fn it_is_never_larger_than_its_limit_and_says_what_is_missing() {
        // Noise does not get smaller.
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(33 + ((state >> 33) % 90) as u8)
        };
        let limit = 600 << 10;
        let mut output = Vec::new();
        let mut archive = Archive::new(&mut output, "bundle", limit, 0);
        for number in 0..10 {
            let text: String = (0..100 << 10).map(|_| noise()).collect();
            archive.add(&format!("logs/{number}"), text.as_bytes()).unwrap();
        }
        archive.leave_out("metrics", "forbidden");
        let left_out = archive.finish().unwrap();
        assert!(output.len() as u64 <= limit, "{}", output.len());
        let files = unpacked(&output);
        assert!(files.contains_key("bundle/logs/0") && !files.contains_key("bundle/logs/9"));
        let contents = &files["bundle/contents.json"];
        assert!(contents.contains("logs/9") && contents.contains("--max-size") && contents.contains("forbidden"));
        assert!(left_out.contains(&"metrics: forbidden".to_owned()), "{left_out:?}");
    }
}
