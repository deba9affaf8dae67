use std::os::unix::fs::PermissionsExt as _;

use super::{
    sealed::{Cost, SealedKey},
    *,
};

/// As cheap as Argon2 allows: what is derived is the same function.
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const NEVER: fn() -> anyhow::Result<Zeroizing<String>> = || panic!("a passphrase was asked for");

fn told(passphrase: &str) -> impl FnOnce() -> anyhow::Result<Zeroizing<String>> {
    let passphrase = Zeroizing::new(passphrase.to_owned());
    move || Ok(passphrase)
}

#[test]
fn a_key_is_made_once_for_root_alone() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!((open(root.path(), NEVER).unwrap(), protection(root.path()).unwrap()), (None, None));

    let made = begin(root.path()).unwrap();

    assert_eq!(open(root.path(), NEVER).unwrap().unwrap(), made);
    assert_eq!(protection(root.path()).unwrap(), Some(Protection::File));
    assert_eq!(fs::metadata(path(root.path())).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(begin(root.path()).is_err(), "a second key would close every conversation");
    assert_eq!(open(root.path(), NEVER).unwrap().unwrap(), made);
    assert_ne!(begin(tempfile::tempdir().unwrap().path()).unwrap(), made);
}

#[test]
fn a_passphrase_seals_the_key_and_a_wrong_one_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let key = begin(root.path()).unwrap();
    let clear = fs::read(path(root.path())).unwrap();
    let former = File::open(path(root.path())).unwrap();

    store(root.path(), &key, Some("correct horse battery")).unwrap();

    assert_eq!(protection(root.path()).unwrap(), Some(Protection::Passphrase));
    let stored = fs::read(path(root.path())).unwrap();
    let text = Fixed(*key.0).to_string();
    let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&text);
    assert!(holds(&clear) && !holds(&stored), "the key is not in the clear any more");
    let left = io::read_to_string(former).unwrap();
    assert_eq!(left.len(), clear.len());
    assert!(left.bytes().all(|byte| byte == 0), "the former file is overwritten");

    let error = open(root.path(), told("correct horse")).unwrap_err().to_string();
    assert_eq!(error, message!("passphrase-wrong").to_string());
    assert_eq!(fs::read(path(root.path())).unwrap(), stored);
    assert_eq!(open(root.path(), told("correct horse battery")).unwrap().unwrap(), key);

    store(root.path(), &key, None).unwrap();
    assert_eq!(open(root.path(), NEVER).unwrap().unwrap(), key);
}

#[test]
fn each_sealing_differs_and_a_changed_one_does_not_open() {
    let key = MachineKey(Zeroizing::new([7; 32]));
    let sealed = SealedKey::with(CHEAP, &key, "a passphrase").unwrap();
    let json = serde_json::to_value(&sealed).unwrap();
    let other = SealedKey::with(CHEAP, &key, "a passphrase").unwrap();
    let other = serde_json::to_value(&other).unwrap();
    for part in ["salt", "nonce", "sealed", "tag"] {
        assert_ne!(json[part], other[part], "{part}");
        let mut changed = json.clone();
        changed[part] = other[part].clone();
        let changed: SealedKey = serde_json::from_value(changed).unwrap();
        assert!(changed.open("a passphrase").is_err(), "{part}");
    }
    for (part, value) in [("passes", 2), ("lanes", 2), ("memory_kib", 9)] {
        let mut changed = json.clone();
        changed[part] = value.into();
        let changed: SealedKey = serde_json::from_value(changed).unwrap();
        assert!(changed.open("a passphrase").is_err(), "{part}");
    }
    assert_eq!(sealed.open("a passphrase").unwrap(), key);
}

#[test]
fn a_damaged_file_is_named_takes_little_memory_and_stays() {
    let root = tempfile::tempdir().unwrap();
    let key = begin(root.path()).unwrap();
    let sealed = SealedKey::with(CHEAP, &key, "a passphrase").unwrap();
    FORMAT.write(&path(root.path()), &Stored::Passphrase(sealed)).unwrap();
    let whole = fs::read_to_string(path(root.path())).unwrap();
    let damaged = [
        whole.replace("\"memory_kib\":8", "\"memory_kib\":4294967295"),
        whole.replace("\"passes\":1", "\"passes\":4294967295"),
        whole.replace("\"lanes\":1", "\"lanes\":0"),
        whole.replace("\"lanes\":1", "\"lanes\":65"),
        whole[..whole.len() / 2].to_owned(),
        String::new(),
    ];
    for text in damaged {
        assert_ne!(text, whole);
        fs::write(path(root.path()), &text).unwrap();
        let error = format!("{:#}", open(root.path(), told("a passphrase")).unwrap_err());
        assert!(error.contains("machine-key.json is damaged"), "{error}");
        assert_eq!(fs::read_to_string(path(root.path())).unwrap(), text);
    }
}

#[test]
fn a_key_of_an_older_maru_opens_and_one_of_a_newer_is_not_touched() {
    let root = tempfile::tempdir().unwrap();
    let key = begin(root.path()).unwrap();
    let text = fs::read_to_string(path(root.path())).unwrap();
    assert!(text.contains("\"version\":2"), "{text}");

    fs::write(path(root.path()), text.replace("\"version\":2", "\"version\":1")).unwrap();
    assert_eq!(open(root.path(), NEVER).unwrap().unwrap(), key);
    let newer = text.replace("\"version\":2", "\"version\":3");
    fs::write(path(root.path()), &newer).unwrap();
    assert!(open(root.path(), NEVER).is_err() && seal(root.path(), NEVER).is_err());
    assert_eq!(fs::read_to_string(path(root.path())).unwrap(), newer);
}

#[test]
fn a_key_is_never_printed() {
    let key = MachineKey(Zeroizing::new([7; 32]));
    assert_eq!(format!("{key:?}"), "MachineKey([redacted])");
    let json = serde_json::json!({"holder": "tpm", "credential": "c2VhbGVk"});
    let bound: BoundKey = serde_json::from_value(json).unwrap();
    assert_eq!(format!("{bound:?}"), "BoundKey(Tpm)");
}

#[test]
#[ignore = "needs: root"]
fn a_key_is_handed_over_in_memory_for_the_gateways_group_and_taken_back() {
    use std::os::unix::fs::MetadataExt as _;

    use services::{GATEWAY, GATEWAY_KEY};

    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(GATEWAY_KEY);
    fs::create_dir_all(&folder).unwrap();
    let key = begin(root.path()).unwrap();
    assert!(!is_handed_over(root.path()));

    hand_over(root.path(), &key).unwrap();
    hand_over(root.path(), &key).unwrap();

    assert!(is_handed_over(root.path()));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounted = |line: &&str| line.contains(&*folder.to_string_lossy());
    let lines: Vec<_> = mounts.lines().filter(mounted).collect();
    assert!(matches!(*lines, [line] if line.contains(" - tmpfs ")), "{lines:?}");
    assert_eq!(fs::read(folder.join("key")).unwrap(), *key.0);
    let meta = fs::metadata(folder.join("key")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (0, GATEWAY, 0o440));
    let meta = fs::metadata(&folder).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (0, GATEWAY, 0o750));

    take_back(root.path());

    assert!(!is_handed_over(root.path()));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left on the disk");
}
