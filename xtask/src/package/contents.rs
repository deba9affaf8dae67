//! What is in each package. Programs, units and images follow from the service table.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use services::{
    AGENT_SERVICE, DATABASE_SERVICES, INFERENCE_SERVICE, Kind, MODELS, SERVERS, SERVICES, quadlet,
    systemd,
};

use crate::package::{
    architecture::Architecture,
    archive::File,
    deb::{Package, Tree},
    image,
};

/// The command.
const COMMAND: &str = "maru";
/// The engine has no page: what writes them would contain llama.cpp. Units alone start it.
const WITHOUT_PAGE: &str = INFERENCE_SERVICE.binary;
/// What Podman needs for Quadlets of the kind `.image`.
const PODMAN: &str = "podman (>= 4.8), nftables, systemd";
/// What `systemd-creds` loads where there is a TPM: Debian's systemd does not ask for it.
const TPM: &str =
    "libtss2-esys-3.0.2-0t64, libtss2-mu-4.0.1-0t64, libtss2-rc0t64, libtss2-tcti-device0t64";

/// Maintainer scripts of a package with programs (`deb-postinst(5)` and its like).
const SCRIPTS: &[(&str, &str)] = &[
    ("preinst", include_str!("scripts/preinst")),
    ("postinst", include_str!("scripts/postinst")),
    ("prerm", include_str!("scripts/prerm")),
    ("postrm", include_str!("scripts/postrm")),
];

/// What packages are made of.
#[derive(Debug)]
pub(super) struct Parts {
    /// That of the programs.
    pub(super) architecture: Architecture,
    /// Every program by its name.
    pub(super) programs: BTreeMap<&'static str, File>,
    /// Man pages, and completions of the command, where they are installed.
    pub(super) manual: Tree,
    /// Licences of the crates in these programs.
    pub(super) licences: BTreeMap<&'static str, String>,
    /// The small model, with its file's name.
    pub(super) model: (&'static str, File),
}

/// Files of `docs/dashboards`, for Prometheus and Grafana.
macro_rules! dashboards {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../docs/dashboards/", $name)))),*]
    };
}
const DASHBOARDS: [(&str, &str); 6] = dashboards!(
    "house.json",
    "gateway.json",
    "mesh.json",
    "maru.rules.yml",
    "maru-metrics.service",
    "maru-metrics.timer"
);

/// The names of a home's programs that are installed as such: the others are in images alone.
fn home_programs() -> BTreeSet<&'static str> {
    let children = SERVICES.iter().filter(|service| service.kind == Kind::Child);
    let run = children.chain(DATABASE_SERVICES).map(|service| service.binary);
    run.chain(SERVERS.iter().map(|server| server.binary)).chain([COMMAND]).collect()
}

/// The names of every program in the packages.
pub(super) fn programs() -> BTreeSet<&'static str> {
    home_programs().into_iter().chain(quadlet::programs()).collect()
}

/// The names of the programs of a device that is no home.
pub(super) fn device_programs() -> BTreeSet<&'static str> {
    BTreeSet::from([AGENT_SERVICE.binary, COMMAND])
}

/// Every package.
pub(super) fn packages(parts: &Parts) -> Result<Vec<Package>> {
    Ok(vec![home(parts)?, device(parts)?, model(parts)])
}

fn home(parts: &Parts) -> Result<Package> {
    let mut tree = common(parts, "maru-home", home_programs())?;
    for binary in quadlet::programs() {
        let program = program(parts, binary)?;
        let (image, architecture) = (quadlet::image_name(binary), parts.architecture.name());
        let bytes = image::archive(&image, binary, program, architecture)?;
        tree.insert(quadlet::archive(binary), File { bytes, runs: false });
    }
    add_units(&mut tree, [systemd::files(), quadlet::files()].concat());
    for (name, text) in DASHBOARDS {
        tree.insert(format!("usr/share/maru/dashboards/{name}"), File::text(text));
    }
    Ok(Package {
        name: "maru-home",
        architecture: parts.architecture.name(),
        relations: &[
            ("Depends", PODMAN),
            ("Recommends", TPM),
            ("Provides", "maru"),
            ("Conflicts", "maru"),
            ("Replaces", "maru"),
        ],
        summary: "private AI network for a household: the home machine",
        description: &[
            "Coordinator, relay, agent, gateway, messenger and engine of a network whose",
            "members reach each other over WireGuard and talk to an AI at home.",
            ".",
            "Nothing starts before `maru setup`.",
        ],
        tree,
        scripts: SCRIPTS,
    })
}

fn device(parts: &Parts) -> Result<Package> {
    let mut tree = common(parts, "maru", device_programs())?;
    add_units(&mut tree, systemd::device_files());
    Ok(Package {
        name: "maru",
        architecture: parts.architecture.name(),
        relations: &[
            ("Depends", "nftables, systemd"),
            ("Conflicts", "maru-home"),
            ("Replaces", "maru-home"),
        ],
        summary: "private AI network for a household: a member's device",
        description: &[
            "The command and the agent with which a laptop joins a network of Maru.",
            ".",
            "The agent does not start before `systemctl enable --now maru.target`.",
        ],
        tree,
        scripts: SCRIPTS,
    })
}

fn model(parts: &Parts) -> Package {
    let (name, file) = &parts.model;
    let about = "SmolLM2-135M-Instruct, by Hugging Face, quantized to four bits.\n\n\
                 License: Apache-2.0; its text is in /usr/share/common-licenses/Apache-2.0\n";
    Package {
        name: "maru-model-smollm2",
        architecture: "all",
        relations: &[("Enhances", "maru-home")],
        summary: "small language model for Maru",
        description: &[
            "SmolLM2-135M-Instruct: answers on every machine, in English and shortly.",
            "It is meant for trying out.",
        ],
        tree: Tree::from([
            (format!("{MODELS}/{name}"), file.clone()),
            ("usr/share/doc/maru-model-smollm2/copyright".to_owned(), File::text(about)),
        ]),
        scripts: &[],
    }
}

/// Programs, manual and licences of a package.
fn common(parts: &Parts, name: &'static str, programs: BTreeSet<&'static str>) -> Result<Tree> {
    let mut tree = parts.manual.clone();
    tree.retain(|path, _| is_about(path, &programs));
    for binary in programs {
        let section = if binary == COMMAND { 1 } else { 8 };
        let page = format!("usr/share/man/man{section}/{binary}.{section}");
        ensure!(
            tree.contains_key(&page) || binary == WITHOUT_PAGE,
            "{binary} has no page: docs/walkthrough/examples/manual.rs writes them",
        );
        tree.insert(format!("usr/bin/{binary}"), program(parts, binary)?.clone());
    }
    let doc = format!("usr/share/doc/{name}");
    let licences = parts.licences.get(name).with_context(|| format!("no licences of {name}"))?;
    let about = format!(
        "Maru.\n\nLicense: Apache-2.0; its text is in /usr/share/common-licenses/Apache-2.0\n\n\
         The programs are linked statically. They contain the crates whose licences are in\n\
         /{doc}/third-party-licences.txt and the GNU C library (LGPL-2.1 or later).\n"
    );
    tree.insert(format!("{doc}/copyright"), File::text(about));
    tree.insert(format!("{doc}/third-party-licences.txt"), File::text(licences.as_str()));
    Ok(tree)
}

/// Whether a file of the manual is about one of these programs: a daemon's pages have its name, with a command or without one.
fn is_about(path: &str, programs: &BTreeSet<&str>) -> bool {
    let Some(page) = path.strip_prefix("usr/share/man/man8/") else { return true };
    let daemons = programs.iter().filter(|program| **program != COMMAND);
    daemons.filter_map(|daemon| page.strip_prefix(daemon)).any(|rest| rest.starts_with(['.', '-']))
}

fn program<'a>(parts: &'a Parts, binary: &str) -> Result<&'a File> {
    parts.programs.get(binary).with_context(|| format!("the program {binary} is missing"))
}

fn add_units(tree: &mut Tree, files: Vec<(String, String)>) {
    for (name, text) in files {
        tree.insert(installed(&name), File::text(text));
    }
}

/// Where a file of `systemd/` or `podman/` is installed.
fn installed(name: &str) -> String {
    for (kind, folder) in
        [("tmpfiles.conf", "usr/lib/tmpfiles.d"), ("sysusers.conf", "usr/lib/sysusers.d")]
    {
        if let Some(stem) = name.strip_suffix(kind) {
            return format!("{folder}/{stem}conf");
        }
    }
    let folder = match name.rsplit_once('.') {
        Some((_, "container" | "image")) => "usr/share/containers/systemd",
        // The rules are for a node of a confidential deployment: elsewhere they would take the TPM from other programs.
        Some((_, "json" | "rules")) => "usr/share/maru",
        Some(_) | None => "usr/lib/systemd/system",
    };
    format!("{folder}/{name}")
}
