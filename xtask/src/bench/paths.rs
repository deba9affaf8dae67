//! How soon two devices have an answer, and a direct path, behind routers of each kind.
//!
//! One device is in the network; another joins behind another router. It asks the first 20 times a second, from the moment at
//! which its join begins. The path is direct once datagrams of that size arrive by UDP at both ends: the relay is reached by
//! TCP. Each join is in machines, routers and a network (coordinator, relay) of its own, so that no join knows of another.

mod control;
mod device;
mod join;

use std::collections::BTreeMap;

use anyhow::Result;
use lab::{location::Location, nat::Nat};
use serde_json::{Value, json};

use super::{
    numbers::{median, round},
    report::{Outcome, Report, row},
};
use crate::{go, progress::Step, stop};
use device::Program;
use join::{Join, Sites};

/// The programs that the bench runs.
pub(super) const PROGRAMS: [&str; 3] = ["maru", "maru-agent", "maru-coordinator"];
/// Which programs meet: the one that is there, and the one that joins.
const PROGRAM_PAIRS: [[Program; 2]; 3] = [
    [Program::Maru, Program::Maru],
    [Program::Maru, Program::Tailscaled],
    [Program::Tailscaled, Program::Tailscaled],
];

/// All pairs of these places behind different routers, then two devices behind one.
pub(super) fn pairings(places: &[Location]) -> Vec<Sites> {
    let mut pairings = Vec::new();
    for (at, first) in places.iter().enumerate() {
        pairings.extend(places.iter().skip(at).map(|second| Sites::Two(*first, *second)));
    }
    pairings.push(Sites::One(Location::Nat(Nat::PortRestricted)));
    pairings
}

/// Places by their names; all of them if none is named.
///
/// # Errors
///
/// There is no such place; the error lists them.
pub(super) fn named(names: &[String]) -> Result<Vec<Location>> {
    if names.is_empty() {
        return Ok(Location::ALL.to_vec());
    }
    let find = |name: &String| {
        let place = Location::ALL.into_iter().find(|place| place.to_string() == *name);
        place.ok_or_else(|| {
            let known = Location::ALL.map(|place| place.to_string()).join(", ");
            anyhow::anyhow!("there is no place {name:?}: choose from {known}")
        })
    };
    names.iter().map(find).collect()
}

/// Measures so many joins of each pairing at these places.
pub(super) fn run(places: &[Location], rounds: u32) -> Result<Outcome> {
    let stock = go::tailscale()?;
    let (mut joins, mut missing) = (BTreeMap::<_, Vec<Join>>::new(), Vec::new());
    let pairings = pairings(places);
    for number in 1..=rounds {
        for (at, sites) in pairings.iter().enumerate() {
            for programs in PROGRAM_PAIRS {
                stop::check()?;
                let [first, second] = programs;
                let what = format!("round {number} of {rounds}: {sites}: {first} and {second}");
                let step = Step::new(&what);
                match join::measure(*sites, programs, &stock) {
                    Ok(join) => joins.entry((at, programs)).or_default().push(join),
                    Err(error) => missing.push(format!("{what}: {error:#}")),
                }
                step.done(&what);
            }
        }
    }
    let report = report(&pairings, &joins, rounds);
    Ok(Outcome { report, missing })
}

fn report(
    pairings: &[Sites],
    joins: &BTreeMap<(usize, [Program; 2]), Vec<Join>>,
    rounds: u32,
) -> Report {
    let mut head = vec![String::new()];
    for [first, second] in PROGRAM_PAIRS {
        head.extend([format!("{first}–{second}: reply"), "direct".to_owned()]);
    }
    let mut table = vec![head];
    let mut results = Vec::new();
    for (at, sites) in pairings.iter().enumerate() {
        let mut line = row([&sites.to_string()]);
        for programs in PROGRAM_PAIRS {
            let Some(joins) = joins.get(&(at, programs)) else {
                line.extend(row(["–", "–"]));
                continue;
            };
            let reply = median(joins.iter().map(|join| join.reply_s).collect());
            let direct: Vec<f64> = joins.iter().filter_map(|join| join.direct_s).collect();
            let all_direct = direct.len() == joins.len();
            line.push(format!("{reply:.2}"));
            line.push(match direct.len() {
                0 => "relay".to_owned(),
                _ if all_direct => format!("{:.2}", median(direct.clone())),
                some => format!("{some} of {}", joins.len()),
            });
            results.push(json!({
                "sites": sites.to_string(),
                "programs": programs.map(|program| program.to_string()),
                "joins": joins.len(),
                "direct": direct.len(),
                "reply_s": round(reply, 3),
                "direct_s": if all_direct { json!(round(median(direct), 3)) } else { Value::Null },
            }));
        }
        table.push(line);
    }
    let notes = vec![format!(
        "seconds from the beginning of the join, medians of {rounds}; direct: {} after the first reply at most",
        join::WAIT.as_secs()
    )];
    Report { unit: "s", results: Value::from(results), table, notes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_two_places_are_a_pairing_once_and_two_devices_are_behind_one_router() {
        let all = pairings(&Location::ALL);
        assert_eq!(all.len(), 8 * 9 / 2 + 1);
        let mut names: Vec<String> = all.iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn an_unknown_place_is_an_error_that_lists_the_places() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(named(&names(&["symmetric"])).unwrap(), [Location::Nat(Nat::Symmetric)]);
        assert_eq!(named(&[]).unwrap(), Location::ALL);
        let error = named(&names(&["cone"])).unwrap_err().to_string();
        assert!(
            error.starts_with("there is no place \"cone\": choose from open, full cone,"),
            "{error}"
        );
    }

    #[test]
    fn a_pairing_that_was_direct_in_some_joins_only_has_no_time_to_direct() {
        let pairings = pairings(&[Location::Nat(Nat::Open)]);
        let join = |reply_s, direct_s| Join { reply_s, direct_s };
        let [ours, mixed, stock] = PROGRAM_PAIRS;
        let joins = BTreeMap::from([
            ((0, ours), vec![join(1.0, Some(1.0)), join(2.0, Some(4.0)), join(3.0, Some(3.0))]),
            ((0, mixed), vec![join(1.0, None), join(2.0, Some(4.0))]),
            ((0, stock), vec![join(1.0, None)]),
        ]);
        let report = report(&pairings, &joins, 3);
        assert_eq!(report.table[1][1..], ["2.00", "3.00", "1.50", "1 of 2", "1.00", "relay"]);
        assert_eq!(report.table[2][1..], ["–"; 6]);
        assert_eq!(report.results[1]["direct_s"], Value::Null);
        assert_eq!(report.results[0]["direct_s"], 3.0);
    }
}
