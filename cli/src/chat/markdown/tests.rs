//! Tests of the Markdown that a terminal shows.

use common::foreign;
use proptest::prelude::*;

use super::*;

/// Each character that is shown, with its style.
fn styles(shown: &str) -> Vec<(char, String)> {
    let (mut style, mut rest, mut characters) = (String::new(), shown, Vec::new());
    while let Some(c) = rest.chars().next() {
        if let Some(sequence) = rest.strip_prefix("\u{1b}[") {
            let end = sequence.find('m').expect("a whole sequence");
            assert!(sequence[..end].chars().all(|c| c.is_ascii_digit() || c == ';'), "{sequence}");
            style = sequence[..end].trim_start_matches('0').to_owned();
            rest = &sequence[end + 1..];
        } else {
            characters.push((c, style.clone()));
            rest = &rest[c.len_utf8()..];
        }
    }
    assert_eq!(style, "", "a style stays");
    characters
}

fn whole(source: &str) -> Vec<(char, String)> {
    let mut markdown = Markdown::default();
    styles(&(markdown.push(source) + &markdown.end()))
}

/// What is shown, as runs of `style:text`.
fn runs(source: &str) -> Vec<String> {
    let mut runs: Vec<(String, String)> = Vec::new();
    for (c, style) in whole(source) {
        match runs.last_mut() {
            Some((last, text)) if *last == style => text.push(c),
            Some(_) | None => runs.push((style, c.to_string())),
        }
    }
    runs.into_iter()
        .map(|(style, text)| if style.is_empty() { text } else { format!("{style}:{text}") })
        .collect()
}

#[test]
fn emphasis_and_code_have_styles() {
    assert_eq!(runs("a **b** c"), ["a ", "1:b", " c"]);
    assert_eq!(runs("*a* _b_ __c__ ***d***"), ["3:a", " ", "3:b", " ", "1:c", " ", "1;3:d"]);
    assert_eq!(runs("`a*b*` ``c`d`` e"), ["36:a*b*", " ", "36:c`d", " e"]);
    assert_eq!(runs("**a *b* `c`**"), ["1:a ", "1;3:b", "1: ", "1;36:c"]);
    assert_eq!(runs("**집**은"), ["1:집", "은"]);
}

#[test]
fn what_is_no_markdown_is_shown_as_it_is() {
    for text in [
        "2 * 3 * 4",
        "snake_case_name",
        "*.rs and *.md",
        "a ** b",
        "an open ** mark",
        "`open",
        "#tag",
        "[a](https://b.example)",
        "| a | b |",
        "C:\\new",
        "1. one",
        "-1",
    ] {
        assert_eq!(runs(text), [text], "{text}");
    }
    assert_eq!(runs("\\*a\\*"), ["*a*"]);
}

#[test]
fn lines_have_their_kind() {
    assert_eq!(runs("# A *b*\nc"), ["1:A ", "1;3:b", "\nc"]);
    assert_eq!(runs("- a\n  * b\n+ [ ] c"), ["• a\n  • b\n• [ ] c"]);
    assert_eq!(runs("> a\n"), ["2:│ a", "\n"]);
    assert_eq!(
        runs("---\n* * *"),
        ["2:────────────────────────", "\n", "2:────────────────────────"]
    );
    assert_eq!(
        runs("```rust\n# a *b*\n\n``\n```\n*c*"),
        ["2:```rust", "\n", "36:# a *b*", "\n\n", "36:``", "\n", "2:```", "\n", "3:c"]
    );
    assert_eq!(runs("~~~\n```\n~~~"), ["2:~~~", "\n", "36:```", "\n", "2:~~~"]);
}

#[test]
fn text_is_shown_as_soon_as_its_style_is_known() {
    let mut markdown = Markdown::default();
    assert_eq!(markdown.push("Hel"), "Hel");
    assert_eq!(markdown.push("lo **wor"), "lo ");
    assert_eq!(markdown.push("ld** a"), "\u{1b}[1mworld\u{1b}[0m a");
    assert_eq!(markdown.push(" *b\n-"), " *b\n");
    assert_eq!(markdown.push(" c"), "• c");
    assert_eq!(markdown.end(), "");
    assert_eq!(markdown.push("**a"), "");
    assert_eq!(markdown.end(), "**a");
}

#[test]
fn an_opening_mark_holds_back_a_bounded_text() {
    let mut markdown = Markdown::default();
    let text = format!("*{}", "a".repeat(2 * HELD_MAX));
    let shown: String = text
        .split_inclusive('a')
        .map(|piece| {
            let shown = markdown.push(piece);
            assert!(markdown.held.len() <= HELD_MAX);
            shown
        })
        .collect();
    assert_eq!(shown, text);

    let mut markdown = Markdown::default();
    for _ in 0..4 * HELD_MAX {
        markdown.push("-");
    }
    assert!(markdown.held.len() <= HELD_MAX);
}

fn source() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-a *_`#>~+\\\\\n1가]{0,60}",
        "(\\*{1,3}|_|`{1,3}|a|가| |\n|\\\\){0,40}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// However the source is cut into pieces, the same is shown, and nothing of it is lost or controls the terminal.
    #[test]
    fn pieces_show_what_the_whole_shows(source in source(), cuts in prop::collection::vec(0..8_usize, 0..80)) {
        let source = foreign::lines(&source);
        let mut markdown = Markdown::default();
        let (mut shown, mut rest) = (String::new(), &source[..]);
        for cut in cuts {
            let piece = rest.floor_char_boundary(cut);
            shown += &markdown.push(&rest[..piece]);
            rest = &rest[piece..];
        }
        shown += &markdown.push(rest);
        shown += &markdown.end();

        let characters = styles(&shown);
        prop_assert_eq!(&characters, &whole(&source));
        let text: String = characters.iter().map(|(c, _)| c).collect();
        prop_assert!(!text.chars().any(|c| foreign::steers(c) && c != '\n' && c != '\t'));
        let words = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        prop_assert_eq!(words(&text), words(&source));
    }
}
