use chat_vocabulary::Role;
use store::{Database, seal::Key};
use tempfile::TempDir;

use super::*;
use crate::{conversations::Limits, message::Message};

const ADA: Person = Person::User(1);
const BOB: Person = Person::User(2);

/// Ten messages of Ada's: `0`, `1` and so on.
async fn ten_messages() -> (TempDir, Conversations) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::Sqlite(folder.path().join("conversations.sqlite"));
    let limits = Limits { person_bytes: 10_000, conversations: 4 };
    let conversations =
        Conversations::open(&database, None, Key::new(&[1; 32]), limits).await.unwrap();
    let message = |number: u8| Message { role: Role::User, text: number.to_string() };
    let messages: Vec<_> = (0..10).map(message).collect();
    conversations.append(&ADA, "main", &messages, 5).await.unwrap();
    (folder, conversations)
}

async fn context(conversations: &Conversations, person: &Person, name: &str) -> Context {
    conversations.context(person, name, usize::MAX).await.unwrap().open().unwrap()
}

fn numbers(context: &Context) -> Vec<i64> {
    context.messages.iter().map(|message| message.number).collect()
}

#[tokio::test]
async fn a_summary_stands_for_the_oldest_messages_which_stay() {
    let (_folder, conversations) = ten_messages().await;
    let whole = context(&conversations, &ADA, "main").await;
    assert_eq!((whole.summary, whole.messages.len(), whole.has_older), (None, 10, false));
    let id = whole.id.unwrap();

    conversations.compact(&ADA, id, 4, Some("they counted")).await.unwrap();
    let shorter = context(&conversations, &ADA, "main").await;
    assert_eq!(shorter.summary.as_deref(), Some("they counted"));
    assert_eq!(numbers(&shorter), [4, 5, 6, 7, 8, 9]);
    conversations.compact(&ADA, id, 8, None).await.unwrap();
    let cut = context(&conversations, &ADA, "main").await;
    assert_eq!((cut.summary.as_deref(), numbers(&cut)), (None, vec![8, 9]));

    let all = conversations.latest(&ADA, "main", usize::MAX).await.unwrap();
    assert_eq!(all.open().unwrap().len(), 10);
}

#[tokio::test]
async fn the_bound_holds_and_what_has_not_begun_is_empty() {
    let (_folder, conversations) = ten_messages().await;
    // A message takes 68 bytes as it is stored.
    let bounded = conversations.context(&ADA, "main", 3 * 68).await.unwrap().open().unwrap();
    assert_eq!((numbers(&bounded), bounded.has_older), (vec![7, 8, 9], true));
    conversations.compact(&ADA, bounded.id.unwrap(), 7, None).await.unwrap();
    let bounded = conversations.context(&ADA, "main", 3 * 68).await.unwrap().open().unwrap();
    assert!(!bounded.has_older);
    for (person, name) in [(&ADA, "other"), (&BOB, "main")] {
        let none = context(&conversations, person, name).await;
        assert_eq!((none.id, none.messages.len()), (None, 0));
    }
}

#[tokio::test]
async fn nobody_compacts_anothers_and_no_summary_opens_elsewhere() {
    let (_folder, conversations) = ten_messages().await;
    let id = context(&conversations, &ADA, "main").await.id.unwrap();
    conversations.make_recovery_code(&BOB).await.unwrap();
    let foreign = conversations.compact(&BOB, id, 4, Some("nothing")).await;
    assert!(matches!(foreign, Err(Error::Missing)));
    assert_eq!(context(&conversations, &ADA, "main").await.messages.len(), 10);

    conversations.compact(&ADA, id, 4, Some("a heron")).await.unwrap();
    let row: Vec<u8> = sqlx::query("SELECT summary_sealed FROM compactions")
        .fetch_one(conversations.store.pool())
        .await
        .unwrap()
        .try_get(0)
        .unwrap();
    assert!(!row.windows(5).any(|part| part == b"heron"));
    sqlx::query("UPDATE compactions SET first_number = 5")
        .execute(conversations.store.pool())
        .await
        .unwrap();
    let moved = conversations.context(&ADA, "main", usize::MAX).await.unwrap().open();
    assert!(matches!(moved, Err(Error::Open(_))));

    conversations.delete(&ADA, "main").await.unwrap();
    assert!(matches!(conversations.compact(&ADA, id, 4, None).await, Err(Error::Missing)));
    conversations.append(&ADA, "main", &[], 6).await.unwrap();
    let anew = context(&conversations, &ADA, "main").await;
    assert_eq!((anew.summary, anew.messages.len()), (None, 0), "nothing of the former one");
}
