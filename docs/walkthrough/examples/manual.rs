//! Writes man pages of every program that a package installs, and completions of `maru`, below a folder: `manual FOLDER`.
//!
//! Pages of daemons are English, and of section 8, as `man-pages(7)` has it.

use std::{
    env, fs,
    io::{Error, ErrorKind},
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use messages::Language;

fn main() -> std::io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "name a folder"))?;
    for (language, name) in [(Language::English, "man1"), (Language::Korean, "ko/man1")] {
        let pages = folder.join("usr/share/man").join(name);
        fs::create_dir_all(&pages)?;
        clap_mangen::generate_to(without_help(cli::command_in(language)), &pages)?;
    }
    let pages = folder.join("usr/share/man/man8");
    fs::create_dir_all(&pages)?;
    for daemon in [
        coordinator::Args::command(),
        node_agent::Args::command(),
        ai_gateway::Args::command(),
        telmeet::Args::command(),
        confidential_server::Args::command(),
        maru_compute::Args::command(),
    ] {
        let mut daemon = daemon.disable_help_subcommand(true);
        daemon.build();
        generate(&daemon, &pages)?;
    }
    for (shell, path) in [
        (Shell::Bash, "usr/share/bash-completion/completions/maru"),
        (Shell::Fish, "usr/share/fish/vendor_completions.d/maru.fish"),
        (Shell::Zsh, "usr/share/zsh/vendor-completions/_maru"),
    ] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&folder))?;
        let mut script = Vec::new();
        clap_complete::generate(
            shell,
            &mut cli::command_in(Language::English),
            "maru",
            &mut script,
        );
        fs::write(path, script)?;
    }
    Ok(())
}

/// Hides `help` below every command, which has no page.
fn without_help(command: Command) -> Command {
    command.mut_subcommands(|below| match below.get_name() {
        "help" => below.hide(true),
        _ => without_help(below),
    })
}

/// Writes the pages of a daemon and of its commands.
fn generate(command: &Command, pages: &Path) -> std::io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        generate(below, pages)?;
    }
    Man::new(command.clone()).section("8").generate_to(pages).map(|_| ())
}
