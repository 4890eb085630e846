//! The fleet as a table, in the columns of `kubectl get proxyinstances`.

use jiff::Timestamp;

use crate::fleet::{FleetView, ProxyView};

const HEADINGS: [&str; 9] = [
    "NAME", "READY", "SYNCED", "CONFIG", "MTLS", "VERSION", "ERRORS", "STATE", "SINCE",
];

/// Wide enough for any condition and hash, so that lines printed at different times stand in the same columns.
const WIDTHS: [usize; 9] = [8, 7, 7, 12, 7, 7, 6, 12, 5];

/// The table, one line per proxy below the headings, without a line feed at the end. Columns are as wide as they must be;
/// `steady` ones have their greatest usual width.
pub(super) fn table(view: &FleetView, now: Timestamp, steady: bool) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(view.proxies.iter().map(|proxy| row(proxy, now)));
    let mut widths = if steady { WIDTHS } else { [0; HEADINGS.len()] };
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn row(proxy: &ProxyView, now: Timestamp) -> [String; HEADINGS.len()] {
    let since = [&proxy.ready, &proxy.synced, &proxy.reachable]
        .map(|condition| condition.since)
        .into_iter()
        .max();
    [
        proxy.target.name.to_string(),
        proxy.ready.status.as_str().to_owned(),
        proxy.synced.status.as_str().to_owned(),
        proxy
            .observed
            .filter(|hash| !hash.is_none())
            .map_or_else(|| "-".to_owned(), |hash| hash.short()),
        proxy.mutual_tls.status.as_str().to_owned(),
        proxy
            .report
            .as_ref()
            .map_or_else(|| "-".to_owned(), |report| report.version.clone()),
        proxy.error_count.to_string(),
        proxy.phase.as_str().to_owned(),
        since.map_or_else(|| "-".to_owned(), |since| age(since, now)),
    ]
}

/// `4s`, `7m`, `3h`, `12d`, as kubectl shows ages.
pub(super) fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - since.as_second()).max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
