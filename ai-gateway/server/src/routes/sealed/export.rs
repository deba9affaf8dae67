//! Files of a person's sessions: `docs/protocols/sealed-chat.md`, *Exported files*.

use std::fmt::Write as _;

use ai_gateway_api::sealed::{ExportFormat, SessionMessage};
use common::foreign;
use conversations::{Entry, NumberedMessage, Reader, Summary};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    arena,
    sessions::{OperationError, Scan},
};

/// A file that is being written. Only one part of it is in memory.
pub(super) struct ExportStream {
    scan: Scan,
    /// The one session that is exported; otherwise all are.
    only: Option<Option<Entry>>,
    reader: Option<Reader>,
    file: File,
    ended: bool,
}

impl ExportStream {
    /// A file of one session, or of all that `scan` has.
    pub(super) fn new(scan: Scan, only: Option<Entry>, format: ExportFormat) -> Self {
        let file = File { format, sessions: 0, messages: 0 };
        Self { scan, only: only.map(Some), reader: None, file, ended: false }
    }

    fn next_entry(&mut self) -> Option<Entry> {
        match &mut self.only {
            Some(only) => only.take(),
            None => self.scan.next(),
        }
    }

    /// The next part of the file.
    pub(super) async fn next(&mut self) -> Result<Option<String>, OperationError> {
        if let Some(reader) = &mut self.reader {
            let part = self.scan.part(reader).await?;
            return Ok(Some(arena::locked(|_| match part {
                Some(messages) => self.file.messages(messages),
                None => {
                    self.reader = None;
                    self.file.end_session()
                }
            })));
        }
        if let Some(entry) = self.next_entry() {
            self.reader = Some(entry.reader()?);
            return arena::locked(|_| Ok(Some(self.file.begin_session(&entry.summary()?))));
        }
        Ok((!std::mem::replace(&mut self.ended, true)).then(|| self.file.end()))
    }
}

/// Writes a file.
struct File {
    format: ExportFormat,
    /// Sessions that were begun.
    sessions: usize,
    /// Messages of the current session.
    messages: usize,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Date and time in UTC.
fn time(unix_ms: i64) -> String {
    let time = Timestamp::from_millisecond(unix_ms).unwrap_or_default();
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

impl File {
    const HEAD: &str = "{\"version\":1,\"conversations\":[";

    fn begin_session(&mut self, session: &Summary) -> String {
        let Summary { name, created_at, used_at, .. } = session;
        let before = match (self.format, self.sessions) {
            (ExportFormat::Json, 0) => Self::HEAD,
            (ExportFormat::Json, _) => ",",
            (ExportFormat::Markdown, _) => "",
        };
        (self.sessions, self.messages) = (self.sessions + 1, 0);
        match self.format {
            ExportFormat::Json => {
                let name = json(name);
                format!(
                    "{before}\n{{\"name\":{name},\"created_at\":{created_at},\"used_at\":{used_at},\"messages\":["
                )
            }
            ExportFormat::Markdown => format!("# {}\n\n", foreign::line(name)),
        }
    }

    fn messages(&mut self, messages: Vec<NumberedMessage>) -> String {
        let mut text = String::new();
        for NumberedMessage { number, created_at, message } in messages {
            // Writing to a string cannot fail.
            let _ = match self.format {
                ExportFormat::Json => {
                    let before = if self.messages == 0 { "" } else { "," };
                    let message = SessionMessage {
                        role: message.role,
                        content: message.text,
                        number: number.try_into().ok(),
                        time: created_at.try_into().ok(),
                    };
                    write!(text, "{before}\n{}", json(&message))
                }
                ExportFormat::Markdown => {
                    let (role, time) = (message.role.as_str(), time(created_at));
                    write!(text, "**{role}**, {time}\n\n{}\n\n", message.text.trim_end())
                }
            };
            self.messages += 1;
        }
        text
    }

    fn end_session(&self) -> String {
        let text = match self.format {
            ExportFormat::Json => "]}",
            ExportFormat::Markdown => "",
        };
        text.to_owned()
    }

    fn end(&self) -> String {
        match (self.format, self.sessions) {
            (ExportFormat::Json, 0) => format!("{}]}}\n", Self::HEAD),
            (ExportFormat::Json, _) => "]}\n".to_owned(),
            (ExportFormat::Markdown, _) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chat_vocabulary::Role;
    use conversations::Message;
    use serde_json::Value;

    use super::*;

    /// Two sessions, the first one's messages in two parts.
    fn write(format: ExportFormat) -> String {
        let mut file = File { format, sessions: 0, messages: 0 };
        let summary = |name: &str| Summary {
            name: name.to_owned(),
            messages: 3,
            bytes: 99,
            created_at: 60_000,
            used_at: 120_000,
        };
        let message = |number, role, text: &str| {
            let message = Message { role, text: text.to_owned() };
            vec![NumberedMessage { number, created_at: 60_000, message }]
        };
        [
            file.begin_session(&summary("a\n\"b\"")),
            file.messages(message(0, Role::User, "hi\n")),
            file.messages(message(1, Role::Assistant, "\u{7} \"안녕\"")),
            file.end_session(),
            file.begin_session(&summary("c")),
            file.messages(message(0, Role::User, "bye")),
            file.end_session(),
            file.end(),
        ]
        .concat()
    }

    #[test]
    fn a_json_file_has_every_message_once() {
        let file: Value = serde_json::from_str(&write(ExportFormat::Json)).unwrap();
        let message = |number: u64, role: &str, content: &str| serde_json::json!({ "role": role, "content": content, "number": number, "time": 60_000 });
        let session = |name: &str, messages: &[Value]| {
            serde_json::json!({
                "name": name, "created_at": 60_000, "used_at": 120_000, "messages": messages,
            })
        };
        let (first, second) =
            (message(0, "user", "hi\n"), message(1, "assistant", "\u{7} \"안녕\""));
        let sessions =
            [session("a\n\"b\"", &[first, second]), session("c", &[message(0, "user", "bye")])];
        assert_eq!(file, serde_json::json!({ "version": 1, "conversations": sessions }));

        let empty = File { format: ExportFormat::Json, sessions: 0, messages: 0 }.end();
        let empty: Value = serde_json::from_str(&empty).unwrap();
        assert_eq!(empty, serde_json::json!({ "version": 1, "conversations": [] }));
    }

    #[test]
    fn a_markdown_file_names_each_author() {
        let expected = "# a \"b\"\n\n\
            **user**, 1970-01-01 00:01 UTC\n\nhi\n\n\
            **assistant**, 1970-01-01 00:01 UTC\n\n\u{7} \"안녕\"\n\n\
            # c\n\n**user**, 1970-01-01 00:01 UTC\n\nbye\n\n";
        assert_eq!(write(ExportFormat::Markdown), expected);
    }
}
