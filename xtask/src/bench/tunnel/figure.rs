//! What is measured of each peer, and what came of several rounds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bench::numbers::{median, round};

/// One figure of each peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    /// In JSON.
    pub(super) key: &'static str,
    /// For people, with its unit.
    pub(super) name: &'static str,
    /// How many of them are shown.
    pub(super) decimals: u8,
}

pub(super) const TCP_1: &str = "tcp_1_gbit_s";
pub(super) const TCP_10: &str = "tcp_10_gbit_s";
pub(super) const TCP_REVERSE: &str = "tcp_reverse_gbit_s";
pub(super) const TCP_BOTH: &str = "tcp_both_gbit_s";
pub(super) const CPU: &str = "cpu_s_per_gb";
/// Datagrams at so many Mbit/s: what arrived, and what was lost.
pub(super) const UDP: [(u32, &str, &str); 3] = [
    (300, "udp_300_gbit_s", "udp_300_lost_percent"),
    (800, "udp_800_gbit_s", "udp_800_lost_percent"),
    (0, "udp_unlimited_gbit_s", "udp_unlimited_lost_percent"),
];
/// So much of all packets: their time there and back, and what that is more than the cable's.
pub(super) const TIMES: [(f64, &str, &str); 3] = [
    (0.5, "round_trip_p50_us", "added_p50_us"),
    (0.99, "round_trip_p99_us", "added_p99_us"),
    (0.999, "round_trip_p999_us", "added_p999_us"),
];
/// Of those packets.
pub(super) const TIMES_LOST: &str = "round_trip_lost_percent";
pub(super) const LOADED: &str = "loaded_round_trip_p99_us";
pub(super) const RESIDENT: &str = "resident_mib";
pub(super) const TCP_IPV6: &str = "tcp_ipv6_outside_gbit_s";
pub(super) const TCP_RELAY: &str = "tcp_relay_gbit_s";

/// Of our agent alone.
pub(super) const IDLE: &str = "idle_100_peers_cpu_percent";
pub(super) const CROWDED: &str = "resident_1000_peers_mib";
pub(super) const FLOODED: &str = "tcp_flooded_gbit_s";
/// One stream without one of the offloads, by the agent's name for it, or without any.
pub(super) const WITHOUT: [(&str, &str); 6] = [
    ("tso4", "tcp_without_tso4_gbit_s"),
    ("tso6", "tcp_without_tso6_gbit_s"),
    ("uso", "tcp_without_uso_gbit_s"),
    ("udp_segment", "tcp_without_udp_segment_gbit_s"),
    ("udp_gro", "tcp_without_udp_gro_gbit_s"),
    ("off", "tcp_without_offload_gbit_s"),
];

/// In the order in which they are shown.
pub(super) const ALL: [Figure; 31] = [
    figure(TCP_1, "TCP, 1 stream, Gbit/s", 2),
    figure(TCP_10, "TCP, 10 streams, Gbit/s", 2),
    figure(TCP_REVERSE, "TCP, reverse, Gbit/s", 2),
    figure(TCP_BOTH, "TCP, both ways at once, Gbit/s", 2),
    figure(CPU, "CPU seconds per GB", 2),
    figure(UDP[0].1, "UDP at 300 Mbit/s, Gbit/s", 2),
    figure(UDP[0].2, "  lost, %", 1),
    figure(UDP[1].1, "UDP at 800 Mbit/s, Gbit/s", 2),
    figure(UDP[1].2, "  lost, %", 1),
    figure(UDP[2].1, "UDP unlimited, Gbit/s", 2),
    figure(UDP[2].2, "  lost, %", 1),
    figure(TIMES[0].1, "there and back p50, µs", 0),
    figure(TIMES[1].1, "  p99, µs", 0),
    figure(TIMES[2].1, "  p99.9, µs", 0),
    figure(TIMES[0].2, "  added p50, µs", 0),
    figure(TIMES[1].2, "  added p99, µs", 0),
    figure(TIMES[2].2, "  added p99.9, µs", 0),
    figure(TIMES_LOST, "  lost, %", 1),
    figure(LOADED, "  under TCP p99, µs", 0),
    figure(RESIDENT, "resident after the load, MiB", 1),
    figure(TCP_IPV6, "TCP, IPv6 outside, Gbit/s", 2),
    figure(TCP_RELAY, "TCP, over the relay, Gbit/s", 2),
    figure(IDLE, "idle, 100 silent peers, % of a core", 2),
    figure(CROWDED, "resident, 1,000 peers, MiB", 1),
    figure(FLOODED, "TCP, handshakes flooded, Gbit/s", 2),
    figure(WITHOUT[0].1, "TCP without tso4, Gbit/s", 2),
    figure(WITHOUT[1].1, "TCP without tso6, Gbit/s", 2),
    figure(WITHOUT[2].1, "TCP without uso, Gbit/s", 2),
    figure(WITHOUT[3].1, "TCP without udp_segment, Gbit/s", 2),
    figure(WITHOUT[4].1, "TCP without udp_gro, Gbit/s", 2),
    figure(WITHOUT[5].1, "TCP without any offload, Gbit/s", 2),
];

const fn figure(key: &'static str, name: &'static str, decimals: u8) -> Figure {
    Figure { key, name, decimals }
}

/// What was measured, by key: a value of each round.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures(BTreeMap<&'static str, Vec<f64>>);

impl Figures {
    /// Adds a round's.
    pub(super) fn add(&mut self, key: &'static str, value: f64) {
        self.0.entry(key).or_default().push(value);
    }

    /// Adds all of others.
    pub(super) fn extend(&mut self, others: Self) {
        for (key, values) in others.0 {
            self.0.entry(key).or_default().extend(values);
        }
    }

    /// That of one round, counted from 0.
    pub(super) fn of_round(&self, key: &str, round: usize) -> Option<f64> {
        self.0.get(key)?.get(round).copied()
    }

    /// The median of the rounds, and their range; nothing if there was none.
    pub(super) fn summary(&self, key: &str) -> Option<Summary> {
        let rounds = self.0.get(key)?;
        Some(Summary {
            median: median(rounds.clone()),
            least: rounds.iter().copied().fold(f64::INFINITY, f64::min),
            most: rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }

    /// All of it.
    pub(super) fn json(&self) -> Value {
        let each = self.0.iter().filter_map(|(key, rounds)| {
            let Summary { median, least, most } = self.summary(key)?;
            let rounds: Vec<f64> = rounds.iter().map(|value| round(*value, 4)).collect();
            let [median, least, most] = [median, least, most].map(|value| round(value, 4));
            let summary = json!({ "median": median, "min": least, "max": most, "rounds": rounds });
            Some(((*key).to_owned(), summary))
        });
        Value::Object(each.collect())
    }
}

/// What came of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    least: f64,
    most: f64,
}

impl Summary {
    /// The median, and the range in which the rounds lie.
    pub(super) fn text(&self, decimals: u8) -> String {
        let digits = usize::from(decimals);
        let [median, least, most] =
            [self.median, self.least, self.most].map(|value| format!("{value:.digits$}"));
        if least == most { median } else { format!("{median} ({least}–{most})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(values: &[f64]) -> Figures {
        let mut figures = Figures::default();
        for value in values {
            figures.add(TCP_1, *value);
        }
        figures
    }

    #[test]
    fn the_median_and_the_range_are_of_the_rounds() {
        let figures = rounds(&[2.5, 1.0, 2.0]);
        let summary = figures.summary(TCP_1).unwrap();
        assert_eq!(summary, Summary { median: 2.0, least: 1.0, most: 2.5 });
        assert_eq!(summary.text(1), "2.0 (1.0–2.5)");
        let json = &figures.json()[TCP_1];
        assert_eq!(
            *json,
            serde_json::json!({ "median": 2.0, "min": 1.0, "max": 2.5, "rounds": [2.5, 1.0, 2.0] })
        );
    }

    #[test]
    fn one_round_has_no_range() {
        assert_eq!(rounds(&[2.0]).summary(TCP_1).unwrap().text(2), "2.00");
        assert_eq!(rounds(&[]).summary(TCP_1), None);
    }

    #[test]
    fn every_figure_has_a_key_of_its_own() {
        let mut keys: Vec<_> = ALL.iter().map(|figure| figure.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), ALL.len());
    }
}
