//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::chat::ChatArgs;

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
    /// Join a network by an invitation, or by its coordinator's address
    Join(JoinArgs),
    /// Leave the network; this device's keys are destroyed
    Leave,
    /// Make an invitation with which one device of a person joins
    Invite(InviteArgs),
    /// Devices of the network, and those that wait for approval
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Device {
        /// What to do.
        #[command(subcommand)]
        command: DeviceCommand,
    },
    /// Pre-auth keys
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Key {
        /// What to do.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// People
    #[command(subcommand_required = true, arg_required_else_help = true)]
    User {
        /// What to do.
        #[command(subcommand)]
        command: UserCommand,
    },
    /// The policy: who reaches which port of whom
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Policy {
        /// What to do.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Talk with the AI at home, sealed to its gateway
    Chat(ChatArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Run a program that may write in some places alone, as `maru up` does
    #[command(hide = true)]
    Confine(ConfineArgs),
}

/// Of `maru confine`.
#[derive(Clone, Debug, Args)]
pub struct ConfineArgs {
    /// File or folder to write in
    #[arg(long, value_name = "PATH")]
    pub write: Vec<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// Of `maru up`.
#[derive(Clone, Debug, Args)]
pub struct UpArgs {
    /// Name or address by which devices reach this machine [default: its address on the
    /// network]; only used by the first start
    #[arg(long, value_name = "HOST")]
    pub address: Option<String>,
    /// Domain of the network [default: maru.internal]; only used by the first start
    #[arg(long, value_name = "NAME")]
    pub network: Option<String>,
    /// Model for the embedded engine, a GGUF file; remembered
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Threads of each engine [default: half of the processors]; remembered
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub threads: Option<u16>,
    /// Person to create, if missing
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Show every line that the services log, not warnings alone
    #[arg(short, long)]
    pub verbose: bool,
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub output: Format,
}

/// A form of printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For people who are programs.
    Yaml,
}

/// Of `maru join`.
#[derive(Clone, Args)]
pub struct JoinArgs {
    /// The invitation, or the coordinator's address; - reads it from standard input, so that it is
    /// not in the shell's history
    #[arg(value_name = "INVITATION")]
    pub url: String,
    /// Pre-auth key, for an address that is no invitation
    #[arg(long, value_name = "K")]
    pub key: Option<String>,
    /// Name to ask for [default: this machine's]
    #[arg(long, value_name = "H")]
    pub hostname: Option<String>,
    /// Wait until the admin has approved this device
    #[arg(long)]
    pub wait: bool,
}

/// Shows neither the invitation nor the key.
impl std::fmt::Debug for JoinArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JoinArgs")
            .field("hostname", &self.hostname)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

/// Of `maru invite`.
#[derive(Clone, Debug, Args)]
pub struct InviteArgs {
    /// Whose device it will be; the person is created if missing
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The device needs no approval
    #[arg(long)]
    pub approved: bool,
    /// With --approved, although the coordinator is reached over plain HTTP: whoever sees the
    /// invitation has a device in the network
    #[arg(long)]
    pub force: bool,
    /// How long the invitation can be used
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = humantime::parse_duration)]
    pub expires: Duration,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru device`.
#[derive(Clone, Debug, Subcommand)]
pub enum DeviceCommand {
    /// List all devices, those that wait included
    List(OutputArgs),
    /// Show one device
    Show(DeviceArgs),
    /// Let a waiting device in
    Approve(ApproveArgs),
    /// Turn a waiting device away
    Reject(DeviceArgs),
    /// Give a device another name
    Rename(RenameArgs),
    /// Replace a device's tags
    Tag(TagArgs),
    /// Make a device's key expire now: it has to register again
    Expire(DeviceArgs),
    /// Remove a device: it is out within seconds, and its key is spent
    Remove(DeviceArgs),
}

/// A device by number or name.
#[derive(Clone, Debug, Args)]
pub struct DeviceId {
    /// Number or name of the device
    #[arg(value_name = "DEVICE")]
    pub id: String,
}

/// Of `maru device show`, `reject`, `expire` and `remove`.
#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// Which.
    #[command(flatten)]
    pub device: DeviceId,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru device approve`.
#[derive(Clone, Debug, Args)]
pub struct ApproveArgs {
    /// Which.
    #[command(flatten)]
    pub device: DeviceId,
    /// Whose device it is; needed if it joined without a key
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Tag to give it, such as tag:printer; may be repeated
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "user")]
    pub tags: Vec<String>,
    /// Name to give it [default: made from its hostname]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru device rename`.
#[derive(Clone, Debug, Args)]
pub struct RenameArgs {
    /// Which.
    #[command(flatten)]
    pub device: DeviceId,
    /// New name, one DNS label
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru device tag`.
#[derive(Clone, Debug, Args)]
pub struct TagArgs {
    /// Which.
    #[command(flatten)]
    pub device: DeviceId,
    /// New tags, such as tag:printer
    #[arg(value_name = "TAG", required = true)]
    pub tags: Vec<String>,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru key`.
#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// Create a key; it is shown once
    Create(CreateKeyArgs),
    /// List all keys; what they are is not shown
    List(OutputArgs),
    /// Make a key unusable
    Expire(KeyArgs),
}

/// A key by number.
#[derive(Clone, Debug, Args)]
pub struct KeyArgs {
    /// Number of the key
    #[arg(value_name = "ID")]
    pub id: u64,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru key create`.
#[derive(Clone, Debug, Args)]
pub struct CreateKeyArgs {
    /// Whose devices join with it
    #[arg(long, value_name = "NAME", required_unless_present = "tags")]
    pub user: Option<String>,
    /// Tag of the devices that join with it, such as tag:printer; may be repeated
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "user")]
    pub tags: Vec<String>,
    /// More than one device may join with it
    #[arg(long)]
    pub reusable: bool,
    /// Its devices are removed soon after they disconnect
    #[arg(long)]
    pub ephemeral: bool,
    /// Its devices need no approval
    #[arg(long)]
    pub approved: bool,
    /// How long it can be used
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub expires: Duration,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru user`.
#[derive(Clone, Debug, Subcommand)]
pub enum UserCommand {
    /// List all people
    List(OutputArgs),
    /// Add a person
    Create(UserArgs),
    /// Remove a person who has no devices
    Remove(UserArgs),
}

/// A person by name.
#[derive(Clone, Debug, Args)]
pub struct UserArgs {
    /// Login name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru policy`.
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print the policy in force
    Get(OutputArgs),
    /// Put a policy in force, if its own tests pass
    Set(PolicyFile),
    /// Say whether a policy would be accepted
    Check(PolicyFile),
}

/// A policy's file.
#[derive(Clone, Debug, Args)]
pub struct PolicyFile {
    /// File with the policy (HuJSON), or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}
