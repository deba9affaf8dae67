//! A disk and a memory that are too small. (What is wrong with a model's file: `damage`.)
//!
//! Fails if the engine ends without a sentence that says so, with another exit status than 1, or not at all.

use std::{fs::File, process::Command};

use super::support::{BINARY, model};

/// Runs a command in a shell, with the engine's arguments as `$@`; returns its exit status and the lines that it wrote.
fn run(script: &str, arguments: &[&str], output: Option<File>) -> (Option<i32>, Vec<String>) {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script, BINARY, "--root"]).arg(root.path()).args(arguments);
    if let Some(output) = output {
        command.stdout(output);
    }
    let out = command.output().unwrap();
    let lines = String::from_utf8(out.stderr).unwrap();
    (out.status.code(), lines.lines().map(str::to_owned).collect())
}

/// The record of a failure cannot be written; the sentence still is.
#[test]
fn a_full_disk_for_its_output_does_not_hide_why_the_engine_ends() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (code, lines) = run("exec \"$0\" \"$@\"", &["--model", "no-such.gguf"], Some(full));
    assert_eq!((code, lines.len()), (Some(1), 1), "{lines:?}");
    assert!(lines[0].starts_with("maru-llm: cannot read the model "), "{lines:?}");
}

/// A file system that takes not one file more, where the socket's folder should be made.
#[test]
#[ignore = "needs: root"]
fn a_full_disk_for_its_socket_ends_the_engine_in_one_sentence() {
    let script = "unshare --mount sh -c 'mount -t tmpfs -o nr_inodes=1 tmpfs \"$2\" && exec \"$0\" \"$@\"' \"$0\" \"$@\"";
    let (code, lines) = run(script, &["--model", "no-such.gguf"], None);
    assert_eq!((code, lines.len()), (Some(1), 1), "{lines:?}");
    assert!(lines[0].contains("llm.sock: its disk is full; make room there"), "{lines:?}");
}

/// From where hardly the program fits to where the conversations do not.
#[test]
#[ignore = "needs: model"]
fn too_little_memory_ends_the_engine_with_a_sentence_wherever_it_runs_out() {
    let model = model();
    let arguments = ["--threads", "1", "--model", model.to_str().unwrap()];
    let mut said = Vec::new();
    for kib in [20_000, 30_000, 60_000, 130_000, 200_000, 300_000, 400_000] {
        let script = format!("ulimit -v {kib}; exec \"$0\" \"$@\"");
        let (code, lines) = run(&script, &arguments, None);
        let last = lines.last().cloned().unwrap_or_default();
        assert!(code == Some(1) && last.starts_with("maru-llm: "), "{kib}: {code:?} {lines:?}");
        said.push(last);
    }
    for sentence in ["larger than memory", "not enough memory for 2 conversations"] {
        assert!(said.iter().any(|last| last.contains(sentence)), "{sentence}: {said:?}");
    }
}
