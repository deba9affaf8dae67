//! No type has a name that a stranger cannot understand.
//!
//! A name that stays on purpose has a row in the glossary whose first column has it in backticks.

use std::{collections::BTreeSet, fs, path::Path};

use super::sources;

/// Type names that are not used, and what to use instead.
const BANNED: &[(&str, &str)] = &[
    ("Admitted", "Permit"),
    ("Answering", "PendingResponse"),
    ("Arriving", "Reader"),
    ("Asked", "Request"),
    ("Asking", "Client"),
    ("At", "Position"),
    ("By", "Author"),
    ("Called", "Caller"),
    ("Dialled", "Connection"),
    ("Door", "Listener"),
    ("Doors", "Listeners"),
    ("Ear", "Receiver"),
    ("FitToSeal", "VerifiedNode"),
    ("Fitting", "Match"),
    ("Given", "Input"),
    ("Gone", "Unreachable"),
    ("Harm", "Tampering"),
    ("Heard", "PacketKind"),
    ("Held", "Reservation"),
    ("Here", "Local"),
    ("House", "Deployment"),
    ("Kept", "Record"),
    ("Known", "Context"),
    ("Lack", "MissingField"),
    ("Lacking", "MissingRequirement"),
    ("LastWords", "LastOutput"),
    ("Late", "Timeout"),
    ("Left", "Remaining"),
    ("Lent", "Borrowed"),
    ("Life", "Lifecycle"),
    ("Listening", "ListenOptions"),
    ("Made", "Created"),
    ("Meaning", "CanonicalForm"),
    ("Measured", "Measurement"),
    ("Memories", "Stores"),
    ("Mend", "Repair"),
    ("Missed", "Miss"),
    ("Newcomer", "PendingConnection"),
    ("Newcomers", "PendingConnections"),
    ("NodeNews", "NodeStatus"),
    ("Noted", "Record"),
    ("Of", "Owner"),
    ("Offered", "Candidate"),
    ("Ours", "LocalValue"),
    ("Own", "LocalFiles"),
    ("Passing", "RelayState"),
    ("Place", "Location"),
    ("Places", "Locations"),
    ("Proved", "VerifiedNode"),
    ("Said", "Statement"),
    ("Seat", "Slot"),
    ("Seen", "Snapshot"),
    ("Shows", "Display"),
    ("Silence", "Timeout"),
    ("Spot", "Location"),
    ("Standing", "PeerState"),
    ("Stock", "UpstreamClient"),
    ("Stranger", "KeyRejection"),
    ("Takeover", "Handoff"),
    ("Takes", "Behavior"),
    ("Talk", "ConnectionHandler"),
    ("Theirs", "RemoteValue"),
    ("There", "Remote"),
    ("Thing", "Item"),
    ("Timed", "Timeout"),
    ("To", "Destination"),
    ("Told", "Notification"),
    ("Took", "Duration"),
    ("Tries", "AttemptLimit"),
    ("Turn", "Permit"),
    ("UnderWay", "PendingRequest"),
    ("Untaken", "Unclaimed"),
    ("Waits", "WaitTimes"),
    ("Wanted", "Parameters"),
    ("Way", "Route"),
    ("Ways", "Routes"),
    ("What", "Kind"),
    ("Whole", "Complete"),
    ("Words", "Texts"),
    ("World", "Simulation"),
    ("Yields", "Output"),
];

/// What declares a type.
const KEYWORDS: [&str; 5] = ["struct", "enum", "trait", "type", "union"];

/// The type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1.trim_start(),
        Some(rest) => rest.trim_start(),
        None => line,
    };
    let (keyword, rest) = line.strip_prefix("unsafe ").unwrap_or(line).split_once(' ')?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    KEYWORDS.contains(&keyword).then_some(name)
}

/// Banned types that a source declares, as `line: name: what to use instead`.
fn banned(source: &str, allowed: &BTreeSet<&str>) -> Vec<String> {
    let names = source.lines().enumerate().filter_map(|(at, line)| Some((at, declared(line)?)));
    let row = |(at, name): (usize, &str)| {
        let (_, instead) = BANNED.iter().find(|(banned, _)| *banned == name)?;
        (!allowed.contains(name)).then(|| format!("{}: {name}: use {instead}", at + 1))
    };
    names.filter_map(row).collect()
}

/// Names in backticks in the first column of the glossary.
fn in_the_glossary() -> BTreeSet<&'static str> {
    let rows = include_str!("../../../../glossary.md").lines();
    let first = rows.filter_map(|line| line.strip_prefix('|')?.split('|').next());
    first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn types_have_names_of_the_field() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
    let has_sources = |folder: &Path| {
        let name = folder.file_name().unwrap().to_str().unwrap();
        folder.is_dir() && !name.starts_with('.') && name != "target"
    };
    let (allowed, mut read, mut found) = (in_the_glossary(), 0, Vec::new());
    for file in folders.filter(|folder| has_sources(folder)).flat_map(|folder| sources(&folder)) {
        read += 1;
        let rows = banned(&fs::read_to_string(&file).unwrap(), &allowed);
        let file = file.strip_prefix(&root).unwrap().display();
        found.extend(rows.iter().map(|row| format!("{file}:{row}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(read > 1000, "only {read} files were read");
}

#[test]
fn a_banned_name_is_found_unless_the_glossary_has_it() {
    let (name, instead) = BANNED[0];
    let declarations = ["struct", "pub enum", "pub(crate) trait", "    pub(in a::b) type", "union"];
    for declaration in declarations {
        for end in [";", " {", "<T> {", "(u8);", " = u8;"] {
            let source = format!("//! Text.\n\n{declaration} {name}{end}\n");
            let expected = format!("3: {name}: use {instead}");
            assert_eq!(banned(&source, &BTreeSet::new()), [expected], "{source}");
            assert_eq!(banned(&source, &BTreeSet::from([name])), [""; 0], "{source}");
        }
    }
    for other in ["// struct ", "struct A", "let structure = ", "use super::", "fn "] {
        let source = format!("{other}{name}s;\n");
        assert_eq!(banned(&source, &BTreeSet::new()), [""; 0], "{source}");
    }
}

#[test]
fn each_banned_name_is_listed_once_with_another_word() {
    let names: BTreeSet<_> = BANNED.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), BANNED.len());
    for (name, instead) in BANNED {
        assert!(!instead.split(", ").any(|word| names.contains(&word)), "{name}: {instead}");
    }
    assert!(in_the_glossary().contains("aad"), "the glossary's first column is read");
}
