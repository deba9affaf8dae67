//! Pieces of a text that the tokenizer takes one by one.
//!
//! llama.cpp splits a text into words by `std::regex` for each vocabulary that it has no code of its own for
//! (`unicode_regex_split` in `unicode.cpp`). That recurses once for each character of a word: a run of 100,000 letters,
//! spaces or dashes would overflow the stack and end the process.

/// Most characters that a word may have. With a stack of 2 MiB the process ends at less than 5,000.
const WORD_MAX: usize = 1000;
/// Bytes of a piece after which it ends between two words: whoever counts the tokens stops in time.
const PIECE: usize = 1 << 16;

/// What the pieces of a text depend on.
#[derive(Debug)]
pub(super) struct Vocabulary {
    /// Texts of tokens that are taken as a whole wherever they stand, such as `<|im_end|>` and `<think>`: none is cut.
    pub(super) whole: Vec<String>,
    /// Whether a word may have spaces in it, so that none ends it.
    pub(super) has_spaced_words: bool,
}

/// Cuts a text where a word would become too long, and between two words where a piece would. The tokens of any text
/// without such a word are the model's own.
///
/// What lies before a cut does not depend on what follows it, so that a longer conversation begins with the same tokens.
pub(super) fn pieces<'a>(text: &'a str, vocabulary: &Vocabulary) -> Vec<&'a str> {
    let whole = &vocabulary.whole;
    let (mut pieces, mut begin) = (Vec::new(), 0);
    // Characters of the word so far, and the last place at which it could be cut with little harm.
    let (mut chars, mut gentle) = (0, None);
    let mut before = ' ';
    let mut rest = text.char_indices().peekable();
    while let Some((at, char)) = rest.next() {
        let after = rest.peek().map_or(' ', |(_, after)| *after);
        let is_between = char == ' ' && !before.is_whitespace() && !after.is_whitespace();
        if is_between && !vocabulary.has_spaced_words {
            (chars, gentle) = (0, None);
            if at - begin >= PIECE && outside(text, at, begin, whole) == at {
                pieces.push(&text[begin..at]);
                begin = at;
            }
        } else if is_between || is_gentle(before, char) {
            gentle = Some(at);
        }
        if chars == WORD_MAX {
            let cut = outside(text, gentle.take().unwrap_or(at), begin, whole);
            if cut <= at {
                pieces.push(&text[begin..cut]);
                begin = cut;
                chars = text[cut..at].chars().count();
            }
        }
        chars = (chars + 1).min(WORD_MAX);
        before = char;
    }
    pieces.push(&text[begin..]);
    pieces
}

/// Whether most vocabularies end a word between these two.
fn is_gentle(before: char, char: char) -> bool {
    let is_mark = matches!(char, '\u{3000}'..='\u{303f}' | '\u{ff01}'..='\u{ff0f}')
        || char.is_ascii_punctuation() && char != '\'';
    (before == '\n' && !char.is_whitespace()) || (before.is_alphanumeric() && is_mark)
}

/// A place near `cut` that is in none of the tokens: where one begins, or where it ends if the piece would be empty.
fn outside(text: &str, cut: usize, begin: usize, whole: &[String]) -> usize {
    let holds_cut = |token: &String| {
        let from = text.floor_char_boundary(cut.saturating_sub(token.len()).max(begin));
        let to = text.ceil_char_boundary((cut + token.len()).min(text.len()));
        let found = text[from..to].match_indices(token.as_str()).map(|(at, _)| from + at);
        let mut found = found.filter(|start| *start < cut && cut < start + token.len());
        found.next().map(|start| if start > begin { start } else { start + token.len() })
    };
    whole.iter().find_map(holds_cut).unwrap_or(cut)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vocabulary() -> Vocabulary {
        let whole = ["<|im_start|>", "<|im_end|>"].map(str::to_owned).into();
        Vocabulary { whole, has_spaced_words: false }
    }

    #[test]
    fn a_text_with_words_is_cut_between_two_of_them_after_a_while() {
        for words in ["a word ", "There is 3 € or 4 $? ", "단어 하나 ", "a\nb c\n"] {
            let text = words.repeat(PIECE / words.len());
            assert_eq!(pieces(&text, &vocabulary()), [text.as_str()]);
            let text = words.repeat(3 * PIECE / words.len());
            let pieces = pieces(&text, &vocabulary());
            assert!(
                pieces.len() == 3 && pieces[1..].iter().all(|it| it.starts_with(' ')),
                "{words}"
            );
        }
        assert_eq!(pieces("", &vocabulary()), [""]);
    }

    #[test]
    fn a_long_run_is_cut_and_gently_where_it_can_be() {
        for one in ["x", " ", "-", "가", "\n", " \n", "7", "a-", "字字。"] {
            let text = one.repeat(50_000);
            let pieces = pieces(&text, &vocabulary());
            let longest = pieces.iter().map(|piece| piece.chars().count()).max();
            assert!(longest.is_some_and(|chars| chars <= WORD_MAX + 1), "{one}: {longest:?}");
            assert_eq!(pieces.concat(), text);
            let is_gentle = pieces[1..].iter().all(|piece| piece.starts_with('。'));
            assert!(is_gentle || !one.contains('。'), "{pieces:?}");
        }
    }

    #[test]
    fn words_with_spaces_are_cut_at_one() {
        let spaced = Vocabulary { has_spaced_words: true, ..vocabulary() };
        let text = "word ".repeat(10_000);
        let pieces = pieces(&text, &spaced);
        assert!(pieces.len() > 40 && pieces[1..].iter().all(|piece| piece.starts_with(' ')));
        assert_eq!(pieces.concat(), text);
    }

    #[test]
    fn a_longer_text_begins_with_the_same_pieces() {
        let (short, long) = ("가나.".repeat(3000), "가나.".repeat(4000));
        let (short, long) = (pieces(&short, &vocabulary()), pieces(&long, &vocabulary()));
        let same = short.iter().zip(&long).take_while(|(short, long)| short == long).count();
        assert!(same + 1 >= short.len() && short.len() > 2, "{same} of {}", short.len());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_control_token_is_cut(
            parts in prop::collection::vec(("[a가 \n。<|>-]{0,2}", 1_usize..1500, any::<bool>()), 0..8),
        ) {
            let token = |is: bool| if is { "<|im_start|>" } else { "" };
            let text: String = parts.iter().map(|(run, n, is)| run.repeat(*n) + token(*is)).collect();
            let pieces = pieces(&text, &vocabulary());
            prop_assert_eq!(pieces.concat(), text.as_str());
            let count = |text: &str| text.matches("<|im_start|>").count();
            prop_assert_eq!(pieces.iter().map(|piece| count(piece)).sum::<usize>(), count(&text));
            prop_assert!(pieces.len() == 1 || pieces.iter().all(|piece| !piece.is_empty()));
        }
    }
}
