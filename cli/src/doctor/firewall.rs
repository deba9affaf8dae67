//! Whether this host's firewall closes the tunnel's UDP port, or the services behind the tunnel's interface.

use std::{path::Path, process::Stdio};

use messages::{Message, message};
use node_agent_api::settings::Settings;
use serde_json::Value;
use services::Instance;
use tokio::process::Command;

use crate::finding::Finding;

mod ruleset;

use ruleset::{Closed, Probe};

const ID: &str = "firewall";

/// What a firewall closes, and the command that opens it.
struct Closing {
    by: String,
    protocol: &'static str,
    port: u16,
    fix: Message,
}

/// Looks at ufw and firewalld if they run, else at the rules of nftables, with which iptables writes, too.
pub(super) async fn check(root: &Path, settings: &Settings) -> Vec<Finding> {
    if !rustix::process::geteuid().is_root() {
        return vec![Finding::warning(ID, message!("firewall-root-only"), "sudo maru doctor")];
    }
    let instance = Instance::of(root);
    let tunnel = settings.interface(&instance);
    let probes = probes(settings, &tunnel);
    let closings = if let Some(status) = said("ufw", &["status", "verbose"]).await {
        by_ufw(&status, &probes)
    } else {
        None
    };
    let closings = match closings {
        Some(closings) => closings,
        None if said("firewall-cmd", &["--state"])
            .await
            .is_some_and(|it| it.trim() == "running") =>
        {
            by_firewalld(&probes).await
        }
        None => by_nftables(&probes, &instance.table()).await,
    };
    if closings.is_empty() {
        return vec![Finding::ok(ID, message!("firewall-open"))];
    }
    closings.into_iter().map(|closing| finding(closing, settings, &tunnel)).collect()
}

/// What comes in: peers, WireGuard devices, and out of the tunnel who calls a service.
fn probes<'a>(settings: &Settings, tunnel: &'a str) -> Vec<Probe<'a>> {
    let probe =
        |protocol, by_tunnel| move |port| Probe { protocol, port, tunnel, by_tunnel, out: None };
    let devices = settings.wireguard.map(|wireguard| wireguard.port.get());
    let outside = [settings.listen_port].into_iter().chain(devices).map(probe("udp", false));
    let services = settings.service.iter().map(|service| service.port).map(probe("tcp", true));
    // A port that the kernel chooses is told to peers by STUN alone.
    outside.chain(services).filter(|probe| probe.port != 0).collect()
}

fn finding(closing: Closing, settings: &Settings, tunnel: &str) -> Finding {
    let Closing { by, protocol, port, fix } = closing;
    let is_devices = settings.wireguard.is_some_and(|wireguard| wireguard.port.get() == port);
    let text = match protocol {
        "udp" if is_devices => message!("firewall-closes-wireguard", by, port),
        "udp" => message!("firewall-closes-port", by, port),
        _ => message!("firewall-closes-service", by, port, interface = tunnel),
    };
    Finding::warning(ID, text, fix)
}

/// What drops the packets that this machine forwards between WireGuard devices and the mesh, as Docker does unless it is told
/// otherwise.
pub(super) async fn passing(root: &Path, settings: &Settings) -> Option<Finding> {
    let instance = Instance::of(root);
    let (devices, tunnel) = (instance.wireguard_interface(), settings.interface(&instance));
    dropped(&nftables().await?, [&devices, &tunnel], &instance.table())
}

fn dropped(ruleset: &Value, [devices, tunnel]: [&str; 2], own_table: &str) -> Option<Finding> {
    let probe = Probe { protocol: "tcp", port: 443, tunnel, by_tunnel: true, out: Some(devices) };
    let ways = [Probe { tunnel: devices, out: Some(tunnel), ..probe }, probe];
    let Closed { family, table, chain } =
        ways.into_iter().find_map(|probe| ruleset::closed(ruleset, probe, own_table))?;
    let by = format!("nftables: {family} {table} {chain}");
    let accept =
        |side| format!("sudo nft insert rule {family} {table} {chain} {side} {devices} accept");
    let fix = for_now(&[accept("iifname"), accept("oifname")].join(" && "));
    Some(Finding::warning(ID, message!("firewall-closes-forwarding", by), fix))
}

/// What a program prints; `None` if it is not there or fails.
async fn said(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `None` if ufw is not active.
fn by_ufw(status: &str, probes: &[Probe<'_>]) -> Option<Vec<Closing>> {
    if !status.lines().any(|line| line.trim() == "Status: active") {
        return None;
    }
    let default = status.lines().find_map(|line| line.strip_prefix("Default: "));
    if default.is_some_and(|default| default.starts_with("allow (incoming)")) {
        return Some(Vec::new());
    }
    let allowed: Vec<_> = status.lines().filter_map(|line| line.split_once(" ALLOW")).collect();
    let is_open = |probe: &Probe<'_>| {
        let (port, tunnel) = (probe.port.to_string(), format!("on {}", probe.tunnel));
        let with = format!("{port}/{}", probe.protocol);
        allowed.iter().any(|(to, _)| {
            let to = to.trim();
            let (what, at) = to.split_once(" on ").map_or((to, ""), |(what, at)| (what, at));
            let what = what.trim();
            let is_here = at.is_empty() || (probe.by_tunnel && to.ends_with(&tunnel));
            is_here && (what == port || what == with || what == "Anywhere")
        })
    };
    let closed = probes.iter().filter(|probe| !is_open(probe));
    Some(
        closed
            .map(|probe| {
                closing(probe, "ufw", |probe| match probe.by_tunnel {
                    true => format!("sudo ufw allow in on {}", probe.tunnel).into(),
                    false => format!("sudo ufw allow {}/udp", probe.port).into(),
                })
            })
            .collect(),
    )
}

async fn by_firewalld(probes: &[Probe<'_>]) -> Vec<Closing> {
    let default = said("firewall-cmd", &["--get-default-zone"]).await.unwrap_or_default();
    let mut closings = Vec::new();
    for probe in probes {
        let of_tunnel = format!("--get-zone-of-interface={}", probe.tunnel);
        let zone = if probe.by_tunnel { said("firewall-cmd", &[&of_tunnel]).await } else { None };
        let zone = zone.as_deref().unwrap_or(&default).trim();
        let (zone_argument, query) =
            (format!("--zone={zone}"), format!("--query-port={}/{}", probe.port, probe.protocol));
        if zone != "trusted" && said("firewall-cmd", &[&zone_argument, &query]).await.is_none() {
            closings.push(closing(probe, "firewalld", |probe| {
                let what = match probe.by_tunnel {
                    true => format!("--zone=trusted --add-interface={}", probe.tunnel),
                    false => format!("--zone={zone} --add-port={}/udp", probe.port),
                };
                format!("sudo firewall-cmd --permanent {what} && sudo firewall-cmd --reload").into()
            }));
        }
    }
    closings
}

async fn nftables() -> Option<Value> {
    serde_json::from_str(&said("nft", &["-j", "list", "ruleset"]).await?).ok()
}

async fn by_nftables(probes: &[Probe<'_>], own_table: &str) -> Vec<Closing> {
    let Some(ruleset) = nftables().await else { return Vec::new() };
    let closed = probes.iter().filter_map(|probe| {
        let Closed { family, table, chain } = ruleset::closed(&ruleset, *probe, own_table)?;
        let by = format!("nftables: {family} {table} {chain}");
        Some(closing(probe, &by, |probe| {
            let what = match probe.by_tunnel {
                true => format!("iifname {}", probe.tunnel),
                false => format!("udp dport {}", probe.port),
            };
            for_now(&format!("sudo nft insert rule {family} {table} {chain} {what} accept"))
        }))
    });
    closed.collect()
}

/// A command that inserts rules, with how long these last.
fn for_now(command: &str) -> Message {
    message!("fix-firewall-for-now", command)
}

fn closing(probe: &Probe<'_>, by: &str, fix: impl Fn(&Probe<'_>) -> Message) -> Closing {
    Closing { by: by.to_owned(), protocol: probe.protocol, port: probe.port, fix: fix(probe) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_forwards_nothing_for_wireguard_devices_is_named_with_the_command() {
        let found = |policy: &str| {
            let chain = serde_json::json!({ "family": "ip", "table": "filter", "name": "FORWARD",
                "type": "filter", "hook": "forward", "policy": policy });
            let ruleset = serde_json::json!({ "nftables": [{ "chain": chain }] });
            dropped(&ruleset, ["maruw0", "maru0"], "maru")
        };
        assert_eq!(found("accept"), None);
        let found = found("drop").unwrap();
        assert!(found.text.to_string().contains("ip filter FORWARD"), "{}", found.text);
        let rule = "sudo nft insert rule ip filter FORWARD";
        let fix = format!("{rule} iifname maruw0 accept && {rule} oifname maruw0 accept");
        let said = found.fix_text();
        assert!(
            said.starts_with(&fix) && said.contains("until the rules are loaded again"),
            "{said}"
        );
    }

    #[test]
    fn the_port_of_wireguard_devices_is_looked_at_where_there_may_be_some() {
        let closed = |text: &str| -> Vec<String> {
            let settings: Settings =
                chassis::settings::parse(Path::new("agent.toml"), text).unwrap();
            let status = "Status: active\n41641/udp  ALLOW IN  Anywhere\n";
            let closings = by_ufw(status, &probes(&settings, "maru0")).unwrap();
            let found = closings.into_iter().map(|closing| finding(closing, &settings, "maru0"));
            found.map(|found| format!("{}: {}", found.text, found.fix_text())).collect()
        };
        assert_eq!(closed(""), Vec::<String>::new());
        let said = closed("[wireguard]\nport = 51821\n");
        assert_eq!(said.len(), 1, "{said:?}");
        for part in ["UDP port 51821", "only WireGuard", "sudo ufw allow 51821/udp"] {
            assert!(said[0].contains(part), "{part}: {said:?}");
        }
    }

    #[test]
    fn ufw_says_what_it_lets_in() {
        let probes = [
            Probe { protocol: "udp", port: 41641, tunnel: "maru0", by_tunnel: false, out: None },
            Probe { protocol: "tcp", port: 443, tunnel: "maru0", by_tunnel: true, out: None },
        ];
        let head =
            "Status: active\nDefault: deny (incoming), allow (outgoing), disabled (routed)\n\n";
        let closed = |rules: &str| -> Vec<u16> {
            let found = by_ufw(&format!("{head}{rules}"), &probes).unwrap();
            found.iter().map(|closing| closing.port).collect()
        };
        assert_eq!(
            closed(
                "22/tcp   ALLOW IN   Anywhere\n41641/tcp  ALLOW IN  Anywhere\n41641/udp  DENY IN  Anywhere\n"
            ),
            [41641, 443]
        );
        assert_eq!(closed("41641/udp   ALLOW IN   Anywhere\n"), [443]);
        assert_eq!(closed("Anywhere on maru0   ALLOW IN   Anywhere\n"), [41641]);
        assert_eq!(
            closed("41641/udp on eth9   ALLOW IN   Anywhere\n443  ALLOW IN  Anywhere\n"),
            [41641]
        );
        assert!(by_ufw("Status: inactive\n", &probes).is_none());
        let open = by_ufw("Status: active\nDefault: allow (incoming), allow (outgoing)\n", &probes);
        assert!(open.unwrap().is_empty());
    }
}
