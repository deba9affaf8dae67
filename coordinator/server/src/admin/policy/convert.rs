//! Converts results of the policy language to types of the API.

use coordinator_api::{PolicyChange, PolicyChanges, PolicyLocation, PolicyNote, PolicyTest};

pub(super) fn place(at: acl::Position, place: String) -> PolicyLocation {
    let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
    PolicyLocation { place, line: number(at.line), column: number(at.column) }
}

pub(super) fn note(warning: acl::Warning) -> PolicyNote {
    PolicyNote { place: place(warning.at, warning.place), reason: warning.reason }
}

pub(super) fn test(result: acl::TestResult) -> PolicyTest {
    PolicyTest {
        place: place(result.at, result.place),
        src: result.src,
        dst: result.dst,
        protocol: result.protocol,
        accept: result.wanted,
        passed: result.passed,
        reason: result.reason,
    }
}

pub(super) fn changes(changes: acl::Changes) -> PolicyChanges {
    let all = |changes: Vec<acl::Change>| changes.into_iter().map(change).collect();
    PolicyChanges { opens: all(changes.opens), closes: all(changes.closes) }
}

fn change(acl::Change { to, from, what }: acl::Change) -> PolicyChange {
    PolicyChange { from, to, what }
}
