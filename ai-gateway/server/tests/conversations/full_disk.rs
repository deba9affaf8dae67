//! The disk with the gateway's state is full: a small file system in a mount namespace, filled by a file.
//!
//! Fails if a chat is not answered, if the person is not told that it is not kept, if it takes a restart until turns are kept
//! again, or if anything is lost that was acknowledged.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use testkit::blocking::eventually;

use crate::process::{Person, Process, Root};

/// Holds the mount namespace.
struct Disk {
    holder: Process,
    /// The folder as this process reaches it.
    folder: PathBuf,
}

impl Disk {
    /// Mounts a file system at the folder of the gateway's state.
    fn mount(root: &Root) -> Self {
        let state = root.path().join("var/lib/maru/gateway");
        fs::create_dir_all(&state).unwrap();
        let script = "mount -t tmpfs -o size=8m,mode=700 gateway \"$0\" && touch \"$0/mounted\" && exec sleep infinity";
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "--propagation", "private", "sh", "-c", script]);
        let holder = Process::start(holder.arg(&state));
        let inside = Path::new("/proc").join(holder.id().to_string()).join("root");
        let folder = inside.join(state.strip_prefix("/").unwrap());
        eventually("it is mounted", || folder.join("mounted").exists());
        Self { holder, folder }
    }

    /// The gateway, which sees it.
    fn start(&self, root: &Root) -> Process {
        let target = self.holder.id().to_string();
        Process::start(&mut root.command(&["nsenter", "--mount", "--target", &target]))
    }

    /// Fills it up.
    fn fill(&self) {
        let mut filler = File::create(self.folder.join("filler")).unwrap();
        for piece in [64 * 1024, 4096, 1] {
            while filler.write_all(&vec![0; piece]).is_ok() {}
        }
        assert_eq!(filler.write_all(&[0]).unwrap_err().kind(), ErrorKind::StorageFull);
    }

    /// Makes room again.
    fn empty(&self) {
        fs::remove_file(self.folder.join("filler")).unwrap();
    }
}

#[test]
#[ignore = "needs: root"]
fn with_a_full_disk_chats_go_on_unkept_and_with_room_again_they_are_kept() {
    let root = Root::new();
    let disk = Disk::mount(&root);
    let mut gateway = disk.start(&root);
    let identity = disk.folder.join("identity.pub");
    eventually("it has an identity", || identity.exists());
    let outside = root.path().join("var/lib/maru/gateway/identity.pub");
    fs::copy(&identity, outside).unwrap();
    let person = Person::new(&root, 1);

    let mut kept = Vec::new();
    for round in 0..3 {
        assert_eq!(person.say(&format!("with room {round}")).unwrap(), None);
        kept.extend([format!("with room {round}"), "yes".to_owned()]);
        disk.fill();
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
    assert!(person.history() == kept);

    gateway.kill();
    let _gateway = disk.start(&root);
    assert!(person.history() == kept, "nothing is lost");
}
