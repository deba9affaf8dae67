//! One entry of systemd's journal in its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): lines of
//! `NAME=value`.
//!
//! `tracing-journald` (0.3) is not used: it sends values as they are, so that a stranger's text could steer the terminal of
//! whoever reads it; its values have no limit; a field of an event could repeat `PRIORITY`; causes of errors are left out;
//! and an event that is not taken is lost without a word.

use std::{error::Error, fmt};

use common::foreign;
use tracing::{
    Event as Traced, Level,
    field::{Field, Visit},
};

use super::event::Event;
use crate::causes;

/// Most bytes of a value; a longer one is cut. `journalctl -o json` leaves out fields of more than 4096.
const VALUE_MAX: usize = 3 << 10;
/// Most bytes of a field's name (`journal_field_valid` in systemd).
const NAME_MAX: usize = 64;
/// Follows a value that was cut.
const CUT: char = '…';
/// Before a name that the journal gives a meaning.
const PREFIX: &str = "FIELD_";

/// Names with a meaning for the journal or what reads it (`systemd.journal-fields(7)`); one that ends with an underscore stands
/// for all that begin so.
const RESERVED: &[&str] = &[
    "CODE_",
    "CONTAINER_",
    "COREDUMP_",
    "DOCUMENTATION",
    "ERRNO",
    "IMAGE_",
    "INVOCATION_ID",
    "JOB_",
    "MESSAGE",
    "MESSAGE_ID",
    "OBJECT_",
    "PRIORITY",
    // Ours, of the span.
    "REQUEST",
    "SYSLOG_",
    "TARGET",
    "TID",
    "UNIT",
    "UNIT_RESULT",
    "USER_INVOCATION_ID",
    "USER_UNIT",
];

/// The lines of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry(String);

impl Entry {
    /// The entry of an event of `tracing`, from `program`, and about the request with this id.
    pub(super) fn of(traced: &Traced<'_>, program: &str, request: Option<&str>) -> Self {
        let mut fields = Fields::default();
        traced.record(&mut fields);
        let meta = traced.metadata();
        let mut entry = Self::new(priority(*meta.level()), program, &fields.text());
        entry.put("TARGET", meta.target());
        if let Some(id) = request {
            entry.put("REQUEST", id);
        }
        for (name, value) in &fields.others {
            if *name == "event"
                && let Some(event) = Event::named(value)
            {
                entry.put("MESSAGE_ID", event.id);
            }
            entry.put(&own_name(name), value);
        }
        entry
    }

    fn new(priority: char, program: &str, message: &str) -> Self {
        let mut entry = Self::default();
        entry.put("PRIORITY", priority.encode_utf8(&mut [0; 4]));
        entry.put("SYSLOG_IDENTIFIER", program);
        entry.put("MESSAGE", message);
        entry
    }

    /// Adds a field. The value is on one line, so that it cannot begin another field.
    fn put(&mut self, name: &str, value: &str) {
        let shown = foreign::line(value);
        let end = shown.floor_char_boundary(VALUE_MAX);
        self.0.extend([name, "=", &shown[..end]]);
        if end < shown.len() {
            self.0.push(CUT);
        }
        self.0.push('\n');
    }

    /// The datagram.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// As a line for a stream that systemd reads, which takes the priority from its beginning (`sd-daemon(3)`).
    pub(super) fn line(&self) -> String {
        let of = |name| self.0.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        format!("<{}>{}\n", of("PRIORITY="), of("MESSAGE="))
    }
}

/// The priority of a level (`syslog(3)`).
const fn priority(level: Level) -> char {
    match level {
        Level::ERROR => '3',
        Level::WARN => '4',
        Level::INFO => '6',
        Level::DEBUG | Level::TRACE => '7',
    }
}

/// The name in the journal of a field of an event: of capitals, digits and underscores, beginning with a letter, and none that
/// means something there.
fn own_name(field: &str) -> String {
    let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let mut name: String = field.chars().map(capital).collect();
    let is_letter = |c: char| c.is_ascii_uppercase();
    if !name.starts_with(is_letter) || is_reserved(&name) {
        name.insert_str(0, PREFIX);
    }
    name.truncate(NAME_MAX);
    name
}

fn is_reserved(name: &str) -> bool {
    let is = |it: &&str| if it.ends_with('_') { name.starts_with(*it) } else { name == *it };
    RESERVED.iter().any(is)
}

/// The fields of an event.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    /// In the message, as log lines have them.
    shown: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    /// The message and the fields, for people.
    fn text(&self) -> String {
        format!("{}{}", self.message, self.shown).trim_start().to_owned()
    }

    fn add(&mut self, field: &Field, shown: &str, value: String) {
        let name = field.name();
        if name == "message" {
            self.message = value;
            return;
        }
        self.shown.extend([" ", name, "=", shown]);
        self.others.push((name, value));
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, &format!("{value:?}"), value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let text = causes::line(value);
        self.add(field, &text.clone(), text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.add(field, &text.clone(), text);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Reads an entry as the journal does; what a datagram without a binary field is.
    fn read(entry: &Entry) -> Vec<(&str, &str)> {
        let text = str::from_utf8(entry.bytes()).unwrap();
        let whole = text.strip_suffix('\n').expect("the last field ends");
        whole.split('\n').map(|line| line.split_once('=').expect("a field has a value")).collect()
    }

    /// `journal_field_valid` in systemd, for a sender that is not systemd.
    fn is_valid(name: &str) -> bool {
        !name.starts_with('_')
            && name.len() <= NAME_MAX
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| matches!(c, 'A'..='Z' | '0'..='9' | '_'))
    }

    #[test]
    fn a_field_keeps_its_name_unless_the_journal_gives_it_a_meaning() {
        for (field, name) in [
            ("node", "NODE"),
            ("rate-limit.key", "RATE_LIMIT_KEY"),
            ("priority", "FIELD_PRIORITY"),
            ("request", "FIELD_REQUEST"),
            ("message_id", "FIELD_MESSAGE_ID"),
            ("unit", "FIELD_UNIT"),
            ("object_pid", "FIELD_OBJECT_PID"),
            ("code", "CODE"),
            ("code_file", "FIELD_CODE_FILE"),
            ("_pid", "FIELD__PID"),
            ("9lives", "FIELD_9LIVES"),
            ("", "FIELD_"),
            ("마루", "FIELD___"),
        ] {
            assert_eq!(own_name(field), name);
        }
    }

    proptest! {
        #[test]
        fn no_field_of_an_event_forges_another(
            fields in prop::collection::vec((any::<String>(), any::<String>()), 0..32),
            message in any::<String>(),
        ) {
            let mut entry = Entry::new('6', "maru-test", &message);
            for (name, value) in &fields {
                entry.put(&own_name(name), value);
            }

            let read = read(&entry);

            prop_assert_eq!(read.len(), 3 + fields.len());
            prop_assert!(read.iter().all(|(name, _)| is_valid(name)), "{:?}", read);
            prop_assert!(!read.iter().any(|(_, value)| value.contains(foreign::steers)));
            let mut counts = BTreeMap::new();
            for (name, _) in &read {
                *counts.entry(*name).or_insert(0) += 1;
            }
            for name in ["PRIORITY", "SYSLOG_IDENTIFIER", "MESSAGE"] {
                prop_assert_eq!(counts[name], 1, "{}", name);
            }
            for ((name, value), (field, text)) in read[3..].iter().zip(&fields) {
                prop_assert_eq!(*name, own_name(field));
                prop_assert_eq!(*value, foreign::line(text));
            }
        }
    }

    #[test]
    fn what_is_long_is_cut_and_the_largest_entry_is_one_datagram() {
        let long = "가".repeat(VALUE_MAX);
        let mut entry = Entry::new('6', "maru-test", &long);
        for _ in 0..32 {
            entry.put(&own_name("long"), &long);
        }

        let read = read(&entry);

        for (_, value) in &read[2..] {
            assert!(value.ends_with(CUT) && value.len() <= VALUE_MAX + CUT.len_utf8());
        }
        // `net.core.wmem_default` is 208 KiB.
        assert!(entry.bytes().len() < 160 << 10, "{}", entry.bytes().len());
        assert!(entry.line().starts_with("<6>가") && entry.line().lines().count() == 1);
    }
}
