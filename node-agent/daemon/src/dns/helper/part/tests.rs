use std::{
    fs::{self, OpenOptions},
    thread,
};

use super::*;
use crate::dns::resolv_conf::ResolvConf;

#[test]
#[ignore = "needs: landlock"]
fn the_writer_writes_its_file_and_the_backup_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    let (etc, folder) = (dir.path().join("etc"), paths.resolver_dir());
    fs::create_dir(&etc).unwrap();
    fs::create_dir_all(&folder).unwrap();
    let (path, beside) = (etc.join("resolv.conf"), etc.join("shadow"));
    fs::write(&path, "nameserver 192.0.2.53\n").unwrap();
    fs::write(&beside, "secret").unwrap();
    let file = open(&path, OFlags::PATH, Mode::empty()).unwrap();
    let system = SystemResolver::new(&paths, "resolv-conf maru0".parse().unwrap())
        .with_file(ResolvConf::new(&path, &paths.resolv_conf_backup()));
    let method = Method::ResolvConf;

    // A thread of its own: the rest of the test program goes on as before.
    let work = || {
        confine_to(Some(&file), &folder, method).unwrap();
        let point = Request::Point("maru.home.arpa".parse().unwrap());
        assert_eq!(answer(&system, method, Some(point)), Response::Done(method));
        assert!(fs::read_to_string(&path).unwrap().contains("100.100.100.100"));
        assert_eq!(answer(&system, method, Some(Request::Restore)), Response::Restored);
        assert_eq!(answer(&system, method, None), Response::Refused);

        let denied = |result: io::Result<()>| {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        };
        denied(fs::write(&beside, ""));
        denied(OpenOptions::new().append(true).open(&beside).map(drop));
        denied(fs::write(etc.join("ld.so.preload"), ""));
        denied(fs::remove_file(&path));
        denied(fs::rename(&path, etc.join("other")));
        denied(std::os::unix::fs::symlink(&beside, etc.join("link")));
        denied(fs::write(dir.path().join("new"), ""));
    };
    thread::scope(|scope| scope.spawn(work).join().unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "nameserver 192.0.2.53\n");
}
