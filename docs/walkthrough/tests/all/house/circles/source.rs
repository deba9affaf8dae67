//! Reads what a Rust file imports and which paths it names: as much of the language as that takes.

use std::{collections::BTreeSet, ops::Range};

/// Attributes whose text is a path, of serde.
const TEXT_PATHS: &[&str] =
    &["with", "serialize_with", "deserialize_with", "default", "skip_serializing_if"];
/// How an item begins whose end is a `;` or a closing brace.
const ITEMS: &[&str] = &[
    "pub",
    "fn",
    "mod",
    "use",
    "impl",
    "struct",
    "enum",
    "union",
    "trait",
    "type",
    "const",
    "static",
    "async",
    "unsafe",
    "extern",
    "macro_rules",
];

/// A module: a file, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Module {
    /// What it defines.
    pub(super) items: BTreeSet<String>,
    /// Modules below it; `None`: in a file of its own.
    pub(super) children: Vec<(String, Option<Self>)>,
    pub(super) uses: Vec<Use>,
    /// Paths of two or more parts in its code.
    pub(super) paths: Vec<Named>,
}

/// A path, and the line where it stands.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

/// One import.
#[derive(Clone, Debug)]
pub(super) struct Use {
    /// What it is called here; `*`: everything below the path.
    pub(super) alias: String,
    pub(super) named: Named,
    /// Whether other modules may import it from here.
    pub(super) is_public: bool,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// Reads a file. What is compiled for tests alone is left out.
pub(super) fn read(source: &str) -> Module {
    let tokens = tokens(source);
    Reader { tokens: &tokens }.module(0..tokens.len())
}

struct Reader<'a> {
    tokens: &'a [Token],
}

impl Reader<'_> {
    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn before(&self, at: usize, by: usize) -> &str {
        at.checked_sub(by).map_or("", |at| self.text(at))
    }

    fn module(&self, range: Range<usize>) -> Module {
        let mut module = Module::default();
        let (mut at, mut depth) = (range.start, 0_usize);
        while at < range.end {
            match self.text(at) {
                "#" if self.is_for_tests(at) => {
                    at = self.after_item(at);
                    continue;
                }
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                "use" if self.text(at + 1) != "<" && self.before(at, 1) != "::" => {
                    at = self.import(at, &mut module.uses);
                    continue;
                }
                "mod" if is_name(self.text(at + 1)) => {
                    let name = self.text(at + 1).to_owned();
                    let end = self.closing(at + 2);
                    let inner = (self.text(at + 2) == "{").then(|| self.module(at + 3..end));
                    module.children.push((name, inner));
                    at = end + 1;
                    continue;
                }
                "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static"
                    if depth == 0 && is_name(self.text(at + 1)) =>
                {
                    module.items.insert(self.text(at + 1).to_owned());
                }
                _ => at = self.path(at, &mut module.paths),
            }
            at += 1;
        }
        module
    }

    /// Reads a path that begins here, if one does; returns its last token.
    fn path(&self, at: usize, paths: &mut Vec<Named>) -> usize {
        let line = self.tokens[at].line;
        if let Some(path) = self.text(at).strip_prefix('"') {
            paths.push(Named { path: path.split("::").map(str::to_owned).collect(), line });
            return at;
        }
        if !is_name(self.text(at)) || self.before(at, 1) == "::" {
            return at;
        }
        let mut path = vec![self.text(at).to_owned()];
        let mut end = at;
        while self.text(end + 1) == "::" && is_name(self.text(end + 2)) {
            end += 2;
            path.push(self.text(end).to_owned());
        }
        if path.len() > 1 {
            paths.push(Named { path, line });
        }
        end
    }

    /// Reads the import whose `use` is here; returns what follows it.
    fn import(&self, at: usize, uses: &mut Vec<Use>) -> usize {
        let is_public = match self.before(at, 1) {
            "pub" => true,
            ")" => (2..9).any(|by| self.before(at, by) == "pub"),
            _ => false,
        };
        let first = uses.len();
        let end = self.tree(at + 1, &[], uses);
        for it in &mut uses[first..] {
            it.is_public = is_public;
        }
        end + 1
    }

    /// Reads one branch of an import; returns what follows it.
    fn tree(&self, mut at: usize, prefix: &[String], uses: &mut Vec<Use>) -> usize {
        let line = self.tokens[at].line;
        let mut path = prefix.to_vec();
        loop {
            match self.text(at) {
                "::" => {
                    at += 1;
                    continue;
                }
                "{" => {
                    at += 1;
                    while self.text(at) != "}" {
                        at = self.tree(at, &path, uses);
                        at += usize::from(self.text(at) == ",");
                    }
                    return at + 1;
                }
                "*" => {
                    let named = Named { path, line };
                    uses.push(Use { alias: "*".to_owned(), named, is_public: false });
                    return at + 1;
                }
                // As the last of a group it means the group.
                "self" if !path.is_empty() => at += 1,
                name if is_name(name) => {
                    path.push(name.to_owned());
                    at += 1;
                }
                other => panic!("line {line}: {other:?} in an import"),
            }
            if self.text(at) != "::" {
                break;
            }
        }
        let mut alias = path.last().cloned().unwrap_or_default();
        if self.text(at) == "as" {
            self.text(at + 1).clone_into(&mut alias);
            at += 2;
        }
        uses.push(Use { alias, named: Named { path, line }, is_public: false });
        at
    }

    /// Whether an attribute for tests alone begins here.
    fn is_for_tests(&self, at: usize) -> bool {
        self.text(at + 1) == "["
            && self.text(at + 2) == "cfg"
            && (at..self.closing(at + 1)).any(|at| self.text(at) == "test")
            && (at..self.closing(at + 1)).all(|at| !matches!(self.text(at), "not" | "any"))
    }

    /// What follows the item, field or arm to which the attribute here belongs.
    fn after_item(&self, mut at: usize) -> usize {
        while self.text(at) == "#" {
            at = self.closing(at + 1) + 1;
        }
        let is_item = ITEMS.contains(&self.text(at));
        let is_import = self.text(at) == "use";
        while at < self.tokens.len() {
            match self.text(at) {
                ";" => return at + 1,
                "," if !is_item => return at + 1,
                "}" => return at,
                "{" if is_item && !is_import => return self.closing(at) + 1,
                "{" | "(" | "[" => at = self.closing(at),
                _ => {}
            }
            at += 1;
        }
        at
    }

    /// Where the bracket that opens here is closed; here, if none opens.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.text(at) {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The tokens of a file, without comments, literals and lifetimes. A text that is a path stays, with a `"` before it.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => text(rest),
            '\'' => quoted(rest),
            _ if raw(rest).is_some() => raw(rest).unwrap(),
            'b' | 'c' if rest[1..].starts_with('"') => 1 + text(&rest[1..]),
            'b' if rest[1..].starts_with('\'') => 1 + quoted(&rest[1..]),
            ':' if rest.starts_with("::") => 2,
            _ if is_name(rest) => {
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                rest.find(|c: char| !is_part(c)).unwrap_or(rest.len())
            }
            _ => first.len_utf8(),
        };
        let (read, after) = rest.split_at(length);
        let is_word = first == ':' || is_name(read) && !read.ends_with(['"', '\'', '#']);
        if is_word || "#{}()[];,*=<".contains(first) && read.len() == 1 {
            tokens.push(Token { text: read.to_owned(), line });
        } else if let Some(path) = text_path(&tokens, read) {
            tokens.push(Token { text: path, line });
        } else if !first.is_whitespace() && !read.starts_with('/') {
            tokens.push(Token { text: ".".to_owned(), line });
        }
        line += read.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Of a text after `with =` the path that it is.
fn text_path(before: &[Token], text: &str) -> Option<String> {
    let [.., attribute, equals] = before else { return None };
    let path = text.strip_prefix('"')?.strip_suffix('"')?;
    if equals.text != "=" || !TEXT_PATHS.contains(&attribute.text.as_str()) || !is_name(path) {
        return None;
    }
    // `with` names a module, whose functions are called.
    let function = if attribute.text == "with" { "::serialize" } else { "" };
    Some(format!("\"{path}{function}"))
}

/// Length of the literal that begins here.
fn text(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of the character that begins here, or of the mark of a lifetime.
fn quoted(rest: &str) -> usize {
    let mut inner = rest.chars().skip(1);
    match (inner.next(), inner.next()) {
        (Some('\\'), _) => {
            let end = rest.char_indices().skip(3).find(|(_, c)| *c == '\'');
            end.map_or(rest.len(), |(at, _)| at + 1)
        }
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1 + rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0),
    }
}

/// Length of the raw text that begins here, if one does.
fn raw(rest: &str) -> Option<usize> {
    let begun = ["r", "br", "cr"].iter().find_map(|start| rest.strip_prefix(start))?;
    let hashes = begun.len() - begun.trim_start_matches('#').len();
    let inner = begun[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inner.find(&end).map_or(inner.len(), |at| at + end.len());
    Some(rest.len() - inner.len() + length)
}
