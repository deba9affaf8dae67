use std::fs;

use super::*;

const PERSON: &str = "INSERT INTO people (user_id, mesh_user, login, created_at) VALUES ('@a:maru.home.arpa', 1, 'a', 0)";
const KEY: &str = "INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, key_json, position, is_claimed) \
     VALUES ('@a:maru.home.arpa', 'D', 'signed_curve25519', 'k', '{}', 1, 0)";

/// Starts, runs these statements, and stops. Returns the generation.
async fn run(root: &Path, statements: &[&'static str]) -> Result<u32, StartError> {
    let Started { homeserver, lock } = start(root, &Settings::default()).await?;
    for statement in statements {
        sqlx::query(*statement).execute(homeserver.pool()).await.unwrap();
    }
    let generation = homeserver.clock().generation;
    homeserver.close().await;
    drop(lock);
    Ok(generation)
}

async fn count(root: &Path, query: &'static str) -> i64 {
    let Started { homeserver, .. } = start(root, &Settings::default()).await.unwrap();
    let count = sqlx::query_scalar(query).fetch_one(homeserver.pool()).await.unwrap();
    homeserver.close().await;
    count
}

/// What a backup holds.
async fn backup(root: &Path, to: &Path) {
    let settings = Settings::default();
    fs::create_dir_all(to.join(&settings.state)).unwrap();
    let mut copy = fs::File::create(to.join(settings.database())).unwrap();
    store::copy(&database(root, &settings).unwrap(), &mut copy).await.unwrap();
}

#[tokio::test]
async fn a_restart_keeps_positions_and_keys_and_a_restored_copy_does_not() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = run(old.path(), &[PERSON, KEY]).await.unwrap();
    assert_eq!(run(old.path(), &[]).await.unwrap(), first);
    assert_eq!(count(old.path(), "SELECT COUNT(*) FROM one_time_keys").await, 1);

    backup(old.path(), new.path()).await;
    let key = Settings::default().key_file;
    fs::create_dir_all(new.path().join(&key).parent().unwrap()).unwrap();
    fs::copy(old.path().join(&key), new.path().join(&key)).unwrap();
    // As if the old machine had been restored a minute ago.
    assert!(run(new.path(), &[]).await.unwrap() >= first);
    assert_eq!(count(new.path(), "SELECT COUNT(*) FROM one_time_keys").await, 0);
}

#[tokio::test]
async fn a_database_of_another_key_is_not_opened_and_stays_as_it_is() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let generation = run(old.path(), &[PERSON]).await.unwrap();
    backup(old.path(), new.path()).await;
    for _ in 0..2 {
        assert!(matches!(run(new.path(), &[]).await, Err(StartError::OtherKey)));
    }
    let key = Settings::default().key_file;
    fs::copy(old.path().join(&key), new.path().join(&key)).unwrap();
    assert!(run(new.path(), &[]).await.unwrap() >= generation);
    assert_eq!(count(new.path(), "SELECT COUNT(*) FROM people").await, 1);
}
