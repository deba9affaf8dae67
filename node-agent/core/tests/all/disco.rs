//! Tailscale's own codec of disco and ours open each other's messages: `disco-peer` in `interop/`.
//!
//! Fails if a message of one is not opened by the other, or says something else there.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use control_protocol::key::{DiscoPrivate, DiscoPublic, NodePublic};
use node_agent_core::disco::{self, Channel, Message};

#[test]
#[ignore = "needs: stock"]
fn tailscales_codec_and_ours_read_each_other() {
    let stock = std::env::var("MARU_STOCK_CLIENT").expect("`cargo xtask test` sets it");
    let own = DiscoPrivate::from_bytes([7; 32]);
    let mut child = Command::new(PathBuf::from(stock).with_file_name("disco-peer"))
        .arg(own.public().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut asks = child.stdin.take().unwrap();
    let peer: DiscoPublic = lines.next().unwrap().parse().unwrap();
    let channel = Channel::new(&own, &peer);

    let (node, transaction) = (NodePublic::from_bytes([0xab; 32]), *b"transaction!");
    let [v4, v6] = ["203.0.113.9:41641", "[2001:db8::9]:7"].map(|text| text.parse().unwrap());
    for (message, read) in [
        (Message::Ping { transaction, node }, format!("ping {node}")),
        (Message::Pong { transaction, seen: v4 }, format!("pong {v4}")),
        (Message::Pong { transaction, seen: v6 }, format!("pong {v6}")),
        (Message::CallMeMaybe(vec![v4, v6]), format!("call [{v4}, {v6}]")),
    ] {
        writeln!(asks, "{}", hex(&channel.seal(&message, [5; 24]))).unwrap();
        assert_eq!(lines.next().unwrap(), read);
        let copy = unhex(&lines.next().unwrap());
        assert_eq!(disco::sender(&copy), Some(peer));
        assert_eq!(channel.open(&copy), Some(message));
    }
    drop(asks);
    assert!(child.wait().unwrap().success());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}
