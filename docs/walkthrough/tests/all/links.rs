//! The links of every page, as people follow them in the Markdown.
//!
//! Fails if a link leads to no file, to no heading, or to a source file that does not define what the link is called
//! after: `` [`Chain::open`](…/models.rs) `` needs an `open` in that file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Words before a name where Rust defines it.
const DEFINES: &[&str] =
    &["fn", "struct", "enum", "trait", "type", "const", "static", "mod", "macro_rules!"];

/// A link of a page.
#[derive(Debug, PartialEq, Eq)]
struct Link<'a> {
    text: &'a str,
    target: &'a str,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page that belongs to the project.
fn pages() -> Vec<PathBuf> {
    let listed = Command::new("git").args(["ls-files", "--", "*.md"]).current_dir(root()).output();
    let listed = listed.unwrap();
    assert!(listed.status.success(), "the project is a git checkout");
    let pages = String::from_utf8(listed.stdout).unwrap();
    pages.lines().map(|page| root().join(page)).filter(|page| page.exists()).collect()
}

/// The text without its code blocks, in which brackets mean something else.
fn prose(page: &str) -> String {
    let mut inside = false;
    let outside = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    };
    page.lines().filter(outside).flat_map(|line| [line, "\n"]).collect()
}

/// The links `[text](target)` of a text.
fn links(text: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    for (at, _) in text.match_indices("](") {
        let Some(start) = text[..at].rfind('[') else { continue };
        let Some(length) = text[at + 2..].find(')') else { continue };
        links.push(Link { text: &text[start + 1..at], target: &text[at + 2..at + 2 + length] });
    }
    links
}

/// What is wrong with a link of the page, if anything.
fn fault(page: &Path, link: &Link<'_>) -> Option<String> {
    if link.target.contains("://") || link.target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.target.split_once('#').unwrap_or((link.target, ""));
    let path = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    if !path.exists() {
        return Some("leads to no file".to_owned());
    }
    if path.extension().is_some_and(|kind| kind == "md") && !anchor.is_empty() {
        let text = fs::read_to_string(&path).unwrap();
        let headings = text.lines().filter(|line| line.starts_with('#'));
        let found = headings.map(|line| line.trim_start_matches('#')).any(|it| slug(it) == anchor);
        return (!found).then(|| format!("leads to no heading {anchor}"));
    }
    let name = link.text.strip_prefix('`')?.strip_suffix('`')?;
    if path.extension().is_none_or(|kind| kind != "rs") {
        return None;
    }
    let name = name.rsplit("::").next()?.trim_end_matches("()");
    let source = fs::read_to_string(&path).unwrap();
    let is_file = path.file_stem().is_some_and(|stem| stem == name)
        || (path.ends_with("src/lib.rs") && source.starts_with("//!") && !link.text.contains("::"));
    let is_crate = is_file && name.chars().all(|c| c.is_lowercase() || c == '_');
    (!is_crate && !defines(&source, name)).then(|| format!("leads to a file without {name}"))
}

fn defines(source: &str, name: &str) -> bool {
    let words: Vec<&str> = source
        .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '!'))
        .filter(|word| !word.is_empty())
        .collect();
    words.windows(2).any(|pair| DEFINES.contains(&pair[0]) && pair[1] == name)
}

/// A heading as a link names it: lower case, spaces as hyphens, no punctuation.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_where_it_says() {
    let (mut seen, mut faults) = (0, Vec::new());
    for page in pages() {
        let text = prose(&fs::read_to_string(&page).unwrap());
        for link in links(&text) {
            seen += 1;
            if let Some(fault) = fault(&page, &link) {
                faults.push(format!("{}: {link:?} {fault}", page.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(seen > 80, "only {seen} links were found");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = root().join("docs/walkthrough/chat.md");
    let wrong = |text, target| fault(&page, &Link { text, target });
    assert_eq!(wrong("`links`", "tests/all/links.rs"), None);
    assert_eq!(wrong("`links::slug`", "tests/all/links.rs"), None);
    assert!(wrong("`links::slugs`", "tests/all/links.rs").is_some(), "no such function");
    assert!(wrong("chat", "tests/all/no_such_file.rs").is_some());
    assert!(wrong("glossary", "../glossary.md#no-such-heading").is_some());
    assert_eq!(wrong("glossary", "../glossary.md#glossary"), None);
    let text = "see [a `b`](c.md), `[0](1)`\n```\n[x](y)\n```\n";
    let found = links(text).len();
    assert_eq!((found, links(&prose(text)).len()), (3, 2));
}
