//! What came of the long life of a network.

use serde_json::Value;

use crate::bench::report::{Outcome, Report, row};

/// Most that memory and database may grow after the first tenth.
const GROWTH: f64 = 1.05;
/// What is measured twice: where it stands in a measurement, where its ratio does, what people read, and whether the ratio has
/// a goal.
const FIGURES: [(&str, &str, &str, bool); 6] = [
    ("/private_kib", "/private_kib", "private memory, KiB", true),
    ("/database/network_bytes", "/network_bytes", "rows of the network, bytes", true),
    ("/database/pages_bytes", "/pages_bytes", "pages of these rows, bytes", false),
    ("/database/log_entries", "", "entries of the audit log", false),
    ("/database/log_bytes", "", "pages of the audit log, bytes", false),
    ("/database/file_bytes", "/file_bytes", "the file, bytes", false),
];

/// The report of a life, as the example printed it.
pub(super) fn outcome(result: Value) -> Outcome {
    let mut table = vec![row(["", "after the first tenth", "at the end", "ratio", "goal"])];
    let mut missing = Vec::new();
    for (place, ratio, what, has_goal) in FIGURES {
        let at = |moment: &str| cell(result[moment].pointer(place));
        let ratio = result["ratio"].pointer(ratio).filter(|ratio| ratio.is_number());
        let goal = if has_goal { format!("at most {GROWTH}") } else { String::new() };
        table.push(row([what, &at("first_tenth"), &at("end"), &cell(ratio), &goal]));
        let grown = ratio.and_then(Value::as_f64).filter(|ratio| has_goal && *ratio > GROWTH);
        missing.extend(grown.map(|ratio| format!("{what}: grew by more than {GROWTH}: {ratio}")));
    }
    for (what, count) in result["counts"].as_object().into_iter().flatten() {
        table.push(row([&what.replace('_', " "), "", &count.to_string(), "", ""]));
    }
    let mut notes = vec![
        format!(
            "{} agents, {} steps of the seed {} in {} s; they run on one thread of the same processors",
            result["agents"], result["steps"], result["seed"], result["lived_s"]
        ),
        "an acknowledged change that is missing would have ended this with an error".to_owned(),
    ];
    notes.extend(left_out(&result));
    Outcome { report: Report { unit: "as named", results: result, table, notes }, missing }
}

/// A line about what a measurement of another coordinator leaves out, if anything.
pub(super) fn left_out(result: &Value) -> Option<String> {
    let names: Vec<_> = result["left_out"].as_array()?.iter().filter_map(Value::as_str).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        format!("left out, since they need the coordinator's admin or its process (--pid): {names}")
    })
}

/// A figure as people read it.
fn cell(value: Option<&Value>) -> String {
    value.filter(|value| !value.is_null()).map_or("-".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn life(ratio: f64) -> Value {
        let size = json!({ "network_bytes": 100, "pages_bytes": 200, "log_entries": 7 });
        let moment = json!({ "private_kib": 1000.0, "database": size });
        json!({
            "agents": 300, "steps": 3000, "seed": 28, "lived_s": 640.5, "counts": { "moved": 9 },
            "first_tenth": moment, "end": moment,
            "ratio": { "private_kib": 1.0, "network_bytes": ratio, "pages_bytes": 1.3 },
            "left_out": [],
        })
    }

    #[test]
    fn rows_that_stay_are_told_and_room_in_pages_is_not() {
        assert_eq!(outcome(life(1.05)).missing, [""; 0]);
        let grown = outcome(life(1.06)).missing;
        assert_eq!(grown, ["rows of the network, bytes: grew by more than 1.05: 1.06"]);
    }

    #[test]
    fn what_another_coordinator_has_not_is_a_dash_and_a_note() {
        let mut result = life(1.0);
        result["first_tenth"]["database"] = Value::Null;
        result["left_out"] = json!(["policies", "memory"]);
        let Outcome { report, missing } = outcome(result);
        assert_eq!(missing, [""; 0]);
        assert_eq!(report.table[2][..2], ["rows of the network, bytes", "-"]);
        assert!(report.notes.last().is_some_and(|note| note.ends_with(": policies, memory")));
    }
}
