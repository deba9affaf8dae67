//! What a daemon's counters declare, compared with `docs/metrics.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A metric: by its answer, or by a row of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    /// `s`, `s since 1970`, `bytes`, `tokens/s`, or `1` for a number.
    pub unit: String,
    /// Names of the labels, without a histogram's `le`.
    pub labels: BTreeSet<String>,
    /// What it means.
    pub meaning: String,
}

/// The page.
#[must_use]
pub fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    fs::read_to_string(path).expect("docs/metrics.md")
}

/// The rows of the page's tables of metrics, by name.
///
/// # Panics
///
/// A metric is there twice.
#[must_use]
pub fn documented(page: &str) -> BTreeMap<String, Metric> {
    let mut found = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `maru_")) {
        let cells: Vec<_> = row.trim_matches(['|', ' ']).split(" | ").map(str::trim).collect();
        let [name, kind, unit, labels, meaning] = cells[..] else { panic!("five cells: {row}") };
        let metric = Metric {
            kind: kind.to_owned(),
            unit: unit.to_owned(),
            labels: spans(labels).map(str::to_owned).collect(),
            meaning: meaning.to_owned(),
        };
        assert!(found.insert(name.trim_matches('`').to_owned(), metric).is_none(), "twice: {name}");
    }
    found
}

/// The labels that the page allows.
#[must_use]
pub fn allowed(page: &str) -> BTreeSet<String> {
    let table = page.lines().skip_while(|line| !line.starts_with("| label |"));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| spans(row.split(" | ").next().unwrap_or_default()))
        .map(str::to_owned)
        .collect()
}

/// The code spans of a cell.
fn spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// What an answer in OpenMetrics' format declares, by the names of the samples, without the ends of a histogram's.
#[must_use]
pub fn declared(answer: &str) -> BTreeMap<String, Metric> {
    let mut found = BTreeMap::new();
    let (mut meaning, mut current) = ("", None::<(String, Metric)>);
    for line in answer.lines() {
        if let Some((_, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
        {
            meaning = help.trim_end_matches('.');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            found.extend(current.take());
            let end = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let metric = Metric {
                kind: kind.to_owned(),
                unit: unit(name).to_owned(),
                labels: BTreeSet::new(),
                meaning: meaning.to_owned(),
            };
            current = Some((format!("{name}{end}"), metric));
        } else if let Some((_, metric)) = &mut current
            && let Some((_, labels)) = line.split_once('{')
        {
            let labels = labels.split('"').step_by(2).filter_map(|it| it.strip_suffix('='));
            let labels = labels.map(|it| it.trim_start_matches(',').to_owned());
            metric.labels.extend(labels.filter(|it| it != "le"));
        }
    }
    found.extend(current);
    found
}

/// The unit that a metric's name ends with, as Prometheus names units.
fn unit(name: &str) -> &'static str {
    let ends = |end| name.ends_with(end);
    if ends("_timestamp_seconds") {
        "s since 1970"
    } else if ends("_per_second") {
        "tokens/s"
    } else if ends("_seconds") {
        "s"
    } else if ends("_bytes") {
        "bytes"
    } else {
        "1"
    }
}

/// Compares an answer in which every metric has a value with the rows of the page whose names begin with `prefix`.
///
/// # Panics
///
/// They differ, or a label is not among those that the page allows.
pub fn listed(answer: &str, prefix: &str) {
    let (page, declared) = (page(), declared(answer));
    let mut rows = documented(&page);
    rows.retain(|name, _| name.starts_with(prefix));
    for (name, metric) in &declared {
        assert_eq!(rows.get(name), Some(metric), "{name} in docs/metrics.md");
    }
    for name in rows.keys() {
        assert!(declared.contains_key(name), "docs/metrics.md has {name}, and no daemon has");
    }
    let allowed = allowed(&page);
    for (name, metric) in declared {
        let other: Vec<_> = metric.labels.difference(&allowed).collect();
        assert!(
            other.is_empty(),
            "{name} has labels that docs/metrics.md does not allow: {other:?}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "# HELP a_chats Chats.\n# TYPE a_chats counter\na_chats_total{surface=\"x{\",outcome=\"y\"} 1\n\
                          # HELP a_wait_seconds Time.\n# TYPE a_wait_seconds histogram\n\
                          a_wait_seconds_bucket{le=\"1.0\"} 1\n# EOF\n";

    #[test]
    fn an_answer_declares_names_types_units_and_labels() {
        let found = declared(ANSWER);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a_chats_total", "a_wait_seconds"]);
        let (chats, wait) = (&found["a_chats_total"], &found["a_wait_seconds"]);
        assert_eq!((&*chats.kind, &*chats.unit, &*chats.meaning), ("counter", "1", "Chats"));
        assert!(chats.labels.iter().eq(["outcome", "surface"]), "{chats:?}");
        assert_eq!((&*wait.kind, &*wait.unit), ("histogram", "s"));
        assert!(wait.labels.is_empty());
    }

    #[test]
    fn a_page_has_rows_and_allowed_labels() {
        let page = "| label | values |\n|---|---|\n| `surface`, `outcome` | x |\n\n\
                    | `maru_chats_total` | counter | 1 | `surface`, `outcome` | Chats |\n";
        assert!(allowed(page).iter().eq(["outcome", "surface"]));
        let rows = documented(page);
        assert_eq!(rows["maru_chats_total"].labels, allowed(page));
        assert_eq!(rows["maru_chats_total"].meaning, "Chats");
    }
}
