//! An entry of a daemon's log: from the journal, as `journalctl -o json` prints it, or a line of a file.

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, ErrorKind},
};

use clap::ValueEnum;
use common::foreign;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use supervisor::log::parts;

/// Most characters of a text that is shown.
pub(crate) const TEXT_MAX: usize = 4096;
/// Most fields that are shown, as many as an event of `tracing` has.
pub(crate) const FIELDS_MAX: usize = 32;
/// What is no field of an event: what is shown apart, and what begins as what senders of others add.
const NOT_SHOWN: &[&str] = &["MESSAGE", "PRIORITY"];
const OF_SENDERS: &[&str] = &["_", "CODE_", "CONTAINER_", "SYSLOG_"];

/// How urgent an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Something does not work.
    Error,
    /// Something may stop working.
    Warning,
    /// What happens.
    Info,
    /// For developers.
    Debug,
}

impl Priority {
    /// Of a level of `tracing`.
    fn of_level(level: &str) -> Self {
        match level {
            "ERROR" => Self::Error,
            "WARN" => Self::Warning,
            "INFO" => Self::Info,
            _ => Self::Debug,
        }
    }

    /// Of a number of `syslog(3)`.
    fn of_number(number: &str) -> Self {
        match number {
            "0" | "1" | "2" | "3" => Self::Error,
            "4" => Self::Warning,
            "7" => Self::Debug,
            _ => Self::Info,
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "ERROR",
            Self::Warning => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
        })
    }
}

/// One entry. Its texts are of others: each is one line that steers no terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When it was written.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// The service, as `maru log --daemon` takes it.
    pub daemon: String,
    /// How urgent it is.
    pub priority: Priority,
    /// What it says.
    pub message: String,
    /// The event's fields, if it came with fields.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
    /// Why systemd says that the unit failed (`UNIT_RESULT`), if it is that entry.
    #[serde(skip)]
    pub result: Option<String>,
}

impl Entry {
    /// Reads a line of `journalctl -o json`; `None` if it is no entry of a service.
    #[must_use]
    pub fn of_journal(line: &[u8]) -> Option<Self> {
        let all: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let text = |name: &str| all.get(name).and_then(text).unwrap_or_default();
        let micros = text("__REALTIME_TIMESTAMP").parse().ok()?;
        let at = Timestamp::from_microsecond(micros).ok()?;
        let is_systemds = text("_PID") == "1";
        // Fields with an underscore are the journal's own: no sender can write them.
        let unit = text(if is_systemds { "UNIT" } else { "_SYSTEMD_UNIT" });
        let daemon = unit.strip_prefix("maru-")?.strip_suffix(".service")?.to_owned();
        let message = text("MESSAGE");
        let mut priority = Priority::of_number(&text("PRIORITY"));
        let mut shown = message.as_str();
        let fields = all.iter().filter(|(name, _)| is_shown(name));
        let fields =
            fields.filter_map(|(name, value)| Some((self::shown(name), self::text(value)?)));
        let mut fields: BTreeMap<_, _> = fields.take(FIELDS_MAX).collect();
        if is_systemds || all.contains_key("CONTAINER_ID") {
            fields.clear();
        }
        if let Some((_, level, rest)) = parts(&message) {
            // Podman gives each line of standard error the same priority.
            (priority, shown) = (Priority::of_level(level), rest);
        }
        let result = text("UNIT_RESULT");
        Some(Self {
            at,
            daemon,
            priority,
            message: shown.trim().to_owned(),
            fields,
            result: Some(result).filter(|result| is_systemds && !result.is_empty()),
        })
    }

    /// Reads a line of a service's file. One without a time, such as a panic's, is an error of the time `last`.
    #[must_use]
    pub fn of_line(daemon: &str, line: &str, last: Timestamp) -> Self {
        let (at, priority, message) = match parts(line) {
            Some((at, level, rest)) => (at, Priority::of_level(level), rest),
            None => (last, Priority::Error, line),
        };
        let (daemon, message) = (daemon.to_owned(), shown(message.trim()));
        Self { at, daemon, priority, message, fields: BTreeMap::new(), result: None }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, daemon, priority, message, .. } = self;
        write!(f, "{at:.3}  {daemon}  {priority:5}  {message}")
    }
}

fn as_text<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(at)
}

fn shown(text: &str) -> String {
    foreign::short(text, TEXT_MAX)
}

/// Whether a field is one of an event.
fn is_shown(name: &str) -> bool {
    !NOT_SHOWN.contains(&name) && !OF_SENDERS.iter().any(|it| name.starts_with(it))
}

/// The text of a field. One that is not UTF-8 is a list of bytes, one that is too long is `null`, and one that is there
/// several times is a list of these (`journalctl(1)`, "Journal JSON Format").
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(shown(text)),
        Value::Array(list) => {
            let first = list.first()?;
            if matches!(first, Value::String(_) | Value::Array(_)) {
                return text(first);
            }
            let byte = |it: &Value| it.as_u64().and_then(|it| u8::try_from(it).ok());
            let bytes: Option<Vec<_>> = list.iter().map(byte).collect();
            Some(shown(&String::from_utf8_lossy(&bytes?)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// Most bytes of a line of `journalctl`.
const LINE_MAX: usize = 1 << 20;

/// The next line, without its end; longer ones than [`LINE_MAX`] are left out. `None` at the end.
pub(crate) async fn next_line(
    from: &mut (impl tokio::io::AsyncBufRead + Unpin),
) -> io::Result<Option<Vec<u8>>> {
    use tokio::io::AsyncBufReadExt as _;
    let (mut line, mut is_long) = (Vec::new(), false);
    loop {
        let part = match from.fill_buf().await {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            part => part?,
        };
        if part.is_empty() {
            return Ok((!line.is_empty() && !is_long).then_some(line));
        }
        let end = part.iter().position(|&byte| byte == b'\n');
        let taken = end.unwrap_or(part.len());
        is_long |= line.len() + taken > LINE_MAX;
        if is_long {
            line.clear();
        } else {
            line.extend_from_slice(&part[..taken]);
        }
        from.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            if !is_long {
                return Ok(Some(line));
            }
            (line, is_long) = (Vec::new(), false);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Option<Entry> {
        Entry::of_journal(value.to_string().as_bytes())
    }

    fn entry(unit: &str, more: &Value) -> Value {
        let mut entry = json!({
            "__REALTIME_TIMESTAMP": "1790000000123456", "_PID": "77", "_SYSTEMD_UNIT": unit, "PRIORITY": "4",
            "MESSAGE": "says node=7", "SYSLOG_IDENTIFIER": "maru-coordinator", "NODE": "7",
        });
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    }

    #[test]
    fn an_event_of_a_daemon_has_its_fields() {
        let read = read(&entry("maru-coordinator.service", &json!({}))).unwrap();

        assert_eq!((read.daemon.as_str(), read.priority), ("coordinator", Priority::Warning));
        assert_eq!(read.message, "says node=7");
        assert_eq!(read.fields, BTreeMap::from([("NODE".to_owned(), "7".to_owned())]));
        assert_eq!(read.at.as_microsecond(), 1_790_000_000_123_456);
    }

    #[test]
    fn a_line_of_a_container_has_the_level_that_it_says() {
        let line = |message: &str| {
            let more =
                json!({"MESSAGE": message, "PRIORITY": "3", "CONTAINER_ID": "x", "NODE": "forged"});
            read(&entry("maru-gateway.service", &more)).unwrap()
        };

        let said = line("2026-11-26T10:00:00.000001Z  INFO gateway: ready key=1\n");
        assert_eq!(
            (said.priority, said.message.as_str()),
            (Priority::Info, "gateway: ready key=1")
        );
        assert_eq!(said.fields, BTreeMap::new());
        assert_eq!(line("maru-gateway: no room").priority, Priority::Error);
    }

    #[test]
    fn a_result_is_systemds_own_and_nobody_speaks_for_another_unit() {
        let more = json!({"_PID": "1", "UNIT": "maru-relay.service", "UNIT_RESULT": "oom-kill"});
        let said = read(&entry("init.scope", &more)).unwrap();
        assert_eq!((said.daemon.as_str(), said.result.as_deref()), ("relay", Some("oom-kill")));

        let more = json!({"UNIT": "maru-relay.service", "UNIT_RESULT": "oom-kill"});
        let said = read(&entry("maru-gateway.service", &more)).unwrap();
        assert_eq!((said.daemon.as_str(), said.result), ("gateway", None));
        assert_eq!(read(&entry("ssh.service", &more)), None);
    }

    #[test]
    fn bytes_lists_and_what_is_left_out_are_read() {
        let more = json!({"MESSAGE": [97, 27, 98], "NODE": ["1", "2"], "LONG": null});
        let said = read(&entry("maru-agent.service", &more)).unwrap();
        assert_eq!(said.message, "a\u{fffd}b");
        assert_eq!(said.fields, BTreeMap::from([("NODE".to_owned(), "1".to_owned())]));
    }

    #[test]
    fn a_line_of_a_file_without_a_time_is_an_error() {
        let last = Timestamp::UNIX_EPOCH;
        let said = Entry::of_line("agent", "2026-11-26T10:00:00Z  WARN agent: a\u{202e}b", last);
        assert_eq!(said.to_string(), "2026-11-26T10:00:00.000Z  agent  WARN   agent: a\u{fffd}b");
        let said = Entry::of_line("agent", "thread 'main' panicked", last);
        assert_eq!((said.at, said.priority), (last, Priority::Error));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_left_out_and_the_next_is_read() {
        let long = vec![b'x'; LINE_MAX + 1];
        let bytes = [b"a\n", long.as_slice(), b"\n", &long[..LINE_MAX], b"\nb"].concat();
        let mut from = tokio::io::BufReader::with_capacity(4096, bytes.as_slice());

        let mut lens = Vec::new();
        while let Some(line) = next_line(&mut from).await.unwrap() {
            lens.push(line.len());
        }
        assert_eq!(lens, [1, LINE_MAX, 1]);
    }

    proptest! {
        #[test]
        fn what_is_read_steers_no_terminal(
            unit in "(maru-[a-z\u{202e}\n]{0,9}\\.service)?",
            texts in prop::collection::btree_map("[A-Z_\u{9b}]{1,12}", any::<String>(), 0..40),
            message in any::<String>(),
        ) {
            let mut all = json!(texts);
            all["__REALTIME_TIMESTAMP"] = json!("1790000000123456");
            all["_SYSTEMD_UNIT"] = json!(unit);
            all["MESSAGE"] = json!(message);
            let Some(entry) = read(&all) else { return Ok(()) };
            prop_assert!(!entry.to_string().contains(foreign::steers));
            prop_assert!(entry.fields.len() <= FIELDS_MAX);
            for (name, value) in &entry.fields {
                prop_assert!(!name.contains(foreign::steers) && !value.contains(foreign::steers));
            }
        }
    }
}
