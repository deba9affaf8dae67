//! Model files with something wrong in them.
//!
//! Fails if a file ends the engine without an error message that names the file.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use gguf::{ARCHITECTURES, read_file};
use llm_backend::Backend as _;
use model_sample::{damage::seen_in_header, odd::left_to_llama_cpp, tiny};
use serde_json::Value;

use super::{request, support::Engine};

/// Bytes of the header that are changed, one by one.
const CHANGES: usize = 600;

/// What the engine did with a model file.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It loaded the file and answers.
    Answers,
    /// It ended, and wrote these lines.
    Refused(Vec<String>),
}

/// Starts the engine with a file, and sends a request if it becomes ready.
async fn take(bytes: &[u8]) -> Result<Outcome, String> {
    let mut engine = start(bytes);
    let begin = Instant::now();
    loop {
        if let Some(status) = engine.ended() {
            return said(&engine, status).map(Outcome::Refused);
        }
        if engine.is_ready().await {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "it does not get on: {}", engine.log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Whether it has anything to say is not asked, but it ends.
    let reply = async {
        if let Ok(reply) = engine.client().chat(request(4)).await {
            let _ = reply.try_collect::<Vec<_>>().await;
        }
    };
    let Ok(()) = tokio::time::timeout(Duration::from_secs(60), reply).await else {
        return Err(format!("it does not answer: {}", engine.log()));
    };
    let status = engine.terminate().await;
    // One that says that it is ready is given to people.
    let failed = || format!("it was ready, and then: {status}: {}", engine.log());
    status.success().then_some(Outcome::Answers).ok_or_else(failed)
}

fn start(bytes: &[u8]) -> Engine {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("model.gguf"), bytes).unwrap();
    Engine::of(root, Path::new("model.gguf"), &["--ctx", "128"])
}

/// The output of an engine that ended with a message about its model; otherwise an error with all that is known.
fn said(engine: &Engine, status: ExitStatus) -> Result<Vec<String>, String> {
    let lines: Vec<_> = engine.log().lines().map(str::to_owned).collect();
    let last = lines.last().cloned().unwrap_or_default();
    let record: Value = serde_json::from_str(&engine.output()).unwrap_or_default();
    let why = record["failure"].as_str().unwrap_or("no record");
    let is_told = last == format!("maru-llm: {why}") && why.contains("/model.gguf");
    let is_well = status.code() == Some(1) && is_told;
    if is_well { Ok(lines) } else { Err(format!("{status}: {lines:#?} {record}")) }
}

#[tokio::test]
async fn a_header_that_cannot_be_used_ends_the_engine_in_one_sentence() {
    for damage in seen_in_header() {
        match take(&damage.bytes).await {
            Ok(Outcome::Refused(lines)) => {
                assert_eq!(lines.len(), 1, "{}: {lines:#?}", damage.what);
                assert!(lines[0].contains(damage.says), "{}: {lines:?}", damage.what);
            }
            other => panic!("{}: {other:?}", damage.what),
        }
    }
    assert_eq!(take(&tiny().bytes()).await, Ok(Outcome::Answers), "the control");
}

/// As a bug report about llama.cpp has it.
#[tokio::test]
#[ignore = "needs: shared"]
async fn the_file_of_a_bug_report_ends_the_engine_in_one_sentence() {
    let took = take(&fs::read(shared_case()).unwrap()).await;
    let Ok(Outcome::Refused(lines)) = took else { panic!("{took:?}") };
    assert!(lines.len() == 1 && lines[0].contains("block_count is 0"), "{lines:?}");
}

/// The file that the case names.
fn shared_case() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
    let cases = fs::read_to_string(folder.join("cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    let case = cases.iter().find(|case| case["id"] == "gguf-that-aborts-llama.cpp").unwrap();
    folder.join(case["file"].as_str().unwrap())
}

#[tokio::test]
async fn a_crash_of_the_engine_is_reported() {
    for signal in ["-ABRT", "-BUS", "-FPE", "-ILL", "-SEGV"] {
        let mut engine = start(&tiny().bytes());
        while !engine.is_ready().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        engine.signal(signal);
        let status = engine.end().await;
        let lines = said(&engine, status).unwrap_or_else(|all| panic!("{signal}: {all}"));
        assert!(lines.last().unwrap().contains("llama.cpp failed with"), "{signal}: {lines:?}");
    }
}

#[tokio::test]
async fn files_that_llama_cpp_refuses_end_in_one_sentence() {
    let (mut answers, mut refused, mut failed) = (0, 0, 0);
    let mut untold = Vec::new();
    for (what, bytes) in [left_to_llama_cpp(ARCHITECTURES), changed()].concat() {
        match take(&bytes).await {
            Ok(Outcome::Answers) => answers += 1,
            Ok(Outcome::Refused(lines)) if lines.last().unwrap().contains("llama.cpp failed") => {
                failed += 1;
            }
            Ok(Outcome::Refused(lines)) => {
                let theirs = lines.iter().find(|line| line.contains("llama-cpp-2"));
                assert_eq!(theirs, None, "{what}: llama.cpp's own lines");
                refused += 1;
            }
            Err(all) => untold.push(format!("{what}: {all}")),
        }
    }
    assert_eq!(untold, Vec::<String>::new());
    let counts = [answers, refused, failed];
    assert!(counts.iter().all(|count| *count > 0), "the table has something of each: {counts:?}");
}

/// Files with a byte of the header changed that pass the check of the header, always the same ones.
fn changed() -> Vec<(String, Vec<u8>)> {
    let (whole, header) = (tiny().bytes(), tiny().header().len());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |end: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % end as u64).unwrap()
    };
    let mut files = Vec::new();
    for _ in 0..CHANGES {
        let mut bytes = whole.clone();
        let (at, value) = (next(header), u8::try_from(next(256)).unwrap());
        bytes[at] = value;
        if bytes != whole && read_file(&bytes[..], bytes.len() as u64).is_ok() {
            files.push((format!("byte {at} is {value}"), bytes));
        }
    }
    files
}

/// The check of a header has a list of families, which may be outdated after an update of llama.cpp.
#[test]
fn the_families_of_the_header_check_are_those_of_llama_cpp() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let llama = packages.iter().find(|package| package["name"] == "llama-cpp-sys-2").unwrap();
    let manifest = Path::new(llama["manifest_path"].as_str().unwrap());
    let source = manifest.with_file_name("llama.cpp/src/llama-arch.cpp");
    let source = fs::read_to_string(source).unwrap();
    let (_, list) = source.split_once("LLM_ARCH_NAMES = {").unwrap();
    let (list, _) = list.split_once("};").unwrap();
    let names = list.lines().filter_map(|line| line.split('"').nth(1));
    // One that only sees, and what stands for all others.
    let names: Vec<_> = names.filter(|name| !["clip", "(unknown)"].contains(name)).collect();
    assert_eq!(names, ARCHITECTURES);
}
