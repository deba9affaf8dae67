//! Tells what a model thinks from what it answers, as llama-server does with `--reasoning-format deepseek`.

use std::mem;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// How replies of a model begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thinking {
    /// With the answer: it does not think.
    #[default]
    Never,
    /// Perhaps with a thought between `<think>` and `</think>`.
    Marked,
    /// With a thought, because the prompt ends with `<think>`.
    Begun,
}

impl Thinking {
    /// Reads it from a template and a prompt that it made.
    #[must_use]
    pub fn of(template: &str, prompt: &str) -> Self {
        match (prompt.trim_end().ends_with(OPEN), template.contains(CLOSE)) {
            (true, _) => Self::Begun,
            (false, true) => Self::Marked,
            (false, false) => Self::Never,
        }
    }
}

/// A part of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// What the model thinks.
    pub thinking: String,
    /// What it answers.
    pub content: String,
}

impl Parts {
    /// Adds what follows.
    pub fn append(&mut self, next: &Self) {
        self.thinking.push_str(&next.thinking);
        self.content.push_str(&next.content);
    }
}

/// Splits a reply while it arrives. White space around a thought belongs to neither part.
#[derive(Debug)]
pub struct ThinkingSplitter {
    state: State,
    /// Text that may be white space at an end, or the beginning of a mark.
    held: String,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before anything.
    Start,
    /// Behind `<think>`.
    Opened,
    /// In a thought.
    Thought,
    /// Behind `</think>`.
    Closed,
    /// In the answer.
    Answer,
}

impl ThinkingSplitter {
    /// Starts a reply.
    #[must_use]
    pub fn new(thinking: Thinking) -> Self {
        let state = match thinking {
            Thinking::Never => State::Answer,
            Thinking::Marked => State::Start,
            Thinking::Begun => State::Opened,
        };
        Self { state, held: String::new() }
    }

    /// Takes text and returns what can be sent now.
    pub fn push(&mut self, text: &str) -> Parts {
        self.held.push_str(text);
        let mut parts = Parts::default();
        while let Some(next) = self.step(&mut parts) {
            self.state = next;
        }
        parts
    }

    /// Ends the reply and returns what was held back.
    #[must_use]
    pub fn finish(&mut self) -> Parts {
        let held = mem::take(&mut self.held);
        match self.state {
            State::Start => Parts { content: held, ..Parts::default() },
            State::Thought => Parts { thinking: held.trim_end().to_owned(), ..Parts::default() },
            State::Opened | State::Closed | State::Answer => Parts::default(),
        }
    }

    /// Takes from what is held; [`None`] if the rest is undecided.
    fn step(&mut self, parts: &mut Parts) -> Option<State> {
        match self.state {
            State::Start => {
                let text = self.held.trim_start();
                if let Some(rest) = text.strip_prefix(OPEN) {
                    self.held = rest.to_owned();
                    return Some(State::Opened);
                }
                (!OPEN.starts_with(text)).then_some(State::Answer)
            }
            State::Opened | State::Closed => {
                self.held = self.held.trim_start().to_owned();
                let is_thought = matches!(self.state, State::Opened);
                let next = if is_thought { State::Thought } else { State::Answer };
                (!self.held.is_empty()).then_some(next)
            }
            State::Thought => {
                if let Some((thought, rest)) = self.held.split_once(CLOSE) {
                    parts.thinking.push_str(thought.trim_end());
                    self.held = rest.to_owned();
                    return Some(State::Closed);
                }
                let mut starts = self.held.char_indices().map(|(at, _)| at);
                let mark = starts.find(|&at| CLOSE.starts_with(&self.held[at..]));
                let decided = self.held[..mark.unwrap_or(self.held.len())].trim_end().len();
                let undecided = self.held.split_off(decided);
                parts.thinking.push_str(&mem::replace(&mut self.held, undecided));
                None
            }
            State::Answer => {
                parts.content.push_str(&mem::take(&mut self.held));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split<'a>(thinking: Thinking, pieces: impl IntoIterator<Item = &'a str>) -> Parts {
        let mut splitter = ThinkingSplitter::new(thinking);
        let mut all = Parts::default();
        let parts: Vec<_> = pieces.into_iter().map(|piece| splitter.push(piece)).collect();
        parts.iter().chain([&splitter.finish()]).for_each(|parts| all.append(parts));
        all
    }

    /// The same, from the whole text at once.
    fn reference(thinking: Thinking, text: &str) -> Parts {
        let thought = match thinking {
            Thinking::Never => None,
            Thinking::Marked => text.trim_start().strip_prefix(OPEN),
            Thinking::Begun => Some(text),
        };
        let Some(thought) = thought else {
            return Parts { content: text.to_owned(), ..Parts::default() };
        };
        let (thinking, content) = thought.split_once(CLOSE).unwrap_or((thought, ""));
        Parts { thinking: thinking.trim().to_owned(), content: content.trim_start().to_owned() }
    }

    #[test]
    fn thoughts_are_told_from_answers() {
        let parts = |thinking: &str, content: &str| Parts {
            thinking: thinking.to_owned(),
            content: content.to_owned(),
        };
        for (kind, text, expected) in [
            (Thinking::Marked, "<think>\nhm </think>\n\nyes ", parts("hm", "yes ")),
            (Thinking::Marked, "yes <think>no</think>", parts("", "yes <think>no</think>")),
            (Thinking::Marked, " <think>hm", parts("hm", "")),
            (Thinking::Marked, "<thin", parts("", "<thin")),
            (Thinking::Marked, "<think></think>a</think>", parts("", "a</think>")),
            (Thinking::Begun, "hm</think>yes", parts("hm", "yes")),
            (Thinking::Begun, "hm</thi", parts("hm</thi", "")),
            (Thinking::Never, "<think>hm</think>yes", parts("", "<think>hm</think>yes")),
        ] {
            assert_eq!(split(kind, [text]), expected, "{text}");
        }
    }

    #[test]
    fn text_is_sent_as_soon_as_it_is_decided() {
        let mut splitter = ThinkingSplitter::new(Thinking::Marked);
        let sent: Vec<_> = ["<think>", " a", " ", "b<", "/x", "</think>", "\n", "yes", " "]
            .map(|piece| splitter.push(piece))
            .map(|parts| (parts.thinking, parts.content))
            .into();
        let sent: Vec<_> =
            sent.iter().map(|(thinking, content)| (thinking.as_str(), content.as_str())).collect();
        let none = ("", "");
        assert_eq!(
            sent,
            [none, ("a", ""), none, (" b", ""), ("</x", ""), none, none, ("", "yes"), ("", " ")]
        );
    }

    #[test]
    fn what_thinks_is_read_from_the_template() {
        let qwen = "{% if '</think>' in content %}…{% endif %}";
        assert_eq!(Thinking::of(qwen, "<|im_start|>assistant\n"), Thinking::Marked);
        assert_eq!(Thinking::of(qwen, "<|im_start|>assistant\n<think>\n"), Thinking::Begun);
        assert_eq!(Thinking::of("{{ messages }}", "<|im_start|>assistant\n"), Thinking::Never);
    }

    proptest! {
        /// The parts do not depend on how the text is cut.
        #[test]
        fn cuts_do_not_matter(
            pieces in prop::collection::vec("<think>|</think>|[<>/thinka한 \n]{0,3}|</|think>", 0..12),
            thinking in prop_oneof![Just(Thinking::Never), Just(Thinking::Marked), Just(Thinking::Begun)],
        ) {
            let text = pieces.concat();
            let expected = reference(thinking, &text);
            prop_assert_eq!(&split(thinking, pieces.iter().map(String::as_str)), &expected);
            prop_assert_eq!(&split(thinking, text.split_inclusive(|_| true)), &expected);
        }
    }
}
