#![allow(clippy::disallowed_methods, reason = "a test connects to what it started")]

use std::os::unix::fs::{chown, symlink};

use tokio::io::AsyncWriteExt as _;

use super::*;

/// A folder, and the path of a socket in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    (folder, path)
}

/// A socket that its process left behind.
fn leave_behind(path: &Path) {
    drop(net::UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[tokio::test]
async fn folder_and_socket_have_the_modes_that_their_callers_need() {
    let (root, _) = place();
    for (access, folder_mode, socket_mode) in
        [(Access::Group, 0o2750, 0o660), (Access::Everyone, 0o755, 0o666)]
    {
        let path = root.path().join(format!("run/maru/{folder_mode:o}/http.sock"));
        let socket = Socket::bind(&path, access).unwrap();
        assert_eq!((mode(path.parent().unwrap()), mode(&path)), (folder_mode, socket_mode));
        assert_eq!(mode(&root.path().join("run/maru")) & 0o001, 0o001, "others pass through");
        drop(socket);
        assert!(!path.exists(), "it removes what it made");
    }
}

#[tokio::test]
async fn who_calls_is_known_by_uid() {
    let (_folder, path) = place();
    let socket = Socket::bind(&path, Access::Group).unwrap();
    let mut caller = UnixStream::connect(&path).await.unwrap();
    caller.write_all(b"I am root").await.unwrap();
    let (_, uid) = socket.accept().await.unwrap();
    assert_eq!(uid, geteuid().as_raw());
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_one_that_is_served_is_not() {
    let (_folder, path) = place();
    leave_behind(&path);
    let live = Socket::bind(&path, Access::Group).unwrap();
    let error = Socket::bind(&path, Access::Group).unwrap_err();
    assert!(matches!(error, BindError::Busy(_)), "{error}");
    UnixStream::connect(&path).await.expect("it goes on");
    live.accept().await.expect("it goes on");
}

#[test]
fn a_socket_with_a_full_queue_and_one_of_another_type_are_served() {
    let (_folder, path) = place();
    let flags = SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    listen(&socket, 0).unwrap();
    let _waits = net::UnixStream::connect(&path).unwrap();
    assert!(is_served(&path).unwrap());
    drop(socket);
    assert!(!is_served(&path).unwrap());

    fs::remove_file(&path).unwrap();
    let _datagrams = net::UnixDatagram::bind(&path).unwrap();
    assert!(is_served(&path).unwrap());
}

#[tokio::test]
async fn files_and_links_stay_as_they_are() {
    let (folder, path) = place();
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&path, "precious").unwrap();
    let error = Socket::bind(&path, Access::Group).unwrap_err();
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    fs::remove_file(&path).unwrap();
    for to in ["a socket left behind", "nothing"] {
        if to != "nothing" {
            leave_behind(&elsewhere);
        }
        symlink(&elsewhere, &path).unwrap();
        let error = Socket::bind(&path, Access::Group).unwrap_err();
        assert!(matches!(error, BindError::NotASocket(_)), "{to}: {error}");
        assert_eq!(fs::read_link(&path).unwrap(), elsewhere);
        assert_eq!(elsewhere.exists(), to != "nothing");
        fs::remove_file(&path).unwrap();
        let _ = fs::remove_file(&elsewhere);
    }
}

#[tokio::test]
async fn what_another_process_put_there_since_is_not_removed() {
    let (_folder, path) = place();
    let first = Socket::bind(&path, Access::Group).unwrap();
    fs::remove_file(&path).unwrap();
    let second = Socket::bind(&path, Access::Group).unwrap();
    drop(first);
    UnixStream::connect(&path).await.expect("the other goes on");
    second.accept().await.expect("the other goes on");

    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    drop(second);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_folder_that_others_may_write_is_refused() {
    let (folder, path) = place();
    for (mode, safe) in [(0o777, false), (0o1777, true), (0o703, false), (0o755, true)] {
        fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        match Socket::bind(&path, Access::Group) {
            Ok(_) => assert!(safe, "{mode:o}"),
            Err(error) => assert!(!safe && matches!(error, BindError::Folder(_)), "{error}"),
        }
        assert!(!path.exists());
    }
}

#[tokio::test]
#[ignore = "needs: root"]
async fn what_belongs_to_another_user_is_not_touched() {
    let (folder, path) = place();
    leave_behind(&path);
    chown(&path, Some(61_003), None).unwrap();
    let error = Socket::bind(&path, Access::Group).unwrap_err();
    assert!(matches!(error, BindError::Foreign { uid: 61_003, .. }), "{error}");
    assert!(path.exists());

    // What root left there is replaced, and root uses the folder of the daemon's user, who does not use another's.
    chown(&path, Some(0), None).unwrap();
    chown(folder.path(), Some(61_003), None).unwrap();
    drop(Socket::bind(&path, Access::Group).unwrap());
    let bound = as_user(61_004, || check_folder(folder.path(), &path));
    assert!(matches!(bound, Err(BindError::Folder(_))), "{bound:?}");
    as_user(61_003, || check_folder(folder.path(), &path)).unwrap();
}

#[test]
fn a_link_that_the_folders_owner_plants_gets_no_mode() {
    let (folder, path) = place();
    let secret = folder.path().join("secret");
    fs::write(&secret, "precious").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    symlink(&secret, &path).unwrap();
    let error = set_mode(&path, 0o666).unwrap_err();
    assert!(matches!(error, BindError::Folder(_)), "{error}");
    fs::remove_file(&path).unwrap();
    fs::hard_link(&secret, &path).unwrap();
    assert!(set_mode(&path, 0o666).is_err());
    assert_eq!(mode(&secret), 0o600);
}

/// Runs this on a thread that is this user's alone.
fn as_user<T: Send>(uid: u32, run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let uid = rustix::process::Uid::from_raw(uid);
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            run()
        });
        running.join().unwrap()
    })
}
