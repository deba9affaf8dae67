//! Reading messages, however they arrive.
//!
//! ```text
//! Framing ─▶ Text × 4 (request) ─┬▶ SectionLength ─▶ Name, Value … ─▶ ContentLength ─┬▶ Content ─▶ trailers ─▶ Padding
//!         └▶ Status (response) ──┘   (known length)       │            or ChunkLength ─┘
//!               ▲─────────────── informational ───────────┘
//! ```

use std::marker::PhantomData;

use http::HeaderMap;

use super::{
    fields,
    head::{Framing, Head},
    limits::{MAX_HEAD, MAX_INFORMATIONAL, Malformed},
};
use crate::{Plaintext, varint};

/// What was read of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<H> {
    /// What comes before the content; once and first.
    Head(H),
    /// Some of the content, never empty.
    Content(Plaintext),
    /// What comes after the content, if there is any.
    Trailers(HeaderMap),
}

/// Reads one message: [`Self::push`] whatever arrived, [`Self::finish`] at its end.
pub struct Decoder<H> {
    step: Step,
    framing: Framing,
    section: Section,
    /// A number or text that has not arrived whole.
    buffer: Vec<u8>,
    /// Texts of the control data, and the name of a field.
    texts: Vec<Vec<u8>>,
    /// The status.
    number: u64,
    headers: HeaderMap,
    /// Bytes that head and trailers may still have.
    head_left: usize,
    /// Bytes that the section of fields still has, if its length is known.
    section_left: Option<usize>,
    informational: usize,
    /// Bytes of content that may still come.
    content_left: u64,
    content: u64,
    claimed: Option<u64>,
    kind: PhantomData<fn() -> H>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Framing,
    TextLength,
    Text(usize),
    Status,
    SectionLength,
    NameLength,
    Name(usize),
    ValueLength,
    Value(usize),
    ContentLength,
    ChunkLength,
    Content(u64),
    Padding,
    Failed,
}

/// Which fields are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Head,
    Trailers,
}

impl<H: Head> Decoder<H> {
    /// Begins; a message with more than so many bytes of content is not read.
    #[must_use]
    pub fn new(max_content: u64) -> Self {
        Self {
            step: Step::Framing,
            framing: Framing::Known,
            section: Section::Head,
            buffer: Vec::new(),
            texts: Vec::new(),
            number: 0,
            headers: HeaderMap::new(),
            head_left: MAX_HEAD,
            section_left: None,
            informational: 0,
            content_left: max_content,
            content: 0,
            claimed: None,
            kind: PhantomData,
        }
    }

    /// Takes what arrived; appends what it says.
    ///
    /// # Errors
    ///
    /// [`Malformed`], from then on always. What was read before is appended all the same.
    pub fn push(&mut self, mut bytes: &[u8], events: &mut Vec<Event<H>>) -> Result<(), Malformed> {
        loop {
            match self.advance(&mut bytes, events) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) => {
                    self.step = Step::Failed;
                    return Err(error);
                }
            }
        }
    }

    /// Ends the message. Empty parts at its end may be missing (RFC 9292, section 3.8).
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it was cut elsewhere, or its content is not as long as its fields say.
    pub fn finish(mut self, events: &mut Vec<Event<H>>) -> Result<(), Malformed> {
        if !self.buffer.is_empty() {
            return Err(Malformed);
        }
        loop {
            match self.step {
                Step::SectionLength => self.end_section(events)?,
                Step::NameLength if self.section_left.is_none() && self.headers.is_empty() => {
                    self.end_section(events)?;
                }
                Step::ContentLength => self.end_content()?,
                Step::ChunkLength if self.content == 0 => self.end_content()?,
                Step::Padding => return Ok(()),
                Step::Framing
                | Step::TextLength
                | Step::Text(_)
                | Step::Status
                | Step::NameLength
                | Step::Name(_)
                | Step::ValueLength
                | Step::Value(_)
                | Step::ChunkLength
                | Step::Content(_)
                | Step::Failed => return Err(Malformed),
            }
        }
    }

    /// Takes one step; says whether there may be another.
    fn advance(
        &mut self,
        bytes: &mut &[u8],
        events: &mut Vec<Event<H>>,
    ) -> Result<bool, Malformed> {
        match self.step {
            Step::Text(length) | Step::Name(length) | Step::Value(length) => {
                let Some(text) = self.take(length, bytes) else { return Ok(false) };
                self.text(text)?;
            }
            Step::Content(left) => return self.take_content(left, bytes, events),
            Step::Padding => {
                let zeros = bytes.iter().all(|&byte| byte == 0);
                *bytes = &[];
                return if zeros { Ok(false) } else { Err(Malformed) };
            }
            Step::Failed => return Err(Malformed),
            Step::NameLength if self.section_left == Some(0) => self.end_section(events)?,
            Step::Framing
            | Step::TextLength
            | Step::Status
            | Step::SectionLength
            | Step::NameLength
            | Step::ValueLength
            | Step::ContentLength
            | Step::ChunkLength => {
                let Some((number, len)) = self.take_number(bytes) else { return Ok(false) };
                self.number(number, len, events)?;
            }
        }
        Ok(true)
    }

    /// Collects a text.
    fn take(&mut self, length: usize, bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let (now, later) = bytes.split_at(bytes.len().min(length - self.buffer.len()));
        self.buffer.extend_from_slice(now);
        *bytes = later;
        (self.buffer.len() == length).then(|| std::mem::take(&mut self.buffer))
    }

    /// Collects a number; also says how many bytes it had.
    fn take_number(&mut self, bytes: &mut &[u8]) -> Option<(u64, usize)> {
        while let Some((&first, rest)) = bytes.split_first() {
            self.buffer.push(first);
            *bytes = rest;
            if let Some(number) = varint::read(&self.buffer) {
                let len = self.buffer.len();
                self.buffer.clear();
                return Some((number, len));
            }
        }
        None
    }

    fn take_content(
        &mut self,
        left: u64,
        bytes: &mut &[u8],
        events: &mut Vec<Event<H>>,
    ) -> Result<bool, Malformed> {
        let now = usize::try_from(left).map_or(bytes.len(), |left| bytes.len().min(left));
        let (content, later) = bytes.split_at(now);
        *bytes = later;
        match events.last_mut() {
            // However small the chunks are that somebody makes, an event costs as much as many bytes.
            Some(Event::Content(before)) => before.append(content),
            _ if content.is_empty() => {}
            _ => events.push(Event::Content(content.to_vec().into())),
        }
        let left = left - now as u64;
        self.step = match (left, self.framing) {
            (0, Framing::Known) => {
                self.end_content()?;
                return Ok(true);
            }
            (0, Framing::Indeterminate) => Step::ChunkLength,
            (left, _) => Step::Content(left),
        };
        Ok(left == 0)
    }

    /// Takes bytes off what head and trailers may have.
    fn spend(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.head_left = self.head_left.checked_sub(bytes).ok_or(Malformed)?;
        if let Some(left) = &mut self.section_left {
            *left = left.checked_sub(bytes).ok_or(Malformed)?;
        }
        Ok(())
    }

    fn number(
        &mut self,
        number: u64,
        len: usize,
        events: &mut Vec<Event<H>>,
    ) -> Result<(), Malformed> {
        let content = matches!(self.step, Step::ContentLength | Step::ChunkLength);
        if !content {
            self.spend(len)?;
        }
        let length = || usize::try_from(number).map_err(|_| Malformed);
        self.step = match self.step {
            Step::Framing => {
                self.framing = [Framing::Known, Framing::Indeterminate]
                    .into_iter()
                    .find(|framing| framing.indicator::<H>() == number)
                    .ok_or(Malformed)?;
                if H::TEXTS == 0 { Step::Status } else { Step::TextLength }
            }
            Step::Status => {
                self.number = number;
                self.section_step()
            }
            Step::TextLength => {
                let most = H::MOST.get(self.texts.len()).copied().unwrap_or(0);
                Step::Text(length().ok().filter(|length| *length <= most).ok_or(Malformed)?)
            }
            Step::SectionLength => {
                let length = length()?;
                if length > self.head_left {
                    return Err(Malformed);
                }
                self.section_left = Some(length);
                Step::NameLength
            }
            Step::NameLength if number == 0 && self.framing == Framing::Indeterminate => {
                return self.end_section(events);
            }
            Step::NameLength if number == 0 => return Err(Malformed),
            Step::NameLength => {
                self.spend(length()?)?;
                Step::Name(length()?)
            }
            Step::ValueLength => {
                self.spend(length()?)?;
                Step::Value(length()?)
            }
            Step::ChunkLength if number == 0 => return self.end_content(),
            Step::ContentLength | Step::ChunkLength => {
                self.content_left = self.content_left.checked_sub(number).ok_or(Malformed)?;
                self.content += number;
                Step::Content(number)
            }
            Step::Text(_)
            | Step::Name(_)
            | Step::Value(_)
            | Step::Content(_)
            | Step::Padding
            | Step::Failed => return Err(Malformed),
        };
        Ok(())
    }

    fn text(&mut self, text: Vec<u8>) -> Result<(), Malformed> {
        self.step = match self.step {
            Step::Name(_) => {
                self.texts.push(text);
                Step::ValueLength
            }
            Step::Value(_) => {
                let name = self.texts.pop().ok_or(Malformed)?;
                fields::append(&mut self.headers, &name, &text)?;
                Step::NameLength
            }
            Step::Framing
            | Step::TextLength
            | Step::Text(_)
            | Step::Status
            | Step::SectionLength
            | Step::NameLength
            | Step::ValueLength
            | Step::ContentLength
            | Step::ChunkLength
            | Step::Content(_)
            | Step::Padding
            | Step::Failed => {
                self.spend(text.len())?;
                self.texts.push(text);
                if self.texts.len() < H::TEXTS { Step::TextLength } else { self.section_step() }
            }
        };
        Ok(())
    }

    const fn section_step(&self) -> Step {
        match self.framing {
            Framing::Known => Step::SectionLength,
            Framing::Indeterminate => Step::NameLength,
        }
    }

    /// Ends the fields.
    fn end_section(&mut self, events: &mut Vec<Event<H>>) -> Result<(), Malformed> {
        self.section_left = None;
        let headers = std::mem::take(&mut self.headers);
        if self.section == Section::Trailers {
            if !headers.is_empty() {
                events.push(Event::Trailers(headers));
            }
            self.step = Step::Padding;
            return Ok(());
        }
        if H::TEXTS == 0 && (100..200).contains(&self.number) {
            self.informational += 1;
            self.step = Step::Status;
            return if self.informational > MAX_INFORMATIONAL { Err(Malformed) } else { Ok(()) };
        }
        self.claimed = fields::content_length(&headers)?;
        events.push(Event::Head(H::read(&self.texts, self.number, headers)?));
        self.texts.clear();
        self.step = match self.framing {
            Framing::Known => Step::ContentLength,
            Framing::Indeterminate => Step::ChunkLength,
        };
        Ok(())
    }

    /// Ends the content.
    fn end_content(&mut self) -> Result<(), Malformed> {
        if self.claimed.is_some_and(|claimed| claimed != self.content) {
            return Err(Malformed);
        }
        self.section = Section::Trailers;
        self.step = self.section_step();
        Ok(())
    }
}

impl<H> std::fmt::Debug for Decoder<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("step", &self.step).finish_non_exhaustive()
    }
}

/// Reads a message that is there whole: its head and its content. Trailers are passed over.
///
/// # Errors
///
/// [`Malformed`].
pub fn decode<H: Head>(message: &[u8], max_content: u64) -> Result<(H, Plaintext), Malformed> {
    let mut decoder = Decoder::<H>::new(max_content);
    let mut events = Vec::new();
    decoder.push(message, &mut events)?;
    decoder.finish(&mut events)?;
    let (mut head, mut content) = (None, Plaintext::default());
    for event in events {
        match event {
            Event::Head(read) => head = Some(read),
            Event::Content(piece) => content.append(&piece),
            Event::Trailers(_) => {}
        }
    }
    Ok((head.ok_or(Malformed)?, content))
}
