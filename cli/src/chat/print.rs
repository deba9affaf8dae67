//! Printing a reply as it comes.

use std::io::{self, IsTerminal as _, Write};

use ai_gateway_api::sealed::Event;
use chat_vocabulary::{Evidence, FinishReason, Role};
use common::foreign;
use messages::message;

use super::args::ChatFormat;
use crate::output;

/// Prints events; each is flushed at once.
#[derive(Debug)]
pub(super) struct Printer<W = io::Stdout> {
    out: W,
    format: ChatFormat,
    terminal: bool,
    /// Whether the last line printed has no end yet.
    open_line: bool,
}

impl Printer {
    pub(super) fn new(format: ChatFormat) -> Self {
        let out = io::stdout();
        let terminal = out.is_terminal();
        Self { out, format, terminal, open_line: false }
    }
}

impl<W: Write> Printer<W> {
    /// Prints one event.
    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        match self.format {
            ChatFormat::Json => self.write(format!("{}\n", output::json(event)?).as_bytes()),
            ChatFormat::Text => self.text(event),
        }
    }

    fn text(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Delta(text) => {
                let text = self.safe(text);
                self.open_line =
                    text.as_bytes().last().map_or(self.open_line, |&byte| byte != b'\n');
                self.write(text.as_bytes())
            }
            Event::Message(message) => {
                let name = match message.role {
                    Role::User => message!("chat-you").to_string(),
                    role @ (Role::System | Role::Assistant | Role::Tool) => {
                        role.as_str().to_owned()
                    }
                };
                let text = self.safe(&message.content);
                self.write(format!("{name}: {}\n", text.trim_end()).as_bytes())
            }
            Event::Finish(FinishReason::Length) => {
                self.end()?;
                output::note(message!("reply-length"));
                Ok(())
            }
            Event::Finish(FinishReason::Yielded) => {
                self.end()?;
                output::note(message!("reply-yielded"));
                Ok(())
            }
            Event::Evidence(Evidence { class, image, .. }) => {
                self.end()?;
                let (class, image) = (self.safe(class), self.safe(image));
                output::note(message!("reply-evidence", class, image));
                Ok(())
            }
            Event::Notice { message, .. } => {
                self.end()?;
                output::note(message);
                Ok(())
            }
            Event::Conversation(_)
            | Event::Found(_)
            | Event::RecoveryCode(_)
            | Event::Finish(_)
            | Event::Model(_)
            | Event::Usage(_)
            | Event::Error { .. } => Ok(()),
        }
    }

    /// Ends the last line.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.open_line) { self.write(b"\n") } else { Ok(()) }
    }

    /// On a terminal, text without what could steer it.
    fn safe(&self, text: &str) -> String {
        if self.terminal { foreign::lines(text) } else { text.to_owned() }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }
}

#[cfg(test)]
impl<W: Write> Printer<W> {
    pub(super) fn to(out: W, format: ChatFormat, terminal: bool) -> Self {
        Self { out, format, terminal, open_line: false }
    }
}

#[cfg(test)]
mod tests {
    use ai_gateway_api::sealed::SessionMessage;
    use chat_vocabulary::Usage;

    use super::*;

    fn print(format: ChatFormat, terminal: bool, events: &[Event]) -> String {
        let mut bytes = Vec::new();
        let mut printer = Printer::to(&mut bytes, format, terminal);
        events.iter().for_each(|event| printer.event(event).unwrap());
        printer.end().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_printed_as_it_is_and_ends_its_line() {
        let events = ["Hel", "lo"].map(|text| Event::Delta(text.to_owned()));

        assert_eq!(print(ChatFormat::Text, false, &events), "Hello\n");
        assert_eq!(print(ChatFormat::Text, false, &[Event::Delta("Hi\n".to_owned())]), "Hi\n");
        assert_eq!(print(ChatFormat::Text, false, &[Event::Usage(Usage::default())]), "");
    }

    #[test]
    fn a_reply_cannot_steer_the_terminal() {
        let events = [Event::Delta("a\u{1b}[2Jb\tc".to_owned())];

        assert_eq!(print(ChatFormat::Text, true, &events), "a\u{fffd}[2Jb\tc\n");
        assert_eq!(print(ChatFormat::Text, false, &events), "a\u{1b}[2Jb\tc\n");
    }

    #[test]
    fn history_names_who_spoke() {
        let message = |role, text: &str| {
            let content = text.to_owned();
            Event::Message(SessionMessage { role, content, number: None, time: None })
        };
        let events = [message(Role::User, "hi\n"), message(Role::Assistant, "hello")];

        assert_eq!(print(ChatFormat::Text, false, &events), "you: hi\nassistant: hello\n");
    }

    #[test]
    fn json_is_one_event_a_line() {
        let events = [Event::Delta("a\nb".to_owned()), Event::Finish(FinishReason::Stop)];

        assert_eq!(
            print(ChatFormat::Json, true, &events),
            "{\"delta\":\"a\\nb\"}\n{\"finish\":\"stop\"}\n"
        );
    }
}
