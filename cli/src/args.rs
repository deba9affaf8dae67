//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{
    api_key::ApiKeyCommand,
    app::AppCommand,
    backup::{BackupArgs, restore::RestoreArgs},
    chat::args::ChatArgs,
    complete::CompletionsArgs,
    confidential::ConfidentialCommand,
    confine::ConfineArgs,
    coordinator::CoordinatorArgs,
    device::DeviceCommand,
    doctor::DoctorArgs,
    invite::InviteArgs,
    join::JoinArgs,
    key::KeyCommand,
    log::LogArgs,
    metrics::MetricsArgs,
    model::ModelCommand,
    output::OutputArgs,
    passphrase::PassphraseCommand,
    ping::{PingArgs, WhoisArgs},
    policy::PolicyCommand,
    rooms::RoomsCommand,
    route::RouteCommand,
    setup::args::SetupArgs,
    status::StatusArgs,
    trust::TrustArgs,
    up::args::UpArgs,
    upgrade::UpgradeArgs,
    usage::UsageArgs,
    user::UserCommand,
    wireguard::WireguardCommand,
};

/// Runs, joins and uses a private AI network.
#[derive(Debug, Parser)]
#[command(name = "maru", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Root directory of configuration, state and sockets
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What `maru` does.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set up the installed appliance and start it, now and at each boot; again, it changes what is named
    Setup(SetupArgs),
    /// Start the appliance on this machine, in the foreground
    Up(UpArgs),
    /// Install a newer package; if the new version does not run, the former one is put back with its data
    Upgrade(UpgradeArgs),
    /// Show the state of this device in the network
    Status(StatusArgs),
    /// Ping a peer inside the tunnel: latency, and whether the path is direct or over the relay
    Ping(PingArgs),
    /// Show which node, and whose, has a mesh address or a name
    Whois(WhoisArgs),
    /// Take the tunnel down, with its names and routes; the device stays a member, and paused until it is resumed
    Pause(OutputArgs),
    /// Bring the tunnel up again
    Resume(OutputArgs),
    /// Show what the network around this device allows: UDP, outer addresses, ports of the router, relays
    Netcheck(OutputArgs),
    /// Find problems of this machine, and say how to fix them
    Doctor(DoctorArgs),
    /// List every way by which conversations may leave the containers, who can read them there, and who could read those that are stored
    Audit(OutputArgs),
    /// Join a network by an invitation, or by its coordinator's address
    Join(JoinArgs),
    /// Leave the network; this device's keys are destroyed
    Leave,
    /// Create an invitation for one device of a person
    Invite {
        #[command(flatten)]
        args: InviteArgs,
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Devices of the network, and those that wait for approval
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Device {
        #[command(subcommand)]
        command: DeviceCommand,
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Pre-auth keys
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Key {
        #[command(subcommand)]
        command: KeyCommand,
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// API keys, with which programs and people administer over HTTPS
    #[command(subcommand_required = true, arg_required_else_help = true)]
    ApiKey {
        #[command(subcommand)]
        command: ApiKeyCommand,
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// People
    #[command(subcommand_required = true, arg_required_else_help = true)]
    User {
        #[command(subcommand)]
        command: UserCommand,
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// The policy: who may reach which port of which device
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Routes: subnets behind devices, and exit nodes
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Route {
        #[command(subcommand)]
        command: RouteCommand,
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Devices that have only WireGuard: phones, televisions, routers
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Wireguard {
        #[command(subcommand)]
        command: WireguardCommand,
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Programs of this machine that use the AI, each with a key
    #[command(subcommand_required = true, arg_required_else_help = true)]
    App {
        #[command(subcommand)]
        command: AppCommand,
    },
    /// Models of this machine, or of a running Ollama
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Models on other people's machines that proved what they run
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Confidential {
        #[command(subcommand)]
        command: ConfidentialCommand,
    },
    /// Show who changed what in the network, and when, or what the daemons of this machine log
    Log {
        #[command(flatten)]
        args: LogArgs,
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Save everything that this network needs to continue on another machine, except models
    Backup(BackupArgs),
    /// Restore a lost network from a backup
    Restore(RestoreArgs),
    /// Passphrase of this machine's key, under which conversations with the AI are sealed
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Passphrase {
        #[command(subcommand)]
        command: PassphraseCommand,
    },
    /// Show how many tokens each person used on which day
    Usage(UsageArgs),
    /// Print the counters of this machine's services, and how the machine stands, for Prometheus
    Metrics(MetricsArgs),
    /// Talk with the AI at home, sealed to its gateway
    Chat(ChatArgs),
    /// Messengers of this network
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Rooms {
        #[command(subcommand)]
        command: RoomsCommand,
    },
    /// Trust the network's certificates on this machine: in the system, Chromium and Firefox
    Trust(TrustArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Check that `maru up` does not run, and name the model for the engines; systemd runs it before the services
    #[command(hide = true)]
    Prepare,
    /// Kill services in containers that hang, so that systemd starts them again; systemd runs it beside the services
    #[command(hide = true)]
    Watch,
    /// Start the new version after an update, and put the former one back if it does not run; packages run it
    #[command(hide = true)]
    FinishUpgrade,
    /// Note in the journal what expires soon; systemd runs it each day
    #[command(hide = true)]
    Notices,
    /// Run a program that can write only in some places, as `maru up` does
    #[command(hide = true)]
    Confine(ConfineArgs),
}
