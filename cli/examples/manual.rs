//! Writes man pages and completions of `maru` below a folder, where a package installs them: `manual FOLDER`.

use std::{
    env, fs,
    io::{Error, ErrorKind},
    path::PathBuf,
};

use clap::Command;
use clap_complete::Shell;
use messages::Language;

fn main() -> std::io::Result<()> {
    let folder = env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "name a folder"))?;
    for (language, name) in [(Language::English, "man1"), (Language::Korean, "ko/man1")] {
        let pages = folder.join("usr/share/man").join(name);
        fs::create_dir_all(&pages)?;
        clap_mangen::generate_to(without_help(cli::command_in(language)), &pages)?;
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
