//! What the demo tells a person: addresses, a `curl` that works, problems, and the table.

use std::{collections::BTreeSet, io::Write, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{super::table::table, proxies::DemoProxy, terminal::Terminal};
use crate::{
    fleet::{ConditionStatus, FleetView, ProxyView},
    news::{News, Told},
    render::Rendition,
};

/// Whether that many proxies are there, and all run what they shall.
pub(super) fn all_in_sync(view: &FleetView, count: usize) -> bool {
    view.proxies.len() == count
        && view
            .proxies
            .iter()
            .all(|proxy| is_in_order(proxy) && proxy.desired == proxy.observed)
}

fn is_in_order(proxy: &ProxyView) -> bool {
    proxy.synced.status == ConditionStatus::True && proxy.ready.status == ConditionStatus::True
}

/// The addresses, once.
pub(super) fn introduce(
    output: &mut impl Write,
    directory: &Path,
    dashboard: &str,
    proxies: &[DemoProxy],
    example: Option<&(String, String)>,
) -> std::io::Result<()> {
    writeln!(
        output,
        "manifests  {}   (edit them: the proxies follow)",
        directory.display()
    )?;
    writeln!(output, "dashboard  {dashboard}")?;
    for proxy in proxies {
        writeln!(
            output,
            "{:9}  {}  {}  admin {}  status {}  pid {}",
            proxy.name, proxy.http, proxy.https, proxy.admin, proxy.status, proxy.pid
        )?;
    }
    writeln!(output)?;
    let mut hint = "try";
    if let (Some((host, path)), Some(proxy)) = (example, proxies.first()) {
        writeln!(output, "{hint:9}  curl -H 'Host: {host}' {}{path}", proxy.http)?;
        hint = "or";
    }
    if let Some(proxy) = proxies.last() {
        let words: Vec<String> = proxy.command.iter().map(|word| quoted(word)).collect();
        writeln!(
            output,
            "{hint:9}  kill {}      ({} shows as unreachable; to start it again:)\n{:9}  {}",
            proxy.pid,
            proxy.name,
            "",
            words.join(" ")
        )?;
    }
    writeln!(output, "\nCtrl-C ends it all.\n")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_=./:,@%+".contains(character);
    if word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Keeps the table current: in place on a terminal, line by line elsewhere. Returns when the controller ends.
pub(super) async fn follow(
    mut view: watch::Receiver<Arc<FleetView>>,
    mut rendition: watch::Receiver<Option<Arc<Rendition>>>,
    terminal: Option<&Terminal>,
) -> anyhow::Result<()> {
    let mut printed = BTreeSet::new();
    let mut told = Told::default();
    // Only the ages change on their own: once a second is enough.
    let mut ages = tokio::time::interval(Duration::from_secs(1));
    loop {
        let current = rendition.borrow_and_update().clone();
        let fleet = view.borrow_and_update().clone();
        let mut news = current
            .as_deref()
            .map_or_else(Vec::new, |rendition| told.rendition(rendition));
        news.extend(told.fleet(&fleet));
        let news: String = news.into_iter().filter_map(line).collect();
        match terminal {
            Some(terminal) => terminal.show(&news, drawn(&fleet, told.is_held()))?,
            None => {
                let text = table(&fleet, Timestamp::now(), true);
                let mut output = std::io::stdout().lock();
                output.write_all(news.as_bytes())?;
                // As `kubectl get --watch` does: the headings once, then the lines that changed.
                let current: BTreeSet<&str> = text.lines().map(without_age).collect();
                for line in text.lines().filter(|line| !printed.contains(without_age(line))) {
                    writeln!(output, "{line}")?;
                }
                printed = current.into_iter().map(str::to_owned).collect();
                output.flush()?;
            }
        }
        tokio::select! {
            changed = view.changed() => if changed.is_err() { return Ok(()) },
            changed = rendition.changed() => if changed.is_err() { return Ok(()) },
            _ = ages.tick(), if terminal.is_some() => {}
        }
    }
}

/// The table for a terminal, no taller than that.
fn drawn(fleet: &FleetView, held: bool) -> String {
    let rows = terminal_rows().saturating_sub(usize::from(held));
    let (proxies, hidden) = fitting(fleet.proxies.clone(), rows, |proxy| is_in_order(proxy));
    let shown = FleetView {
        proxies,
        ..FleetView::default()
    };
    let mut text = table(&shown, Timestamp::now(), false);
    if let Some(line) = hidden {
        text.push_str(&format!("\n{line}"));
    }
    if held {
        text.push_str("\nnothing is sent to the proxies: see above");
    }
    text
}

/// Rows of the terminal; as many as a table could ever need where it does not tell.
fn terminal_rows() -> usize {
    terminal_size::terminal_size_of(std::io::stdout()).map_or(usize::MAX, |(_, rows)| usize::from(rows.0))
}

/// The proxies for which there is room, those out of order first, and a line about the others. A table that is taller
/// than the terminal can't be drawn in place: what has scrolled out stays.
fn fitting<T>(mut proxies: Vec<T>, rows: usize, is_in_order: impl Fn(&T) -> bool) -> (Vec<T>, Option<String>) {
    // The headings, and the line that the cursor is left on.
    if proxies.len().saturating_add(2) <= rows {
        return (proxies, None);
    }
    proxies.sort_by_key(&is_in_order);
    let room = rows.saturating_sub(3).max(1).min(proxies.len());
    let hidden = proxies.split_off(room);
    let out_of_order = hidden.iter().filter(|proxy| !is_in_order(proxy)).count();
    let line = match (hidden.len(), out_of_order) {
        (0, _) => return (proxies, None),
        (more, 0) => format!("… and {more} more, all in sync"),
        (more, wrong) => format!("… and {more} more, {wrong} of them not in sync: the dashboard shows all"),
    };
    (proxies, Some(line))
}

/// A line for the screen; the table shows what came of faults.
fn line(news: News) -> Option<String> {
    Some(match news {
        News::Problem(problem) => format!("problem    {problem}\n"),
        News::Solved(problem) => format!("solved     {} {}\n", problem.object, problem.reason),
        News::Held(why) => format!("held       nothing is sent to the proxies: {why}\n"),
        News::Released => "released   the proxies are sent configurations again\n".to_owned(),
        News::Fault { proxy, reason, message } => format!("{:9}  {reason}: {message}\n", proxy.name),
        News::InOrder { .. } | News::Gone { .. } => return None,
    })
}

/// A line of the table without its last column.
fn without_age(line: &str) -> &str {
    line.rsplit_once("  ").map_or(line, |(front, _)| front)
}

#[cfg(test)]
mod tests {
    use super::{fitting, quoted};

    #[test]
    fn a_table_is_never_taller_than_the_terminal_and_hides_no_trouble() {
        for rows in 4..30 {
            let proxies: Vec<usize> = (0..20).collect();
            let (shown, more) = fitting(proxies, rows, |number| number % 7 != 6);
            let height = 1 + shown.len() + usize::from(more.is_some());
            assert!(height < rows, "{height} lines on {rows} rows");
            assert_eq!(more.is_none(), shown.len() == 20);
            assert!(
                shown[0] == 6 || more.is_none(),
                "those out of order come first: {shown:?}"
            );
        }
        let (_, more) = fitting(vec![true, false, false], 4, |&fine| fine);
        assert_eq!(
            more.as_deref(),
            Some("… and 2 more, 1 of them not in sync: the dashboard shows all")
        );
        assert_eq!(fitting(vec![true; 3], 0, |&fine| fine).0.len(), 1);
    }

    #[test]
    fn words_of_a_command_survive_a_shell() {
        assert_eq!(quoted("--prefix=/tmp/a-b_c"), "--prefix=/tmp/a-b_c");
        assert_eq!(quoted("127.0.0.1:1 http2"), "'127.0.0.1:1 http2'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted("$HOME"), "'$HOME'");
    }
}
