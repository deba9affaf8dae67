//! Machines are apart from the host and from each other, and leave nothing behind.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

fn host_interfaces() -> String {
    let out = Command::new("ip").args(["-o", "link"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

#[test]
#[ignore = "needs: root"]
fn two_machines_talk_and_the_host_is_untouched() {
    let before = (host_interfaces(), fs::read("/etc/resolv.conf").ok());
    let a = lab::Machine::new("a").unwrap();
    let b = lab::Machine::new("b").unwrap();
    lab::link((&a, "eth0", "10.9.0.1/24"), (&b, "eth0", "10.9.0.2/24")).unwrap();

    let listener = a.in_network(|| TcpListener::bind("10.9.0.1:7000").unwrap());
    b.in_network(|| TcpStream::connect("10.9.0.1:7000").unwrap());
    listener.accept().unwrap();
    let apart = lab::Machine::new("apart").unwrap();
    apart.in_network(|| TcpStream::connect("10.9.0.1:7000").unwrap_err());

    a.sh("echo 'nameserver 100.100.100.100' > /etc/resolv.conf.new; mv /etc/resolv.conf.new /etc/resolv.conf").unwrap();
    assert_eq!(b.sh("cat /etc/resolv.conf; ls /run/maru 2>&1 || true").unwrap().lines().count(), 1);
    assert_eq!((host_interfaces(), fs::read("/etc/resolv.conf").ok()), before);
}

#[test]
#[ignore = "needs: root"]
fn dropping_a_machine_ends_what_runs_in_it() {
    let machine = lab::Machine::new("doomed").unwrap();
    let mut process =
        machine.spawn(machine.command("sleep").arg("1000").stdout(Stdio::null())).unwrap();
    let pid = process.pid();
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    drop(machine);
    assert!(process.wait_for(Duration::from_secs(30)).unwrap().is_some());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}
