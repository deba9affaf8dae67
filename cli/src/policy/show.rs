//! How a policy's changes, tests and decisions are printed.

use coordinator_api::{
    PolicyChange, PolicyChanges, PolicyDecision, PolicyDiff, PolicyNote, PolicyPlace, PolicyTested,
};
use serde::Serialize;

use crate::output::{self, Format};

/// What is said of a policy that lets the same packets pass, and tells the same capabilities and attributes.
const NOTHING: &str = "nothing opens, nothing closes";

/// Prints what there is to know of a policy, beside the result; for programs it is in the result.
pub(super) fn warnings(format: Format, warnings: &[PolicyNote]) {
    let for_people = warnings.iter().filter(|_| format == Format::Table);
    for PolicyNote { place, reason } in for_people {
        output::note(&common::foreign::line(&format!("warning: {}: {reason}", at(place))));
    }
}

/// Prints what opens and closes, beside the result.
pub(super) fn notes(changes: &PolicyChanges) {
    if is_empty(changes) {
        output::note(NOTHING);
    }
    for (verb, change) in rows(changes) {
        let arrow = if change.from.is_empty() { "" } else { " -> " };
        let (from, what) = (change.from.join(", "), change.what.join(", "));
        output::note(&common::foreign::line(&format!(
            "{verb}: {from}{arrow}{}: {what}",
            change.to
        )));
    }
}

/// Prints what opens and closes as the result.
pub(super) fn changes(format: Format, diff: &PolicyDiff) -> anyhow::Result<()> {
    if format != Format::Table {
        return output::one(format, diff, &[]);
    }
    let changes = &diff.changes;
    if is_empty(changes) {
        return output::line(NOTHING);
    }
    let rows: Vec<Row<'_>> = rows(changes).map(|(verb, change)| Row { verb, change }).collect();
    output::list(format, &rows, &["", "FROM", "TO", "WHAT"], |row| {
        vec![
            row.verb.to_owned(),
            row.change.from.join(", "),
            row.change.to.clone(),
            row.change.what.join(", "),
        ]
    })
}

#[derive(Serialize)]
struct Row<'a> {
    verb: &'static str,
    change: &'a PolicyChange,
}

fn is_empty(changes: &PolicyChanges) -> bool {
    changes.opens.is_empty() && changes.closes.is_empty()
}

fn rows(changes: &PolicyChanges) -> impl Iterator<Item = (&'static str, &PolicyChange)> {
    let opens = changes.opens.iter().map(|change| ("opens", change));
    opens.chain(changes.closes.iter().map(|change| ("closes", change)))
}

/// Prints how each test came out.
pub(super) fn tests(format: Format, tested: &PolicyTested) -> anyhow::Result<()> {
    if format != Format::Table {
        return output::one(format, tested, &[]);
    }
    if tested.tests.is_empty() {
        return output::line("the policy has no tests");
    }
    let headers = ["RESULT", "PLACE", "SRC", "PROTO", "WANTED", "DST", "REASON"];
    output::list(format, &tested.tests, &headers, |test| {
        vec![
            if test.passed { "ok" } else { "FAILS" }.to_owned(),
            at(&test.place),
            test.src.clone(),
            test.protocol.clone(),
            if test.accept { "accept" } else { "deny" }.to_owned(),
            test.dst.clone(),
            test.reason.clone(),
        ]
    })
}

/// Prints who reaches whom, and why.
pub(super) fn decisions(format: Format, decisions: &[PolicyDecision]) -> anyhow::Result<()> {
    let headers = ["FROM", "TO", "REACHED", "RULE", "THROUGH"];
    output::list(format, decisions, &headers, |decision| {
        let rule = decision.rule.as_ref().map(at);
        vec![
            decision.from.clone(),
            decision.to.clone(),
            output::yes(decision.allowed),
            rule.unwrap_or_else(|| "no rule allows it".to_owned()),
            decision.through.clone().unwrap_or_default(),
        ]
    })
}

fn at(place: &PolicyPlace) -> String {
    format!("line {}, column {}: {}", place.line, place.column, place.place)
}
