use ai_gateway_api::wire::Fixed;
use mesh_identity::User;

use super::*;

fn device(byte: u8) -> Device {
    Device { device_pubkey: Fixed([byte; 32]), name: String::new(), bound_at: byte.into() }
}

/// This node, while it is this person's.
fn of_user(node: &str, id: u64) -> Identity {
    let user = Some(User { id, login: "ada".to_owned() });
    Identity { user, ..tagged(node) }
}

/// This node, while it is nobody's.
fn tagged(node: &str) -> Identity {
    Identity {
        v: mesh_identity::VERSION,
        node: node.to_owned(),
        user: None,
        tags: Vec::new(),
        service: "gateway".to_owned(),
    }
}

fn laptop() -> Identity {
    of_user("laptop", 1)
}

fn phone() -> Identity {
    of_user("phone", 2)
}

fn empty() -> (tempfile::TempDir, Devices) {
    let dir = tempfile::tempdir().unwrap();
    let devices = Devices::load(dir.path().join("devices.json")).unwrap();
    (dir, devices)
}

#[test]
fn a_key_belongs_to_the_node_and_the_person_that_bound_it() {
    let (_dir, devices) = empty();
    devices.bind(&laptop(), device(1)).unwrap();
    let key = Fixed([1; 32]);
    assert!(devices.is_bound(key, &laptop()));
    let renamed = Some(User { id: 1, login: "ada lovelace".to_owned() });
    assert!(devices.is_bound(key, &Identity { user: renamed, ..laptop() }), "a login may change");
    for other in
        [phone(), of_user("phone", 1), of_user("laptop", 2), tagged("laptop"), tagged("phone")]
    {
        assert!(!devices.is_bound(key, &other), "{other:?}");
    }
    assert!(matches!(devices.bind(&phone(), device(1)), Err(BindError::OtherNode)));
    assert!(matches!(devices.bind(&of_user("phone", 1), device(1)), Err(BindError::OtherNode)));
    let again = Device { bound_at: 99, ..device(1) };
    assert_eq!(devices.bind(&laptop(), again).unwrap(), device(1), "binding again is harmless");
}

#[test]
fn a_node_that_changed_hands_binds_its_keys_again() {
    let (dir, devices) = empty();
    devices.bind(&laptop(), device(1)).unwrap();
    devices.bind(&laptop(), device(2)).unwrap();
    devices.bind(&phone(), device(9)).unwrap();

    for now in [of_user("laptop", 2), tagged("laptop"), laptop()] {
        assert!(!devices.is_bound(Fixed([1; 32]), &now), "{now:?} before it binds");
        assert_eq!(devices.of(&now), []);
        assert!(!devices.revoke(&now, Fixed([1; 32])).unwrap());
        devices.bind(&now, device(1)).unwrap();
        assert!(devices.is_bound(Fixed([1; 32]), &now), "{now:?} after it did");
        let devices = Devices::load(dir.path().join("devices.json")).unwrap();
        assert_eq!(devices.of(&now), [device(1)]);
        assert_eq!(devices.lock().len(), 2, "what the node bound as another is forgotten");
    }
}

#[test]
fn keys_that_were_bound_before_the_person_was_kept_count_as_unbound() {
    let (dir, devices) = empty();
    devices.bind(&phone(), device(9)).unwrap();
    let path = dir.path().join("devices.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let person = r#""person":"user:2","#;
    assert!(text.contains(person), "{text}");
    std::fs::write(&path, text.replace(person, "")).unwrap();

    let devices = Devices::load(path.clone()).unwrap();
    for caller in [phone(), tagged("phone"), laptop()] {
        assert!(!devices.is_bound(Fixed([9; 32]), &caller), "{caller:?}");
    }
    devices.bind(&phone(), device(9)).unwrap();
    assert!(Devices::load(path).unwrap().is_bound(Fixed([9; 32]), &phone()), "bound again");
}

#[test]
fn keys_survive_a_restart_and_their_revocation_too() {
    let (dir, devices) = empty();
    for byte in [3, 1, 2] {
        devices.bind(&laptop(), device(byte)).unwrap();
    }
    devices.bind(&phone(), device(9)).unwrap();
    assert!(!devices.revoke(&phone(), Fixed([1; 32])).unwrap(), "someone else's");
    assert!(devices.revoke(&laptop(), Fixed([2; 32])).unwrap());
    assert!(!devices.revoke(&laptop(), Fixed([2; 32])).unwrap(), "gone already");

    let devices = Devices::load(dir.path().join("devices.json")).unwrap();
    assert_eq!(devices.of(&laptop()), [device(1), device(3)]);
    assert_eq!(devices.of(&phone()), [device(9)]);
}

#[test]
fn a_node_has_room_for_so_many() {
    let (_dir, devices) = empty();
    for byte in 0..16 {
        devices.bind(&laptop(), device(byte)).unwrap();
    }
    assert!(matches!(devices.bind(&laptop(), device(16)), Err(BindError::TooMany)));
    devices.bind(&phone(), device(16)).unwrap();
    devices.bind(&of_user("laptop", 3), device(0)).unwrap();
}

#[test]
fn a_key_that_cannot_be_stored_is_not_bound() {
    let (dir, devices) = empty();
    drop(dir);
    assert!(matches!(devices.bind(&laptop(), device(1)), Err(BindError::Store(_))));
    assert!(!devices.is_bound(Fixed([1; 32]), &laptop()));
}

/// A disk that takes its time holds up those who bind, and nobody who chats.
#[test]
fn a_key_is_looked_up_while_another_is_being_stored() {
    use std::{sync::mpsc, thread, time::Duration};

    let (_dir, devices) = empty();
    devices.bind(&laptop(), device(1)).unwrap();
    let (disk, slow) = mpsc::channel();
    let devices = &devices;
    *devices.changes.disk.lock().unwrap() = Some(slow);
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        scope.spawn(|| devices.bind(&phone(), device(2)).unwrap());
        scope.spawn(move || {
            while devices.changes.disk.try_lock().is_ok() {
                thread::yield_now();
            }
            let seen = [1, 2].map(|byte| devices.is_bound(Fixed([byte; 32]), &laptop()));
            tell.send(seen).unwrap();
        });
        let seen = told.recv_timeout(Duration::from_secs(60));
        disk.send(()).unwrap();
        assert_eq!(seen, Ok([true, false]), "the disk is not waited for");
    });
    assert!(devices.is_bound(Fixed([2; 32]), &phone()), "nor is anything lost");
}
