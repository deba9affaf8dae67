use std::{fs, path::Path};

use chat_vocabulary::Role;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const LIMITS: Limits = Limits { person_bytes: 10_000, conversations: 4 };
const ADA: Person = Person::User(1);
const BOB: Person = Person::User(2);

fn message(text: &str) -> Message {
    Message { role: Role::User, text: text.to_owned() }
}

fn turn(text: &str) -> [Message; 2] {
    [message(text), Message { role: Role::Assistant, text: format!("{text}?") }]
}

async fn open(folder: &Path, machine: u8) -> Conversations {
    let database = Database::Sqlite(folder.join("conversations.sqlite"));
    Conversations::open(&database, None, Key::new(&[machine; 32]), LIMITS).await.unwrap()
}

async fn opened() -> (TempDir, Conversations) {
    let folder = tempfile::tempdir().unwrap();
    let conversations = open(folder.path(), 1).await;
    (folder, conversations)
}

/// The newest messages, opened.
async fn latest(
    conversations: &Conversations,
    person: &Person,
    name: &str,
    max_bytes: usize,
) -> Result<Vec<Message>, Error> {
    conversations.latest(person, name, max_bytes).await?.open()
}

async fn run(conversations: &Conversations, statement: &'static str) {
    sqlx::query(statement).execute(conversations.store.pool()).await.unwrap();
}

/// Every byte of the database's files.
fn bytes(folder: &Path) -> Vec<u8> {
    fs::read_dir(folder).unwrap().flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn what_was_appended_is_there_after_a_restart_and_nothing_of_it_is_readable() {
    let (folder, conversations) = opened().await;
    for text in ["heron", "osprey"] {
        conversations.append(&ADA, "kingfisher", &turn(text), 5).await.unwrap();
    }
    conversations.close().await;

    let conversations = open(folder.path(), 1).await;

    let expected = [turn("heron"), turn("osprey")].concat();
    assert_eq!(latest(&conversations, &ADA, "kingfisher", 1000).await.unwrap(), expected);
    let files = bytes(folder.path());
    for word in ["heron", "osprey", "kingfisher"] {
        assert!(!holds(&files, word.as_bytes()), "{word}");
    }
    assert!(holds(&files, b"user:1"), "the files were read");
}

#[tokio::test]
async fn the_newest_messages_come_that_the_bound_holds() {
    let (_folder, conversations) = opened().await;
    for number in 0..40 {
        conversations.append(&ADA, "main", &turn(&format!("{number:03}")), 5).await.unwrap();
    }
    let all = latest(&conversations, &ADA, "main", usize::MAX).await.unwrap();
    assert_eq!(all.len(), 80);
    // An answer takes 75 bytes as it is stored, a question 69.
    let newest = latest(&conversations, &ADA, "main", 36 * 75 + 35 * 69 + 5).await.unwrap();
    assert_eq!(newest, all[9..]);
}

#[tokio::test]
async fn one_person_finds_nothing_of_another() {
    let (_folder, conversations) = opened().await;
    conversations.append(&ADA, "main", &turn("ada's"), 5).await.unwrap();

    assert_eq!(latest(&conversations, &BOB, "main", 1000).await.unwrap(), []);
    assert_eq!(conversations.list(&BOB).await.unwrap(), []);
    assert!(!conversations.delete(&BOB, "main").await.unwrap());
    assert!(matches!(conversations.rename(&BOB, "main", "mine").await, Err(Error::Missing)));
    conversations.append(&BOB, "main", &turn("bob's"), 5).await.unwrap();
    conversations.forget(&BOB).await.unwrap();

    assert_eq!(latest(&conversations, &ADA, "main", 1000).await.unwrap(), turn("ada's"));
}

#[tokio::test]
async fn a_message_that_was_moved_does_not_open() {
    const IDS: [&str; 2] = [
        "UPDATE messages SET content_sealed = (SELECT content_sealed FROM messages WHERE number = 1) WHERE number = 0",
        "UPDATE messages SET number = number + 2",
    ];
    for moved in IDS {
        let (_folder, conversations) = opened().await;
        conversations.append(&ADA, "main", &turn("one"), 5).await.unwrap();
        run(&conversations, "UPDATE conversations SET next_number = 9").await;
        assert!(latest(&conversations, &ADA, "main", 1000).await.is_ok());
        run(&conversations, moved).await;
        assert!(matches!(latest(&conversations, &ADA, "main", 1000).await, Err(Error::Open(_))));
    }
    let (_folder, conversations) = opened().await;
    for (person, name) in [(&ADA, "a"), (&BOB, "b")] {
        conversations.append(person, name, &turn("one"), 5).await.unwrap();
    }
    // Bob's conversation, with its key and its messages, among ada's.
    run(&conversations, "UPDATE conversations SET person = 'user:1' WHERE person = 'user:2'").await;
    assert!(matches!(conversations.list(&ADA).await, Err(Error::Open(_))));
    // Bob's key in ada's place.
    run(
        &conversations,
        "UPDATE people SET key_sealed = (SELECT key_sealed FROM people WHERE person = 'user:2')",
    )
    .await;
    assert!(matches!(latest(&conversations, &ADA, "a", 1000).await, Err(Error::OtherMachine)));
}

#[tokio::test]
async fn another_machine_needs_the_recovery_code() {
    let (folder, conversations) = opened().await;
    conversations.append(&ADA, "main", &turn("one"), 5).await.unwrap();
    conversations.append(&BOB, "main", &turn("two"), 5).await.unwrap();
    let former = conversations.make_recovery_code(&ADA).await.unwrap();
    let code = conversations.make_recovery_code(&ADA).await.unwrap();
    let others = conversations.make_recovery_code(&BOB).await.unwrap();
    conversations.close().await;
    let conversations = open(folder.path(), 2).await;

    let adas = async || latest(&conversations, &ADA, "main", 1000).await;
    assert!(matches!(adas().await, Err(Error::OtherMachine)));
    let kept = conversations.append(&ADA, "main", &turn("new"), 6).await;
    assert!(matches!(kept, Err(Error::OtherMachine)), "nothing is lost by what comes after");
    for wrong in [&former, &others] {
        assert!(matches!(conversations.recover(&ADA, wrong).await, Err(Error::WrongCode)));
    }
    let typed = code.to_text().parse().unwrap();
    conversations.recover(&ADA, &typed).await.unwrap();

    assert_eq!(adas().await.unwrap(), turn("one"));
    conversations.append(&ADA, "main", &turn("new"), 6).await.unwrap();
    let bobs = latest(&conversations, &BOB, "main", 1000).await;
    assert!(matches!(bobs, Err(Error::OtherMachine)));
    conversations.forget(&BOB).await.unwrap();
    conversations.append(&BOB, "main", &turn("again"), 6).await.unwrap();
}

#[tokio::test]
async fn who_fills_their_room_loses_nothing_and_takes_nothing_of_others() {
    let (_folder, conversations) = opened().await;
    let long = turn(&"x".repeat(2000));
    conversations.append(&ADA, "main", &long, 5).await.unwrap();
    conversations.append(&ADA, "main", &long, 5).await.unwrap();
    let kept = conversations.append(&ADA, "main", &long, 5).await;
    assert!(matches!(kept, Err(Error::Full)));
    let kept = conversations.append(&ADA, "other", &long, 5).await;
    assert!(matches!(kept, Err(Error::Full)));
    assert_eq!(latest(&conversations, &ADA, "main", usize::MAX).await.unwrap().len(), 4);
    assert_eq!(conversations.list(&ADA).await.unwrap().len(), 1, "none began in vain");

    conversations.append(&BOB, "main", &long, 5).await.unwrap();
    assert!(conversations.delete(&ADA, "main").await.unwrap());
    for name in ["1", "2", "3", "4"] {
        conversations.append(&ADA, name, &turn(name), 5).await.unwrap();
    }
    let kept = conversations.append(&ADA, "5", &turn("5"), 5).await;
    assert!(matches!(kept, Err(Error::Full)));
}

#[tokio::test]
async fn names_change_and_the_last_used_is_listed_first() {
    let (_folder, conversations) = opened().await;
    for (name, now) in [("a", 1), ("b", 2), ("a", 3)] {
        conversations.append(&ADA, name, &turn(name), now).await.unwrap();
    }
    assert!(matches!(conversations.rename(&ADA, "a", "b").await, Err(Error::Taken)));
    conversations.rename(&ADA, "a", "c").await.unwrap();

    let list = conversations.list(&ADA).await.unwrap();
    let listed: Vec<_> = list.iter().map(|it| (&*it.name, it.created_at, it.used_at)).collect();
    assert_eq!(listed, [("c", 1, 3), ("b", 2, 2)]);
    assert_eq!(latest(&conversations, &ADA, "c", 1000).await.unwrap().len(), 4);
    assert_eq!(latest(&conversations, &ADA, "a", 1000).await.unwrap(), []);
}

#[tokio::test]
async fn no_file_has_the_key_of_a_conversation_that_was_deleted() {
    let (folder, conversations) = opened().await;
    conversations.append(&ADA, "main", &turn("one"), 5).await.unwrap();
    conversations.append(&ADA, "other", &turn("two"), 5).await.unwrap();
    let keys = "SELECT key_sealed FROM conversations ORDER BY name_digest = $1";
    let rows =
        sqlx::query(keys).bind(Vec::new()).fetch_all(conversations.store.pool()).await.unwrap();
    let keys: Vec<Vec<u8>> = rows.iter().map(|row| row.try_get(0).unwrap()).collect();
    for name in ["main", "other"] {
        assert!(conversations.delete(&ADA, name).await.unwrap());
    }

    let files = bytes(folder.path());
    assert!(holds(&files, b"user:1"), "the files were read");
    for key in keys {
        assert!(!holds(&files, &key[..16]));
    }
}

#[tokio::test]
async fn those_that_were_not_used_for_long_go_and_make_room() {
    let (_folder, conversations) = opened().await;
    let long = turn(&"x".repeat(2000));
    for (name, now) in [("old", 10), ("new", 20)] {
        conversations.append(&ADA, name, &long, now).await.unwrap();
    }
    conversations.prune(20).await.unwrap();
    let list = conversations.list(&ADA).await.unwrap();
    assert_eq!(list.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["new"]);
    conversations.append(&ADA, "next", &long, 30).await.unwrap();
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(text: String) {
        let message = message(&text);
        prop_assert_eq!(Message::decode(&message.encode()).unwrap(), message);
    }
}
