//! What came of the rounds, for people and for programs.

use serde_json::{Map, Value, json};

use super::{
    effort::Effort,
    figure::{self, Figure, TCP_1, TCP_10, TCP_REVERSE},
    kind::Kind,
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
    notes.extend(beside_the_direct_path(peers));
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

/// What the way through the home carries, as a part of what the direct path between our agents does.
fn beside_the_direct_path(peers: &[Peer]) -> Option<String> {
    let of = |kind| peers.iter().find(|peer| peer.kind == kind);
    let (through, direct) = (of(Kind::WireguardDevice)?, of(Kind::Maru)?);
    let ratio = |key, name| {
        let [through, direct] = [through, direct].map(|peer| peer.figures.summary(key));
        Some(format!("{name} {:.2}", through?.median / direct?.median))
    };
    let all = [(TCP_1, "1 stream"), (TCP_10, "10 streams"), (TCP_REVERSE, "reverse")];
    let ratios: Vec<_> = all.into_iter().filter_map(|(key, name)| ratio(key, name)).collect();
    let (device, maru) = (Kind::WireguardDevice, Kind::Maru);
    (!ratios.is_empty())
        .then(|| format!("TCP of {device} to that of {maru}: {}", ratios.join(", ")))
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

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_wireguard_device_is_shown_beside_the_direct_path_of_the_same_run() {
        let peer = |kind, value: Option<f64>| {
            let mut peer = Peer::new(kind, Err(anyhow!("not built")));
            if let Some(value) = value {
                peer.figures.add(TCP_1, value);
            }
            peer
        };
        let (device, maru) = (Kind::WireguardDevice, Kind::Maru);
        let shown = beside_the_direct_path(&[peer(maru, Some(4.0)), peer(device, Some(1.0))]);
        assert_eq!(
            shown.as_deref(),
            Some("TCP of wireguard-device to that of maru: 1 stream 0.25")
        );
        assert_eq!(beside_the_direct_path(&[peer(maru, Some(4.0)), peer(device, None)]), None);
        assert_eq!(beside_the_direct_path(&[peer(maru, Some(4.0))]), None);
    }
}
