//! A terminal: lines that stay, and below them a table that is drawn over. Log lines come from everywhere and at any
//! time; they go above the table. Knows nothing of what it shows. Called by `screen`, and by whatever logs.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Takes log lines, each ending with a line feed.
pub(super) type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// The terminal behind stdout. A clone is the same terminal.
#[derive(Clone)]
pub(super) struct Terminal(Arc<Mutex<Drawing<io::Stdout>>>);

impl Terminal {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Drawing {
            output: io::stdout(),
            table: String::new(),
        })))
    }

    /// Prints lines to stay, each ending with a line feed, and draws the table in place of the one before.
    pub(super) fn show(&self, lines: &str, table: String) -> io::Result<()> {
        self.drawing().show(lines, Some(table))
    }

    /// What log lines are given to.
    pub(super) fn log(&self) -> Log {
        let terminal = self.clone();
        // There is nobody to tell of a terminal that is gone.
        Arc::new(move |lines| drop(terminal.drawing().show(lines, None)))
    }

    fn drawing(&self) -> MutexGuard<'_, Drawing<io::Stdout>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Log lines to stderr.
pub(super) fn to_stderr() -> Log {
    // As above.
    Arc::new(|lines| drop(io::stderr().write_all(lines.as_bytes())))
}

/// A writer of log lines; each write is of whole lines.
pub(super) struct LogWriter(pub(super) Log);

impl Write for LogWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (self.0)(&String::from_utf8_lossy(buffer));
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What stands there now.
struct Drawing<W> {
    output: W,
    /// The lines above the cursor that are drawn over.
    table: String,
}

impl<W: Write> Drawing<W> {
    fn show(&mut self, lines: &str, table: Option<String>) -> io::Result<()> {
        let mut text = match self.table.lines().count() {
            0 => String::new(),
            drawn => format!("\x1b[{drawn}A\x1b[J"),
        };
        text.push_str(lines);
        if let Some(table) = table {
            self.table = table;
        }
        if !self.table.is_empty() {
            // Without wrapping: a line that took two rows would not be drawn over.
            text.push_str(&format!("\x1b[?7l{}\x1b[?7h\n", self.table));
        }
        self.output.write_all(text.as_bytes())?;
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lines_go_above_the_table_and_the_table_is_drawn_again() {
        let mut drawing = Drawing {
            output: Vec::new(),
            table: String::new(),
        };
        drawing.show("before\n", None).unwrap();
        drawing.show("", Some("HEADING\nrow".to_owned())).unwrap();
        drawing.output.clear();
        drawing.show("logged\n", None).unwrap();
        let written = String::from_utf8(drawing.output).unwrap();
        assert_eq!(written, "\x1b[2A\x1b[Jlogged\n\x1b[?7lHEADING\nrow\x1b[?7h\n");
    }
}
