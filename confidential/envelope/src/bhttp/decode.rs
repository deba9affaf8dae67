//! Incremental decoding of messages.
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
use crate::{Plaintext, chunks::collect, varint};

/// A decoded part of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<H> {
    /// The head; once and first.
    Head(H),
    /// A part of the content, never empty.
    Content(Plaintext),
    /// The trailers, if there are any.
    Trailers(HeaderMap),
}

/// Decodes one message: [`Self::push`] each part that arrives, [`Self::finish`] at its end.
pub struct Decoder<H> {
    step: Step,
    framing: Framing,
    section: Section,
    /// A number or text that has arrived in part.
    buffer: Vec<u8>,
    /// Texts of the control data, and the name of a field.
    texts: Vec<Vec<u8>>,
    /// The status.
    number: u64,
    headers: HeaderMap,
    /// How many more bytes head and trailers may have.
    head_left: usize,
    /// How many more bytes the section of fields has, if its length is known.
    section_left: Option<usize>,
    informational: usize,
    /// How many more bytes of content are allowed.
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

/// The section of fields that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Head,
    Trailers,
}

impl<H: Head> Decoder<H> {
    /// A decoder for a message with at most so many bytes of content.
    #[must_use]
    pub fn new(max_content: u64) -> Self {
        Self {
            step: Step::Framing,
            framing: Framing::TestCandidate,
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

    /// Decodes bytes, and appends the events.
    ///
    /// # Errors
    ///
    /// [`Malformed`], also for every later call. Events before the error are appended.
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
    /// [`Malformed`] if the message is truncated elsewhere, or its content has another length than its fields say.
    pub fn finish(mut self, events: &mut Vec<Event<H>>) -> Result<(), Malformed> {
        if !self.buffer.is_empty() {
            return Err(Malformed);
        }
        loop {
            let has_no_fields = self.section_left.is_none() && self.headers.is_empty();
            if self.step == Step::SectionLength || (self.step == Step::NameLength && has_no_fields)
            {
                self.end_section(events)?;
            } else if self.step == Step::ContentLength
                || (self.step == Step::ChunkLength && self.content == 0)
            {
                self.end_content()?;
            } else {
                return if self.step == Step::Padding { Ok(()) } else { Err(Malformed) };
            }
        }
    }

    /// Makes one step; returns whether there may be another one.
    fn advance(
        &mut self,
        bytes: &mut &[u8],
        events: &mut Vec<Event<H>>,
    ) -> Result<bool, Malformed> {
        if let Step::Text(length) | Step::Name(length) | Step::Value(length) = self.step {
            if !collect(&mut self.buffer, length, bytes) {
                return Ok(false);
            }
            let text = std::mem::take(&mut self.buffer);
            self.text(text)?;
        } else if let Step::Content(left) = self.step {
            return self.take_content(left, bytes, events);
        } else if self.step == Step::Padding {
            let is_padding = bytes.iter().all(|&byte| byte == 0);
            *bytes = &[];
            return if is_padding { Ok(false) } else { Err(Malformed) };
        } else if self.step == Step::Failed {
            return Err(Malformed);
        } else if self.step == Step::NameLength && self.section_left == Some(0) {
            self.end_section(events)?;
        } else {
            let Some((number, len)) = self.take_number(bytes) else { return Ok(false) };
            self.number(number, len, events)?;
        }
        Ok(true)
    }

    /// Collects a number; returns its length, too.
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
            // An event costs memory, however small its chunk is.
            Some(Event::Content(before)) => before.append(content),
            _ if content.is_empty() => {}
            _ => events.push(Event::Content(content.to_vec().into())),
        }
        let left = left - now as u64;
        self.step = match (left, self.framing) {
            (0, Framing::TestCandidate) => {
                self.end_content()?;
                return Ok(true);
            }
            (0, Framing::Indeterminate) => Step::ChunkLength,
            (left, _) => Step::Content(left),
        };
        Ok(left == 0)
    }

    /// Counts bytes of head and trailers.
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
                self.framing = [Framing::TestCandidate, Framing::Indeterminate]
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
        self.step = if matches!(self.step, Step::Name(_)) {
            self.texts.push(text);
            Step::ValueLength
        } else if matches!(self.step, Step::Value(_)) {
            let name = self.texts.pop().ok_or(Malformed)?;
            fields::append(&mut self.headers, &name, &text)?;
            Step::NameLength
        } else {
            self.spend(text.len())?;
            self.texts.push(text);
            if self.texts.len() < H::TEXTS { Step::TextLength } else { self.section_step() }
        };
        Ok(())
    }

    const fn section_step(&self) -> Step {
        match self.framing {
            Framing::TestCandidate => Step::SectionLength,
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
            Framing::TestCandidate => Step::ContentLength,
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

/// Decodes the head and content of a complete message, and skips its trailers.
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
