//! A program on a terminal: util-linux' `script` gives it one, and what it writes there is put where a person would see
//! it.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::harness::{Running, eventually};

/// A terminal of 40 rows and 200 columns with a program on it. The program ends with the test.
pub(crate) struct Terminal {
    screen: Arc<Mutex<Screen>>,
    _script: Running,
}

impl Terminal {
    /// Starts the program with its arguments and environment.
    pub(crate) fn run(program: &Command) -> Self {
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let words: Vec<String> = words.map(|word| quoted(word.to_str().unwrap())).collect();
        let mut script = Command::new("script");
        script
            .args(["--quiet", "--return", "--flush", "--command"])
            .arg(format!("stty rows 40 cols 200; exec {}", words.join(" ")))
            .arg("/dev/null")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let mut child = script.spawn().unwrap();
        let screen = Arc::<Mutex<Screen>>::default();
        let (mut output, shown) = (child.stdout.take().unwrap(), screen.clone());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            let mut pending = Vec::new();
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                pending.extend_from_slice(&buffer[..length]);
                shown.lock().unwrap().take(&mut pending);
            }
        });
        Self {
            screen,
            _script: Running(child),
        }
    }

    /// All lines that stand there, from the first on, also those that have scrolled out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        let lines = screen.lines.iter();
        lines
            .map(|line| line.iter().collect::<String>().trim_end().to_owned())
            .collect()
    }

    /// Waits until the lines are what the check wants; gives them back.
    pub(crate) async fn until(&self, what: &str, check: impl Fn(&[String]) -> bool) -> Vec<String> {
        eventually(what, async || {
            let lines = self.lines();
            match check(&lines) {
                true => Ok(lines),
                false => Err(lines.join("\n")),
            }
        })
        .await
    }
}

/// What stands on a terminal without an end to its height: as much of its language as the program speaks.
#[derive(Default)]
struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    /// Takes what is whole of this, and leaves the rest.
    fn take(&mut self, pending: &mut Vec<u8>) {
        let whole = match std::str::from_utf8(pending) {
            Ok(_) => pending.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = String::from_utf8(pending[..whole].to_vec()).unwrap();
        let mut rest = text.as_str();
        while let Some(character) = rest.chars().next() {
            if character != '\x1b' {
                self.put(character);
                rest = &rest[character.len_utf8()..];
                continue;
            }
            // A command ends with its first letter.
            let Some(end) = rest.find(|character: char| character.is_ascii_alphabetic()) else {
                break;
            };
            self.command(&rest[1..=end]);
            rest = &rest[end + 1..];
        }
        pending.drain(..whole - rest.len());
    }

    fn put(&mut self, character: char) {
        match character {
            '\r' => self.column = 0,
            '\n' => self.row += 1,
            character => {
                self.lines.resize(self.lines.len().max(self.row + 1), Vec::new());
                let line = &mut self.lines[self.row];
                line.resize(line.len().max(self.column + 1), ' ');
                line[self.column] = character;
                self.column += 1;
            }
        }
    }

    fn command(&mut self, command: &str) {
        match command {
            "[J" => {
                self.lines.truncate(self.row + 1);
                if let Some(line) = self.lines.get_mut(self.row) {
                    line.truncate(self.column);
                }
            }
            // Whether long lines are wrapped: none is that long here.
            "[?7l" | "[?7h" => {}
            // A colour.
            command if command.starts_with('[') && command.ends_with('m') => {}
            command => {
                let up = command.strip_prefix('[').and_then(|rest| rest.strip_suffix('A'));
                let up: usize = up.and_then(|rows| rows.parse().ok()).unwrap_or_else(|| {
                    panic!("the program sends a command that no terminal is asked for here: {command:?}")
                });
                self.row -= up;
            }
        }
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
