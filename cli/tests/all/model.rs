//! `maru model use --ollama` at a home that systemd starts, on a machine whose `systemctl` is a script.
//!
//! Fails if the gateway gets no way to an Ollama of this machine, if the agent that has to give it does not restart, or if it does
//! where nothing runs. Blind to systemd, and to Ollama, which is scripted.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use super::setup::TestMachine;

const AGENT: &str = "# Mine.\nlisten_port = 41642\n";
const OPENCLAW: &str = "/var/lib/maru/gateway/config/openclaw.json";
const PROVIDERS: &str = "// Models and agents of Maru, in OpenClaw's format (JSON5).\n{}\n";
const RESTART: &str = "restart maru-agent.service";

/// An Ollama with one model, where one usually is.
fn ollama(home: &TestMachine) {
    let listener = home.instance.machine.in_network(|| TcpListener::bind("127.0.0.1:11434"));
    let listener = listener.unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut begin = [0; 4];
            stream.read_exact(&mut begin).unwrap();
            let body = match &begin {
                b"GET " => r#"{"models":[{"name":"sea:1b"}]}"#,
                _ => r#"{"capabilities":["completion"]}"#,
            };
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close");
            write!(stream, "{head}\r\n\r\n{body}").unwrap();
            // The rest of the request, until whoever asked has the answer.
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    });
}

#[test]
#[ignore = "needs: root"]
fn a_home_of_systemd_reaches_an_ollama_once_its_model_is_chosen() {
    let home = TestMachine::new();
    let machine = &home.instance.machine;
    home.sh("mkdir -p /etc/maru /var/lib/maru/gateway/config; rm /run/fake/installed");
    fs::write(machine.path("/etc/maru/agent.toml"), AGENT).unwrap();
    fs::write(machine.path("/etc/maru/coordinator.toml"), "").unwrap();
    fs::write(machine.path(OPENCLAW), PROVIDERS).unwrap();
    ollama(&home);
    let chosen = || {
        let said = home.run(&["model", "use", "sea", "--ollama"]);
        (said.status.success(), String::from_utf8(said.stderr).unwrap())
    };
    let is_written = || home.file(OPENCLAW).contains("ollama/sea:1b");

    let (is_done, said) = chosen();
    assert!(!is_done && said.contains("sudo maru up --ollama"), "{said}");
    assert!(!is_written() && home.file("/etc/maru/agent.toml") == AGENT);

    // The units are installed and stopped; then they run.
    home.sh("touch /run/fake/installed");
    let (is_done, said) = chosen();
    assert!(is_done && is_written(), "{said}");
    let dialled = home.file("/etc/maru/agent.toml");
    assert!(dialled.starts_with(AGENT), "{dialled}");
    assert!(dialled.contains("to = \"127.0.0.1:11434\""), "{dialled}");
    assert!(!home.file("/run/calls").contains(RESTART));

    home.sh("touch /run/fake/active");
    let (is_done, said) = chosen();
    assert!(is_done && !home.file("/run/calls").contains(RESTART), "it is there: {said}");
    fs::write(machine.path("/etc/maru/agent.toml"), AGENT).unwrap();
    let (is_done, said) = chosen();
    assert!(is_done && said.contains("the agent restarts"), "{said}");
    assert_eq!(home.file("/run/calls").matches(RESTART).count(), 1);
    assert_eq!(home.file("/etc/maru/agent.toml"), dialled);
}
