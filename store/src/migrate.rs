//! Runs migrations.

use sqlx::{
    Acquire as _, AnyConnection, AssertSqlSafe, Row as _, SqlSafeStr as _,
    migrate::{self, MigrateError, MigrationType, Migrator},
};

use crate::{error::DatabaseError, schema::Migration};

/// Runs what is pending in one transaction, with the engine's word for BLOB.
///
/// sqlx's `migrate!` would build the database drivers a second time, for the compiler.
pub(crate) async fn run(
    migrations: &[Migration],
    blob: &str,
    connection: &mut AnyConnection,
) -> Result<(), DatabaseError> {
    let migration = |(version, &(name, text)): (i64, &Migration)| {
        let text = AssertSqlSafe(text.replace("BLOB", blob)).into_sql_str();
        migrate::Migration::new(version, name.into(), MigrationType::Simple, text, false)
    };
    let migrations = (1..).zip(migrations).map(migration).collect();
    let mut tx = connection.begin().await?;
    Migrator::with_migrations(migrations).run(&mut *tx).await.map_err(failure)?;
    Ok(tx.commit().await?)
}

fn failure(error: MigrateError) -> DatabaseError {
    if let MigrateError::VersionMissing(_) = error {
        return DatabaseError::Newer;
    }
    if let MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) = &error
        && let Some(of_file) = DatabaseError::of_file(cause)
    {
        return of_file;
    }
    DatabaseError::Migrate(error)
}

/// How many migrations a SQLite database has seen; `None` if no program of Maru has used it yet.
pub(crate) async fn version(connection: &mut AnyConnection) -> Result<Option<i64>, DatabaseError> {
    let table = "SELECT 1 AS one FROM sqlite_master WHERE name = '_sqlx_migrations'";
    if sqlx::query(table).fetch_optional(&mut *connection).await?.is_none() {
        return Ok(None);
    }
    newest(connection).await
}

/// The same of a database that a program of Maru has used.
pub(crate) async fn newest(connection: &mut AnyConnection) -> Result<Option<i64>, DatabaseError> {
    let newest = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations");
    Ok(newest.fetch_one(connection).await?.try_get("version")?)
}
