//! The model that a person chose for a conversation.

use std::collections::HashSet;

use mesh_identity::Person;
use sqlx::{AnyConnection, Row as _};
use store::Priority;

use super::{Conversations, find};
use crate::{error::Error, keys::PersonKey};

impl Conversations {
    /// The model that the person chose for a conversation; `None` if they chose none, or it is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], [`Error::OtherMachine`], or the database fails.
    pub async fn model(&self, person: &Person, name: &str) -> Result<Option<String>, Error> {
        let mut connection = self.store.pool().acquire().await?;
        match self.person(&mut connection, person).await? {
            Some(key) => chosen(&mut connection, person, &key, name).await,
            None => Ok(None),
        }
    }

    /// Who chose a model for one of their conversations, as they are written. No key is needed for it.
    ///
    /// # Errors
    ///
    /// The database fails.
    pub async fn choosers(&self) -> Result<HashSet<String>, Error> {
        let rows =
            sqlx::query("SELECT DISTINCT person FROM conversations WHERE model_sealed IS NOT NULL")
                .fetch_all(self.store.pool())
                .await?;
        Ok(rows.iter().map(|row| row.try_get("person")).collect::<Result<_, _>>()?)
    }

    /// Chooses a model for a conversation, or none. A conversation that is not there begins, without a message.
    ///
    /// # Errors
    ///
    /// [`Error::Full`], [`Error::OtherMachine`]; or the database fails.
    pub async fn choose_model(
        &self,
        person: &Person,
        name: &str,
        model: Option<&str>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let key = self.key_of(connection, person).await?;
        let id = match (find(connection, person, &key, name).await?, model) {
            (Some(found), _) => found.id,
            (None, Some(_)) => self.begin(connection, person, &key, name, now_ms).await?.id,
            (None, None) => return Ok(()),
        };
        choose(connection, &key, id, model).await?;
        Ok(tx.commit().await?)
    }

    /// Deletes a conversation that has no message yet; whether there was one.
    ///
    /// # Errors
    ///
    /// [`Error::OtherMachine`], or the database fails.
    pub async fn delete_empty(&self, person: &Person, name: &str) -> Result<bool, Error> {
        let mut tx = self.write(Priority::High).await?;
        let connection = tx.connection();
        let Some(key) = self.person(connection, person).await? else { return Ok(false) };
        let deleted = sqlx::query(
            "DELETE FROM conversations WHERE person = $1 AND name_digest = $2 AND next_number = 0",
        )
        .bind(person.to_string())
        .bind(key.digest(name))
        .execute(connection)
        .await?;
        tx.commit().await?;
        Ok(deleted.rows_affected() > 0)
    }
}

/// The model of a conversation.
pub(super) async fn chosen(
    connection: &mut AnyConnection,
    person: &Person,
    key: &PersonKey,
    name: &str,
) -> Result<Option<String>, Error> {
    let row = sqlx::query(
        "SELECT id, model_sealed FROM conversations WHERE person = $1 AND name_digest = $2",
    )
    .bind(person.to_string())
    .bind(key.digest(name))
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (id, sealed): (i64, Option<Vec<u8>>) = (row.try_get("id")?, row.try_get("model_sealed")?);
    Ok(sealed.map(|sealed| key.open_model(id, &sealed)).transpose()?)
}

/// Sets the model of a conversation.
pub(super) async fn choose(
    connection: &mut AnyConnection,
    key: &PersonKey,
    id: i64,
    model: Option<&str>,
) -> Result<(), Error> {
    sqlx::query("UPDATE conversations SET model_sealed = $1 WHERE id = $2")
        .bind(model.map(|model| key.seal_model(id, model)).transpose()?)
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chat_vocabulary::Role;
    use store::seal::Key;

    use super::*;
    use crate::{Limits, Message, tests::database};

    const LIMITS: Limits = Limits { person_bytes: 1 << 20, conversations: 3 };
    const ADA: Person = Person::User(1);
    const BOB: Person = Person::User(2);

    #[tokio::test]
    async fn a_chosen_model_goes_with_its_conversation_and_outlives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path()).await;
        let open = async || {
            Conversations::open(&database, None, Key::new(&[1; 32]), LIMITS).await.unwrap()
        };
        let conversations = open().await;
        let turn = [Message { role: Role::User, text: "hi".to_owned() }];
        conversations.append(&ADA, "main", &turn, 1).await.unwrap();
        conversations.append(&BOB, "main", &turn, 1).await.unwrap();
        conversations.choose_model(&ADA, "main", Some("home/large"), 2).await.unwrap();
        conversations.choose_model(&ADA, "not begun", Some("home/small"), 2).await.unwrap();
        conversations.close().await;

        let conversations = open().await;
        let model = async |person, name| conversations.model(person, name).await.unwrap();
        assert_eq!(model(&ADA, "main").await.as_deref(), Some("home/large"));
        assert_eq!(model(&ADA, "not begun").await.as_deref(), Some("home/small"));
        assert_eq!(model(&BOB, "main").await, None);
        conversations.branch(&ADA, "main", 1, "branch", 3).await.unwrap();
        conversations.rename(&ADA, "main", "former").await.unwrap();
        for name in ["branch", "former"] {
            assert_eq!(model(&ADA, name).await.as_deref(), Some("home/large"), "{name}");
        }
        assert_eq!(model(&ADA, "main").await, None);
        let full = conversations.choose_model(&ADA, "main", Some("home/large"), 4).await;
        assert!(matches!(full, Err(Error::Full)), "as many as one may have");
        assert!(conversations.delete_empty(&ADA, "not begun").await.unwrap());
        assert!(!conversations.delete_empty(&ADA, "former").await.unwrap(), "it has a message");
        conversations.choose_model(&ADA, "former", None, 4).await.unwrap();
        assert_eq!(model(&ADA, "former").await, None);
    }

    #[tokio::test]
    async fn a_chosen_model_is_not_in_the_file_and_opens_in_its_conversation_alone() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path()).await;
        let conversations =
            Conversations::open(&database, None, Key::new(&[1; 32]), LIMITS).await.unwrap();
        for (name, model) in [("one", "home/heronmodel"), ("two", "home/ospreymodel")] {
            conversations.choose_model(&ADA, name, Some(model), 1).await.unwrap();
        }
        conversations.store.checkpoint().await.unwrap();
        let file = std::fs::read(folder.path().join("conversations.sqlite")).unwrap();
        let has = |text: &str| file.windows(text.len()).any(|it| it == text.as_bytes());
        assert!(has("model_sealed") && !has("heronmodel"));

        let swap = "UPDATE conversations SET model_sealed = (SELECT model_sealed FROM conversations AS other \
             WHERE other.id <> conversations.id)";
        sqlx::query(swap).execute(conversations.store.pool()).await.unwrap();
        assert!(matches!(conversations.model(&ADA, "one").await, Err(Error::Open(_))));
    }
}
