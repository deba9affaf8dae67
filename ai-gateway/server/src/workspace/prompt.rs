//! The text of the system prompt, within its limit.

use crate::openclaw::PromptLimit;

/// Marks where a file was truncated.
const TRUNCATED: &str = "\n[the rest of this file is too long for the prompt]";
/// The same where the beginning is left out.
const TRUNCATED_BEFORE: &str = "[what is older is too long for the prompt]\n";

/// A prompt that is being put together.
pub(super) struct Prompt {
    limit: PromptLimit,
    available: usize,
    text: String,
    /// Whether it has a file's text.
    is_begun: bool,
}

impl Prompt {
    /// Empty.
    pub(super) fn new(limit: PromptLimit) -> Self {
        Self { limit, available: limit.total(), text: String::new(), is_begun: false }
    }

    /// No file needs to be read further.
    pub(super) fn most_bytes(&self) -> usize {
        // Each character costs at least 1 and has at most 4 bytes.
        self.available.min(self.limit.file()).saturating_mul(4)
    }

    /// Adds a file's beginning; `more` if the file has more than the text.
    pub(super) fn add(&mut self, name: &str, text: &str, more: bool) {
        let text = text.trim_end();
        let heading = self.cost(name);
        if text.is_empty() || heading >= self.available {
            return;
        }
        self.available -= heading;
        let mut left = self.available.min(self.limit.file());
        let fits = |(_, c): &(usize, char)| match left.checked_sub(self.limit.cost(*c)) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        };
        let end = text.char_indices().take_while(fits).last();
        let (kept, _) = text.split_at(end.map_or(0, |(at, c)| at + c.len_utf8()));
        self.available -= self.cost(kept);
        let truncated = if more || kept.len() < text.len() { TRUNCATED } else { "" };
        self.section(name, "", kept, truncated);
    }

    /// Adds files, which come newest first, as far as there is room, in the order of their age. Of the one for which there
    /// is no room its last lines are added.
    pub(super) fn add_newest<'a>(&mut self, files: impl Iterator<Item = (&'a str, String)>) {
        let mut sections = Vec::new();
        for (name, text) in files {
            let mut left = self.available.saturating_sub(self.cost(name));
            let mut fits = |line: &&str| match left.checked_sub(self.cost(line) + 1) {
                Some(rest) => {
                    left = rest;
                    true
                }
                None => false,
            };
            let lines: Vec<_> = text.trim_end().lines().collect();
            let kept = lines.iter().rev().take_while(|line| fits(line)).count();
            if kept > 0 {
                self.available = left;
                sections.push((name, lines[lines.len() - kept..].join("\n"), kept < lines.len()));
            }
            if kept < lines.len() {
                break;
            }
        }
        for (name, text, truncated) in sections.iter().rev() {
            self.section(name, if *truncated { TRUNCATED_BEFORE } else { "" }, text, "");
        }
    }

    /// Adds a line that is no file's and costs nothing.
    pub(super) fn add_line(&mut self, line: &str) {
        self.text.push('\n');
        self.text.push_str(line);
    }

    /// The prompt.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn cost(&self, text: &str) -> usize {
        text.chars().map(|c| self.limit.cost(c)).sum()
    }

    fn section(&mut self, name: &str, before: &str, text: &str, after: &str) {
        if !self.is_begun {
            self.is_begun = true;
            self.text.push_str("# Project Context\n");
        }
        for part in ["\n## ", name, "\n", before, text, after, "\n"] {
            self.text.push_str(part);
        }
    }
}
