//! How a policy's changes, tests and decisions are printed.

use coordinator_api::{
    PolicyChange, PolicyChanges, PolicyDecision, PolicyDiff, PolicyLocation, PolicyNote,
    PolicyTested,
};
use messages::message;
use serde::Serialize;

use crate::output::{self, Format};

/// Prints what there is to know of a policy, beside the result; for programs it is in the result.
pub(super) fn warnings(format: Format, warnings: &[PolicyNote]) {
    let for_people = warnings.iter().filter(|_| format == Format::Table);
    for PolicyNote { place, reason } in for_people {
        output::note(common::foreign::line(
            &message!("policy-warning", place = at(place), reason).to_string(),
        ));
    }
}

/// Prints what opens and closes, beside the result.
pub(super) fn notes(changes: &PolicyChanges) {
    if is_empty(changes) {
        output::note(message!("policy-same"));
    }
    for (verb, change) in rows(changes) {
        let arrow = if change.from.is_empty() { "" } else { " -> " };
        let (from, what) = (change.from.join(", "), change.what.join(", "));
        output::note(common::foreign::line(&format!("{verb}: {from}{arrow}{}: {what}", change.to)));
    }
}

/// Prints what opens and closes as the result.
pub(super) fn changes(format: Format, diff: &PolicyDiff) -> anyhow::Result<()> {
    if format != Format::Table {
        return output::structured(format, diff);
    }
    let changes = &diff.changes;
    if is_empty(changes) {
        return output::line(message!("policy-same"));
    }
    let rows: Vec<Row<'_>> = rows(changes).map(|(verb, change)| Row { verb, change }).collect();
    output::list(format, &rows, &message!("policy-change-heads"), |row| {
        vec![
            row.verb.clone(),
            row.change.from.join(", "),
            row.change.to.clone(),
            row.change.what.join(", "),
        ]
    })
}

#[derive(Serialize)]
struct Row<'a> {
    verb: String,
    change: &'a PolicyChange,
}

fn is_empty(changes: &PolicyChanges) -> bool {
    changes.opens.is_empty() && changes.closes.is_empty()
}

fn rows(changes: &PolicyChanges) -> impl Iterator<Item = (String, &PolicyChange)> {
    let opens = changes.opens.iter().map(|change| (message!("opens").to_string(), change));
    opens.chain(changes.closes.iter().map(|change| (message!("closes").to_string(), change)))
}

/// Prints how each test came out.
pub(super) fn tests(format: Format, tested: &PolicyTested) -> anyhow::Result<()> {
    if format != Format::Table {
        return output::structured(format, tested);
    }
    if tested.tests.is_empty() {
        return output::line(message!("no-policy-tests"));
    }
    output::list(format, &tested.tests, &message!("policy-test-heads"), |test| {
        vec![
            if test.passed { message!("test-passed") } else { message!("test-failed") }.to_string(),
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
    output::list(format, decisions, &message!("policy-decision-heads"), |decision| {
        let rule = decision.rule.as_ref().map(at);
        vec![
            decision.from.clone(),
            decision.to.clone(),
            output::yes(decision.allowed),
            rule.unwrap_or_else(|| message!("no-rule").to_string()),
            decision.through.clone().unwrap_or_default(),
        ]
    })
}

fn at(place: &PolicyLocation) -> String {
    message!("policy-place", line = place.line, column = place.column, place = place.place)
        .to_string()
}
