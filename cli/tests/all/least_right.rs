//! Coordinator and relay under their own users, in a root as `maru up` lays it out.
//!
//! Fails if the coordinator's user can read a key of the relay's or opens one, if neither waits for the other, or if
//! anybody but root is answered on the admin socket.
#![allow(clippy::disallowed_methods, reason = "a test connects to what it started")]

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::{ErrorKind, Read as _, Write as _},
    mem::MaybeUninit,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    thread,
    time::Duration,
};

use lab::{BIN, Instance, Machine, Process, ROOT, STOP};
use rustix::{
    fs::{Mode, inotify},
    process::Uid,
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use services::{
    ADMIN, COORDINATOR, COORDINATOR_SERVICE, RELAY, RELAY_NODES, RELAY_SERVICE, RELAY_STATE,
    Service, child, directories, links,
};

/// Somebody else on the machine.
const STRANGER: u32 = 61_099;

/// A machine with the directories of the service table, and nothing running.
struct TestRoot {
    instance: Instance,
    _root: tempfile::TempDir,
}

impl TestRoot {
    /// One on which nothing of Maru was yet.
    fn bare() -> Self {
        let root = tempfile::tempdir().unwrap();
        let instance =
            Instance::new(&Arc::new(Machine::new("home").unwrap()), root.path()).unwrap();
        Self { instance, _root: root }
    }

    fn new() -> Self {
        let home = Self::bare();
        let root = home.instance.root.clone();
        let mut places: Vec<_> =
            directories().iter().map(|it| (it.path.to_owned(), it.uid, it.gid, it.mode)).collect();
        places.extend(links().map(|it| (it.directory(), it.owner, it.group, it.mode)));
        for (path, uid, gid, mode) in places {
            let path = root.join(path);
            fs::create_dir_all(&path).unwrap();
            chown(&path, Some(uid), Some(gid)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let settings = "server_url = \"http://10.0.0.1:8443\"\n";
        fs::write(root.join("etc/maru/coordinator.toml"), settings).unwrap();
        home
    }

    /// Starts a service as `maru up` does.
    fn start(&self, service: &Service) -> Process {
        let program = PathBuf::from(format!("{BIN}/{}", service.binary));
        let confine = PathBuf::from(format!("{BIN}/maru"));
        let bound = child::MemoryBound::Rlimit;
        self.run(service, &child::command(service, &bound, &confine, &program, Path::new(ROOT)))
    }

    fn run(&self, service: &Service, command: &[String]) -> Process {
        let mut start = self.instance.machine.command(&command[0]);
        let log =
            fs::File::create(self.instance.root.join(format!("{}.log", service.name))).unwrap();
        start.args(&command[1..]).stdin(Stdio::null()).stderr(log);
        self.instance.machine.spawn(&mut start).unwrap()
    }

    fn relay_state(&self) -> PathBuf {
        self.instance.root.join(RELAY_STATE)
    }

    /// The relay's files whose names begin so.
    fn relay_files(&self, start: &str) -> Vec<PathBuf> {
        let all = fs::read_dir(self.relay_state()).unwrap().map(|entry| entry.unwrap().path());
        let is_it = |name: &OsStr| name.as_encoded_bytes().starts_with(start.as_bytes());
        all.filter(|path| path.file_name().is_some_and(is_it)).collect()
    }

    /// Waits until this is so while the process runs.
    fn wait(&self, process: &mut Process, is_so: impl Fn(&Self) -> bool) {
        for _ in 0..600 {
            if is_so(self) {
                return;
            }
            let ended = process.wait_for(Duration::from_millis(50)).unwrap();
            assert!(ended.is_none(), "it ended: {ended:?}; {}", self.logs());
        }
        panic!("not so: {}", self.logs());
    }

    fn logs(&self) -> String {
        ["coordinator.log", "relay.log"]
            .map(|log| fs::read_to_string(self.instance.root.join(log)).unwrap_or_default())
            .concat()
    }

    /// What a process of this user gets to read from the admin socket.
    fn health(&self, uid: u32) -> std::io::Result<String> {
        let socket = ADMIN.path(&self.instance.root);
        as_user(uid, move || {
            let mut stream = UnixStream::connect(socket)?;
            let mut answer = String::new();
            let request = b"GET /api/v1/health HTTP/1.1\r\nHost: maru\r\nConnection: close\r\n\r\n";
            // It may be closed already.
            let _ = stream.write_all(request).and_then(|()| stream.read_to_string(&mut answer));
            Ok(answer)
        })
    }
}

/// Does something on a thread under this user and the group of the same number.
fn as_user<T: Send + 'static>(uid: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let become_user = move || {
        let (user, group) = (Uid::from_raw(uid), rustix::process::Gid::from_raw(uid));
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        work()
    };
    thread::spawn(become_user).join().unwrap()
}

fn read_as(uid: u32, path: &Path) -> Result<Vec<u8>, ErrorKind> {
    let path = path.to_owned();
    as_user(uid, move || fs::read(path).map_err(|error| error.kind()))
}

fn is_closed_to(uid: u32, path: &Path) -> bool {
    matches!(read_as(uid, path), Err(ErrorKind::PermissionDenied))
}

/// The coordinator starts first and waits; the relay's keys are the relay's alone.
#[test]
#[ignore = "needs: root"]
fn the_coordinator_waits_for_the_relay_and_cannot_read_its_key() {
    let home = TestRoot::new();
    let mut coordinator = home.start(&COORDINATOR_SERVICE);
    home.wait(&mut coordinator, |home| home.logs().contains("waiting for the relay's certificate"));
    assert!(!ADMIN.path(&home.instance.root).exists());
    assert_eq!(home.relay_files("").len(), 0);

    let mut relay = home.start(&RELAY_SERVICE);

    home.wait(&mut coordinator, |home| ADMIN.path(&home.instance.root).exists());
    home.wait(&mut relay, |home| home.relay_files("derp.key").len() == 1);
    let [certificates, keys] = [home.relay_files("certificate-"), home.relay_files("key-")];
    assert_eq!((certificates.len(), keys.len()), (1, 1));
    for key in keys.iter().chain(&home.relay_files("derp.key")) {
        read_as(RELAY, key).unwrap();
        assert!(is_closed_to(COORDINATOR, key), "{key:?}");
    }
    let certificate = read_as(COORDINATOR, &certificates[0]).unwrap();
    assert!(!String::from_utf8(certificate).unwrap().contains("PRIVATE KEY"));
    assert!(is_closed_to(STRANGER, &certificates[0]));
}

/// The relay reads who is a node where the coordinator alone writes it, and nobody else looks.
#[test]
#[ignore = "needs: root"]
fn the_relay_is_told_who_is_a_node_by_a_file_that_it_cannot_write() {
    let home = TestRoot::new();
    let mut relay = home.start(&RELAY_SERVICE);
    home.wait(&mut relay, |home| home.logs().contains("the relay admits nobody until"));
    let mut coordinator = home.start(&COORDINATOR_SERVICE);
    let list = home.instance.root.join(RELAY_NODES).join("nodes.json");
    home.wait(&mut coordinator, |_| list.exists());
    home.wait(&mut relay, |home| home.logs().contains("relay is ready"));

    let text = String::from_utf8(read_as(RELAY, &list).unwrap()).unwrap();
    assert!(text.starts_with("{\"version\":1,"), "{text}");
    assert!(is_closed_to(STRANGER, &list));
    let (folder, beside) = (list.parent().unwrap().to_owned(), list.clone());
    let refused = as_user(RELAY, move || {
        [fs::write(beside, "{}"), fs::write(folder.join("other"), "{}")]
            .map(|it| it.unwrap_err().kind())
    });
    assert_eq!(refused, [ErrorKind::PermissionDenied; 2]);
}

/// Nor does it try. It runs as root here: opening what one may not is not seen from outside.
#[test]
#[ignore = "needs: root"]
fn the_coordinator_opens_the_relays_certificate_and_no_key() {
    let home = TestRoot::new();
    let mut relay = home.start(&RELAY_SERVICE);
    home.wait(&mut relay, |home| home.logs().contains("relay is ready"));
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watch, home.relay_state(), inotify::WatchFlags::OPEN).unwrap();

    let program = format!("{BIN}/{}", COORDINATOR_SERVICE.binary);
    let command = [&program, "serve", "--root", ROOT].map(str::to_owned);
    let mut coordinator = home.run(&COORDINATOR_SERVICE, &command);
    home.wait(&mut coordinator, |home| home.logs().contains("coordinator is ready"));

    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(&watch, &mut buffer);
    let mut opened = Vec::new();
    while let Ok(event) = reader.next() {
        opened.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    assert!(opened.iter().any(|name| name.starts_with("certificate-")), "{opened:?}");
    assert!(opened.iter().all(|name| name.starts_with("certificate-")), "{opened:?}");
}

#[test]
#[ignore = "needs: root"]
fn the_admin_socket_answers_root_alone() {
    let home = TestRoot::new();
    let mut relay = home.start(&RELAY_SERVICE);
    let mut coordinator = home.start(&COORDINATOR_SERVICE);
    home.wait(&mut coordinator, |home| ADMIN.path(&home.instance.root).exists());
    home.wait(&mut relay, |home| {
        home.health(0).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });

    // The coordinator's own user reaches it: the directory is its.
    assert_eq!(home.health(COORDINATOR).unwrap(), "");
    for uid in [RELAY, STRANGER] {
        assert_eq!(home.health(uid).unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    // Even if all doors before it stand open.
    let socket = ADMIN.path(&home.instance.root);
    fs::set_permissions(socket.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    for uid in [COORDINATOR, RELAY, STRANGER] {
        assert_eq!(home.health(uid).unwrap(), "");
    }
    assert!(home.health(0).unwrap().starts_with("HTTP/1.1 200"));
}

fn daily_backups_are_kept_by_number(home: &TestRoot) {
    let folder = home.instance.root.join("var/backups/maru");
    let daily = &["backup", "--verify", "--keep", "2"];
    let said = home.instance.run(daily).unwrap();
    assert_eq!(said.status.code(), Some(1), "its disk is not mounted: {said:?}");
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    // As in the unit: nobody else may read what has no mode of its own, and yet the daemons' users find their databases.
    let umask = rustix::process::umask(Mode::from_raw_mode(0o077));
    let verified = home.instance.ok(daily).unwrap();
    rustix::process::umask(umask);
    assert!(verified.contains("every database in it can be read"), "{verified}");
    let scratch = home.instance.root.join("var/lib/maru/.verify");
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0, "what was restored is still there");
    let names = || {
        let files = fs::read_dir(&folder).unwrap();
        files.map(|file| file.unwrap().file_name()).collect::<BTreeSet<_>>()
    };
    let first = names().pop_first().unwrap();
    fs::rename(folder.join(first), folder.join("maru-2026-01-02T00-00-00Z.tar")).unwrap();
    for name in ["maru-2026-01-01T00-00-00Z.tar", "notes.txt"] {
        fs::write(folder.join(name), "").unwrap();
    }

    // Nothing is deleted by one that is not written.
    let mode = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o755);
    let refused = home.instance.run(daily).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("root alone"), "{said}");
    mode(0o700);
    assert_eq!(names().len(), 3);
    home.instance.ok(daily).unwrap();
    let left = names();
    assert_eq!(left.len(), 3, "two backups and what is not ours: {left:?}");
    assert!(left.contains(OsStr::new("maru-2026-01-02T00-00-00Z.tar")), "{left:?}");
}

/// As of a program or a disk that spoils what is written.
#[test]
#[ignore = "needs: root"]
fn a_daily_backup_that_cannot_be_restored_is_an_error_and_deletes_no_older_one() {
    let home = TestRoot::new();
    let mut relay = home.start(&RELAY_SERVICE);
    let mut coordinator = home.start(&COORDINATOR_SERVICE);
    home.wait(&mut coordinator, |home| ADMIN.path(&home.instance.root).exists());
    coordinator.stop(STOP).unwrap();
    relay.stop(STOP).unwrap();
    let folder = home.instance.root.join("var/backups/maru");
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let daily = &["backup", "--verify", "--keep", "1"];
    home.instance.ok(daily).unwrap();
    let files = || fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let whole = folder.join("maru-2026-01-02T00-00-00Z.tar");
    fs::rename(files().next().unwrap(), &whole).unwrap();
    let machine = &home.instance.machine;
    // Only where the backup is restored, the copy of the database begins with its own header.
    let spoiled = "#!/bin/sh\ncase \"$*\" in *.verify*) ;; *) printf '%04096d' 0 ;; esac\nexec /run/whole \"$@\"\n";
    fs::write(machine.path("/run/spoiled"), spoiled).unwrap();
    machine
        .sh(&format!(
            "chmod 755 /run/spoiled; touch /run/whole
            mount --bind {BIN}/maru-coordinator /run/whole
            mount --bind /run/spoiled {BIN}/maru-coordinator"
        ))
        .unwrap();

    let failed = home.instance.run(daily).unwrap();

    let said = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{said}");
    for words in
        ["cannot be restored; no older backup was deleted", "coordinator/db.sqlite cannot be read"]
    {
        assert!(said.contains(words), "{words:?} in: {said}");
    }
    let spoiled = files().find(|path| *path != whole).expect("it stays, for whoever looks into it");
    assert!(whole.exists() && said.contains(spoiled.file_name().unwrap().to_str().unwrap()));
    // Night after night it takes no more room, and is never the newest.
    assert_eq!(home.instance.run(daily).unwrap().status.code(), Some(1));
    assert_eq!(files().collect::<BTreeSet<_>>(), BTreeSet::from([whole, spoiled]));
    assert!(folder.join("unverified.tar").exists());
    let scratch = home.instance.root.join("var/lib/maru/.verify");
    assert_eq!(fs::read_dir(scratch).unwrap().count(), 0, "what was restored is still there");
}

/// The backup is made while both run; the machine that it is of is gone before it is restored.
#[test]
#[ignore = "needs: root"]
fn a_backup_of_a_lost_machine_restores_every_key_and_every_right() {
    let home = TestRoot::new();
    let mut relay = home.start(&RELAY_SERVICE);
    let mut coordinator = home.start(&COORDINATOR_SERVICE);
    home.wait(&mut coordinator, |home| ADMIN.path(&home.instance.root).exists());
    home.wait(&mut relay, |home| home.relay_files("derp.key").len() == 1);
    home.instance.ok(&["user", "create", "alice"]).unwrap();
    let noise = "var/lib/maru/coordinator/noise.key";
    // A coordinator that was taken over cannot have another's file saved as its own.
    let link = home.instance.root.join("var/lib/maru/coordinator/secret");
    std::os::unix::fs::symlink(home.relay_files("derp.key").remove(0), &link).unwrap();
    let sparse = home.instance.root.join("var/lib/maru/gateway/workspace/sparse");
    fs::File::create(sparse).unwrap().set_len(1 << 40).unwrap();
    let file = format!("{ROOT}/backup.tar");

    let made = home.instance.run(&["backup", &file]).unwrap();

    let said = String::from_utf8(made.stderr).unwrap();
    assert!(
        made.status.success() && said.contains("coordinator/secret, which is not a regular file"),
        "{said}"
    );
    assert!(said.contains("workspace/sparse, a sparse file") && said.contains("warning"), "{said}");
    let backup = home.instance.root.join("backup.tar");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(
        !home.instance.run(&["backup", &file]).unwrap().status.success(),
        "it is there already"
    );
    let strict = home.instance.run(&["backup", "--force", "--strict", &file]).unwrap();
    assert_eq!(strict.status.code(), Some(1), "{strict:?}");
    home.instance.ok(&["backup", "--force", &file]).unwrap();
    daily_backups_are_kept_by_number(&home);
    let used = home.instance.run(&["restore", &file]).unwrap();
    assert!(String::from_utf8_lossy(&used.stderr).contains("is in use: there is "), "{used:?}");
    let kept = ["certificate-", "key-", "derp.key"]
        .map(|name| home.relay_files(name).remove(0))
        .map(|path| (path.file_name().unwrap().to_owned(), fs::read(&path).unwrap()));
    let key = fs::read(home.instance.root.join(noise)).unwrap();
    let saved = fs::read(backup).unwrap();
    relay.stop(STOP).unwrap();
    coordinator.stop(STOP).unwrap();
    drop((coordinator, relay, home));

    let home = TestRoot::bare();
    fs::write(home.instance.root.join("backup.tar"), saved).unwrap();
    home.instance.ok(&["restore", &file]).unwrap();
    let mut relay = home.start(&RELAY_SERVICE);
    let mut coordinator = home.start(&COORDINATOR_SERVICE);
    home.wait(&mut coordinator, |home| ADMIN.path(&home.instance.root).exists());
    home.wait(&mut relay, |home| home.logs().contains("relay is ready"));

    assert!(home.instance.ok(&["user", "list"]).unwrap().contains("alice"));
    assert!(fs::read(home.instance.root.join(noise)).unwrap() == key);
    for (name, content) in kept {
        let path = home.relay_state().join(&name);
        let is_secret = !name.to_string_lossy().starts_with("certificate-");
        assert!(read_as(RELAY, &path).unwrap() == content, "{name:?}");
        assert_eq!(is_closed_to(COORDINATOR, &path), is_secret, "{name:?}");
        assert!(is_closed_to(STRANGER, &path), "{name:?}");
    }
    for secret in [noise, "var/lib/maru/coordinator/db.sqlite"] {
        assert!(is_closed_to(STRANGER, &home.instance.root.join(secret)), "{secret}");
        assert!(is_closed_to(RELAY, &home.instance.root.join(secret)), "{secret}");
    }
}
