//! The disk with the gateway's state is full: a small file system in a mount namespace, filled by a file.
//!
//! Fails if a chat is not answered, if the person is not told that it is not kept, if it takes a restart until turns are kept
//! again, or if anything is lost that was acknowledged.

use testkit::{blocking::eventually, small_disk::SmallDisk};

use crate::process::{Person, Root};

#[test]
#[ignore = "needs: root"]
fn with_a_full_disk_chats_go_on_unkept_and_with_room_again_they_are_kept() {
    let name = "full_disk::with_a_full_disk_chats_go_on_unkept_and_with_room_again_they_are_kept";
    let Some(disk) = SmallDisk::of_test(name, "8m") else { return };
    let root = Root::new_in(disk.path());
    let mut gateway = root.start();
    let person = Person::new(&root, 1);

    let mut kept = Vec::new();
    for round in 0..3 {
        assert_eq!(person.say(&format!("with room {round}")).unwrap(), None);
        kept.extend([format!("with room {round}"), "yes".to_owned()]);
        disk.fill(0);
        // What was free in the database's files is used up first.
        let told = eventually("the person is told", || {
            let text = format!("{round} {}", "x".repeat(20_000));
            let told = person.say(&text).unwrap();
            if told.is_none() {
                kept.extend([text, "yes".to_owned()]);
            }
            told
        });
        assert!(told.contains("not kept") && told.contains("is full"), "{told}");
        assert!(person.history() == kept, "reading goes on");
        disk.empty();
    }
    assert_eq!(person.say("at last").unwrap(), None);
    kept.extend(["at last".to_owned(), "yes".to_owned()]);

    gateway.kill();
    let _gateway = root.start();
    assert!(person.history() == kept, "nothing is lost");
}
