//! Tests of a conversation on a terminal.

use std::os::unix::fs::PermissionsExt as _;

use ai_gateway_api::sealed::{Conversation, Input, SessionMessage};
use clap::Parser as _;

use super::{super::gateway::Scripted, *};
use crate::args::{Cli, Command as CliCommand};

fn args(more: &[&str]) -> ChatArgs {
    let cli = Cli::try_parse_from([&["maru", "chat"], more].concat()).unwrap();
    let CliCommand::Chat(args) = cli.command else { panic!("another command") };
    args
}

fn reply(text: &str) -> Vec<Event> {
    vec![Event::Model("a/b".to_owned()), Event::Delta(text.to_owned())]
}

fn said(text: &str) -> Vec<Event> {
    vec![Event::Delta(text.to_owned())]
}

fn message(role: Role, number: u64) -> Event {
    let content = String::new();
    Event::Message(SessionMessage { role, content, number: Some(number), time: Some(1) })
}

fn conversation(name: &str) -> Event {
    let name = name.to_owned();
    Event::Conversation(Conversation { name, messages: 2, bytes: 9, created_at: 1, used_at: 2 })
}

/// Types these lines one after the other; returns what was asked, and where the conversation is then.
async fn typed(
    gateway: &mut Scripted,
    args: &ChatArgs,
    transcript: Transcript,
    text: &[&str],
) -> (Vec<Operation>, Transcript) {
    let (_sender, mut lines) = Lines::channel();
    let mut chat = InteractiveChat { gateway, sink: Collected::default(), args, transcript };
    for line in text {
        chat.take(line, &mut lines).await.unwrap();
    }
    let transcript = chat.transcript;
    (std::mem::take(&mut gateway.asked), transcript)
}

fn session(name: &str) -> Transcript {
    Transcript::Session(name.parse().unwrap())
}

/// The texts of a question.
fn texts(operation: &Operation) -> Vec<String> {
    let Operation::Chat(chat) = operation else { panic!("{operation:?}") };
    match &chat.input {
        Input::Text(text) => vec![text.clone()],
        Input::Messages(messages) => {
            assert_eq!(chat.session, None, "nothing is kept");
            messages.iter().map(|message| message.content.text().into_owned()).collect()
        }
    }
}

#[tokio::test]
async fn a_temporary_conversation_is_held_here_alone() {
    let args = args(&["--temporary"]);
    let mut gateway = Scripted::new([reply("one"), said("a list"), reply("two"), reply("three")]);

    let transcript = Transcript::Temporary(vec![]);
    let (asked, transcript) = typed(
        &mut gateway,
        &args,
        transcript,
        &["first\n", "/model\n", "second\n", "/new\n", "third\n"],
    )
    .await;

    let asked: Vec<_> = asked.iter().map(texts).collect();
    assert_eq!(asked[0], ["first"]);
    assert_eq!(asked[1], ["first", "one", "/model"]);
    assert_eq!(asked[2], ["first", "one", "second"], "a command is no part of it");
    assert_eq!(asked[3], ["third"]);
    let Transcript::Temporary(messages) = transcript else { panic!("it is kept") };
    assert_eq!(messages, [Message::user("third"), Message::assistant("three")]);
}

#[tokio::test]
async fn an_edited_question_begins_a_branch() {
    let args = args(&[]);
    let newest = vec![message(Role::User, 4), message(Role::Assistant, 5)];
    let taken = vec![conversation("main"), conversation("main (2)")];
    let mut gateway = Scripted::new([newest, taken, vec![], reply("hello")]);

    let (asked, transcript) =
        typed(&mut gateway, &args, session("main"), &["/edit Again?\n"]).await;

    let to: SessionName = "main (3)".parse().unwrap();
    let branch = Branch { session: "main".parse().unwrap(), before: 4, to: to.clone() };
    assert_eq!(asked[2], Operation::Branch(branch));
    assert_eq!(asked[3], question::text(&args, Some(to.clone()), "Again?"));
    assert!(matches!(transcript, Transcript::Session(name) if name == to));

    let transcript = Transcript::Temporary(vec![Message::user("a"), Message::assistant("b")]);
    let mut gateway = Scripted::new([reply("c")]);
    let (asked, _) = typed(&mut gateway, &args, transcript, &["/edit z\n"]).await;
    assert_eq!(texts(&asked[0]), ["z"]);
}

#[tokio::test]
async fn what_cannot_be_edited_or_exported_is_said() {
    let args = args(&[]);
    let (_sender, mut lines) = Lines::channel();
    for (transcript, line, words) in [
        (session("main"), "/edit", "/edit TEXT"),
        (session("main"), "/edit a", "no question"),
        (Transcript::Temporary(vec![]), "/edit a", "no question"),
        (Transcript::Temporary(vec![]), "/export", "not on the gateway"),
    ] {
        let mut gateway = Scripted::new([vec![]]);
        let mut chat = InteractiveChat {
            gateway: &mut gateway,
            sink: Collected::default(),
            args: &args,
            transcript,
        };
        let error = chat.take(line, &mut lines).await.unwrap_err().to_string();
        assert!(error.contains(words), "{line}: {error}");
    }
}

#[tokio::test]
async fn a_reply_is_stopped_and_other_lines_wait() {
    let args = args(&[]);
    let (sender, mut lines) = Lines::channel();
    for line in ["next\n", "/stop\n", "last\n"] {
        sender.send(line.to_owned().into()).await.unwrap();
    }
    let mut gateway = Scripted::default();
    let transcript = Transcript::Temporary(vec![]);
    let mut chat = InteractiveChat {
        gateway: &mut gateway,
        sink: Collected::default(),
        args: &args,
        transcript,
    };

    chat.take("endless\n", &mut lines).await.unwrap();

    assert!(matches!(chat.transcript, Transcript::Temporary(messages) if messages.is_empty()));
    drop(sender);
    let mut left = Vec::new();
    while let Some(line) = lines.next().await {
        left.push(line.to_string());
    }
    assert_eq!(left, ["next\n", "last\n"]);
}

#[tokio::test]
async fn a_conversation_is_exported_to_a_new_file_of_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let args = args(&[]);
    let (_sender, mut lines) = Lines::channel();
    let mut gateway = Scripted::new([said("text"), said("other")]);
    let mut chat = InteractiveChat {
        gateway: &mut gateway,
        sink: Collected::default(),
        args: &args,
        transcript: session("main"),
    };
    let line = format!("/export {}\n", path.display());

    chat.take(&line, &mut lines).await.unwrap();
    let again = chat.take(&line, &mut lines).await.unwrap_err().to_string();

    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(again.contains("a.json"), "{again}");
    let format = ExportFormat::Json;
    let export = Export { session: Some("main".parse().unwrap()), format };
    assert_eq!(gateway.asked[0], Operation::Export(export));
}

#[test]
fn names_of_branches_and_files() {
    let name =
        |session: &str| branch_name(&session.parse().unwrap(), |_| false).unwrap().to_string();
    assert_eq!(name("main"), "main (2)");
    assert_eq!(name("main (7)"), "main (2)");
    assert_eq!(name("main (x)"), "main (x) (2)");
    assert_eq!(name(&"가".repeat(33)), format!("{} (2)", "가".repeat(32)));
    assert_eq!(branch_name(&"main".parse().unwrap(), |_| true), None);

    assert_eq!(file_name(&"../a b/집".parse().unwrap()), "---a b-집.md");
}
