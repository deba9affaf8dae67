//! Which other servers a stock node contacts: the names that it looks up, and the addresses that it sends to.
//!
//! A node joins, is idle for a while, and then loses its relay. All packets that leave its site are recorded, except
//! those to the deployment. Its resolver answers no query, so that every name is recorded and no server is reached.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::{Deployment, nat::Nat, stock::StockNode};

use crate::{progress::Step, stop};

/// How long it is left alone before the relay ends, and after.
const IDLE: Duration = Duration::from_secs(120);

/// A name that no other program resolves.
const CONTROL: &str = "control.example.org";

/// Takes the recording and prints what was seen.
pub(super) fn run(model: &Path, tailscale: PathBuf) -> Result<()> {
    let mut house = Deployment::start_with_model(model, &[])?;
    house.home.ok(&["user", "create", "bob"])?;
    let mut site = house.topology.site(Nat::PortRestricted)?;
    let machine = site.add("phone")?;
    machine.sh("echo 'nameserver 192.168.1.1' > /etc/resolv.conf")?;
    // What is not for this site's own network, nor for the house; questions for names are for the site's router.
    let wanted = "udp port 53 or not (net 192.168.1.0/24 and net (10.77.0.0/16 or 192.168.1.0/24))";
    let mut tcpdump = site.router.command("tcpdump");
    tcpdump.args(["-n", "-l", "-t", "-i", "lan", "ip and", &format!("({wanted})")]);
    tcpdump.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut tcpdump = site.router.spawn(&mut tcpdump)?;
    let out = tcpdump.child().stdout.take().context("no pipe")?;
    let reading = thread::spawn(move || seen(BufReader::new(out)));

    let step = Step::new(
        "a stock node joins, is left alone for two minutes, and for two more without its relay",
    );
    // As people run it, with its logs for support.
    let as_usual = [("TS_NO_LOGS_NO_SUPPORT", "false")];
    let phone = StockNode::start_from(tailscale, &machine, &as_usual)?;
    phone.join(&house.server_url()?, &house.key(&["--user", "bob"])?, &[])?;
    phone.ok(&["set", "--accept-dns=true"])?;
    // A question of ours, which has to be seen: else seeing nothing would mean nothing.
    machine.sh(&format!("getent hosts {CONTROL} || true"))?;
    wait(IDLE)?;
    // It stays down however often it is started again, and the coordinator goes on.
    house.home.machine.sh("nft add table ip lose
        nft 'add chain ip lose in { type filter hook input priority 0; }'
        nft add rule ip lose in iifname eth0 tcp dport 8444 reject with tcp reset")?;
    house.crash("maru-coordinator", " relay ")?;
    wait(IDLE)?;
    step.done("recorded");
    let _ = tcpdump.stop(lab::STOP)?;
    let mut seen = reading.join().map_err(|_| anyhow::anyhow!("the recording was not read"))?;
    let all = seen.len();
    seen.retain(|what, _| !what.contains(CONTROL));
    ensure!(seen.len() < all, "nothing was recorded, not even our own query");
    println!("{} kinds of packets to other servers:", seen.len());
    for (what, times) in seen {
        println!("{times:>6}  {what}");
    }
    Ok(())
}

fn wait(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    while Instant::now() < until {
        stop::check()?;
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// How often each name was asked for, and each address sent to.
fn seen(lines: impl BufRead) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for what in lines.lines().map_while(Result::ok).filter_map(|line| read(&line)) {
        *seen.entry(what).or_default() += 1;
    }
    seen
}

/// Reads a line of tcpdump: `IP 192.168.1.2.33771 > 192.168.1.1.53: 1234+ A? example.com. (29)`, or where a packet of
/// the node goes. What comes to the node is nobody's question.
fn read(line: &str) -> Option<String> {
    let (from, rest) = line.strip_prefix("IP ")?.split_once(" > ")?;
    let (to, what) = rest.split_once(": ")?;
    if !from.starts_with("192.168.1.2.") && from != "192.168.1.2" {
        return None;
    }
    let mut words = what.split(' ').skip_while(|word| !word.ends_with('?'));
    match (words.next(), words.next()) {
        (Some(kind), Some(name)) if to.ends_with(".53") => Some(format!("name    {name} ({kind})")),
        _ => Some(format!("address {to}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_addresses_that_the_node_asks() {
        let lines = "IP 192.168.1.2.33771 > 192.168.1.1.53: 1234+ A? derp1.example.com. (29)\n\
            IP 192.168.1.1 > 192.168.1.2: ICMP 192.168.1.1 udp port 53 unreachable, length 65\n\
            IP 192.168.1.2.33771 > 192.168.1.1.53: 1235+ A? derp1.example.com. (29)\n\
            IP 192.168.1.2.41641 > 203.0.113.9.3478: UDP, length 40\n";
        let expected = [
            ("address 203.0.113.9.3478".to_owned(), 1),
            ("name    derp1.example.com. (A?)".to_owned(), 2),
        ];
        assert_eq!(seen(lines.as_bytes()), expected.into());
    }
}
