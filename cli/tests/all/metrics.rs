//! `maru metrics` on a machine whose gateway may say anything.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
    process::{Command, Output},
};

use super::gateway;

fn metrics(root: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru"));
    command.arg("--root").arg(root).arg("metrics").args(args).output().unwrap()
}

#[test]
#[ignore = "needs: root"]
fn what_a_daemon_says_stands_beside_what_the_machine_knows_and_never_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("var/lib/maru")).unwrap();
    let said = "# HELP maru_gateway_chats Chats.\n# TYPE maru_gateway_chats counter\n\
         maru_gateway_chats_total{surface=\"openai\",outcome=\"done\"} 3\n\
         # TYPE maru_machine_service_up gauge\nmaru_machine_service_up{service=\"relay\"} 1\n# EOF\n";
    gateway::answer(root, "/metrics", said.to_owned());

    let output = metrics(root, &[]);

    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "maru_gateway_chats_total{surface=\"openai\",outcome=\"done\"} 3",
        "# TYPE maru_gateway_chats_total counter",
        "maru_machine_service_up{service=\"relay\"} 0",
        "maru_machine_service_up{service=\"gateway\"} 0",
        "maru_machine_backup_timestamp_seconds 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
    }
    assert!(!text.contains("service=\"relay\"} 1") && !text.contains("EOF"), "{text}");
    assert!(text.contains("maru_machine_disk_free_bytes "), "{text}");

    let group = 61_099;
    chown(root, None, Some(group)).unwrap();
    let file = root.join("maru.prom");
    let output = metrics(root, &[file.to_str().unwrap()]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let meta = fs::metadata(&file).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (0, group, 0o640));
    assert!(fs::read_to_string(&file).unwrap().contains("maru_gateway_chats_total"));

    let output = metrics(root, &[root.join("none/maru.prom").to_str().unwrap()]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot write") && said.contains("none/maru.prom"), "{said}");
}
