use super::*;

const ROOM: Kind = Kind::new("room");
const FEW: Kind = Kind::new("few").at_most(3);

async fn open(folder: &Path, key: u8) -> Result<(Records, DatabaseLock), OpenRecords> {
    Records::open(&folder.join("db.sqlite"), &[key; 32]).await
}

async fn put(records: &Records, kind: Kind, id: &str, owner: &str, value: &str) {
    records.batch().put(kind, &[id], owner, &value).unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn records_survive_and_are_sealed_and_another_key_does_not_open_them() {
    let folder = tempfile::tempdir().unwrap();
    let (records, lock) = open(folder.path(), 1).await.unwrap();
    put(&records, ROOM, "!canary-room", "@canary-owner", "canary-text").await;
    records.close().await;
    drop((records, lock));

    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
    }
    let (records, lock) = open(folder.path(), 2).await.unwrap();
    assert!(matches!(records.all::<String>(ROOM, None).await, Err(RecordError::Open(_))));
    records.close().await;
    drop((records, lock));
    let (records, _lock) = open(folder.path(), 1).await.unwrap();
    let text: Option<String> = records.get(ROOM, &["!canary-room"]).await.unwrap();
    assert_eq!(text.as_deref(), Some("canary-text"));
}

#[tokio::test]
async fn the_newest_records_of_each_owner_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (records, _lock) = open(folder.path(), 1).await.unwrap();
    put(&records, FEW, "other", "b", "b").await;
    for number in 0..5 {
        put(&records, FEW, &number.to_string(), "a", &number.to_string()).await;
        // Writing a record again makes it the newest.
        put(&records, FEW, "0", "a", "0").await;
    }
    assert_eq!(records.all::<String>(FEW, Some("a")).await.unwrap(), ["3", "4", "0"]);
    assert_eq!(records.all::<String>(FEW, Some("b")).await.unwrap(), ["b"]);
    assert_eq!(records.all::<String>(FEW, None).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_batch_removes_too() {
    let folder = tempfile::tempdir().unwrap();
    let (records, _lock) = open(folder.path(), 1).await.unwrap();
    assert!(records.are_empty().await.unwrap());
    put(&records, ROOM, "a", "", "a").await;
    let mut batch = records.batch();
    batch.put(ROOM, &["b"], "", &"b").unwrap().remove(ROOM, &["a"]);
    batch.commit().await.unwrap();
    assert_eq!(records.all::<String>(ROOM, None).await.unwrap(), ["b"]);
    assert!(!records.are_empty().await.unwrap());
}
