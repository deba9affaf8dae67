#![allow(clippy::disallowed_methods, reason = "a test connects to what it started")]

use std::{
    fs,
    os::unix::fs::{chown, symlink},
};

use rustix::process::geteuid;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

/// A root, and a listener in a folder of its own below it.
fn listening(at: &str) -> (tempfile::TempDir, net::UnixListener) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(at);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let listener = net::UnixListener::bind(path).unwrap();
    (root, listener)
}

/// What each way to connect says of it; they say the same.
async fn tried(connector: &Connector) -> Result<(), String> {
    let all = [
        connector.connect().await.map(drop),
        connector.connect_blocking(PATIENCE).map(drop),
        connector.checked().await.map(drop),
    ];
    let all = all.map(|tried| tried.map_err(|error| error.to_string()));
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    all[0].clone()
}

#[tokio::test]
async fn a_socket_is_found_below_the_root_and_elsewhere() {
    let (root, _listener) = listening("run/own/http.sock");
    let path = Path::new("run/own/http.sock");
    let whole = root.path().join(path);
    for connector in [
        Connector::new(root.path(), path),
        Connector::new(root.path(), &whole),
        Connector::new(Path::new("/"), &whole),
        Connector::new(Path::new("/elsewhere"), &whole),
    ] {
        assert_eq!(tried(&connector).await, Ok(()), "{connector:?}");
        assert_eq!(connector.path(), whole);
        assert!(connector.file().is_some());
    }
    let away = Connector::new(root.path(), Path::new("run/own/none.sock"));
    assert!(matches!(away.connect().await, Err(ConnectError::Unreachable { .. })));
    let error = io::Error::from(away.connect().await.unwrap_err());
    assert_eq!((error.kind(), away.file()), (io::ErrorKind::NotFound, None));
    assert!(ConnectError::of(&error).is_none());
    let none = Connector::new(root.path(), Path::new("run/own"));
    let error = io::Error::from(none.connect().await.unwrap_err());
    assert!(matches!(ConnectError::of(&error), Some(ConnectError::NoSocket(_))), "{error}");
}

#[tokio::test]
async fn no_part_of_the_path_below_the_root_is_a_link() {
    let (root, _listener) = listening("run/other/http.sock");
    let below = |path: &str| Connector::new(root.path(), Path::new(path));
    let refused = async |connector: Connector| {
        assert_eq!(connector.file(), None);
        tried(&connector).await.is_err_and(|error| error.contains("is a link or no socket"))
    };
    fs::create_dir(root.path().join("run/own")).unwrap();
    let own = root.path().join("run/own/http.sock");

    symlink("../other/http.sock", &own).unwrap();
    assert!(refused(below("run/own/http.sock")).await);
    assert!(refused(Connector::new(Path::new("/"), &own)).await, "nor by a whole path");
    fs::remove_file(&own).unwrap();
    fs::write(&own, "").unwrap();
    assert!(refused(below("run/own/http.sock")).await, "a file");
    symlink("../other", root.path().join("run/own/deeper")).unwrap();
    assert!(refused(below("run/own/deeper/http.sock")).await, "a folder");
    assert!(refused(below("run/own/..")).await, "no name");

    assert_eq!(tried(&below("run/other/http.sock")).await, Ok(()), "the control: itself");
    // The root was checked before.
    symlink(root.path(), root.path().join("root")).unwrap();
    let linked = root.path().join("root");
    assert_eq!(tried(&Connector::new(&linked, Path::new("run/other/http.sock"))).await, Ok(()));
}

#[tokio::test]
async fn where_another_user_listens_nothing_is_said() {
    let (root, listener) = listening("run/own/http.sock");
    let connector = Connector::new(root.path(), Path::new("run/own/http.sock"));
    let own = geteuid().as_raw();

    let error = tried(&connector.clone().listener(own + 1)).await.unwrap_err();
    assert!(error.starts_with(&format!("uid {own} listens on ")), "{error}");
    assert!(error.contains(&format!(", and uid {} should: ", own + 1)), "{error}");
    assert!(connector.file().is_some(), "it is there all the same");
    assert_eq!(tried(&connector.listener(own)).await, Ok(()));
    drop(listener);
}

#[tokio::test]
#[ignore = "needs: root"]
async fn without_a_uid_the_owner_of_the_folder_listens() {
    let (root, _listener) = listening("run/own/http.sock");
    let connector = Connector::new(root.path(), Path::new("run/own/http.sock"));
    let folder = root.path().join("run/own");

    chown(&folder, Some(61_004), None).unwrap();
    let error = tried(&connector).await.unwrap_err();
    assert!(error.contains("and uid 61004 should"), "{error}");
    // Whose the socket's file is says nothing: its owner may have changed since.
    chown(folder.join("http.sock"), Some(61_004), None).unwrap();
    assert!(tried(&connector).await.is_err());
    chown(&folder, Some(0), None).unwrap();
    assert_eq!(tried(&connector).await, Ok(()));
}

/// A socket that was checked is the one that is used, whatever has its name by then.
#[tokio::test]
async fn what_was_checked_stays_what_it_was() {
    let (root, first) = listening("http.sock");
    let path = root.path().join("http.sock");
    let connector = Connector::new(root.path(), Path::new("http.sock"));
    let checked = connector.checked().await.unwrap();
    let before = connector.file();
    fs::remove_file(&path).unwrap();
    let second = net::UnixListener::bind(&path).unwrap();

    let _caller = net::UnixStream::connect(checked.path()).unwrap();

    second.set_nonblocking(true).unwrap();
    assert_eq!(second.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    // The look, and the caller.
    for _ in 0..2 {
        first.accept().unwrap();
    }
    assert_ne!(connector.file(), before);
}
