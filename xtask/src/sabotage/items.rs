//! The items of a Rust file (functions, implementations, types, constants) and where each stands.
//!
//! Reads only as much of the language as that takes: what is a comment or a literal, and which bracket closes which.

use std::ops::Range;

/// An item, with what belongs to it: attributes and comments before it, and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// From the outermost module: `tests::Registry::is_live`. An implementation is named by its type.
    path: String,
    /// In bytes of the file.
    pub(super) range: Range<usize>,
}

impl Item {
    /// Whether its path ends with `path`.
    pub(super) fn is(&self, path: &str) -> bool {
        self.path.strip_suffix(path).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
    }
}

/// What a file is made of, without comments and literals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token<'a> {
    text: &'a str,
    at: usize,
}

/// Every item of a file, nested ones included.
pub(super) fn items(source: &str) -> Vec<Item> {
    let masked = mask(source);
    let tokens = tokens(&masked);
    let mut items: Vec<Item> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    // After which token the item begins that the next keyword may declare.
    let mut begin = 0;
    for (index, token) in tokens.iter().enumerate() {
        open.retain(|&item| items[item].range.end > token.at);
        if let Some(name) = declared(&tokens, index) {
            let end = end(&tokens, index).unwrap_or(source.len());
            let path = match open.last() {
                Some(&parent) => format!("{}::{name}", items[parent].path),
                None => name.to_owned(),
            };
            open.push(items.len());
            items.push(Item { path, range: begin..end });
        }
        if matches!(token.text, "{" | "}" | ";") {
            begin = token.at + 1;
        }
    }
    items
}

/// The name of the item whose keyword is this token.
fn declared<'a>(tokens: &[Token<'a>], index: usize) -> Option<&'a str> {
    let before = index.checked_sub(1).map_or("", |before| tokens[before].text);
    let next = |by: usize| tokens.get(index + by).map(|token| token.text);
    let starts = matches!(before, "" | "{" | "}" | ";" | "]" | ")" | "pub" | "unsafe" | "default");
    match tokens[index].text {
        "fn" => next(1).filter(|name| is_word(name)),
        "struct" | "enum" | "union" | "trait" | "mod" | "const" | "static" | "type" if starts => {
            let name = if next(1) == Some("mut") { next(2) } else { next(1) };
            name.filter(|name| is_word(name) && !matches!(*name, "fn" | "unsafe" | "async"))
        }
        "macro_rules" if next(1) == Some("!") => next(2),
        "impl" if starts => implementor(&tokens[index + 1..]),
        _ => None,
    }
}

/// The type in `impl<…> Trait for Type<…> where … {`.
fn implementor<'a>(tokens: &[Token<'a>]) -> Option<&'a str> {
    let (mut depth, mut name) = (0_i32, None);
    for (index, token) in tokens.iter().enumerate() {
        match token.text {
            "<" => depth += 1,
            ">" if index.checked_sub(1).is_none_or(|before| tokens[before].text != "-") => {
                depth -= 1
            }
            "{" | "where" if depth == 0 => break,
            "for" if depth == 0 => name = None,
            word if depth == 0 && is_word(word) && word != "dyn" => name = Some(word),
            _ => {}
        }
    }
    name
}

/// Where the item ends whose keyword is this token: after its body, or its semicolon.
fn end(tokens: &[Token], index: usize) -> Option<usize> {
    let has_value = matches!(tokens[index].text, "const" | "static" | "type");
    let mut depth = 0_usize;
    for token in &tokens[index..] {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.checked_sub(1)?,
            "}" => {
                depth = depth.checked_sub(1)?;
                if depth == 0 && !has_value {
                    return Some(token.at + 1);
                }
            }
            ";" if depth == 0 => return Some(token.at + 1),
            _ => {}
        }
    }
    None
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, and every other sign by itself.
fn tokens(masked: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = masked;
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let length = match rest.find(|c| !is_part(c)) {
            Some(0) => first.len_utf8(),
            Some(length) => length,
            None => rest.len(),
        };
        let (text, after) = rest.split_at(length);
        if !first.is_whitespace() {
            tokens.push(Token { text, at: masked.len() - rest.len() });
        }
        rest = after;
    }
    tokens
}

/// The source with blanks in place of comments and literals, of the same length in bytes.
fn mask(source: &str) -> String {
    let mut masked = String::with_capacity(source.len());
    let mut rest = source;
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        let hidden = if in_word { literal_after_word(rest) } else { hidden(rest) };
        let length = hidden.unwrap_or(first.len_utf8());
        let (text, after) = rest.split_at(length);
        match hidden {
            Some(length) => masked.extend(std::iter::repeat_n(' ', length)),
            None => masked.push_str(text),
        }
        in_word = hidden.is_none() && (first.is_alphanumeric() || first == '_');
        rest = after;
    }
    masked
}

/// A literal whose prefix was read as a word: `c"…"`, `b'…'`.
fn literal_after_word(rest: &str) -> Option<usize> {
    match rest.chars().next() {
        Some('"') => Some(string(rest)),
        Some('\'') => character(rest),
        _ => None,
    }
}

/// How long the comment or literal is that `rest` begins with.
fn hidden(rest: &str) -> Option<usize> {
    let raw = rest.trim_start_matches('b').strip_prefix('r').filter(|_| !rest.starts_with("bb"));
    let hashes = raw.map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
    if rest.starts_with("//") {
        Some(rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        Some(comment(rest))
    } else if let Some(raw) = raw.filter(|raw| raw[hashes..].starts_with('"')) {
        let close = format!("\"{}", "#".repeat(hashes));
        let body = &raw[hashes + 1..];
        let end = body.find(&close).map_or(body.len(), |at| at + close.len());
        Some(rest.len() - body.len() + end)
    } else if rest.starts_with('"') {
        Some(string(rest))
    } else if rest.starts_with('\'') {
        character(rest)
    } else {
        None
    }
}

/// Of a comment in `/* … */`, which may hold others.
fn comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        let two = rest.as_bytes().get(at..at + 2);
        match two {
            Some(b"/*") => (at, depth) = (at + 2, depth + 1),
            Some(b"*/") if depth == 1 => return at + 2,
            Some(b"*/") => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !is_escaped => return at + 1,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    rest.len()
}

/// Of a character; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let mut signs = rest.char_indices().skip(1);
    let (_, first) = signs.next()?;
    if first == '\\' {
        let _ = signs.next()?;
        return signs.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    signs.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r##"
//! A file. { "

use std::fmt;

/// Most. }
#[derive(Debug)]
pub(crate) const MOST: [u8; 2] = { [b'{', b'"'] };
static NAME: &str = r#"fn not() { "#;

struct Pair(u8, u8);

impl<'a, F: Fn(&'a str) -> u8> fmt::Display for Shown<'a, F>
where
    F: Clone,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn inner(call: fn(u8), of: *const u8, what: impl Fn()) {}
        /* fn also_not() { /* nested */ } */
        write!(f, "}} fn neither() {{ \" {}", '\'')
    }
}

mod tests {
    async fn fmt() {}
}
"##;

    #[test]
    fn items_are_found_with_their_parents() {
        let paths: Vec<_> = items(SOURCE).into_iter().map(|item| item.path).collect();
        let expected = [
            "MOST",
            "NAME",
            "Pair",
            "Shown",
            "Shown::fmt",
            "Shown::fmt::inner",
            "tests",
            "tests::fmt",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn an_item_holds_its_attributes_and_its_body() {
        let items = items(SOURCE);
        let text = |path: &str| {
            let item = items.iter().find(|item| item.path == path).unwrap();
            SOURCE[item.range.clone()].trim()
        };
        assert!(text("MOST").starts_with("/// Most. }\n#[derive(Debug)]"), "{}", text("MOST"));
        assert!(text("MOST").ends_with("};"));
        assert_eq!(text("Pair"), "struct Pair(u8, u8);");
        assert!(text("Shown").starts_with("impl<'a") && text("Shown").ends_with("}\n}"));
        assert!(text("Shown::fmt").ends_with("'\\'')\n    }"), "{}", text("Shown::fmt"));
    }

    #[test]
    fn an_item_is_meant_by_the_end_of_its_path() {
        let item = Item { path: "tests::Shown::fmt".to_owned(), range: 0..0 };
        assert!(item.is("fmt") && item.is("Shown::fmt") && item.is("tests::Shown::fmt"));
        assert!(!item.is("mt") && !item.is("own::fmt") && !item.is("Shown"));
    }
}
