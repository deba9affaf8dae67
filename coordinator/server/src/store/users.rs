//! Queries on users.

use ::store::column::sql;
use coordinator_core::{
    model::{Owner, Pending, User, UserId},
    time::Millis,
};
use sqlx::{query, query_scalar};

use super::{Change, error::StoreError, pending, rows::UserRow, select::Query};

/// All users.
pub(super) fn all() -> Query {
    query("SELECT * FROM users ORDER BY id")
}

impl Change {
    /// All users.
    pub async fn users(&mut self) -> Result<Vec<User>, StoreError> {
        self.all(all()).await
    }

    /// Finds a user by name.
    pub async fn user(&mut self, name: &str) -> Result<Option<User>, StoreError> {
        self.first(query("SELECT * FROM users WHERE name = $1").bind(name.to_owned())).await
    }

    /// Inserts a user.
    pub async fn insert_user(&mut self, name: &str, now: Millis) -> Result<User, StoreError> {
        let user = User { id: self.next_id().await?, name: name.to_owned(), created: now };
        UserRow::of(&user).insert(self.connection()).await?;
        Ok(user)
    }

    /// Deletes a user and their keys; false, and nothing changes, while they own a node or a waiting device.
    pub async fn delete_user(&mut self, user: &User) -> Result<bool, StoreError> {
        let owned = query_scalar("SELECT COUNT(*) FROM nodes WHERE user_id = $1");
        let owned: i64 = owned.bind(sql(user.id)).fetch_one(self.connection()).await?;
        let waiting: Vec<Pending> = self.all(pending::all()).await?;
        let owner = Owner::User(user.id);
        let waits =
            |pending: &Pending| pending.key.as_ref().is_some_and(|(_, of_key)| *of_key == owner);
        if owned > 0 || waiting.iter().any(waits) {
            return Ok(false);
        }
        let keys = query("DELETE FROM preauth_keys WHERE user_id = $1");
        self.execute(keys.bind(sql(user.id))).await?;
        self.execute(query("DELETE FROM users WHERE id = $1").bind(sql(user.id))).await
    }

    /// Renames a user. No other user may have the name.
    pub async fn rename_user(&mut self, id: UserId, name: &str) -> Result<(), StoreError> {
        let update = query("UPDATE users SET name = $2 WHERE id = $1");
        self.execute(update.bind(sql(id)).bind(name.to_owned())).await?;
        Ok(())
    }
}
