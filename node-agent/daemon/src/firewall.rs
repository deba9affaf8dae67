//! The nftables table: against spoofed mesh addresses, for routes ([`routes`]), and for WireGuard devices ([`wireguard`]).
//!
//! Services trust the source address of a packet from the mesh. So packets with a mesh address as their source that come from
//! the LAN or a local process, and not from the tunnel, are dropped first, and so are packets for the mesh that would leave
//! elsewhere. If another program removes the table, [`keep`] restores it.

use std::{
    io::{self, Write as _},
    net::IpAddr,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis::log::event;
use common::mesh::{self, RESOLVER};
use node_agent_api::settings::Settings;
use node_agent_core::netmap::WireguardPlan;

mod connections;
mod routes;
mod watch;
mod wireguard;

use routes::{GUESTS, RouteRules, addresses};
use watch::Watch;

/// `nft` by name and by path: many search paths lack `sbin`.
const PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// Pause after a failed attempt to restore the table.
const AGAIN: Duration = Duration::from_secs(5);

/// The table cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    #[error("the program nft is missing: install the package nftables")]
    Missing,
    #[error("cannot run nft")]
    Run(#[source] io::Error),
    #[error("nft refused the table {table} (the agent needs CAP_NET_ADMIN): {message}")]
    Refused { table: String, message: String },
}

/// The table of one instance. Removed on drop, unless it has a kill switch that nobody released ([`Firewall::release`]).
#[derive(Debug)]
pub(crate) struct Firewall {
    table: String,
    interface: String,
    /// The settings' choice of routes.
    routes: RouteRules,
    /// Whether the kill switch stays on when this is dropped.
    holds: AtomicBool,
    /// What opens it then.
    restore_command: String,
    /// What the table is for.
    current: Mutex<Scope>,
}

/// What changes with the map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scope {
    /// This node's mesh addresses.
    pub(crate) own: Vec<IpAddr>,
    /// The WireGuard devices that it routes.
    pub(crate) wireguard: WireguardPlan,
    /// Whether it answers their queries for names.
    pub(crate) answers: bool,
}

impl Drop for Firewall {
    fn drop(&mut self) {
        if self.holds.load(Ordering::Relaxed) {
            tracing::warn!(
                table = self.table,
                "the kill switch stays on while the agent does not run; to end it, run `{}`",
                self.restore_command
            );
            return;
        }
        if let Err(error) = remove(&self.table) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the nft table stays");
        }
    }
}

/// Removes a table, if it is there.
pub(crate) fn remove(table: &str) -> Result<(), FirewallError> {
    run(table, &format!("table inet {table}\ndelete table inet {table}\n"))
}

/// Installs the table for a tunnel without addresses; it stays until somebody removes or replaces it.
pub(crate) fn close(
    table: &str,
    interface: &str,
    settings: &Settings,
) -> Result<(), FirewallError> {
    let routes = RouteRules::of(settings, None);
    run(table, &ruleset(table, interface, &routes, &Scope::default()))
}

impl Firewall {
    /// Installs the table for a tunnel without addresses; replaces a table that a crash left. `wireguard` is the interface of
    /// WireGuard devices, if the settings have them; `restore_command` removes the table when this does not.
    ///
    /// With an exit node, nothing leaves this machine outside the tunnel from here on, however the agent ends: a start that
    /// fails does not open what a crash left closed.
    pub(crate) fn install(
        table: &str,
        interface: &str,
        wireguard: Option<&str>,
        settings: &Settings,
        restore_command: String,
    ) -> Result<Self, FirewallError> {
        let (table, interface) = (table.to_owned(), interface.to_owned());
        let routes = RouteRules::of(settings, wireguard);
        let holds = AtomicBool::new(routes.is_kill_switch());
        // First: if it fails, what a crash left stays as it is.
        run(&table, &ruleset(&table, &interface, &routes, &Scope::default()))?;
        if routes.is_forwarding()
            && let Err(error) = connections::pick_up()
        {
            tracing::warn!(%error, "connections from before may stand still");
        }
        Ok(Self { table, interface, routes, holds, restore_command, current: Mutex::default() })
    }

    /// Lets the kill switch, if there is one, end with this: the agent is asked to pause.
    pub(crate) fn release(&self) {
        self.holds.store(false, Ordering::Relaxed);
    }

    fn ruleset(&self, scope: &Scope) -> String {
        ruleset(&self.table, &self.interface, &self.routes, scope)
    }

    /// Replaces the table in one transaction if its scope changed.
    pub(crate) fn set(&self, scope: Scope) -> Result<(), FirewallError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != scope {
            run(&self.table, &self.ruleset(&scope))?;
            *current = scope;
        }
        Ok(())
    }

    /// Restores the table if it or its rules are missing; returns whether they were.
    pub(crate) fn put_back(&self) -> Result<bool, FirewallError> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.ruleset(&current);
        if verdicts(&list(&self.table)?) == verdicts(&wanted) {
            return Ok(false);
        }
        run(&self.table, &wanted).map(|()| true)
    }
}

/// Restores the table whenever another program removes it.
pub(crate) async fn keep(firewall: Arc<Firewall>) {
    let watch = Watch::start();
    let mut logged = false;
    loop {
        let table = &firewall.table;
        match tokio::task::block_in_place(|| firewall.put_back()) {
            Ok(is_back) => {
                if is_back {
                    tracing::warn!(
                        event = %event::FIREWALL,
                        table,
                        "another program removed the nftables table: it is restored"
                    );
                }
                logged = false;
                watch.changed().await;
            }
            Err(error) => {
                if !logged {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(
                        event = %event::FIREWALL,
                        table,
                        error,
                        "the nftables table was removed and cannot be restored"
                    );
                }
                logged = true;
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// The numbers of dropping, accepting and translating rules of a ruleset.
fn verdicts(text: &str) -> [usize; 3] {
    [" drop", " accept", " masquerade"]
        .map(|verdict| text.lines().filter(|line| line.ends_with(verdict)).count())
}

/// The rules at the start: which interface may have packets from and to mesh addresses.
fn arriving(interface: &str, routes: &RouteRules, own: &[IpAddr], plan: &WireguardPlan) -> String {
    let (own4, own6) = (addresses(own, true), addresses(own, false));
    let local = addresses(&[own, &[RESOLVER.into()]].concat(), true);
    let mut tunnels = format!("\"{interface}\"");
    let mut rules = vec![
        // From this node to itself and to its resolver.
        format!("iifname \"lo\" ip saddr {{ {local} }} ip daddr {{ {local} }} accept"),
    ];
    if !own6.is_empty() {
        rules.push(format!("iifname \"lo\" ip6 saddr {{ {own6} }} ip6 daddr {{ {own6} }} accept"));
    }
    if let Some(wireguard) = &routes.wireguard {
        rules.extend(wireguard::arriving(wireguard, plan));
        tunnels = format!("{tunnels}, \"{wireguard}\"");
    }
    // To this node's mesh addresses: only from its tunnel, WireGuard devices, or itself.
    for (ip, own, mesh) in [("ip", own4, "@mesh4"), ("ip6", own6, "@mesh6")] {
        if !own.is_empty() {
            rules.push(format!(
                "iifname != {{ \"lo\", {tunnels} }} {ip} daddr {{ {own} }} counter drop"
            ));
            rules.push(format!(
                "iifname \"lo\" {ip} daddr {{ {own} }} {ip} saddr {mesh} counter drop"
            ));
        }
    }
    // To the resolver: only from this machine and its guests, not from its network.
    rules.push(format!("iifname != {{ \"lo\", {GUESTS} }} ip daddr {RESOLVER} counter drop"));
    // From mesh addresses: only out of a tunnel.
    let elsewhere = format!("iifname != {{ \"lo\", \"maru*\", \"{interface}\" }}");
    rules.push(format!("{elsewhere} ip saddr @mesh4 counter drop"));
    rules.push(format!("{elsewhere} ip6 saddr @mesh6 counter drop"));
    rules.join("\n        ")
}

fn ruleset(table: &str, interface: &str, routes: &RouteRules, scope: &Scope) -> String {
    let own: Vec<_> =
        scope.own.iter().copied().filter(|address| mesh::contains(*address)).collect();
    let rules = arriving(interface, routes, &own, &scope.wireguard);
    let of_routes = routes.chains(interface, &own);
    let of_wireguard = routes.wireguard.iter().map(|name| {
        let not_here = routes.not_here(&own);
        wireguard::chains(name, interface, &own, &not_here, &scope.wireguard, scope.answers)
    });
    let of_wireguard: String = of_wireguard.collect();
    let outside = format!("oifname != {{ \"lo\", \"maru*\", \"{interface}\" }}");
    let mesh4 = mesh::v4_without(&[mesh::SERVICES_NET, mesh::CHROMEOS_NET]);
    let mesh4: Vec<_> = mesh4.iter().map(|(first, last)| format!("{first}-{last}")).collect();
    let (mesh4, mesh6) = (mesh4.join(", "), mesh::V6);
    format!(
        "table inet {table}
delete table inet {table}
table inet {table} {{
    set mesh4 {{
        type ipv4_addr
        flags interval
        # The mesh without what others may use on this machine.
        elements = {{ {mesh4} }}
    }}
    set mesh6 {{
        type ipv6_addr
        flags interval
        elements = {{ {mesh6} }}
    }}
    chain arriving {{
        type filter hook prerouting priority raw; policy accept;
        {rules}
    }}
    # To mesh addresses: only into a tunnel, whatever a network says; a provider's DHCP server may have one.
    chain to_mesh {{
        type filter hook postrouting priority filter; policy accept;
        udp sport 68 udp dport 67 accept
        {outside} ip daddr @mesh4 counter drop
        {outside} ip6 daddr @mesh6 counter drop
    }}{of_routes}{of_wireguard}
}}
"
    )
}

/// The table as `nft` prints it, without counters; empty if it does not exist.
fn list(table: &str) -> Result<String, FirewallError> {
    let child = spawn(&["--stateless", "list", "table", "inet", table])?;
    let output = child.wait_with_output().map_err(FirewallError::Run)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn run(table: &str, text: &str) -> Result<(), FirewallError> {
    let mut child = spawn(&["-f", "-"])?;
    if let Some(mut stdin) = child.stdin.take() {
        // If nft closes early, its exit status says more than this error.
        let _ = stdin.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(FirewallError::Run)?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let message = message.lines().next().unwrap_or("no reason given").to_owned();
    Err(FirewallError::Refused { table: table.to_owned(), message })
}

fn spawn(args: &[&str]) -> Result<std::process::Child, FirewallError> {
    for program in PROGRAMS {
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match child {
            Ok(child) => return Ok(child),
            // The agent's user may lack access to a folder of the search path.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
                ) => {}
            Err(error) => return Err(FirewallError::Run(error)),
        }
    }
    Err(FirewallError::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let own = ["100.64.0.1".parse().unwrap(), "fd7a:115c:a1e0::1".parse().unwrap()];
        Scope { own: own.to_vec(), ..Scope::default() }
    }

    #[test]
    fn this_nodes_addresses_are_open_to_the_interface_of_wireguard_devices_if_there_is_one() {
        let routes = RouteRules::of(&Settings::default(), Some("maruwg"));
        let text = ruleset("maru", "maru0", &routes, &scope());
        let rule = r#"iifname != { "lo", "maru0", "maruwg" } ip daddr { 100.64.0.1 } counter drop"#;
        assert!(text.contains(rule) && text.contains("jump wireguard"), "{text}");
        assert_eq!(verdicts(&text), [15, 3, 1]);
    }

    #[test]
    fn before_an_address_nothing_poses_as_a_node() {
        let text = ruleset("maru_0123ab", "maru0123ab", &RouteRules::default(), &Scope::default());
        assert!(text.contains("table inet maru_0123ab {"));
        let mesh =
            "100.64.0.0-100.99.255.255, 100.100.1.0-100.115.91.255, 100.115.94.0-100.127.255.255";
        assert!(text.contains(&format!("elements = {{ {mesh} }}")), "{text}");
        assert!(!text.contains("ip daddr {  }") && !text.contains("{  }"), "{text}");
        assert_eq!(text.matches(" drop").count(), 5, "{text}");
    }

    #[test]
    fn this_nodes_addresses_are_reached_from_its_own_tunnel_only() {
        let text = ruleset("maru", "maru0", &RouteRules::default(), &scope());
        for rule in [
            "iifname != { \"lo\", \"maru0\" } ip daddr { 100.64.0.1 } counter drop",
            "iifname != { \"lo\", \"maru0\" } ip6 daddr { fd7a:115c:a1e0::1 } counter drop",
            "iifname \"lo\" ip daddr { 100.64.0.1 } ip saddr @mesh4 counter drop",
            "iifname \"lo\" ip saddr { 100.64.0.1, 100.100.100.100 }",
            "\"virbr*\" } ip daddr 100.100.100.100 counter drop",
        ] {
            assert!(text.contains(rule), "{rule} not in {text}");
        }
        assert_eq!(verdicts(&text), [9, 3, 0]);
    }
}
