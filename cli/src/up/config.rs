//! The first configuration: written where there is none. What is there stays, but for what `--ollama` adds.

use std::{
    fmt::Write as _,
    io::ErrorKind,
    net::{IpAddr, UdpSocket},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use chassis::{
    durable::{self, Access},
    settings::{self, SettingsError},
};
use common::mesh;
use coordinator_api::settings::Settings as Coordinator;
use messages::message;
use node_agent_api::settings::{Service, Settings as Agent};
use services::{INFERENCE, INFERENCE_2, Mesh, SERVICES, mesh_services};

use supervisor::ports::{Port, Protocol};

use crate::{edited_file, output};

mod reach;

pub(crate) use reach::Reach;

/// The home node's tag.
pub(super) const TAG: &str = "tag:home";

/// The coordinator's configuration, below the root.
const COORDINATOR: &str = coordinator_api::settings::FILE;
/// The agent's.
const AGENT: &str = node_agent_api::settings::FILE;

/// The section of the agent's by which home routes WireGuard devices.
pub(crate) const WIREGUARD: &str = "\
    # Devices that have only the WireGuard app come in here: maru wireguard add\n\
    [wireguard]\n# port = 51820\n\
    # Those with a full tunnel reach the internet from here, as far as the policy allows it.\n\
    internet = true\n";

/// A file to write.
#[derive(Debug)]
struct File {
    path: &'static str,
    text: String,
    group: u32,
}

/// The configuration of a run as it will be.
#[derive(Debug)]
pub(crate) struct ConfigPlan {
    /// The coordinator's.
    pub(crate) coordinator: Coordinator,
    files: Vec<File>,
    changes: Vec<Change>,
}

/// A new text for an existing file.
#[derive(Debug)]
struct Change {
    path: PathBuf,
    text: String,
}

/// Reads the present configuration and plans the missing files; writes nothing. Without `reach` devices reach this machine by
/// its address on the network.
pub(crate) fn plan(
    root: &Path,
    reach: Option<Reach>,
    network: Option<&str>,
) -> anyhow::Result<ConfigPlan> {
    let mut files = Vec::new();
    let coordinator = if is_there(root) {
        coordinator(root)?
    } else {
        let reach = match reach {
            Some(reach) => reach,
            None => Reach::Plain(own_address()?),
        };
        let text = coordinator_toml(&reach, network.unwrap_or(mesh::DOMAIN), &own_addresses());
        let coordinator: Coordinator = settings::parse(&root.join(COORDINATOR), &text)?;
        files.push(File { path: COORDINATOR, text, group: 0 });
        coordinator
    };
    lacking(root)?.iter().for_each(output::note);
    let Coordinator { network, .. } = &coordinator;
    files.push(File { path: AGENT, text: agent_toml(), group: 0 });
    files.extend(mesh_services().into_iter().map(|(_, mesh)| File {
        path: mesh.settings,
        text: mesh_toml(mesh, network),
        group: 0,
    }));
    files.push(File {
        path: "var/lib/maru/gateway/config/openclaw.json",
        text: openclaw(),
        group: services::GATEWAY,
    });
    Ok(ConfigPlan { coordinator, files, changes: Vec::new() })
}

impl ConfigPlan {
    /// The present or planned text of a file below the root; `None` if there is neither, or it is not a regular file.
    pub(super) fn text(&self, root: &Path, path: &Path) -> anyhow::Result<Option<String>> {
        let there = root.join(path);
        match std::fs::symlink_metadata(&there) {
            Ok(found) if found.is_file() => std::fs::read_to_string(&there)
                .map(Some)
                .with_context(|| message!("file-not-read", path = there.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let planned = self.files.iter().find(|file| Path::new(file.path) == path);
                Ok(planned.map(|file| file.text.clone()))
            }
            Ok(_) | Err(_) => Ok(None),
        }
    }

    /// Plans a new text for a file below the root.
    pub(super) fn change(&mut self, root: &Path, path: &Path, text: String) {
        let path = root.join(path);
        if path.exists() {
            self.changes.push(Change { path, text });
        } else if let Some(file) = self.files.iter_mut().find(|file| root.join(file.path) == path) {
            file.text = text;
        }
    }

    /// Plans another address for an existing network; whether that changes anything.
    pub(crate) fn readdress(&mut self, root: &Path, reach: &Reach) -> anyhow::Result<bool> {
        let file = Path::new(COORDINATOR);
        let text = self.text(root, file)?.unwrap_or_default();
        let Some(edited) = reach::edit(&text, reach) else {
            bail!(message!("address-by-hand", file = COORDINATOR, url = reach.server_url()));
        };
        if edited == text {
            return Ok(false);
        }
        self.coordinator = settings::parse(file, &edited)?;
        self.change(root, file, edited);
        Ok(true)
    }

    /// The files that are missing or change, below the root.
    pub(crate) fn writes(&self, root: &Path) -> Vec<String> {
        let missing = self.files.iter().map(|file| root.join(file.path)).filter(|it| !it.exists());
        let changes = self.changes.iter().map(|change| change.path.clone());
        missing.chain(changes).map(|path| path.display().to_string()).collect()
    }

    /// Writes missing and changed files.
    pub(crate) fn write(&mut self, root: &Path) -> anyhow::Result<()> {
        self.files.iter().try_for_each(|file| write(root, file))?;
        self.changes.drain(..).try_for_each(|change| {
            replace(&change)
                .with_context(|| message!("file-not-saved", path = change.path.display()))
        })
    }
}

/// Reports options that have no effect, since there is a configuration already.
pub(super) fn remark_unused(
    root: &Path,
    address: Option<&str>,
    network: Option<&str>,
) -> anyhow::Result<()> {
    if !is_there(root) {
        return Ok(());
    }
    let config = coordinator(root)?;
    if let (Some(address), Some(known)) = (address, &config.server_url)
        && *known != Reach::Plain(address.to_owned()).server_url()
    {
        output::note(message!("address-unused", address, known, file = COORDINATOR));
    }
    if let Some(network) = network.filter(|network| config.network != **network) {
        output::note(message!("network-unused", network, known = config.network));
    }
    Ok(())
}

/// What files written by hand lack, compared with those that would be written in their place.
fn lacking(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut lacking = Vec::new();
    if root.join(COORDINATOR).exists() && coordinator(root)?.server_url.is_none() {
        lacking.push(message!("no-server-url", file = COORDINATOR).to_string());
    }
    if root.join(AGENT).exists() {
        let agent = agent(root)?;
        for (service, mesh) in mesh_services() {
            let (name, port) = (service.name, mesh.port);
            if agent.service.iter().all(|offered| offered.port != port) {
                lacking.push(
                    message!(
                        "service-not-offered",
                        file = AGENT,
                        name,
                        port,
                        socket = format!("{:?}", socket(service))
                    )
                    .to_string(),
                );
            }
            let lacks = |offered: &Service, label: &str| {
                offered.name == name && offered.https.iter().all(|name| name != label)
            };
            if let Some(label) = mesh.https
                && agent.service.iter().any(|offered| lacks(offered, label))
            {
                lacking
                    .push(message!("service-without-https", file = AGENT, name, label).to_string());
            }
            let may_show = |offered: &Service| offered.name == name && offered.pages;
            if !mesh.pages && agent.service.iter().any(may_show) {
                lacking.push(message!("service-shows-pages", file = AGENT, name).to_string());
            }
            let hides = |offered: &Service, label: &str| {
                let is_named = offered.page_names.iter().any(|name| name == label);
                offered.name == name && !offered.pages && !is_named
            };
            if let Some(label) = mesh.page_name
                && agent.service.iter().any(|offered| hides(offered, label))
            {
                lacking
                    .push(message!("service-hides-pages", file = AGENT, name, label).to_string());
            }
        }
    }
    Ok(lacking)
}

/// Whether this network has a configuration.
pub(crate) fn is_there(root: &Path) -> bool {
    root.join(COORDINATOR).exists()
}

/// Reads the coordinator's configuration.
pub(crate) fn coordinator(root: &Path) -> Result<Coordinator, SettingsError> {
    settings::load(None, &root.join(COORDINATOR), Ok)
}

/// Reads the agent's.
pub(crate) fn agent(root: &Path) -> Result<Agent, SettingsError> {
    settings::load(None, &root.join(AGENT), Ok)
}

/// The ports that the services need. A missing file means the defaults, which the file written in its place keeps.
pub(crate) fn ports(root: &Path) -> anyhow::Result<Vec<Port>> {
    let coordinator = coordinator(root)?;
    let agent = agent(root)?;
    let tcp = |number, service, keys| Port {
        protocol: Protocol::Tcp,
        number,
        service,
        keys,
        file: COORDINATOR,
    };
    let mut listen: Vec<_> = coordinator.listen.addresses().map(|at| at.port()).collect();
    listen.sort_unstable();
    listen.dedup();
    let mut ports: Vec<_> = listen
        .into_iter()
        .map(|number| tcp(number, "coordinator", "`listen`, `server_url`"))
        .collect();
    // Where the coordinator relays itself, it does so on its own port.
    if !coordinator.relay.embedded {
        ports.push(tcp(coordinator.relay.listen.port(), "relay", "[relay] `listen`"));
    }
    let stun = tcp(coordinator.relay.stun_listen.port(), "relay", "[relay] `stun_listen`");
    ports.push(Port { protocol: Protocol::Udp, ..stun });
    ports.push(Port {
        protocol: Protocol::Udp,
        number: agent.listen_port,
        service: "agent",
        keys: "`listen_port`",
        file: AGENT,
    });
    Ok(ports)
}

/// This machine's address on its default route. Nothing is sent: connecting a UDP socket only asks the routing table.
pub(crate) fn own_address() -> anyhow::Result<String> {
    let found = own_addresses().first().map(ToString::to_string);
    found.ok_or_else(|| anyhow!(message!("no-own-address")))
}

/// This machine's address of each family on the default route, IPv4 first.
fn own_addresses() -> Vec<IpAddr> {
    // Documentation addresses (RFC 5737, RFC 3849), which use the default route.
    let ways = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];
    let found = ways.into_iter().filter_map(|(from, to)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    found.filter(|address| !address.is_unspecified() && !address.is_loopback()).collect()
}

/// `own` are this machine's addresses: the relay gets the one of the family that the host of `reach` has not.
fn coordinator_toml(reach: &Reach, network: &str, own: &[IpAddr]) -> String {
    let host: Option<IpAddr> = reach.host().parse().ok();
    let is_other = |address: &&IpAddr| host.is_some_and(|host| host.is_ipv4() != address.is_ipv4());
    let beside = own.iter().find(is_other).map_or_else(String::new, |address| {
        let key = if address.is_ipv4() { "ipv4" } else { "ipv6" };
        format!("{key} = \"{address}\"\n")
    });
    format!(
        "# The coordinator. Every key, with its default: docs/configuration.md.\n\n\
         # Where devices reach it. A device that joined remembers it.\n\
         server_url = {:?}\n\n\
         # Domain of the network; devices keep it, so it stays as it is.\n\
         network = {network:?}\n\n\
         [relay]\n\
         # Name or address of the relay, for the map that devices get.\n\
         host = {:?}\n{beside}{}",
        reach.server_url(),
        reach.host(),
        reach.tls_toml(),
    )
}

/// Where the agent connects to a mesh service, below the root.
fn socket(service: &services::Service) -> &'static str {
    service.listens.first().map_or("", |link| link.socket)
}

/// The settings of the home machine's agent. It connects to a socket only if that service's user listens on it.
fn agent_toml() -> String {
    let mesh_services = mesh_services();
    let answers = mesh_services.iter().map(|(service, mesh)| match mesh.port {
        80 => {
            let names = mesh.names().map(|name| format!("http://{name}.<network>/"));
            format!("{} answers at {}", service.name, names.collect::<Vec<_>>().join(" and "))
        }
        port => format!("the {} at port {port}", service.name),
    });
    let answers = answers.collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "# The agent of the home machine. Every key, with its default: docs/configuration.md.\n\n\
         # {answers}; uid is who listens on the socket.\n"
    );
    let entry = |(service, mesh): &(&services::Service, &Mesh)| {
        let port = mesh.port;
        let mut entry = format!(
            "[[service]]\nname = {:?}\nport = {port}\nsocket = {:?}\nuid = {}\n",
            service.name,
            socket(service),
            service.uid
        );
        if !mesh.pages {
            let but = mesh
                .page_name
                .map_or_else(String::new, |label| format!(" except at {label}.<network>"));
            let _ = write!(
                entry,
                "# It has no web page{but}; whoever took it over could not serve one either.\npages = false\n",
            );
        }
        if let Some(label) = mesh.page_name {
            let _ = writeln!(entry, "page_names = [{label:?}]");
        }
        if mesh.local {
            let _ = write!(
                entry,
                "# For programs of this machine, such as Open WebUI; each needs a key: maru app add NAME\n\
                 # local = [\"127.0.0.1:{port}\"]\n"
            );
        }
        if let Some(label) = mesh.https {
            let _ = write!(
                entry,
                "# Over HTTPS, too, with a certificate of the network's own authority: maru trust\nhttps = [{label:?}]\n"
            );
        }
        entry
    };
    text.push_str(&mesh_services.iter().map(entry).collect::<Vec<_>>().join("\n"));
    text.push('\n');
    text.push_str(WIREGUARD);
    text
}

/// Where the home agent reaches the coordinator: by loopback if that is listened on, since
/// few routers lead back in who calls their outer address from inside. Plain, whatever else is spoken there: what devices
/// say is inside Noise.
pub(super) fn local_url(config: &Coordinator) -> String {
    format!("http://{}", config.listen.reachable())
}

/// The settings of a mesh service: its names, and its peers.
fn mesh_toml(mesh: &Mesh, network: &str) -> String {
    let mut text = format!(
        "# {}. Every key, with its default: docs/configuration.md.\n\n\
         # Domain of the network; it answers to {}.<network>, and to the names below.\n\
         network = {network:?}\n\
         names = [\"home.{network}\"]\n",
        mesh.about, mesh.name
    );
    for (key, link) in mesh.peers {
        let listener = SERVICES.iter().find(|service| service.listens.contains(link));
        let listener = listener.map_or("", |service| service.name);
        let uid = link.owner;
        let _ = write!(text, "\n# Who listens on the {listener}'s socket.\n{key} = {uid}\n");
    }
    text
}

/// Both engines, the second as the first one's fallback.
fn openclaw() -> String {
    let provider = |name: &str, link: services::Link| {
        format!(
            "      {name}: {{\n        baseUrl: \"unix:///{}\",\n        \
             uid: {}, // who listens there\n        \
             api: \"openai-completions\",\n        \
             models: [{{ id: \"default\", name: \"The model of this machine\", maxTokens: 1024 }}],\n      \
             }},\n",
            link.socket, link.owner
        )
    };
    format!(
        "// Models and agents of Maru, in OpenClaw's format (JSON5).\n\
         {{\n  models: {{\n    providers: {{\n      // The embedded engine.\n{}      \
         // A second one, which answers when the first does not.\n{}    }},\n  }},\n  \
         agents: {{\n    defaults: {{\n      \
         model: {{ primary: \"llamacpp/default\", fallbacks: [\"spare/default\"] }},\n    \
         }},\n  }},\n}}\n",
        provider("llamacpp", INFERENCE),
        provider("spare", INFERENCE_2),
    )
}

fn write(root: &Path, file: &File) -> anyhow::Result<()> {
    let path = root.join(file.path);
    let access = Access { owner: Some((0, file.group)), ..Access::READABLE };
    durable::create(&path, access, file.text.as_bytes())
        .map(drop)
        .with_context(|| message!("file-not-saved", path = path.display()))
}

/// Replaces a file's text; owner and mode stay, and so does a copy of the former one.
fn replace(change: &Change) -> std::io::Result<()> {
    let found = std::fs::metadata(&change.path)?;
    let owner = Some((found.uid(), found.gid()));
    let access = Access { mode: found.mode() & 0o7777, owner };
    edited_file::replace(&change.path, access, &change.text)
}

#[cfg(test)]
mod tests;
