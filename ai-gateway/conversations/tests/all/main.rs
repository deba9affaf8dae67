//! Conversations in databases that are damaged, of another version, or of another machine.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

mod damage;
mod versions;

use std::path::Path;

use chat_vocabulary::Role;
use conversations::{Conversations, Error, Limits, Message};
use mesh_identity::Person;
use store::{Database, seal::Key};

const LIMITS: Limits = Limits { person_bytes: 1 << 20, conversations: 100 };
/// The machine's key.
const MACHINE: [u8; 32] = [1; 32];
const PEOPLE: [Person; 2] = [Person::User(1), Person::User(2)];
const NAMES: [&str; 2] = ["heron", "osprey"];

async fn open(file: &Path, machine: [u8; 32]) -> Result<Conversations, Error> {
    let database = Database::Sqlite(file.to_owned());
    Conversations::open(&database, None, Key::new(&machine), LIMITS).await
}

/// A turn of one conversation.
fn turn(person: &Person, name: &str, number: usize) -> [Message; 2] {
    let text = format!("{person} {name} {number}");
    let answer = format!("{text} {}", "x".repeat(500));
    [(Role::User, text), (Role::Assistant, answer)].map(|(role, text)| Message { role, text })
}

/// Two people with two conversations of three turns each.
async fn fill(file: &Path) {
    let conversations = open(file, MACHINE).await.unwrap();
    for (person, name) in each() {
        for number in 0..3 {
            let turn = turn(&person, name, number);
            conversations.append(&person, name, &turn, 1_000_000).await.unwrap();
        }
    }
    conversations.close().await;
}

/// Each conversation.
fn each() -> impl Iterator<Item = (Person, &'static str)> {
    PEOPLE.into_iter().flat_map(|person| NAMES.map(|name| (person.clone(), name)))
}

async fn texts(
    conversations: &Conversations,
    person: &Person,
    name: &str,
) -> Result<Vec<Message>, Error> {
    conversations.latest(person, name, 1 << 20).await?.open()
}

async fn names(conversations: &Conversations, person: &Person) -> Result<Vec<String>, Error> {
    let list = conversations.list(person).await?;
    Ok(list.into_iter().map(|summary| summary.name).collect())
}

/// Everything is there.
async fn assert_whole(conversations: &Conversations) {
    for person in &PEOPLE {
        let mut listed = names(conversations, person).await.unwrap();
        listed.sort();
        assert_eq!(listed, NAMES);
    }
    for (person, name) in each() {
        let expected: Vec<_> = (0..3).flat_map(|number| turn(&person, name, number)).collect();
        assert_eq!(texts(conversations, &person, name).await.unwrap(), expected);
    }
}
