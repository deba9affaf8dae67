use std::io::Cursor;

use super::*;

fn model(name: &str) -> Entry {
    Entry {
        name: name.to_owned(),
        bytes: 105 << 20,
        kind: None,
        context_tokens: None,
        in_use: false,
        problem: None,
        sha256: None,
    }
}

fn known(models: &[&str]) -> ExistingSetup {
    let models = models.iter().map(|name| model(name)).collect();
    ExistingSetup { network: false, user: false, model: false, backups: false, models }
}

/// What is answered to these lines, and what was shown.
fn asked(
    said: Answers,
    known: &ExistingSetup,
    lines: &str,
    language: Language,
) -> (anyhow::Result<Answers>, String) {
    let input = Cursor::new(lines.to_owned());
    let mut terminal = Terminal { input, output: Vec::new(), language };
    let answers = said.ask(known, &mut terminal);
    (answers, String::from_utf8(terminal.output).unwrap())
}

#[test]
fn the_questions_in_both_languages() {
    let known = known(&["big.gguf", "small.gguf"]);
    let lines = "\nann\nhome.example.org\n2\n/home/ann\n/mnt/disk/maru\n";

    let (answers, english) = asked(Answers::default(), &known, lines, Language::English);
    let (_, korean) = asked(Answers::default(), &known, lines, Language::Korean);

    let expected = Answers {
        network: Some("maru.home.arpa".to_owned()),
        user: Some("ann".to_owned()),
        reach: Some(Reach::Certified("home.example.org".to_owned())),
        model: Some("small.gguf".to_owned()),
        backups: Some("/mnt/disk/maru".into()),
    };
    assert_eq!(answers.unwrap(), expected);
    insta::assert_snapshot!("english", english);
    insta::assert_snapshot!("korean", korean);
}

#[test]
fn an_answer_that_cannot_be_used_is_asked_for_again() {
    let said = Answers { reach: Some(Reach::Plain("192.0.2.7".to_owned())), ..Answers::default() };
    let lines = "home\nhome.internal\n\nAnn Lee\nann\n\n\n";

    let (answers, shown) = asked(said, &known(&["only.gguf"]), lines, Language::English);

    let answers = answers.unwrap();
    assert_eq!(answers.network.as_deref(), Some("home.internal"));
    assert_eq!(
        (answers.user.as_deref(), answers.model.as_deref()),
        (Some("ann"), Some("only.gguf"))
    );
    assert_eq!(answers.backups, Some("/var/backups/maru".into()));
    insta::assert_snapshot!("again", shown);
}

#[test]
fn the_end_of_the_input_is_no_answer() {
    let (answers, _) = asked(Answers::default(), &known(&[]), "\n", Language::English);

    assert!(answers.unwrap_err().to_string().starts_with("there was no answer"));
}

#[test]
fn a_second_run_asks_only_for_what_nobody_named() {
    let again = ExistingSetup { network: true, model: true, ..known(&["a.gguf", "b.gguf"]) };
    let (answers, shown) = asked(Answers::default(), &again, "\n", Language::English);
    assert_eq!(answers.unwrap(), Answers::default());
    assert_eq!(shown, "First person, such as ann: ");

    let complete = ExistingSetup { user: true, ..again };
    let (answers, shown) = asked(Answers::default(), &complete, "", Language::English);
    assert_eq!((answers.unwrap(), shown.as_str()), (Answers::default(), ""));
}

#[test]
fn without_a_terminal_the_missing_options_are_named() {
    let all =
        ["--network NAME", "--user NAME", "--lan, --domain NAME / --address HOST", "--model MODEL"];
    assert_eq!(Answers::default().missing(&known(&[])), all);
    assert_eq!(Answers::default().missing(&known(&["only.gguf"])), all[..3]);
    let again = ExistingSetup { network: true, model: true, ..known(&[]) };
    assert_eq!(Answers::default().missing(&again), Vec::<&str>::new());
}
