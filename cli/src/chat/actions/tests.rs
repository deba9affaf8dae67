//! Tests of what is done with conversations.

use super::{super::gateway::Scripted, *};

fn conversation(name: &str) -> Event {
    let name = name.to_owned();
    Event::Conversation(Conversation { name, messages: 2, bytes: 9, created_at: 1, used_at: 2 })
}

fn gateway() -> Scripted {
    Scripted::new([["boats", "kitchen", "3"].map(conversation).to_vec()])
}

#[tokio::test]
async fn an_unknown_conversation_names_the_nearest() {
    for (name, words) in
        [("kitchn", Some("kitchen")), ("stars", Some("maru chat --list")), ("boats", None)]
    {
        let found = exists(&mut gateway(), &name.parse().unwrap()).await;
        let error = found.err().map(|error| error.to_string());
        match words {
            Some(words) => assert!(error.as_ref().unwrap().contains(words), "{name}: {error:?}"),
            None => assert_eq!(error, None),
        }
    }
}

#[tokio::test]
async fn a_conversation_is_chosen_by_number_or_name() {
    for (typed, chosen) in [
        (&["2\n"][..], Some("kitchen")),
        (&["\n"], Some("boats")),
        (&["kitchen\n"], Some("kitchen")),
        // A name goes before a number.
        (&["3\n"], Some("3")),
        (&["0\n", "4\n", "frob\n", "1\n"], Some("boats")),
        (&["9\n"], None),
    ] {
        let (sender, mut lines) = Lines::channel();
        for line in typed {
            sender.send((*line).to_owned().into()).await.unwrap();
        }
        drop(sender);

        let picked = pick(&mut gateway(), &mut lines).await.unwrap();

        assert_eq!(picked.as_ref().map(SessionName::as_str), chosen, "{typed:?}");
    }
    let (_sender, mut lines) = Lines::channel();
    let none = pick(&mut Scripted::new([vec![]]), &mut lines).await.unwrap_err().to_string();
    assert!(none.contains("no conversation"), "{none}");
}

#[test]
fn times_are_shown_to_the_second() {
    assert_eq!(time(1_795_269_612_345), "2026-11-21T14:00:12Z");
    assert_eq!(time(u64::MAX), "");
}
