//! The catalogue: both languages have the same messages with the same arguments, and the sources use them so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use fluent_syntax::{
    ast::{Entry, Expression, InlineExpression, Pattern, PatternElement},
    parser,
};
use messages::{Language, Message, message};

/// A text of the catalogue: `id`, or `id.attribute`, its arguments, and how many parts it has.
type Texts = BTreeMap<String, (BTreeSet<String>, usize)>;

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn inline(expression: &InlineExpression<&str>, arguments: &mut BTreeSet<String>) {
    match expression {
        InlineExpression::VariableReference { id } => drop(arguments.insert(id.name.to_owned())),
        InlineExpression::FunctionReference { arguments: called, .. } => {
            called.positional.iter().for_each(|it| inline(it, arguments));
        }
        InlineExpression::Placeable { expression: inner } => expression_in(inner, arguments),
        InlineExpression::StringLiteral { .. }
        | InlineExpression::NumberLiteral { .. }
        | InlineExpression::MessageReference { .. }
        | InlineExpression::TermReference { .. } => {}
    }
}

fn expression_in(expression: &Expression<&str>, arguments: &mut BTreeSet<String>) {
    match expression {
        Expression::Inline(it) => inline(it, arguments),
        Expression::Select { selector, variants } => {
            inline(selector, arguments);
            variants.iter().for_each(|variant| pattern(&variant.value, arguments));
        }
    }
}

fn pattern(text: &Pattern<&str>, arguments: &mut BTreeSet<String>) {
    for element in &text.elements {
        if let PatternElement::Placeable { expression } = element {
            expression_in(expression, arguments);
        }
    }
}

/// The texts of these files of a language.
fn texts(language: &str, files: &[&str]) -> Texts {
    let mut texts = Texts::new();
    for file in files {
        let path = workspace().join(format!("messages/{language}/{file}.ftl"));
        let source = fs::read_to_string(&path).unwrap();
        let resource = parser::parse(source.as_str()).unwrap_or_else(|(_, errors)| {
            panic!("{}: {errors:?}", path.display());
        });
        let mut add = |id: String, text: &Pattern<&str>| {
            let mut arguments = BTreeSet::new();
            pattern(text, &mut arguments);
            let parts = text.elements.iter().map(|element| match element {
                PatternElement::TextElement { value } => value.matches('|').count(),
                PatternElement::Placeable { .. } => 0,
            });
            let parts = parts.sum();
            assert!(texts.insert(id.clone(), (arguments, parts)).is_none(), "{id} is there twice");
        };
        for entry in resource.body {
            match entry {
                Entry::Message(it) => {
                    let id = it.id.name.to_owned();
                    it.value.iter().for_each(|text| add(id.clone(), text));
                    it.attributes.iter().for_each(|attribute| {
                        add(format!("{id}.{}", attribute.id.name), &attribute.value);
                    });
                }
                Entry::Comment(_) | Entry::GroupComment(_) | Entry::ResourceComment(_) => {}
                Entry::Term(_) | Entry::Junk { .. } => panic!("{}: {entry:?}", path.display()),
            }
        }
    }
    texts
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["target", "messages", "interop", "xtask"].contains(&name) && !name.starts_with('.')
            {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// Each `message!` of a source: the id, and the names of the arguments.
fn uses(source: &str) -> Vec<(String, BTreeSet<String>)> {
    let calls = source.match_indices("message!(");
    let calls = calls.map(|(at, name)| source[at + name.len()..].trim_start());
    let calls = calls.filter_map(|rest| {
        let (id, rest) = rest.strip_prefix('"')?.split_once('"')?;
        let (mut depth, mut text, mut parts) = (0, false, vec![String::new()]);
        let mut before = ' ';
        for c in rest.chars() {
            match c {
                '"' if before != '\\' && before != '\'' => text = !text,
                '(' | '[' | '{' if !text => depth += 1,
                ')' if !text && depth == 0 => break,
                ')' | ']' | '}' if !text => depth -= 1,
                ',' if !text && depth == 0 => parts.push(String::new()),
                _ => {}
            }
            parts.last_mut().unwrap().push(c);
            before = c;
        }
        let name = |part: &String| {
            let part = part.trim_start_matches(',').trim();
            let name = part.split(|c: char| c != '_' && !c.is_alphanumeric()).next()?;
            (!name.is_empty()).then(|| name.to_owned())
        };
        Some((id.to_owned(), parts.iter().skip(1).filter_map(name).collect()))
    });
    calls.collect()
}

#[test]
fn both_languages_have_the_same_messages_with_the_same_arguments() {
    let files = ["chat", "cli", "pages", "problems", "rooms"];
    let (english, korean) = (texts("en", &files), texts("ko", &files));
    for (id, text) in &english {
        assert_eq!(korean.get(id), Some(text), "{id} in Korean");
    }
    assert_eq!(korean.keys().find(|id| !english.contains_key(*id)), None, "not in English");
}

#[test]
fn every_use_names_a_message_and_its_arguments_and_every_message_is_used() {
    let mut catalogue = Texts::new();
    for (id, (arguments, parts)) in texts("en", &["chat", "cli", "pages", "problems", "rooms"]) {
        let id = id.split('.').next().unwrap().to_owned();
        catalogue.entry(id).or_insert((BTreeSet::new(), parts)).0.extend(arguments);
    }
    let mut files = Vec::new();
    sources(workspace(), &mut files);
    let mut used = BTreeSet::new();
    for file in files {
        for (id, arguments) in uses(&fs::read_to_string(&file).unwrap()) {
            let known = catalogue.get(&id).map(|text| &text.0);
            assert_eq!(known, Some(&arguments), "{id} in {}", file.display());
            used.insert(id);
        }
    }
    let is_unused = |id: &&String| !used.contains(*id) && !id.starts_with("problem-");
    assert_eq!(catalogue.keys().filter(is_unused).collect::<Vec<_>>(), [""; 0]);
}

/// Marks around an argument, which Fluent puts there by default, would be visible on a terminal; markup is no concern of the
/// catalogue.
#[test]
fn an_argument_stands_in_the_text_as_it_is() {
    let address = "a\u{202e}<b>{ $x }";
    let page = message!("page-join", address).text(Language::English).into_owned();
    assert!(page.contains(&format!("<code class=\"address\">{address}</code>")), "{page}");
    assert!(!page.contains(['\u{2068}', '\u{2069}']), "{page}");
    assert_eq!(Message::from(address).to_string(), address);
}
