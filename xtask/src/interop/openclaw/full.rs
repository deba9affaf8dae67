//! OpenClaw's clients for people: on a terminal, and its Control UI in a browser.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use lab::{Deployment, Member};

use super::{
    super::{install::Installed, outcome::Outcome},
    programs::{judged, npm_install, on_laptop},
};
use crate::progress::Step;

/// The package.
const PACKAGE: &str = "openclaw@2026.9.6";
const BROWSER: &str = "/usr/bin/chromium";
/// Where the Control UI is served on the laptop. Pages of this origin may open the gateway's WebSocket.
const ORIGIN: &str = "http://127.0.0.1:18888";
/// The small model sometimes makes long replies.
const TOKENS: [&str; 2] = ["maxTokens: 1024", "maxTokens: 200"];
/// What a person does on a terminal, and in a browser.
const TERMINAL: [&str; 4] = ["connect", "chat", "abort", "list"];
const CONTROL_UI: [&str; 4] = ["connect", "list", "chat", "abort"];

pub(super) fn ensure_browser() -> Result<()> {
    ensure!(Path::new(BROWSER).exists(), "{BROWSER} is missing: apt install chromium");
    Ok(())
}

/// Installs OpenClaw, if it is not installed yet; returns its folder.
pub(super) fn install(installed: &Installed) -> Result<PathBuf> {
    let folder = installed.dir.join(PACKAGE);
    if !folder.exists() {
        let partial = installed.dir.join("openclaw.partial");
        if partial.exists() {
            fs::remove_dir_all(&partial)?;
        }
        let step = Step::new("installing OpenClaw from npm (650 MB)");
        let output = npm_install(installed, &partial, &[PACKAGE])?;
        let why = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "npm install failed: {}", why.trim());
        fs::rename(&partial, &folder)?;
        step.done("OpenClaw is installed");
    }
    Ok(folder.join("node_modules/openclaw"))
}

/// Runs both; the browser finds what was said on the terminal.
pub(super) fn run(
    deployment: &Deployment,
    installed: &Installed,
    laptop: &Member,
    openclaw: &Path,
) -> Result<Outcome> {
    allow(&deployment.home.root)?;
    // It starts again with them.
    deployment.crash("maru-gateway", "")?;
    let tmp = deployment.state().join("tmp");
    let mut terminal = on_laptop(deployment, installed, laptop, Path::new("python3"))?;
    terminal.arg(installed.script("tui.py")).arg(installed.node());
    terminal.env("OPENCLAW", openclaw).env("HOME", &tmp).env("TERM", "xterm-256color");
    let mut outcome = judged("OpenClaw 2026.9.6, terminal", &TERMINAL, terminal)?;
    let mut browser = on_laptop(deployment, installed, laptop, &installed.node())?;
    browser.arg(installed.script("control_ui.mjs"));
    browser.env("OPENCLAW", openclaw).env("HOME", &tmp).env("MARU_ORIGIN", ORIGIN);
    outcome.add(judged("OpenClaw 2026.9.6, Control UI", &CONTROL_UI, browser)?);
    Ok(outcome)
}

/// Lists the origin in the settings below a root, and shortens the replies.
fn allow(root: &Path) -> Result<()> {
    let settings = root.join("etc/maru/gateway.toml");
    let text = fs::read_to_string(&settings)?;
    fs::write(settings, format!("origins = [\"{ORIGIN}\"]\n{text}"))?;
    let models = root.join("var/lib/maru/gateway/config/openclaw.json");
    let text = fs::read_to_string(&models)?;
    let [long, short] = TOKENS;
    ensure!(text.contains(long), "openclaw.json has unexpected contents");
    fs::write(models, text.replace(long, short))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn the_scripts_have_each_step_that_is_expected() {
        for (script, steps) in [("tui.py", TERMINAL), ("control_ui.mjs", CONTROL_UI)] {
            let path = workspace::root().join("interop/openclaw").join(script);
            let text = fs::read_to_string(path).unwrap();
            for step in steps {
                let (python, node) = (format!("(\"{step}\", "), format!("  async {step}() {{"));
                assert!(text.contains(&python) || text.contains(&node), "{script}: {step}");
            }
        }
    }
}
