//! "Did you mean": the known word that is nearest to a mistyped one.

/// The nearest of the known words, if one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A longer word bears more slips; words over 64 bytes are no slip of the pen.
    if word.len() > 64 {
        return None;
    }
    let limit = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words, case aside.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let width = right.len() + 1;
    let mut rows: Vec<usize> = vec![0; (left.len() + 1) * width];
    for row in 0..=left.len() {
        for column in 0..=right.len() {
            let at = row * width + column;
            rows[at] = if row == 0 || column == 0 {
                row + column
            } else {
                let replaced = usize::from(left[row - 1] != right[column - 1]);
                let mut best = (rows[at - width] + 1)
                    .min(rows[at - 1] + 1)
                    .min(rows[at - width - 1] + replaced);
                let swapped =
                    row > 1 && column > 1 && left[row - 1] == right[column - 2] && left[row - 2] == right[column - 1];
                if swapped {
                    best = best.min(rows[at - 2 * width - 2] + 1);
                }
                best
            };
        }
    }
    rows[left.len() * width + right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word() {
        let known = ["ingressClassName", "defaultBackend", "tls", "rules"];
        assert_eq!(nearest("ingresClassName", known), Some("ingressClassName"));
        assert_eq!(nearest("ingressclassname", known), Some("ingressClassName"));
        assert_eq!(nearest("rulse", known), Some("rules"));
        assert_eq!(nearest("replicas", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
