use std::path::Path;

use store::{Database, seal::Key};
use tempfile::TempDir;

use super::*;
use crate::conversations::Limits;

const ADA: Person = Person::User(1);
const BOB: Person = Person::User(2);

async fn open(folder: &Path) -> Conversations {
    let database = Database::Sqlite(folder.join("conversations.sqlite"));
    let limits = Limits { person_bytes: 10_000, conversations: 4 };
    Conversations::open(&database, None, Key::new(&[1; 32]), limits).await.unwrap()
}

async fn opened() -> (TempDir, Conversations) {
    let folder = tempfile::tempdir().unwrap();
    let conversations = open(folder.path()).await;
    (folder, conversations)
}

fn change(name: &str, text: impl Into<String>) -> MemoryChange {
    MemoryChange { name: name.to_owned(), text: text.into() }
}

async fn set(
    conversations: &Conversations,
    person: &Person,
    changes: Vec<MemoryChange>,
) -> Result<(), Error> {
    conversations.edit_memory(person, |_| Ok((changes, ()))).await
}

async fn text(conversations: &Conversations, person: &Person, name: &str) -> String {
    conversations.memory(person).await.unwrap().open(name).unwrap()
}

#[tokio::test]
async fn memory_is_there_after_a_restart_and_not_readable_in_the_file() {
    let (folder, conversations) = opened().await;
    let files = vec![change("USER.md", "is an osprey"), change("memory/2026-11-26.md", "- tea")];
    set(&conversations, &ADA, files).await.unwrap();
    conversations.set_ai_remembers(&ADA, true).await.unwrap();
    conversations.close().await;

    let conversations = open(folder.path()).await;

    let memory = conversations.memory(&ADA).await.unwrap();
    assert_eq!(memory.names().collect::<Vec<_>>(), ["USER.md", "memory/2026-11-26.md"]);
    assert_eq!(memory.open("USER.md").unwrap(), "is an osprey");
    assert!(memory.ai_remembers());
    let files = std::fs::read_dir(folder.path()).unwrap();
    let bytes: Vec<u8> =
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    let holds = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    assert!(holds(b"USER.md"), "the files were read");
    assert!(!holds(b"osprey"));
}

#[tokio::test]
async fn one_person_has_nothing_of_anothers_memory() {
    let (_folder, conversations) = opened().await;
    set(&conversations, &ADA, vec![change("USER.md", "ada's")]).await.unwrap();
    conversations.set_ai_remembers(&ADA, true).await.unwrap();

    let bobs = conversations.memory(&BOB).await.unwrap();
    assert_eq!((bobs.names().count(), bobs.ai_remembers()), (0, false));
    assert_eq!(bobs.open("USER.md").unwrap(), "");
    set(&conversations, &BOB, vec![change("USER.md", "")]).await.unwrap();
    conversations.forget(&BOB).await.unwrap();
    assert_eq!(text(&conversations, &ADA, "USER.md").await, "ada's");
    conversations.forget(&ADA).await.unwrap();
    assert_eq!(conversations.memory(&ADA).await.unwrap().names().count(), 0);
}

#[tokio::test]
async fn a_file_that_was_moved_to_another_name_or_person_does_not_open() {
    for moved in [
        "UPDATE memory_files SET name = 'MEMORY.md' WHERE person = 'user:1'",
        "UPDATE memory_files SET content_sealed = \
         (SELECT content_sealed FROM memory_files WHERE person = 'user:2')",
    ] {
        let (_folder, conversations) = opened().await;
        for person in [&ADA, &BOB] {
            set(&conversations, person, vec![change("USER.md", "a text")]).await.unwrap();
        }
        sqlx::query(moved).execute(conversations.store.pool()).await.unwrap();
        let memory = conversations.memory(&ADA).await.unwrap();
        let name = memory.names().next().unwrap();
        assert!(matches!(memory.open(name), Err(Error::Open(_))), "{moved}");
    }
}

#[tokio::test]
async fn memory_is_bounded_and_what_does_not_fit_changes_nothing() {
    let (_folder, conversations) = opened().await;
    let full = "x".repeat(MEMORY_FILE_MAX);
    set(&conversations, &ADA, vec![change("MEMORY.md", &*full)]).await.unwrap();

    let too_long = vec![change("USER.md", "one"), change("MEMORY.md", format!("{full}x"))];
    let refused = set(&conversations, &ADA, too_long).await;
    assert!(matches!(refused, Err(Error::MemoryFull)));
    let names = ["a", "b", "c"];
    let too_much = names.map(|name| change(name, &*full)).to_vec();
    assert!(matches!(set(&conversations, &ADA, too_much).await, Err(Error::MemoryFull)));
    let too_many = (0..FILES_MAX).map(|number| change(&number.to_string(), "x")).collect();
    assert!(matches!(set(&conversations, &ADA, too_many).await, Err(Error::MemoryFull)));

    let memory = conversations.memory(&ADA).await.unwrap();
    assert_eq!(memory.names().collect::<Vec<_>>(), ["MEMORY.md"]);
    // One person's full memory is not another's.
    set(&conversations, &BOB, vec![change("MEMORY.md", &*full)]).await.unwrap();
    set(&conversations, &ADA, vec![change("MEMORY.md", "")]).await.unwrap();
    assert_eq!(conversations.memory(&ADA).await.unwrap().names().count(), 0);
}
