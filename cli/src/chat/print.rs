//! Printing a reply as it comes.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _, Write},
};

use ai_gateway_api::sealed::{Event, MemoryFile};
use chat_vocabulary::{Evidence, FinishReason, Role};
use common::{foreign, problem::Problem};
use messages::message;

use super::{args::ChatFormat, markdown::Markdown};
use crate::output;

/// What takes the events of a reply.
pub(super) trait Sink {
    /// Takes the next event.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// The reply ends, whole or not.
    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Events that are looked at once all are there.
#[derive(Default)]
pub(super) struct Collected(pub(super) Vec<Event>);

impl Sink for Collected {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.0.push(event.clone());
        Ok(())
    }
}

/// Prints events; each is flushed at once.
#[derive(Debug)]
pub(super) struct Printer<W = io::Stdout> {
    out: W,
    format: ChatFormat,
    surface: Surface,
    /// Whether the last line has no end yet.
    open_line: bool,
    /// The number of the last message.
    message: Option<u64>,
}

/// Where the text is printed.
#[derive(Debug)]
pub(super) enum Surface {
    /// A file or a pipe gets the text as it is.
    Pipe,
    /// A terminal gets no character that could steer it.
    Terminal,
    /// The same, with Markdown in styles.
    Styled(Markdown),
}

impl Surface {
    /// Standard output. Markdown is not shown where people ask for no colors (<https://no-color.org>) or the terminal has
    /// none.
    fn of_stdout() -> Self {
        let variable = |name| std::env::var_os(name).unwrap_or_default();
        match io::stdout().is_terminal() {
            false => Self::Pipe,
            true if !variable("NO_COLOR").is_empty() || variable("TERM") == "dumb" => {
                Self::Terminal
            }
            true => Self::Styled(Markdown::default()),
        }
    }
}

impl Printer {
    pub(super) fn new(format: ChatFormat) -> Self {
        Self {
            out: io::stdout(),
            format,
            surface: Surface::of_stdout(),
            open_line: false,
            message: None,
        }
    }

    /// Prints text without styles.
    pub(super) fn plain(format: ChatFormat) -> Self {
        let surface = if io::stdout().is_terminal() { Surface::Terminal } else { Surface::Pipe };
        Self { surface, ..Self::new(format) }
    }
}

impl<W: Write> Sink for Printer<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        match self.format {
            ChatFormat::Json => self.write(format!("{}\n", output::json(event)?).as_bytes()),
            ChatFormat::Text => self.text(event),
        }
    }

    /// Ends the text and its last line.
    fn end(&mut self) -> io::Result<()> {
        if let Surface::Styled(markdown) = &mut self.surface {
            let shown = markdown.end();
            self.write(shown.as_bytes())?;
        }
        if std::mem::take(&mut self.open_line) { self.write(b"\n") } else { Ok(()) }
    }
}

impl<W: Write> Printer<W> {
    fn text(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Delta(text) => self.piece(text),
            Event::Message(message) => {
                // A long message comes in several events.
                if message.number.is_none() || self.message != message.number {
                    self.end()?;
                    let name = match message.role {
                        Role::User => message!("chat-you").to_string(),
                        role @ (Role::System | Role::Assistant | Role::Tool) => {
                            role.as_str().to_owned()
                        }
                    };
                    self.write(format!("{name}: ").as_bytes())?;
                    self.open_line = true;
                }
                self.message = message.number;
                self.piece(&message.content)
            }
            Event::RecoveryCode(code) => {
                self.piece(code)?;
                self.end()
            }
            Event::Memory(MemoryFile { file, text }) => {
                self.piece(&format!("# {file}\n\n{text}"))?;
                self.end()
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
                output::note(message!("reply-evidence", class, image));
                Ok(())
            }
            Event::Notice { kind, message } => {
                self.end()?;
                let error = messages::problem(&Problem::new(kind, 0, message.as_str()));
                output::note(message!("chat-error", error));
                Ok(())
            }
            Event::Conversation(_)
            | Event::Found(_)
            | Event::Finish(_)
            | Event::Model(_)
            | Event::Usage(_)
            | Event::Error { .. } => Ok(()),
        }
    }

    /// Prints the next piece of a text.
    fn piece(&mut self, text: &str) -> io::Result<()> {
        self.open_line = text.as_bytes().last().map_or(self.open_line, |&byte| byte != b'\n');
        let shown = match &mut self.surface {
            Surface::Pipe => Cow::Borrowed(text),
            Surface::Terminal => foreign::lines(text).into(),
            Surface::Styled(markdown) => markdown.push(&foreign::lines(text)).into(),
        };
        self.write(shown.as_bytes())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }
}

#[cfg(test)]
impl<W: Write> Printer<W> {
    pub(super) fn to(out: W, format: ChatFormat, surface: Surface) -> Self {
        Self { out, format, surface, open_line: false, message: None }
    }
}

#[cfg(test)]
mod tests {
    use ai_gateway_api::sealed::SessionMessage;
    use chat_vocabulary::Usage;

    use super::*;

    fn print(format: ChatFormat, surface: Surface, events: &[Event]) -> String {
        let mut bytes = Vec::new();
        let mut printer = Printer::to(&mut bytes, format, surface);
        events.iter().for_each(|event| printer.event(event).unwrap());
        printer.end().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_printed_as_it_is_and_ends_its_line() {
        let events = ["Hel", "lo"].map(|text| Event::Delta(text.to_owned()));

        assert_eq!(print(ChatFormat::Text, Surface::Pipe, &events), "Hello\n");
        assert_eq!(
            print(ChatFormat::Text, Surface::Pipe, &[Event::Delta("Hi\n".to_owned())]),
            "Hi\n"
        );
        assert_eq!(print(ChatFormat::Text, Surface::Pipe, &[Event::Usage(Usage::default())]), "");
    }

    #[test]
    fn a_reply_cannot_steer_the_terminal() {
        let events = [Event::Delta("a\u{1b}[2Jb\tc".to_owned())];

        assert_eq!(print(ChatFormat::Text, Surface::Terminal, &events), "a\u{fffd}[2Jb\tc\n");
        assert_eq!(print(ChatFormat::Text, Surface::Pipe, &events), "a\u{1b}[2Jb\tc\n");
    }

    #[test]
    fn a_terminal_shows_markdown() {
        let styled = || Surface::Styled(Markdown::default());
        let events = ["a **b", "**\u{1b}[1m\n- c"].map(|text| Event::Delta(text.to_owned()));
        let plain = "a \u{1b}[1mb\u{1b}[0m\u{fffd}[1m\n• c\n";
        assert_eq!(print(ChatFormat::Text, styled(), &events), plain);
        let events = [Event::Delta("a **b".to_owned()), Event::Finish(FinishReason::Length)];
        assert_eq!(print(ChatFormat::Text, styled(), &events), "a **b\n");
    }

    #[test]
    fn history_names_who_spoke() {
        let message = |role, text: &str, number| {
            let content = text.to_owned();
            Event::Message(SessionMessage { role, content, number, time: None })
        };
        let events = [message(Role::User, "hi\n", None), message(Role::Assistant, "hello", None)];

        assert_eq!(print(ChatFormat::Text, Surface::Pipe, &events), "you: hi\nassistant: hello\n");

        let events = [("lo", 1), ("ng", 1), ("next", 2)]
            .map(|(text, number)| message(Role::User, text, Some(number)));
        assert_eq!(print(ChatFormat::Text, Surface::Pipe, &events), "you: long\nyou: next\n");
    }

    #[test]
    fn json_is_one_event_a_line() {
        let events = [Event::Delta("a\nb".to_owned()), Event::Finish(FinishReason::Stop)];

        assert_eq!(
            print(ChatFormat::Json, Surface::Terminal, &events),
            "{\"delta\":\"a\\nb\"}\n{\"finish\":\"stop\"}\n"
        );
    }
}
