//! Checks the settings about routes.

use common::{mesh, route};
use node_agent_api::settings::Settings;
use node_agent_core::netmap::{RouteChoice, check_offer};

/// The settings' choice of routes.
pub(super) fn choice(settings: &Settings) -> Result<RouteChoice, String> {
    let offers = settings.advertise_exit_node || !settings.advertise_routes.is_empty();
    let of_exit = settings.exit_node_allow_lan_access || !settings.exit_node_dns.is_empty();
    match &settings.exit_node {
        Some(name) if name.trim().is_empty() => {
            return Err("exit_node is empty: name a device, or remove the line".to_owned());
        }
        Some(_) if offers => {
            return Err(
                "a device with exit_node sends everything into the tunnel and cannot route for others: remove exit_node, or advertise_routes and advertise_exit_node"
                    .to_owned(),
            );
        }
        None if of_exit => {
            return Err(
                "exit_node_allow_lan_access and exit_node_dns need exit_node: name a device"
                    .to_owned(),
            );
        }
        Some(_) | None => {}
    }
    if settings.shields_up && offers {
        return Err(
            "a device with shields_up lets nothing in and cannot route for others: remove shields_up, or advertise_routes and advertise_exit_node"
                .to_owned(),
        );
    }
    if settings.wireguard.is_some() && (settings.exit_node.is_some() || settings.shields_up) {
        return Err(
            "a device with exit_node or shields_up cannot route WireGuard devices: remove it, or [wireguard]"
                .to_owned(),
        );
    }
    let unusable = |address: &&std::net::IpAddr| {
        !mesh::is_outside(**address) || route::is_nowhere(**address) || address.is_unspecified()
    };
    if let Some(address) = settings.exit_node_dns.iter().find(unusable) {
        return Err(format!(
            "exit_node_dns: {address} is not reached through an exit node: name a resolver on the internet, or one behind the exit node"
        ));
    }
    for net in &settings.advertise_routes {
        check_offer(net)
            .map_err(|problem| format!("advertise_routes: {net} cannot be offered: {problem}"))?;
    }
    let mut offered = settings.advertise_routes.clone();
    if settings.advertise_exit_node {
        offered.extend(route::EXIT);
    }
    Ok(RouteChoice {
        accepts_subnets: settings.accept_routes,
        exit_node: settings.exit_node.clone(),
        offered,
    })
}
