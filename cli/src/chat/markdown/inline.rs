//! Emphasis and code within a line.

use super::style::{BOLD, CODE, HELD_MAX};

/// The most backticks that open code.
const TICKS_MAX: usize = 8;

/// The part of a line that is not shown yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inline<'a> {
    pub(super) text: &'a str,
    /// The character before it.
    pub(super) previous: Option<char>,
    /// Whether the line ends with it.
    pub(super) ends: bool,
}

/// What a mark begins.
enum Span<'a> {
    /// What follows decides.
    Held,
    /// So many bytes of text.
    Text(usize),
    /// A mark after a backslash.
    Escaped(&'a str),
    /// Code between two runs of so many backticks.
    Code(&'a str, usize),
    /// Emphasis between two runs of so many marks.
    Emphasis(&'a str, usize),
}

/// Where a span closes.
enum Closing {
    /// What follows decides.
    Held,
    Nowhere,
    At(usize),
}

impl<'a> Inline<'a> {
    /// Shows what has a known style; returns how many bytes of the source that is.
    pub(super) fn show(self, style: &str, shown: &mut String) -> usize {
        let mut at = 0;
        while let Some(plain) = self.text[at..].find(['`', '*', '_', '\\']) {
            styled(&self.text[at..at + plain], style, shown);
            at += plain;
            match self.span(at) {
                Span::Held => return at,
                Span::Text(length) => {
                    styled(&self.text[at..at + length], style, shown);
                    at += length;
                }
                Span::Escaped(mark) => {
                    styled(mark, style, shown);
                    at += 1 + mark.len();
                }
                Span::Code(code, ticks) => {
                    styled(code, &both(style, CODE), shown);
                    at += code.len() + 2 * ticks;
                }
                Span::Emphasis(text, marks) => {
                    let emphasis = match marks {
                        1 => "3",
                        2 => BOLD,
                        _ => "1;3",
                    };
                    let inner = Inline { text, previous: None, ends: true };
                    inner.show(&both(style, emphasis), shown);
                    at += text.len() + 2 * marks;
                }
            }
        }
        styled(&self.text[at..], style, shown);
        self.text.len()
    }

    /// What the mark at `at` begins.
    fn span(self, at: usize) -> Span<'a> {
        let rest = &self.text[at..];
        let previous = self.text[..at].chars().last().or(self.previous);
        let mut characters = rest.chars();
        let mark = characters.next().unwrap_or_default();
        if mark == '\\' {
            return match characters.next() {
                None if !self.ends => Span::Held,
                Some('`' | '*' | '_') => Span::Escaped(&rest[1..2]),
                Some(_) | None => Span::Text(1),
            };
        }
        let length = run(rest, mark);
        let most = if mark == '`' { TICKS_MAX } else { 3 };
        // The rest of a longer run is text, too.
        if length > most || previous == Some(mark) {
            return Span::Text(length);
        }
        let opens = match rest[length..].chars().next() {
            None if !self.ends => return Span::Held,
            None => false,
            Some(next) => match mark {
                '`' => true,
                '_' if previous.is_some_and(char::is_alphanumeric) => false,
                _ => !next.is_whitespace(),
            },
        };
        if !opens {
            return Span::Text(length);
        }
        match closing(rest, mark, length, self.ends) {
            Closing::Held => Span::Held,
            Closing::Nowhere => Span::Text(length),
            Closing::At(end) if mark == '`' => Span::Code(&rest[length..end], length),
            Closing::At(end) => Span::Emphasis(&rest[length..end], length),
        }
    }
}

/// Finds the run of marks that closes the one of this length at the beginning of the text.
fn closing(text: &str, mark: char, length: usize, ends: bool) -> Closing {
    let (mut at, mut previous, mut in_code) = (length, mark, false);
    while at < HELD_MAX {
        let Some(c) = text[at..].chars().next() else {
            return if ends { Closing::Nowhere } else { Closing::Held };
        };
        let mut step = c.len_utf8();
        if c == mark {
            step = run(&text[at..], mark);
            let next = text[at + step..].chars().next();
            if next.is_none() && !ends {
                return Closing::Held;
            }
            let closes = match mark {
                '`' => true,
                '_' if next.is_some_and(char::is_alphanumeric) => false,
                _ => !in_code && !previous.is_whitespace(),
            };
            if closes && step == length {
                return Closing::At(at);
            }
        } else if mark != '`' && c == '`' {
            step = run(&text[at..], c);
            in_code = !in_code;
        } else if mark != '`' && c == '\\' {
            step += text[at + step..].chars().next().map_or(0, char::len_utf8);
        }
        previous = c;
        at += step;
    }
    Closing::Nowhere
}

/// Length of the run of a one-byte character at the beginning of a text.
pub(super) fn run(text: &str, mark: char) -> usize {
    text.chars().take_while(|&c| c == mark).count()
}

/// Two styles together.
fn both(outer: &str, inner: &str) -> String {
    if outer.is_empty() { inner.to_owned() } else { format!("{outer};{inner}") }
}

/// Shows text in a style: the parameters of the control sequence "select graphic rendition" (ECMA-48, section 8.3.117).
pub(super) fn styled(text: &str, style: &str, shown: &mut String) {
    if text.is_empty() || style.is_empty() {
        shown.push_str(text);
        return;
    }
    shown.extend(["\u{1b}[", style, "m", text, "\u{1b}[0m"]);
}
