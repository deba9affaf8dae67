//! `maru-attester` on its socket.
#![allow(clippy::disallowed_methods, reason = "a test connects to what it started")]

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command},
};

use ciborium::Value;
use testkit::blocking::eventually;

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path) -> Running {
    let register = format!("0={}", "07".repeat(48));
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-attester"));
    command.arg("--listen").arg(folder.join("nsm.sock")).arg("--root").arg(folder.join("root"));
    Running(command.args(["--pcr", &register]).spawn().unwrap())
}

fn connect(folder: &Path) -> UnixStream {
    eventually("it listens", || UnixStream::connect(folder.join("nsm.sock")))
}

fn ask(stream: &mut UnixStream, request: &Value) -> Value {
    let mut bytes = Vec::new();
    ciborium::ser::into_writer(request, &mut bytes).unwrap();
    let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    stream.write_all(&[&len[..], &bytes].concat()).unwrap();
    let mut len = [0; 4];
    stream.read_exact(&mut len).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(len).try_into().unwrap()];
    stream.read_exact(&mut answer).unwrap();
    ciborium::de::from_reader(answer.as_slice()).unwrap()
}

#[test]
fn a_connection_asks_one_thing_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let _running = start(folder.path());
    let mut stream = connect(folder.path());
    let index = Value::Map(vec![("index".into(), 0.into())]);
    let request = Value::Map(vec![("DescribePCR".into(), index)]);
    for _ in 0..2 {
        let answer = ask(&mut stream, &request);
        let fields = answer.as_map().unwrap()[0].1.as_map().unwrap();
        assert_eq!(fields[1].1, Value::Bytes(vec![7; 48]));
    }
    let text = ask(&mut stream, &"DescribeNSM".into());
    assert!(text.as_map().unwrap()[0].0.as_text() == Some("DescribeNSM"));
}

#[test]
fn a_request_that_is_too_long_ends_the_connection_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let _running = start(folder.path());
    let mut stream = connect(folder.path());
    stream.write_all(&0x1001_u32.to_be_bytes()).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    ask(&mut connect(folder.path()), &"GetRandom".into());
}

#[test]
fn the_root_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = || {
        let running = start(folder.path());
        drop(connect(folder.path()));
        drop(running);
        fs::remove_file(folder.path().join("nsm.sock")).unwrap();
        fs::read_to_string(folder.path().join("root/root.pem")).unwrap()
    };
    assert_eq!(certificate(), certificate());
}

/// By `aws-nitro-enclaves-nsm-api`, in `nitro-peers` of `interop/`.
#[test]
#[ignore = "needs: stock"]
fn awss_own_crate_asks_and_understands_the_answers() {
    let folder = tempfile::tempdir().unwrap();
    let _running = start(folder.path());
    drop(connect(folder.path()));
    let stock = std::env::var("MARU_STOCK_CLIENT").expect("`cargo xtask test` sets it");
    let mut peer = Command::new(Path::new(&stock).with_file_name("nitro-peers"));
    let output = peer.arg("nsm").arg(folder.path().join("nsm.sock")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
