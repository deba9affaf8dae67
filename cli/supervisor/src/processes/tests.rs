use std::{path::Path, time::Duration};

use services::Stage;
use testkit::eventually;

use super::{Spec, Supervisor};
use crate::{disk::DiskQuota, lock::Lock, log::is_warning};

fn supervisor(root: &Path) -> Supervisor {
    std::fs::create_dir_all(root.join("run/maru")).unwrap();
    Supervisor::new(root, Lock::take(root).unwrap(), false, |_| {}).unwrap()
}

fn shell(name: &'static str, script: &str) -> Spec {
    let command = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let disk = DiskQuota { places: Vec::new(), most: 0, every: SOON };
    Spec { name, command, environment: None, stage: Stage::Agent, disk }
}

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_service_that_ends_at_once_fails_with_its_own_words() {
    let root = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(root.path());

    supervisor.start(shell("relay", "echo 'no such key: lisen' >&2; exit 1")).unwrap();
    let error = supervisor.ready("relay", SOON, || async { false }).await.unwrap_err();
    supervisor.stop_all().await;

    assert!(error.to_string().contains("no such key: lisen"), "{error}");
    let log = std::fs::read_to_string(root.path().join("var/log/maru/relay.log")).unwrap();
    assert!(log.contains("no such key"));
}

#[tokio::test]
async fn a_daemon_that_says_why_it_gives_up_is_quoted_with_that_alone() {
    let root = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(root.path());
    let record = r#"{"failure":"no such key: \u001b[2Jlisen"}"#;
    let script = format!(
        "echo INFO starting >&2; echo maru-relay: no >&2; echo '{record}'; echo bye >&2; exit 1"
    );

    supervisor.start(shell("relay", &script)).unwrap();
    let error = supervisor.ready("relay", SOON, || async { false }).await.unwrap_err();
    supervisor.stop_all().await;

    let said = "the relay service does not start: no such key: \u{fffd}[2Jlisen; correct that, then start again";
    assert_eq!(error.to_string(), said);
}

#[tokio::test]
async fn a_service_that_fills_the_disk_is_stopped_until_that_is_removed() {
    let root = tempfile::tempdir().unwrap();
    let (own, ran) = (tempfile::tempdir().unwrap(), root.path().join("ran"));
    let mut supervisor = supervisor(root.path());
    let script = format!("echo x >> {}; exec sleep 600", ran.display());
    let every = Duration::from_millis(20);
    let disk = DiskQuota { places: vec![own.path().to_owned()], most: 1 << 20, every };

    supervisor.start(Spec { disk, ..shell("gateway", &script) }).unwrap();
    supervisor.ready("gateway", SOON, || async { ran.exists() }).await.unwrap();
    std::fs::write(own.path().join("large"), vec![1; 2 << 20]).unwrap();
    let error = supervisor.ready("gateway", SOON, || async { false }).await.unwrap_err();
    assert!(error.to_string().contains("uses more than 1 MiB of disk space"), "{error}");
    assert!(error.to_string().contains(own.path().to_str().unwrap()), "{error}");

    std::fs::remove_file(own.path().join("large")).unwrap();
    let starts = || std::fs::read_to_string(&ran).unwrap().lines().count();
    eventually("another start", async || starts() >= 2).await;
    supervisor.stop_all().await;
}

#[tokio::test]
async fn a_start_does_not_wait_for_one_service_while_another_has_failed() {
    let root = tempfile::tempdir().unwrap();
    let mut supervisor = supervisor(root.path());

    supervisor.start(shell("inference", "exec sleep 60")).unwrap();
    supervisor.start(shell("agent", "echo 'no such key'; exit 1")).unwrap();
    let error = supervisor.ready("inference", SOON, || async { false }).await.unwrap_err();
    supervisor.stop_all().await;

    assert!(error.to_string().contains("the agent service"), "{error}");
}

#[tokio::test]
async fn a_service_that_crashes_later_is_started_again() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("runs");
    let mut supervisor = supervisor(root.path());
    let script = format!("echo run >> {0}; sleep 0.1; exit 3", runs.display());

    supervisor.start(shell("gateway", &script)).unwrap();
    let again = async || std::fs::read_to_string(&runs).is_ok_and(|text| text.lines().count() >= 2);
    eventually("another start", again).await;
    supervisor.stop_all().await;
}

#[tokio::test]
async fn stopping_is_polite_and_final() {
    let root = tempfile::tempdir().unwrap();
    let said = root.path().join("said");
    let mut supervisor = supervisor(root.path());
    let script = format!(
        "trap 'echo bye > {0}; exit 0' TERM; echo up > {0}; while :; do sleep 0.05; done",
        said.display()
    );

    supervisor.start(shell("agent", &script)).unwrap();
    supervisor.ready("agent", SOON, || async { said.exists() }).await.unwrap();
    supervisor.stop_all().await;

    assert_eq!(std::fs::read_to_string(&said).unwrap(), "bye\n");
}

#[tokio::test]
async fn one_service_is_exchanged_while_another_has_its_own_troubles() {
    let root = tempfile::tempdir().unwrap();
    let said = root.path().join("said");
    let mut supervisor = supervisor(root.path());
    let serve = |word: &str| {
        let script = format!("echo {word} > {}; exec sleep 60", said.display());
        shell("inference", &script)
    };
    let says = |word: &'static str| {
        let said = &said;
        move || async move { std::fs::read_to_string(said).is_ok_and(|text| text == word) }
    };
    supervisor.start(serve("old")).unwrap();
    supervisor.ready("inference", SOON, says("old\n")).await.unwrap();
    supervisor.start(shell("agent", "exit 1")).unwrap();
    assert!(supervisor.ready("agent", SOON, || async { false }).await.is_err(), "the control");

    supervisor.stop("inference").await;
    supervisor.start(serve("new")).unwrap();
    supervisor.ready_again("inference", SOON, says("new\n")).await.unwrap();

    supervisor.stop("inference").await;
    supervisor.start(shell("inference", "echo 'not a model' >&2; exit 1")).unwrap();
    let error = supervisor.ready_again("inference", SOON, || async { false }).await.unwrap_err();
    supervisor.stop_all().await;
    assert!(error.to_string().contains("not a model"), "{error}");
}

#[test]
fn warnings_reach_the_terminal() {
    assert!(is_warning("2026-11-21T10:00:00Z  WARN agent: resolver is busy"));
    assert!(is_warning("2026-11-21T10:00:00.123456Z ERROR agent: WARN"));
    for other in [
        "2026-11-21T10:00:00Z  INFO agent: not a WARN at all",
        "2026-11-21T10:00:00Z  INFO WARN: of a target",
        "llama: WARN of another program",
        "WARN ERROR",
        "",
    ] {
        assert!(!is_warning(other), "{other}");
    }
}
