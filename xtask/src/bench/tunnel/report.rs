//! What came of the rounds, for people and for programs.

use serde_json::{Map, Value, json};

use super::{
    effort::Effort,
    figure::{self, Figure},
    peer::Peer,
};
use crate::bench::report::{Outcome, Report};

/// A table with a row for each figure and a column for each peer, and a note for each peer that was not measured.
pub(super) fn of(peers: &[Peer], effort: Effort) -> Outcome {
    let head = std::iter::once(String::new()).chain(peers.iter().map(|peer| peer.kind.to_string()));
    let mut table = vec![head.collect()];
    table.extend(figure::ALL.iter().filter_map(|figure| row(figure, peers)));
    let results = peers.iter().map(|peer| (peer.kind.to_string(), json(peer)));
    let missing: Vec<String> = peers.iter().flat_map(Peer::missing).collect();
    let mut notes: Vec<_> = missing.iter().map(|line| format!("not measured: {line}")).collect();
    notes.extend(explained(peers, effort));
    let report = Report {
        unit: "as named",
        results: Value::Object(results.collect::<Map<_, _>>()),
        table,
        notes,
    };
    Outcome { report, missing }
}

/// The figure of every peer; empty if none has it.
fn row(figure: &Figure, peers: &[Peer]) -> Option<Vec<String>> {
    let found: Vec<_> = peers.iter().map(|peer| peer.figures.summary(figure.key)).collect();
    found.iter().any(Option::is_some).then(|| {
        let shown = found.iter().map(|summary| {
            summary.map_or_else(|| "-".to_owned(), |summary| summary.text(figure.decimals))
        });
        std::iter::once(figure.name.to_owned()).chain(shown).collect()
    })
}

fn json(peer: &Peer) -> Value {
    let failed =
        peer.failed.iter().map(|(part, why)| (part.to_string(), Value::from(why.as_str())));
    json!({
        "version": peer.version(), "figures": peer.figures.json(),
        "not_measured": failed.collect::<Map<_, _>>(),
    })
}

/// What must be known to read the table.
fn explained(peers: &[Peer], effort: Effort) -> Vec<String> {
    let versions: Vec<_> = peers
        .iter()
        .filter(|peer| !peer.version().is_empty())
        .map(|peer| format!("{} is {}", peer.kind, peer.version()))
        .collect();
    vec![
        format!(
            "rounds: {}, of which each figure has the median and the range; the peers in turn within each, {} s for each \
             run, MTU 1280 inside",
            effort.rounds, effort.seconds
        ),
        "CPU: of both ends' programs, for what one stream moved; resident: of the end that has more".to_owned(),
        "there and back: 1,000 packets a second; added: to the cable's in the same round; of both directions at once, \
         the sum".to_owned(),
        versions.join("; "),
    ]
}
