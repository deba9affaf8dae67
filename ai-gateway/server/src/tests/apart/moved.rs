//! What a backup holds, and a house that was restored from one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ai_gateway_api::sealed::{Event, Operation, Recover};
use testkit::eventually;

use super::{
    super::{TestGateway, ada, bob},
    household, is_untouched, operations,
};

fn state(gateway: &TestGateway) -> PathBuf {
    gateway.root.path().join(&gateway.config.state)
}

/// Copies a folder with all that is below it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|it| (it.path(), it.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => _ = fs::copy(path, to.join(name)).unwrap(),
        }
    }
}

/// Every byte below a folder.
fn bytes(folder: &Path) -> Vec<u8> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { bytes(&path) } else { fs::read(path).unwrap() }
    };
    fs::read_dir(folder).unwrap().flat_map(read).collect()
}

/// Stops the gateway once nothing writes its state any more.
async fn stop(gateway: &mut TestGateway) {
    gateway.app.sessions.close().await;
    gateway.stop().await;
}

/// A copy of the gateway's state, which is what `maru backup` holds of it.
async fn backup(gateway: &mut TestGateway) -> tempfile::TempDir {
    stop(gateway).await;
    let backup = tempfile::tempdir().unwrap();
    copy(&state(gateway), backup.path());
    gateway.restart().await;
    backup
}

/// Puts the copy in the place of the state, on a machine with this key.
async fn restore(gateway: &mut TestGateway, backup: &Path, machine: [u8; 32]) {
    stop(gateway).await;
    // The end of a request may still be noted in a file.
    let state = state(gateway);
    eventually("nothing is written", async || fs::remove_dir_all(&state).is_ok()).await;
    copy(backup, &state);
    fs::write(gateway.root.path().join(&gateway.config.conversations.key_file), machine).unwrap();
    gateway.restart().await;
}

/// The key of the machine of [`household`].
const MACHINE: [u8; 32] = [3; 32];

#[tokio::test]
async fn a_backup_opens_for_nobody_but_its_person_with_their_code() {
    let mut gateway = household().await;
    gateway.say(&ada(), "journal", "/remember I saw a heron").await;
    gateway.say(&bob(), "own", "bob's").await;
    let [Event::RecoveryCode(code)] = &gateway.sealed(&bob(), &Operation::RecoveryCode).await[..]
    else {
        panic!("a code")
    };
    let backup = backup(&mut gateway).await;
    let held = bytes(backup.path());
    let holds = |word: &str| held.windows(word.len()).any(|it| it == word.as_bytes());
    assert!(holds("user:11"), "the files were read");
    for word in ["ada's secret", "ada's plan", "heron", "stamps", "journal"] {
        assert!(!holds(word), "{word}");
    }

    restore(&mut gateway, backup.path(), [9; 32]).await;

    let recover = Operation::Recover(Recover { code: code.clone() });
    let events = gateway.sealed(&ada(), &recover).await;
    assert!(
        matches!(&events[..], [Event::Error { kind, .. }] if kind == "wrong-code"),
        "{events:?}"
    );
    assert_eq!(gateway.sealed(&bob(), &recover).await, []);
    assert_eq!(gateway.history(&bob(), "own").await, ["bob's", "Hello there"]);
    for operation in operations("journal") {
        let events = gateway.sealed(&bob(), &operation).await;
        assert!(!format!("{events:?}").contains("ada's"), "{operation:?}: {events:?}");
        let closed = gateway.sealed(&ada(), &operation).await;
        assert!(
            matches!(&closed[..], [Event::Error { kind, .. }] if kind == "other-machine"),
            "{closed:?}"
        );
    }
}

#[tokio::test]
async fn a_restored_house_keeps_people_apart() {
    let mut gateway = household().await;
    let backup = backup(&mut gateway).await;
    gateway.say(&bob(), "journal", "bob's").await;

    restore(&mut gateway, backup.path(), MACHINE).await;

    assert_eq!(gateway.sealed(&bob(), &Operation::List).await, [], "his is not in the backup");
    for (taken, free) in operations("journal").iter().zip(&operations("nowhere")) {
        let answers = [gateway.sealed(&bob(), taken).await, gateway.sealed(&bob(), free).await];
        assert_eq!(answers[0], answers[1], "{taken:?}");
    }
    gateway.say(&bob(), "journal", "bob's").await;
    let sent = gateway.one.requests().pop().unwrap().to_string();
    assert!(!sent.contains("ada's") && !sent.contains("stamps"), "{sent}");
    is_untouched(&gateway).await;
}

#[tokio::test]
async fn a_node_that_got_another_owner_since_the_backup_has_nothing_of_the_former() {
    let mut gateway = household().await;
    let backup = backup(&mut gateway).await;

    restore(&mut gateway, backup.path(), MACHINE).await;

    // The gateway's state says that ada's key is bound to this node; the agent, that the node is Bob's.
    let mut after = ada();
    after.header.identity.user = bob().header.identity.user;
    for operation in operations("journal").iter().chain(&[Operation::List]) {
        let (request, _) = gateway.seal(&after, operation, hpke_envelope::Suite::X25519).await;
        gateway.send(&after, &request).await.problem(403, "device").await;
    }
    gateway.bind(&after).await;
    for (taken, free) in operations("journal").iter().zip(&operations("nowhere")) {
        let answers = [gateway.sealed(&after, taken).await, gateway.sealed(&after, free).await];
        assert_eq!(answers[0], answers[1], "{taken:?}");
    }
    assert_eq!(gateway.sealed(&after, &Operation::List).await, []);
}
