//! A file that is damaged, cut, of a newer Maru or of another machine; and a clock that was set back.
//!
//! Fails if the program panics, if an error does not say what to do, if a message is read that nobody wrote there, or if
//! reading changes the file.

use std::{
    error::Error as _,
    fs,
    path::{Path, PathBuf},
};

use conversations::{Error, Retention};
use sqlx::{AnyConnection, Connection as _};
use tempfile::TempDir;

use super::{MACHINE, NAMES, PEOPLE, assert_whole, each, fill, names, open, texts, turn};

const PAGE: usize = 4096;
/// What sentences say that tell what to do.
const ADVICE: [&str; 5] =
    ["restore a backup", "recovery code", "update Maru", "maru user forget", "delete it"];

struct File {
    _folder: TempDir,
    path: PathBuf,
    /// As it was written.
    bytes: Vec<u8>,
}

impl File {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conversations.sqlite");
        fill(&path).await;
        let bytes = fs::read(&path).unwrap();
        Self { _folder: folder, path, bytes }
    }

    /// Has other bytes, and no log.
    fn write(&self, bytes: &[u8]) {
        for log in ["-wal", "-shm"] {
            let mut path = self.path.clone().into_os_string();
            path.push(log);
            let _ = fs::remove_file(path);
        }
        fs::write(&self.path, bytes).unwrap();
    }
}

/// Reads all that can be read, and then tries to write. Whether all was read.
async fn read(path: &Path, bytes: &[u8]) -> bool {
    let conversations = match open(path, MACHINE).await {
        Ok(conversations) => conversations,
        Err(error) => {
            assert_says_what_to_do(&error);
            assert!(fs::read(path).unwrap() == bytes, "opening changed the file");
            return false;
        }
    };
    let mut is_whole = true;
    for person in &PEOPLE {
        match names(&conversations, person).await {
            Ok(names) => assert!(names.iter().all(|name| NAMES.contains(&&**name)), "{names:?}"),
            Err(error) => assert_says_what_to_do(&error),
        }
    }
    for (person, name) in each() {
        let written: Vec<_> = (0..3).flat_map(|number| turn(&person, name, number)).collect();
        match texts(&conversations, &person, name).await {
            Ok(messages) => {
                assert!(messages.iter().all(|message| written.contains(message)));
                is_whole &= messages.len() == written.len();
            }
            Err(error) => {
                assert_says_what_to_do(&error);
                is_whole = false;
            }
        }
    }
    conversations.close().await;
    assert!(fs::read(path).unwrap() == bytes, "reading changed the file");

    let conversations = open(path, MACHINE).await.unwrap();
    for (person, name) in each() {
        let changes = [
            conversations.append(&person, name, &turn(&person, name, 3), 2_000_000).await,
            conversations.rename(&person, name, "kingfisher").await,
            conversations.delete(&person, "kingfisher").await.map(|_| ()),
        ];
        for error in changes.into_iter().filter_map(Result::err) {
            // What is not found where it was cannot be told from what was never there.
            if !matches!(error, Error::Missing | Error::Taken) {
                assert_says_what_to_do(&error);
            }
        }
    }
    conversations.close().await;
    is_whole
}

fn assert_says_what_to_do(error: &Error) {
    let said = error.to_string();
    assert!(ADVICE.iter().any(|advice| said.contains(advice)), "{said}: {:?}", error.source());
}

#[tokio::test]
async fn each_page_in_turn_is_damaged() {
    let file = File::new().await;
    let pages = file.bytes.len() / PAGE;
    let mut damages = 0;
    for page in 0..pages {
        let at = page * PAGE..(page + 1) * PAGE;
        let other = (page + 1) % pages * PAGE;
        let noise: Vec<u8> = (0..PAGE).map(|byte| (byte * 167 + page * 31) as u8).collect();
        let contents = [&[0; PAGE], &[0xA5; PAGE], &*noise, &file.bytes[other..other + PAGE]];
        for content in contents {
            let mut bytes = file.bytes.clone();
            bytes[at.clone()].copy_from_slice(content);
            file.write(&bytes);
            damages += usize::from(!read(&file.path, &bytes).await);
        }
    }
    // Of all pages, those of indexes alone are not needed to read.
    assert!(damages > 2 * pages, "{damages} of {pages} pages");
    file.write(&file.bytes);
    assert_whole(&open(&file.path, MACHINE).await.unwrap()).await;
}

#[tokio::test]
async fn each_sealed_value_is_damaged() {
    for (table, column, condition) in [
        ("people", "key_sealed", "person = 'user:1'"),
        ("conversations", "key_sealed", "person = 'user:1'"),
        ("conversations", "name_sealed", "person = 'user:1'"),
        ("messages", "content_sealed", "number = 2"),
    ] {
        for value in ["X''", "X'01'", "zeroblob(60)", "zeroblob(1000000)", "'text'", "7", "1.5"] {
            let file = File::new().await;
            let damage = format!("UPDATE {table} SET {column} = {value} WHERE {condition}");
            execute(&file.path, damage).await;
            assert!(
                !read(&file.path, &fs::read(&file.path).unwrap()).await || column == "name_sealed"
            );
        }
    }
}

#[tokio::test]
async fn a_file_that_was_cut_is_refused() {
    let file = File::new().await;
    // SQLite takes a file of one byte for an empty one.
    for length in (2..file.bytes.len()).step_by(PAGE / 2) {
        let bytes = &file.bytes[..length];
        file.write(bytes);
        read(&file.path, bytes).await;
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let file = File::new().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'newer', 1, X'00', 0)";
    execute(&file.path, newer.to_owned()).await;
    let bytes = fs::read(&file.path).unwrap();

    let error = open(&file.path, MACHINE).await.unwrap_err();

    assert!(error.to_string().contains("update Maru"), "{error}");
    assert!(fs::read(&file.path).unwrap() == bytes);
}

#[tokio::test]
async fn another_key_opens_nothing_and_changes_nothing() {
    let file = File::new().await;
    let conversations = open(&file.path, [2; 32]).await.unwrap();
    for (person, name) in each() {
        let errors = [
            names(&conversations, &person).await.unwrap_err(),
            texts(&conversations, &person, name).await.unwrap_err(),
            conversations.append(&person, name, &turn(&person, name, 3), 5).await.unwrap_err(),
            conversations.rename(&person, name, "other").await.unwrap_err(),
            conversations.delete(&person, name).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::OtherMachine), "{error:?}");
            assert_says_what_to_do(&error);
        }
    }
    conversations.close().await;
    // Each attempt to write takes the database's first row, which changes a counter in the header.
    execute(&file.path, "VACUUM".to_owned()).await;
    assert_whole(&open(&file.path, MACHINE).await.unwrap()).await;
}

#[tokio::test]
async fn a_clock_that_was_set_back_changes_no_order_and_prunes_nothing() {
    let file = File::new().await;
    let conversations = open(&file.path, MACHINE).await.unwrap();
    let (person, name) = (&PEOPLE[0], NAMES[0]);
    conversations.append(person, name, &turn(person, name, 3), 5).await.unwrap();

    let unused = Retention { age_ms: Some(0), ..Retention::default() };
    assert_eq!(conversations.retain(unused, 1_000_000).await.unwrap(), 0);

    let expected: Vec<_> = (0..4).flat_map(|number| turn(person, name, number)).collect();
    assert_eq!(texts(&conversations, person, name).await.unwrap(), expected);
}

async fn execute(path: &Path, statement: String) {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}", path.display());
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
