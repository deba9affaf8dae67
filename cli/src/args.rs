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
    invite::InviteArgs,
    join::JoinArgs,
    key::KeyCommand,
    log::LogArgs,
    model::ModelCommand,
    output::OutputArgs,
    policy::PolicyCommand,
    route::RouteCommand,
    up::args::UpArgs,
    usage::UsageArgs,
    user::UserCommand,
};

/// Runs, joins and uses a private AI network.
#[derive(Debug, Parser)]
#[command(name = "maru", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// Directory below which configuration, state and sockets lie
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `maru` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the appliance on this machine, in the foreground
    Up(UpArgs),
    /// Show where this device stands in the network
    Status(OutputArgs),
    /// Look for what is wrong on this machine, and say how to fix it
    Doctor(OutputArgs),
    /// List every way on which what people say may leave the containers, and who can read it there
    Audit(OutputArgs),
    /// Join a network by an invitation, or by its coordinator's address
    Join(JoinArgs),
    /// Leave the network; this device's keys are destroyed
    Leave,
    /// Make an invitation with which one device of a person joins
    Invite {
        /// For whom.
        #[command(flatten)]
        args: InviteArgs,
        /// Which coordinator makes it.
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Devices of the network, and those that wait for approval
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Device {
        /// What to do.
        #[command(subcommand)]
        command: DeviceCommand,
        /// Which coordinator is asked.
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Pre-auth keys
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Key {
        /// What to do.
        #[command(subcommand)]
        command: KeyCommand,
        /// Which coordinator is asked.
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// API keys, with which programs and people administer over HTTPS
    #[command(subcommand_required = true, arg_required_else_help = true)]
    ApiKey {
        /// What to do.
        #[command(subcommand)]
        command: ApiKeyCommand,
        /// Which coordinator is asked.
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// People
    #[command(subcommand_required = true, arg_required_else_help = true)]
    User {
        /// What to do.
        #[command(subcommand)]
        command: UserCommand,
        /// Which coordinator is asked.
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// The policy: who reaches which port of whom
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: PolicyCommand,
        /// Which coordinator is asked.
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Routes: subnets that devices lead to, and exit nodes
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Route {
        /// What to do.
        #[command(subcommand)]
        command: RouteCommand,
        /// Which coordinator is asked.
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Programs of this machine that use the AI, each with a key
    #[command(subcommand_required = true, arg_required_else_help = true)]
    App {
        /// What to do.
        #[command(subcommand)]
        command: AppCommand,
    },
    /// Models of this machine
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Model {
        /// What to do.
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Models on machines of strangers that proved what they run
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Confidential {
        /// What to do.
        #[command(subcommand)]
        command: ConfidentialCommand,
    },
    /// Show who changed what in the network, and when
    Log {
        /// Which part.
        #[command(flatten)]
        args: LogArgs,
        /// Which coordinator is asked.
        #[command(flatten)]
        at: CoordinatorArgs,
    },
    /// Save all that this network needs to go on on another machine, models excepted
    Backup(BackupArgs),
    /// Put a backup in the place of a network that is lost
    Restore(RestoreArgs),
    /// Show how many tokens each person used on which day
    Usage(UsageArgs),
    /// Talk with the AI at home, sealed to its gateway
    Chat(ChatArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Run a program that may write in some places alone, as `maru up` does
    #[command(hide = true)]
    Confine(ConfineArgs),
}
