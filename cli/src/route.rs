//! `maru route …`.

use std::{net::IpAddr, process::ExitCode};

use clap::{Args, Subcommand};
use coordinator_api::{DecideRoutes, EXIT, Route, RouteState, endpoints};
use endpoint::Endpoint;
use messages::message;

use crate::{
    client::Client,
    node_id::NodeId,
    output::{self, Format, OutputArgs},
};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// List the routes that devices offer, and which are in use
    List(OutputArgs),
    /// Let devices use routes of a device, as far as the policy allows
    Approve(RouteArgs),
    /// Stop the use of routes of a device, even if the policy approves them
    Reject(RouteArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RouteArgs {
    #[command(flatten)]
    pub(crate) device: NodeId,
    /// Routes, such as 192.168.1.0/24; "exit" is the way to the internet (0.0.0.0/0 and ::/0)
    #[arg(value_name = "ROUTE", required = true, value_parser = route)]
    pub(crate) routes: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A prefix or `exit`, as it is written.
fn route(text: &str) -> Result<String, String> {
    let is_prefix = || {
        let (address, len) = text.split_once('/')?;
        let most = if address.parse::<IpAddr>().ok()?.is_ipv4() { 32 } else { 128 };
        Some(len.parse::<u8>().ok()? <= most)
    };
    if text == EXIT || is_prefix() == Some(true) {
        return Ok(text.to_owned());
    }
    Err(message!("not-a-route", exit = EXIT).to_string())
}

/// Runs one of the commands.
pub(crate) async fn run(command: RouteCommand, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        RouteCommand::List(OutputArgs { output }) => {
            let routes = client.call(&endpoints::LIST_ROUTES, &[], &()).await?;
            list(output, &routes)?;
        }
        RouteCommand::Approve(args) => decide(client, args, &endpoints::APPROVE_ROUTES).await?,
        RouteCommand::Reject(args) => decide(client, args, &endpoints::REJECT_ROUTES).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn decide(
    client: &Client,
    args: RouteArgs,
    endpoint: &Endpoint<DecideRoutes, [Route]>,
) -> anyhow::Result<()> {
    let body = DecideRoutes { routes: args.routes };
    let routes = client.call(endpoint, &[&args.device.id], &body).await?;
    list(args.output.output, &routes)
}

fn list(format: Format, routes: &[Route]) -> anyhow::Result<()> {
    output::list(format, routes, &message!("route-heads"), |route| {
        vec![
            route.device.to_string(),
            route.name.clone(),
            route.route.clone(),
            state(route),
            output::yes(route.offered),
            output::yes(route.in_use),
            problem(route).unwrap_or_default(),
        ]
    })?;
    let waiting = routes.iter().filter(|route| route.state == RouteState::Waiting).count();
    if format == Format::Table && waiting > 0 {
        output::note(message!("routes-waiting", waiting));
    }
    Ok(())
}

/// A route of a device in a line: the prefix, its state, and whether it is offered and in use.
pub(crate) fn summary(route: &Route) -> String {
    let mut text = format!("{} {}", route.route, state(route));
    if !route.offered {
        text += &format!(", {}", message!("route-not-offered"));
    }
    if route.in_use {
        text += &format!(", {}", message!("route-in-use"));
    }
    text + &problem(route).iter().map(|problem| format!(": {problem}")).collect::<String>()
}

/// Why the route can never be used, if so.
fn problem(route: &Route) -> Option<String> {
    let reason = output::word(route.problem.as_ref()?);
    Some(message!("route-problem", reason).to_string())
}

fn state(route: &Route) -> String {
    message!("route-state", state = output::word(&route.state)).to_string()
}

#[cfg(test)]
mod tests {
    use super::route;

    #[test]
    fn a_route_is_a_prefix_or_the_way_out() {
        for text in ["192.168.1.0/24", "::/0", "fd00::/64", "exit"] {
            assert_eq!(route(text).as_deref(), Ok(text));
        }
        for text in ["", "lan", "192.168.1.1", "10.0.0.0/33", "fd00::/129", "10.0.0.0/x"] {
            assert!(route(text).is_err(), "{text}");
        }
    }
}
