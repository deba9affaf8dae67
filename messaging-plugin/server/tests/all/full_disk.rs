//! The disk with telmeet's database and media is full: a small file system in a mount namespace, filled by a file.
//!
//! Fails if a request that stores something is answered by anything but a sentence about the disk, if reading or syncing stops,
//! if it takes a restart until it stores again, or if anything is lost that was acknowledged.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use testkit::blocking::eventually;

use crate::{
    process::{Person, Process, Root},
    room::{escaped, history},
};

/// Holds the mount namespace.
struct Disk {
    holder: Process,
    /// The folder as this process reaches it.
    folder: PathBuf,
}

impl Disk {
    /// Mounts a file system at the folder of telmeet's state.
    fn mount(root: &Root) -> Self {
        let state = root.path().join("var/lib/maru/telmeet");
        fs::create_dir_all(&state).unwrap();
        let script = "mount -t tmpfs -o size=12m,mode=700 telmeet \"$0\" && touch \"$0/mounted\" && exec sleep infinity";
        let mut holder = Command::new("unshare");
        holder.args(["--mount", "--propagation", "private", "sh", "-c", script]);
        let holder = Process::start(holder.arg(&state));
        let inside = Path::new("/proc").join(holder.id().to_string()).join("root");
        let folder = inside.join(state.strip_prefix("/").unwrap());
        eventually("it is mounted", || folder.join("mounted").exists());
        Self { holder, folder }
    }

    /// telmeet, which sees it.
    fn command(&self, root: &Root) -> Command {
        root.command(&["nsenter", "--mount", "--target", &self.holder.id().to_string()])
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

    fn media(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.join("media")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// A room that is written into.
struct Room {
    room: String,
    kim: Person,
    min: Person,
    /// What was acknowledged.
    sent: Vec<String>,
}

impl Room {
    /// Kim sends a message of some length. Returns the status, and the response.
    fn say(&mut self) -> (u16, Value) {
        let text = format!("{} {}", self.sent.len(), "x".repeat(20_000));
        let number = self.sent.len();
        let path = format!(
            "/_matrix/client/v3/rooms/{}/send/m.room.message/{number}",
            escaped(&self.room)
        );
        let (status, response) =
            self.kim.answer("PUT", &path, &json!({"msgtype": "m.text", "body": text}));
        if status == 200 {
            self.sent.push(text);
        }
        (status, response)
    }

    /// Everybody reads all that was acknowledged.
    fn reads(&self) {
        for person in [&self.kim, &self.min] {
            let read = history(person, &self.room, ("f", ""), None);
            assert!(read.iter().map(|(.., text)| text).eq(&self.sent), "{}", read.len());
            person.must("GET", "/_matrix/client/v3/sync", &Value::Null);
        }
    }
}

fn is_refused((status, response): &(u16, Value)) {
    assert_eq!((*status, &response["errcode"]), (507, &json!("M_TOO_LARGE")), "{response}");
    assert!(response["error"].as_str().unwrap().contains("disk of the home machine is full"));
}

#[test]
#[ignore = "needs: root"]
fn with_a_full_disk_reading_goes_on_and_with_room_again_writing_does() {
    let root = Root::new();
    let disk = Disk::mount(&root);
    let mut telmeet = Process::start(&mut disk.command(&root));
    let (kim, min) = (root.person(1), root.person(2));
    let room = kim.must("POST", "/_matrix/client/v3/createRoom", &json!({"preset": "public_chat"}));
    let room = room["room_id"].as_str().unwrap().to_owned();
    min.must("POST", &format!("/_matrix/client/v3/join/{}", escaped(&room)), &json!({}));
    let filter = json!({"room": {"timeline": {"limit": 7}}});
    let filters = format!("/_matrix/client/v3/user/{}/filter", kim.id);
    let filter_id = kim.must("POST", &filters, &filter);
    let picture = json!({"picture": "y".repeat(100_000)});
    let picture_at = kim.must("POST", "/_matrix/media/v3/upload", &picture);
    let picture_at = picture_at["content_uri"].as_str().unwrap().replace("mxc://", "");
    let to_min = json!({"messages": {(&min.id): {"*": {"text": "hello"}}}});
    kim.must("PUT", "/_matrix/client/v3/sendToDevice/m.test/1", &to_min);
    let mut room = Room { room, kim, min, sent: Vec::new() };

    for _ in 0..3 {
        disk.fill();
        let files = disk.media().len();
        // What the database's files have room for is stored.
        while room.say().0 == 200 {}
        for _ in 0..3 {
            is_refused(&room.say());
            let upload = room.kim.answer(
                "POST",
                "/_matrix/media/v3/upload",
                &json!({"new": "z".repeat(50_000)}),
            );
            is_refused(&upload);
        }
        assert_eq!(disk.media().len(), files, "{:?}", disk.media());
        room.reads();
        // An app that starts, and one that acknowledges what it received.
        assert_eq!(room.kim.must("POST", &filters, &filter), filter_id);
        let path = format!("/_matrix/client/v1/media/download/{picture_at}");
        assert_eq!(room.min.must("GET", &path, &Value::Null), picture);
        let sync = room.min.must("GET", "/_matrix/client/v3/sync", &Value::Null);
        let since = sync["next_batch"].as_str().unwrap();
        let next = format!("/_matrix/client/v3/sync?since={since}");
        let next = room.min.must("GET", &next, &Value::Null);
        let to_device = next["to_device"]["events"].as_array();
        assert!(to_device.is_none_or(Vec::is_empty), "{next}");
        assert!(telmeet.is_running());

        disk.empty();
        for _ in 0..3 {
            assert_eq!(room.say().0, 200);
        }
        room.reads();
    }

    // Killed while the disk is full, it has lost nothing.
    disk.fill();
    while room.say().0 == 200 {}
    telmeet.kill();
    disk.empty();
    let _telmeet = Process::start(&mut disk.command(&root));
    room.reads();
    assert_eq!(room.say().0, 200);
    room.reads();
}
