//! `maru confidential …`: models on machines of strangers that proved what they run.
//!
//! A deployment is in three files: dials in `agent.toml`, the provider in `openclaw.json`, and what this home pinned in
//! `gateway.toml`. What an admin wrote there stays, comments included; of what was added by hand to the deployment's own part of
//! `gateway.toml` the keys do. All three are worked out before any is written; one that cannot be changed without a doubt
//! leaves all as they are.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use ai_gateway_api::settings::gateway;
use anyhow::{Context as _, bail, ensure};
use chassis::{
    durable::{self, Access},
    pem, settings,
};
use clap::{Args, Subcommand};
use common::wire::{Bytes, Fixed};
use confidential_api::{
    policy::{Anchor, EvidenceKind, Policy},
    signed::Signed,
};
use messages::message;
use node_agent_api::settings::Settings as Agent;
use serde::Serialize;

use crate::{
    edited_file::Changes,
    openclaw,
    output::{self, OutputArgs},
};

mod deployment;
mod files;
mod verify;

use deployment::{Deployment, ServerAddress};
use verify::VerifyArgs;

/// Longest name of a deployment.
const NAME_MAX: usize = 40;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfidentialCommand {
    /// Add a deployment, so that people of this network can ask its models by name
    Add(AddArgs),
    /// List the deployments, and what is pinned of each
    List(OutputArgs),
    /// Remove a deployment
    Remove(RemoveArgs),
    /// Check evidence of a confidential node; show of each check whether it passed, failed or was not made
    ///
    /// It exits with status 1 if a check failed. Status 0 proves something only if every check was made: the last line lists
    /// those that were not. Give --pin, --nonce and --model, so that all can be made.
    Verify(VerifyArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AddArgs {
    /// Name of the deployment here: people ask the model confidential/NAME
    #[arg(value_name = "NAME")]
    name: String,
    /// Its identity, base64url, which signs what it runs; ask its operator for it, not its servers
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    identity: Fixed<32>,
    /// Address of its configuration server, as IP:PORT, or NAME@IP:PORT if its certificate is for a name
    #[arg(long, value_name = "ADDRESS")]
    auth: ServerAddress,
    /// Address of a relay, in the same form; may be repeated; another operator's than the deployment's is best
    #[arg(long, value_name = "ADDRESS", required = true)]
    relay: Vec<ServerAddress>,
    /// Certificates of the authority that those servers' certificates come from, PEM; no other is trusted
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// A model of the deployment; may be repeated [default: NAME]
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,
    /// Trust anchor of evidence besides AWS's root: another root, PEM or DER, or a TPM's key as `maru-compute ak`
    /// prints it; may be repeated
    #[arg(long, value_name = "FILE")]
    anchor: Vec<PathBuf>,
    /// Its signed policy: pins its images and refuses older policies, so that policies published later can only remove
    /// images [default: what is pinned already, or everything that it publishes]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Accept SIMULATED evidence, which proves nothing to anybody but its maker
    #[arg(long)]
    simulated: bool,
    /// Change an openclaw.json that Maru did not write, such as OpenClaw's own, too; the former file stays beside it
    #[arg(long)]
    write: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Name of the deployment here
    #[arg(value_name = "NAME")]
    name: String,
    /// Change an openclaw.json that Maru did not write, such as OpenClaw's own, too; the former file stays beside it
    #[arg(long)]
    write: bool,
}

/// A deployment as it is listed.
#[derive(Debug, Serialize)]
struct DeploymentRow {
    name: String,
    identity: Fixed<32>,
    simulated: bool,
    /// Where its dials lead, the configuration's first.
    leads_to: Vec<SocketAddr>,
}

/// Whether a dial is one of this deployment's.
pub(crate) fn is_dial_of(dial: &str, name: &str) -> bool {
    files::is_of(dial, name)
}

/// Runs one of the commands.
pub(crate) fn run(command: ConfidentialCommand, root: &Path) -> anyhow::Result<ExitCode> {
    match command {
        ConfidentialCommand::Add(args) => add(args, root)?,
        ConfidentialCommand::List(args) => {
            output::list(args.output, &list(root)?, &message!("confidential-heads"), |it| {
                let evidence = match it.simulated {
                    true => message!("evidence-simulated-too"),
                    false => message!("evidence-real"),
                };
                let leads: Vec<_> = it.leads_to.iter().map(ToString::to_string).collect();
                vec![
                    it.name.clone(),
                    evidence.to_string(),
                    leads.join(", "),
                    it.identity.to_string(),
                ]
            })?;
        }
        ConfidentialCommand::Remove(args) => remove(&args, root)?,
        ConfidentialCommand::Verify(args) => return verify::run(&args),
    }
    Ok(ExitCode::SUCCESS)
}

fn add(args: AddArgs, root: &Path) -> anyhow::Result<()> {
    let AddArgs { name, identity, auth, relay, ca, model, anchor, policy, simulated, write } = args;
    check_name(&name)?;
    pem::certificates(&ca)?;
    ensure!(pem::private_key(&ca).is_err(), message!("ca-has-private-key", path = ca.display()));
    let settings = gateway_settings(root)?;
    openclaw::check(&root.join(&settings.openclaw), write)?;
    let by_hand = by_hand(root, &name);
    let other = settings.confidential.get(&name).is_some_and(|pinned| pinned.identity != identity);
    ensure!(
        by_hand.is_empty() || !other,
        message!("pinned-for-another", file = gateway::FILE, keys = by_hand.join(", "), name)
    );
    let folder = settings.openclaw.parent().unwrap_or(Path::new("")).to_owned();
    let kept = folder.join(format!("confidential-{name}-ca.pem"));
    let anchors = anchor.iter().map(|path| anchor_of(path)).collect::<Result<_, _>>()?;
    let policy = policy.map(|path| policy_of(&path, &identity)).transpose()?;
    let models = if model.is_empty() { vec![name.clone()] } else { model };
    let ca_text = pem::contents(&ca)?;
    let deployment = Deployment {
        name,
        identity,
        auth,
        relays: relay,
        ca: Path::new("/").join(&kept),
        models,
        anchors,
        policy,
        simulated,
    };
    let mut changes = Changes::default();
    let agent = Path::new(node_agent_api::settings::FILE);
    changes.plan(root, agent, "", |text| files::dials(text, &deployment))?;
    changes.plan(root, Path::new(gateway::FILE), "", |text| files::pins(text, &deployment))?;
    changes.plan(root, &settings.openclaw, "{}\n", |text| files::provider(text, &deployment))?;
    let path = root.join(&kept);
    let owner = fs::metadata(root.join(&folder)).map(|it| (it.uid(), it.gid())).ok();
    let access = Access { mode: 0o644, owner };
    durable::replace(&path, access, &ca_text)
        .with_context(|| message!("ca-not-written", path = path.display()))?;
    output::note(message!("confidential-ca", path = kept.display()));
    changes.write()?;
    say(&deployment, &by_hand);
    Ok(())
}

/// Keys of a deployment's table that no option sets; none if the file is missing.
fn by_hand(root: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(root.join(gateway::FILE)).unwrap_or_default();
    files::by_hand(&text, name)
}

fn say(deployment: &Deployment, by_hand: &[String]) {
    let Deployment { name, models, simulated, auth, relays, policy, .. } = deployment;
    for place in [auth].into_iter().chain(relays).filter(|place| place.is_outside()) {
        output::note(message!("gateway-reaches-outside", address = place.at));
    }
    if *simulated {
        output::note(message!("simulated-accepted"));
    }
    if let Some(policy) = policy {
        let images: Vec<_> = policy.images.iter().map(|image| image.name.as_str()).collect();
        let (epoch, images) = (policy.epoch, images.join(", "));
        output::note(message!("policy-pinned", epoch, images));
    }
    let kept: Vec<_> = by_hand.iter().map(String::as_str).collect();
    let kept: Vec<_> = match policy {
        Some(_) => kept.into_iter().filter(|key| !files::OF_A_POLICY.contains(key)).collect(),
        None => kept,
    };
    if !kept.is_empty() {
        let kept = kept.join(", ");
        output::note(message!("keys-kept", file = gateway::FILE, kept));
    }
    let models: Vec<_> = models.iter().map(|model| format!("{name}/{model}")).collect();
    output::note(message!("confidential-added", name, models = models.join(", ")));
}

fn list(root: &Path) -> anyhow::Result<Vec<DeploymentRow>> {
    let agent: Agent = settings::load(None, &root.join(node_agent_api::settings::FILE), Ok)?;
    let gateway = gateway_settings(root)?;
    let listed = gateway.confidential.into_iter().map(|(name, pinned)| {
        let dials = agent.dial.iter().filter(|dial| files::is_of(&dial.name, &name));
        DeploymentRow {
            leads_to: dials.map(|dial| dial.to).collect(),
            name,
            identity: pinned.identity,
            simulated: pinned.simulated,
        }
    });
    Ok(listed.collect())
}

fn remove(RemoveArgs { name, write }: &RemoveArgs, root: &Path) -> anyhow::Result<()> {
    check_name(name)?;
    let settings = gateway_settings(root)?;
    openclaw::check(&root.join(&settings.openclaw), *write)?;
    ensure!(
        settings.confidential.contains_key(name),
        message!("no-deployment", name = format!("{name:?}"))
    );
    let mut changes = Changes::default();
    let agent = Path::new(node_agent_api::settings::FILE);
    changes.plan(root, agent, "", |text| files::without_dials(text, name))?;
    changes.plan(root, Path::new(gateway::FILE), "", |text| files::without_pins(text, name))?;
    changes.plan(root, &settings.openclaw, "{}\n", |text| files::without_provider(text, name))?;
    changes.write()?;
    output::note(message!("confidential-removed"));
    Ok(())
}

/// Deployments whose SIMULATED evidence this home accepts; none where its settings cannot be read, as on another machine.
pub(crate) fn simulated(root: &Path) -> Vec<String> {
    let Ok(settings) = gateway_settings(root) else { return Vec::new() };
    let taken = settings.confidential.into_iter().filter(|(_, pinned)| pinned.simulated);
    taken.map(|(name, _)| name).collect()
}

fn gateway_settings(root: &Path) -> anyhow::Result<gateway::Settings> {
    Ok(settings::load(None, &root.join(gateway::FILE), Ok)?)
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let known =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let fits = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(known);
    ensure!(
        fits && name.starts_with(|c: char| c.is_ascii_alphanumeric()),
        message!("not-a-deployment-name", name = format!("{name:?}"), max = NAME_MAX)
    );
    Ok(())
}

/// A root, or the attestation key of a TPM.
fn anchor_of(path: &Path) -> anyhow::Result<Anchor> {
    let bytes = pem::contents(path)?;
    if bytes.starts_with(b"{") {
        let anchor: Anchor = serde_json::from_slice(&bytes)
            .ok()
            .filter(is_tpm)
            .with_context(|| message!("not-an-attestation-key", path = path.display()))?;
        return Ok(anchor);
    }
    let der = if bytes.starts_with(b"-----") {
        let mut all = pem::certificates(path)?;
        ensure!(all.len() == 1, message!("several-certificates", path = path.display()));
        all.remove(0).to_vec()
    } else {
        bytes.to_vec()
    };
    if pem::Validity::of(&der.clone().into()).is_none() {
        bail!(message!("not-an-anchor", path = path.display()));
    }
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    Ok(Anchor {
        name: name.unwrap_or_default(),
        kind: EvidenceKind::Nitro,
        certificate: Some(Bytes(der)),
        key: None,
    })
}

/// The policy in a file, if this identity signed it.
fn policy_of(path: &Path, identity: &Fixed<32>) -> anyhow::Result<Policy> {
    let of = || message!("not-a-policy-of-it", path = path.display());
    let signed: Signed<Policy> = Signed::parse(&verify::read(path)?).with_context(of)?;
    // Its signature has no time: the identity signs it without a certificate.
    signed.verify(identity, 0).with_context(of)
}

fn is_tpm(anchor: &Anchor) -> bool {
    anchor.kind == EvidenceKind::Tpm && anchor.key.is_some() && anchor.certificate.is_none()
}

#[cfg(test)]
mod tests;
