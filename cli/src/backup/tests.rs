use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use ai_gateway_api::settings::gateway;
use services::COORDINATOR;

use super::{
    COPY, Database, Manifest, VERSION,
    places::{self, Bound},
    restore::{RestoreArgs, run},
    walk,
};
use crate::{
    archive::{ArchiveError, Writer},
    up,
};

fn about() -> Manifest {
    Manifest {
        version: VERSION,
        maru: env!("CARGO_PKG_VERSION").to_owned(),
        schema: coordinator_api::SCHEMA,
        created: "2026-11-23T00:00:00Z".to_owned(),
        network: "maru.home.arpa".to_owned(),
        database: Database::Sqlite,
    }
}

/// A folder with an empty root in it, and an archive of these files beside that.
struct TestRoot {
    folder: tempfile::TempDir,
}

impl TestRoot {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn archive(&self, about: &Manifest, files: &[&str]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &serde_json::to_vec(about).unwrap()).unwrap();
        for name in files {
            writer.add(name, 4, &b"text"[..]).unwrap();
        }
        writer.finish().unwrap()
    }

    fn restore(&self, archive: &[u8]) -> Result<(), String> {
        let file = self.folder.path().join("backup.tar");
        fs::write(&file, archive).unwrap();
        let restored = run(&RestoreArgs { file }, &self.root());
        restored.map(drop).map_err(|error| format!("{error:#}"))
    }

    /// Everything below the root but folders and the lock.
    fn files(&self) -> Vec<PathBuf> {
        let (mut found, mut next) = (Vec::new(), vec![self.root()]);
        while let Some(folder) = next.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                assert!(!path.to_string_lossy().contains(".maru-restore-"), "{path:?} is left");
                if path.is_dir() {
                    next.push(path);
                } else if !path.ends_with("run/maru/up.pid") {
                    found.push(path);
                }
            }
        }
        found
    }

    fn is_refused(&self, archive: &[u8], words: &str) {
        let before = self.files();
        let said = self.restore(archive).unwrap_err();
        assert!(said.contains(words), "{words} in: {said}");
        assert_eq!(self.files(), before, "{said}");
    }
}

const NOISE: &str = "var/lib/maru/coordinator/noise.key";

#[test]
#[ignore = "needs: root"]
fn a_backup_that_cannot_be_used_is_refused_and_nothing_is_left() {
    let place = TestRoot::new();
    let own = about();
    let newer = [
        Manifest { version: VERSION + 1, ..own.clone() },
        Manifest { schema: own.schema + 1, ..own.clone() },
        Manifest { maru: "99.0.0".to_owned(), ..own.clone() },
    ];
    for about in newer {
        place.is_refused(&place.archive(&about, &[NOISE]), "update Maru first");
    }
    let whole = place.archive(&own, &[NOISE, "etc/maru/coordinator.toml"]);
    place.is_refused(&whole[..2000], "it is cut short or damaged");
    let mut changed = whole.clone();
    let at = changed.windows(4).position(|four| four == b"text").unwrap();
    changed[at] = b'T';
    place.is_refused(&changed, &format!("it is damaged at \"{NOISE}\""));
    place.is_refused(b"not a backup", "it is not a backup of Maru");
    for name in ["etc/passwd", "root/.ssh/authorized_keys", "var/lib/maru/models/a", "etc/marut/a"]
    {
        place.is_refused(&place.archive(&own, &[NOISE, name]), "which no backup holds");
    }
    place.is_refused(&place.archive(&own, &[NOISE, "etc/maru/a", "etc/maru/a/b"]), "cannot unpack");

    place.restore(&whole).unwrap();
}

#[test]
#[ignore = "needs: root"]
fn a_root_in_use_is_refused() {
    let place = TestRoot::new();
    let archive = place.archive(&about(), &[NOISE]);
    for used in
        ["etc/maru/agent.toml", NOISE, "var/lib/maru/agent/state.json", "var/lib/maru/up.json"]
    {
        let file = place.root().join(used);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        place.is_refused(&archive, "is in use: there is ");
        fs::remove_file(file).unwrap();
    }
    let held = up::hold(&place.root()).unwrap();
    place.is_refused(&archive, "`maru up` already runs here");
    drop(held);

    // Empty folders and a model are no network.
    fs::create_dir_all(place.root().join("var/lib/maru/gateway/config")).unwrap();
    fs::create_dir_all(place.root().join("var/lib/maru/models")).unwrap();
    fs::write(place.root().join("var/lib/maru/models/a.gguf"), "").unwrap();
    place.restore(&archive).unwrap();
    assert!(place.root().join("var/lib/maru/models/a.gguf").exists());
}

#[test]
#[ignore = "needs: root"]
fn owners_and_modes_are_those_of_maru_and_a_restore_that_was_cut_short_is_done_again() {
    let place = TestRoot::new();
    let files = [NOISE, "etc/maru/coordinator.toml", "etc/maru/tls/key.pem"];
    let archive = place.archive(&about(), &files);
    place.restore(&archive).unwrap();
    let owner = |name: &str| {
        let meta = fs::metadata(place.root().join(name)).unwrap();
        (meta.uid(), meta.gid(), meta.mode() & 0o7777)
    };
    assert_eq!(owner(NOISE), (COORDINATOR, COORDINATOR, 0o600));
    assert_eq!(owner("var/lib/maru/coordinator"), (COORDINATOR, COORDINATOR, 0o700));
    assert_eq!(owner("etc/maru"), (0, 0, 0o755));
    assert_eq!(owner("etc/maru/coordinator.toml"), (0, 0, 0o644));
    assert_eq!(owner("etc/maru/tls/key.pem"), (0, COORDINATOR, 0o640));

    // As a power cut between two renames leaves it.
    fs::remove_file(place.root().join(NOISE)).unwrap();
    fs::write(place.root().join("var/lib/maru/restoring"), "").unwrap();
    let said = super::restore::is_whole(&place.root()).unwrap_err().to_string();
    assert!(said.contains("maru restore"), "{said}");
    let left = [".maru-restore-1", "../../../etc/.maru-restore-2"]
        .map(|name| place.root().join("var/lib/maru").join(name));
    for left in &left {
        fs::create_dir_all(left.join("coordinator")).unwrap();
        fs::write(left.join("coordinator/noise.key"), "").unwrap();
    }
    assert_eq!(super::restore::left_behind(&place.root()).len(), left.len());
    // As a systemd unit holds it that started on what there is.
    let lock = place.root().join("var/lib/maru/coordinator/db.sqlite.lock");
    let held = fs::File::create(&lock).unwrap();
    held.lock().unwrap();
    let said = place.restore(&archive).unwrap_err();
    assert!(said.contains("a coordinator runs on ") && lock.exists(), "{said}");
    assert_eq!(super::restore::left_behind(&place.root()), [""; 0].map(PathBuf::from));
    drop(held);
    place.restore(&archive).unwrap();
    super::restore::is_whole(&place.root()).unwrap();
    assert_eq!(fs::read(place.root().join(NOISE)).unwrap(), b"text");
}

/// What a walk below `root` finds, and what it leaves out.
fn found(root: &Path, change: impl Fn(&mut Bound)) -> (Vec<String>, Vec<String>) {
    let mut bounds = places::bounds();
    bounds.iter_mut().for_each(change);
    let mut found = Vec::new();
    let mut take = |name: &str, _: u64, _: fs::File| {
        found.push(name.to_owned());
        Ok(())
    };
    let left_out = walk::below(root, bounds, &mut take).unwrap().left_out();
    (found, left_out)
}

#[test]
fn a_workspace_that_is_full_is_saved_in_part_and_all_else_whole() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "text").unwrap();
    };
    let kept = ["var/lib/maru/gateway/identity.key", "var/lib/maru/telmeet/state.json"];
    kept.iter().for_each(|name| write(name));
    for at in 0..5 {
        write(&format!("var/lib/maru/gateway/workspace/{at}"));
        write(&format!("var/lib/maru/gateway/workspace/a/{at}"));
    }

    let found = |room| {
        found(dir.path(), |bound| {
            if bound.place == services::WORKSPACE {
                bound.files = room;
            }
        })
    };
    let (all, left_out) = found(12);
    assert_eq!((all.len(), left_out), (12, Vec::new()));
    for room in 0..12 {
        let (part, left_out) = found(room);
        assert!(kept.iter().all(|name| part.iter().any(|found| found == name)), "{part:?}");
        assert!(part.len() <= kept.len() + room, "{part:?}");
        assert_eq!(left_out.len(), 1, "{left_out:?}");
        assert!(left_out[0].contains("the rest of var/lib/maru/gateway/workspace"), "{left_out:?}");
    }
}

#[test]
fn a_sparse_or_too_large_file_is_named_and_left_out_and_all_else_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let gateway = dir.path().join("var/lib/maru/gateway");
    fs::create_dir_all(gateway.join("workspace")).unwrap();
    for sparse in ["sparse", "workspace/sparse"] {
        fs::File::create(gateway.join(sparse)).unwrap().set_len(1 << 40).unwrap();
    }
    // No larger than what fits: that it is sparse alone is why.
    fs::File::create(gateway.join("hole")).unwrap().set_len(8 << 20).unwrap();
    fs::write(gateway.join("large"), vec![7; 3 << 20]).unwrap();
    for half in ["half", "more"] {
        fs::write(gateway.join(half), vec![7; 3 << 19]).unwrap();
    }
    fs::write(gateway.join("z.key"), "text").unwrap();

    let (taken, left_out) = found(dir.path(), |bound| bound.bytes = bound.bytes.min(2 << 20));

    assert_eq!(taken, ["var/lib/maru/gateway/half", "var/lib/maru/gateway/z.key"]);
    let words = [
        ("workspace/sparse", "a sparse file: 1099511627776 bytes"),
        ("gateway/hole", "a sparse file: 8388608 bytes"),
        ("gateway/large", "too large: 3145728 bytes, and var/lib/maru/gateway has room for 524288"),
        ("gateway/more", "too large: 1572864 bytes, and var/lib/maru/gateway has room for 524288"),
        ("gateway/sparse", "a sparse file"),
    ];
    assert_eq!(left_out.len(), words.len(), "{left_out:?}");
    for (said, (name, why)) in left_out.iter().zip(words) {
        assert!(said.contains(name) && said.contains(why), "{said}");
    }
}

#[test]
fn what_fills_a_place_is_left_out_in_few_words_and_all_else_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let telmeet = dir.path().join("var/lib/maru/telmeet");
    fs::create_dir_all(&telmeet).unwrap();
    fs::create_dir_all(dir.path().join("var/lib/maru/agent")).unwrap();
    fs::write(dir.path().join("var/lib/maru/agent/state.json"), "text").unwrap();
    (0..300)
        .for_each(|at| std::os::unix::fs::symlink("/etc", telmeet.join(at.to_string())).unwrap());

    let (taken, left_out) = found(dir.path(), |_| {});

    assert_eq!(taken, ["var/lib/maru/agent/state.json"]);
    assert_eq!(left_out.len(), 101, "{left_out:?}");
    assert_eq!(left_out[100], "200 more in var/lib/maru/telmeet");
    let (_, few) = found(dir.path(), |bound| bound.files = bound.files.min(5));
    assert!(few.iter().any(|said| said.contains("the rest of var/lib/maru/telmeet")), "{few:?}");
}

#[test]
fn an_archive_holds_what_all_places_may_have() {
    let bounds = places::bounds();
    let files: usize = bounds.iter().map(|bound| bound.files).sum();
    assert!(files < crate::archive::FILES_MAX);
    for place in places::all() {
        let of = bounds.iter().find(|bound| places::is_below(place, bound.place));
        assert_eq!(of.map(|bound| bound.place), Some(place));
    }
}

/// A process of the agent's may do so at any time.
#[test]
fn a_file_of_the_workspace_that_shrinks_is_noted_and_the_rest_is_saved() {
    let reads = |len: u64, content: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, content).unwrap();
        let mut writer = Writer::new(Vec::new(), b"{}").unwrap();
        let file = fs::File::open(&file).unwrap();
        let whole = super::add(&mut writer, "var/lib/maru/gateway/workspace/a", len, file);
        (whole, writer.finish().unwrap())
    };

    let (whole, archive) = reads(6, "text");

    assert!(!whole.unwrap());
    let mut content = Vec::new();
    let read = crate::archive::read(
        &archive[..],
        |_| Ok(()),
        |_, file| std::io::copy(file, &mut content).map(drop).map_err(ArchiveError::Io),
    );
    read.unwrap();
    assert_eq!(content, b"text\0\0");
    assert!(reads(4, "text").0.unwrap());
}

#[test]
fn a_copy_of_the_database_asks_for_no_folder_but_the_coordinators() {
    assert_eq!(COPY.writable(), ["var/lib/maru/coordinator"]);
    assert_eq!(COPY.state(), Some("var/lib/maru/coordinator"));
}

#[test]
fn only_what_a_backup_holds_has_a_place() {
    for place in places::all().into_iter().filter(|place| !place.ends_with(".json")) {
        assert!(places::of(place).is_none(), "{place} is a folder");
        assert!(places::of(&format!("{place}/")).is_none());
        assert!(places::of(&format!("{place}x/file")).is_none());
        assert!(places::of(&format!("{place}/file")).is_some());
    }
    for gone in ["db.sqlite-wal", "db.sqlite-shm", "db.sqlite.lock"] {
        assert!(places::of(&format!("var/lib/maru/coordinator/{gone}")).is_none());
        assert!(places::of(&format!("var/lib/maru/telmeet/{gone}")).is_none());
        let gone = gone.replace("db", "conversations");
        assert!(places::of(&format!("var/lib/maru/gateway/{gone}")).is_none());
    }
    // No key is beside what it seals.
    let keys = [
        "var/lib/maru/telmeet-key/key",
        "var/lib/maru/machine-key.json",
        "run/maru/gateway-key/key",
    ];
    for key in keys {
        assert!(places::of(key).is_none(), "{key}");
        assert!(places::all().iter().all(|place| !places::is_below(key, place)), "{key}");
    }
    assert_eq!(
        places::CONVERSATIONS_DATABASE,
        gateway::Settings::default().database().to_str().unwrap()
    );
    assert!(places::of(places::ROOMS_DATABASE).is_some());
    assert!(places::of("var/lib/maru/coordinator/db.sqlite").is_some());
    assert!(Path::new(super::DATABASE).starts_with("var/lib/maru/coordinator"));
}
