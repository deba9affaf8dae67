//! Databases of each version of the participant's tables that was ever on `main`, in `tests/versions`.
//!
//! Fails if one has no dump of its version, or if the AI's keys, its place in the sync, a note or a reply that was cut off is
//! lost on the way. They are opened by the current encryption library, so its formats are part of that.

use std::{path::Path, sync::Arc};

use maru_participant::{
    key_store::KeyStore,
    ledger::{Ledger, OpenReply, RoomNote},
    records::Records,
};
use matrix_sdk_crypto::OlmMachine;
use ruma::{device_id, room_id, user_id};

/// The machine's key.
const KEY: [u8; 32] = [1; 32];

async fn machine(records: &Arc<Records>) -> OlmMachine {
    let (ai, device) = (user_id!("@ai:maru.test"), device_id!("HOME"));
    OlmMachine::with_store(ai, device, KeyStore::new(Arc::clone(records)), None).await.unwrap()
}

fn note() -> RoomNote {
    RoomNote { told_after: Some("$joined".to_owned()), is_encrypted: true }
}

/// A reply that was cut off. It shows the public key of the device, which is known to be the same afterwards.
async fn reply(machine: &OlmMachine) -> OpenReply {
    OpenReply {
        room: room_id!("!heron:maru.test").to_owned(),
        question: "$question".to_owned(),
        attempt: 2,
        thread: Some("$thread".to_owned()),
        answer: Some("$answer".to_owned()),
        sent: 3,
        text: machine.identity_keys().ed25519.to_base64(),
    }
}

/// Everything that the participant keeps of itself.
async fn fill(file: &Path) {
    let (records, _lock) = Records::open(file, &KEY).await.unwrap();
    let records = Arc::new(records);
    let machine = machine(&records).await;
    machine.bootstrap_cross_signing(false).await.unwrap();
    let ledger = Ledger::new(Arc::clone(&records));
    ledger.set_device("HOME").await.unwrap();
    ledger.set_since("s1_7").await.unwrap();
    ledger.set_room(room_id!("!heron:maru.test"), &note()).await.unwrap();
    assert!(ledger.begin(&reply(&machine).await).await.unwrap());
    records.close().await;
}

/// Everything is there.
async fn assert_whole(file: &Path) {
    let (records, _lock) = Records::open(file, &KEY).await.unwrap();
    let records = Arc::new(records);
    let machine = machine(&records).await;
    assert!(machine.cross_signing_status().await.is_complete());
    let (ai, device) = (machine.user_id(), machine.device_id());
    assert!(machine.get_identity(ai, None).await.unwrap().is_some());
    assert!(machine.get_device(ai, device, None).await.unwrap().is_some());
    let ledger = Ledger::new(Arc::clone(&records));
    assert_eq!(ledger.device().await.unwrap().as_deref(), Some("HOME"));
    assert_eq!(ledger.since().await.unwrap().as_deref(), Some("s1_7"));
    assert_eq!(ledger.room(room_id!("!heron:maru.test")).await.unwrap(), note());
    let reply = reply(&machine).await;
    assert_eq!(ledger.open_replies().await.unwrap(), std::slice::from_ref(&reply));
    assert!(!ledger.begin(&reply).await.unwrap(), "it would be answered twice");
    records.close().await;
}

#[tokio::test]
async fn each_version_is_migrated_whole() {
    let dumps = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/versions");
    let open = async |file: &Path| Records::open(file, &KEY).await.unwrap().0.close().await;
    for database in store_testkit::migrated(&dumps, fill, open).await {
        assert_whole(database.path()).await;
    }
}
