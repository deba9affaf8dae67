//! Shows the Markdown of a reply on a terminal while it streams.
//!
//! Headings, emphasis, code, lists, quotes and rules have styles (CommonMark 0.31, sections 4 to 6). Links, tables and HTML
//! are shown as they are written, so the target of a link is always visible. Text is shown as soon as its style is known: an
//! opening mark waits for the closing one or for the end of the line, and the first characters of a line wait until they
//! tell what kind of line it is. The caller removes whatever could control the terminal beforehand.

mod inline;
mod style;

use inline::{Inline, run, styled};
use style::{BOLD, CODE, DIM, HELD_MAX};

/// Renders the text of one reply, piece by piece.
#[derive(Debug, Default)]
pub(super) struct Markdown {
    /// The source of the current line that is not shown yet.
    held: String,
    /// The current line; `None` until its kind is known.
    line: Option<Line>,
    /// The last character of the current line that is shown.
    previous: Option<char>,
    /// The code block that is open.
    fence: Option<Fence>,
}

/// A line after its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Inline Markdown in a style.
    Inline(&'static str),
    /// Text in a style.
    Verbatim(&'static str),
}

/// The line that opens a code block: its character, and how often it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fence {
    mark: char,
    length: usize,
}

impl Markdown {
    /// Takes the next piece of the source; returns what the terminal shows of it now.
    pub(super) fn push(&mut self, source: &str) -> String {
        let mut shown = String::new();
        for part in source.split_inclusive('\n') {
            let line = part.strip_suffix('\n');
            self.held.push_str(line.unwrap_or(part));
            self.show(line.is_some(), &mut shown);
            if line.is_some() {
                shown.push('\n');
                (self.line, self.previous) = (None, None);
            }
        }
        shown
    }

    /// Returns what still waits; the text ends here.
    pub(super) fn end(&mut self) -> String {
        let mut shown = String::new();
        self.show(true, &mut shown);
        *self = Self::default();
        shown
    }

    /// Shows what is known of the line; all of it if it ends.
    fn show(&mut self, ends: bool, shown: &mut String) {
        if self.line.is_none() {
            self.line = match self.fence {
                Some(fence) => self.begin_in_code(fence, ends),
                None => self.begin(ends, shown),
            };
        }
        let length = match self.line {
            None => return,
            Some(Line::Verbatim(style)) => {
                styled(&self.held, style, shown);
                self.held.len()
            }
            Some(Line::Inline(style)) => {
                Inline { text: &self.held, previous: self.previous, ends }.show(style, shown)
            }
        };
        self.previous = self.held[..length].chars().last().or(self.previous);
        self.held.drain(..length);
    }

    /// The kind of a line within a code block; `None` while it may still be the closing fence.
    fn begin_in_code(&mut self, Fence { mark, length }: Fence, ends: bool) -> Option<Line> {
        let text = self.held.trim();
        let closes = text.chars().all(|c| c == mark);
        if closes && !ends && self.held.len() <= HELD_MAX {
            return None;
        }
        if closes && ends && text.len() >= length {
            self.fence = None;
            return Some(Line::Verbatim(DIM));
        }
        Some(Line::Verbatim(CODE))
    }

    /// The kind of a line, whose prefix is shown; `None` while too little of it is known.
    fn begin(&mut self, ends: bool, shown: &mut String) -> Option<Line> {
        let (indent, text) = self.held.split_at(self.held.len() - self.held.trim_start().len());
        let known = ends || self.held.len() > HELD_MAX;
        let Some(mark) = text.chars().next() else {
            return known.then_some(Line::Inline(""));
        };
        if !"`~#>-*+_".contains(mark) {
            return Some(Line::Inline(""));
        }
        let length = run(text, mark);
        let after = &text[length..];
        let only_marks = text.chars().all(|c| c == mark || c == ' ');
        if only_marks && !known {
            return None;
        }
        let spaced = after.starts_with(' ');
        let (prefix, line) = match mark {
            '`' | '~' if length >= 3 && !after.contains(mark) => {
                if !known {
                    return None;
                }
                self.fence = ends.then_some(Fence { mark, length });
                (0, Line::Verbatim(DIM))
            }
            '#' if length <= 6 && spaced => (length + 1, Line::Inline(BOLD)),
            '>' => {
                shown.push_str(indent);
                styled("│ ", DIM, shown);
                (1 + usize::from(text[1..].starts_with(' ')), Line::Inline(DIM))
            }
            '-' | '*' | '_' if ends && only_marks && text.matches(mark).count() >= 3 => {
                styled(&"─".repeat(24), DIM, shown);
                (text.len(), Line::Verbatim(DIM))
            }
            '-' | '*' | '+' if length == 1 && spaced => {
                shown.push_str(indent);
                shown.push_str("• ");
                (2, Line::Inline(""))
            }
            _ => (0, Line::Inline("")),
        };
        if prefix > 0 {
            let prefix = indent.len() + prefix;
            self.held.drain(..prefix);
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests;
