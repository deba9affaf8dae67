//! A deployment in a folder of its own, and its roles in this process.

use std::{
    fs::OpenOptions, io::Write as _, net::SocketAddr, os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use clap::Parser as _;
use confidential_api::{
    names::path,
    policy::{EvidenceKind, Image, Policy, Registers, RekKind},
    settings::{self, Upstream},
    signed::PublicKey,
};
use confidential_server::{auth, deployment::Deployment, gateway, relay, router};
use tempfile::TempDir;
use testkit::eventually;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::client::{Answer, Client};

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    deployment: Deployment,
}

/// Runs a command of a deployment's folder.
pub(crate) fn run(folder: &std::path::Path, words: &[&str]) -> Result<String, String> {
    let folder = ["deployment", "--folder", folder.to_str().unwrap()];
    let command = Command::try_parse_from(folder.iter().chain(words)).map_err(|e| e.to_string())?;
    command.deployment.run().map_err(|error| error.to_string())
}

/// A deployment, and what of it runs.
pub(crate) struct TestDeployment {
    pub(crate) root: TempDir,
    pub(crate) identity: PublicKey,
    stop: CancellationToken,
    _stops: DropGuard,
}

/// An upstream at this address.
pub(crate) fn at(address: SocketAddr) -> Upstream {
    Upstream { url: format!("https://{address}"), ..Upstream::default() }
}

impl TestDeployment {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("own");
        let identity = run(&own, &["init"]).unwrap().parse().unwrap();
        let etc = root.path().join("etc/maru/confidential");
        let out = etc.to_str().unwrap().to_owned();
        for machine in ["relay", "auth"] {
            run(&own, &["machine", machine, "127.0.0.1", "--out", &out]).unwrap();
        }
        for role in ["gateway", "router", "node"] {
            run(&own, &["machine", role, "127.0.0.1", "--role", role, "--out", &out]).unwrap();
        }
        for usage in ["bundle", "config"] {
            let file = etc.join(format!("{usage}.key"));
            let key = run(&own, &["key", file.to_str().unwrap()]).unwrap();
            // A key may begin with a dash.
            let key = format!("--key={key}");
            let certificate = run(&own, &["certify", "--for", usage, &key]).unwrap();
            std::fs::write(etc.join(format!("{usage}.json")), certificate).unwrap();
        }
        let stop = CancellationToken::new();
        let world = Self { root, identity, _stops: stop.clone().drop_guard(), stop };
        world.policy("2026-11", 1);
        world
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join("etc/maru/confidential").join(name)
    }

    pub(crate) fn own(&self) -> PathBuf {
        self.root.path().join("own")
    }

    /// Writes a file that its owner alone may read.
    pub(crate) fn secret(&self, name: &str, text: &str) {
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
        options.open(self.file(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Puts a policy in place.
    pub(crate) fn policy(&self, id: &str, epoch: u64) {
        let image = Image {
            name: "maru-compute".to_owned(),
            kind: EvidenceKind::Nitro,
            models: vec!["smollm2".to_owned()],
            pcrs: Registers([(0, vec![1; 48])].into()),
            rek: RekKind::XWing,
        };
        let policy = Policy {
            version: Default::default(),
            policy_id: id.to_owned(),
            epoch,
            not_after: 4_000_000_000_000,
            simulated: false,
            anchors: vec![],
            images: vec![image],
        };
        let file = self.root.path().join("policy.json");
        std::fs::write(&file, serde_json::to_vec(&policy).unwrap()).unwrap();
        let signed = run(&self.own(), &["sign-policy", file.to_str().unwrap()]).unwrap();
        std::fs::write(self.file("policy.json"), signed).unwrap();
    }

    /// A client that trusts the deployment's authority.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.file("ca.crt"), None)
    }

    /// The same with a machine's certificate.
    pub(crate) fn client_as(&self, machine: &str) -> Client {
        let file = |kind| self.file(&format!("{machine}.{kind}"));
        let own = chassis::tls::CertificateFiles { certificate: file("crt"), key: file("key") };
        Client::new(&self.file("ca.crt"), Some(&own))
    }

    pub(crate) async fn router(&self) -> SocketAddr {
        self.router_with(settings::router::Settings {
            nodes: settings::router::Nodes { check_every_s: 1, ..Default::default() },
            ..Default::default()
        })
        .await
    }

    pub(crate) async fn router_with(&self, settings: settings::router::Settings) -> SocketAddr {
        let settings = settings::router::Settings { listen: local(), ..settings };
        let role = router::start(self.root.path(), &settings).await.unwrap();
        let address = role.addresses().0.unwrap();
        tokio::spawn(role.serve(self.stop.clone()));
        address
    }

    pub(crate) fn gateway_settings(&self, router: SocketAddr) -> settings::gateway::Settings {
        settings::gateway::Settings {
            listen: local(),
            names: vec!["127.0.0.1".to_owned()],
            router: at(router),
            ..Default::default()
        }
    }

    pub(crate) async fn gateway(&self, settings: settings::gateway::Settings) -> SocketAddr {
        self.gateway_until(settings, self.stop.clone()).await
    }

    pub(crate) async fn gateway_until(
        &self,
        settings: settings::gateway::Settings,
        stop: CancellationToken,
    ) -> SocketAddr {
        let role = gateway::start(self.root.path(), &settings).await.unwrap();
        let address = role.addresses().0.unwrap();
        tokio::spawn(role.serve(stop));
        address
    }

    /// Where it listens with TLS, and without.
    pub(crate) async fn gateway_both(
        &self,
        settings: settings::gateway::Settings,
    ) -> (SocketAddr, SocketAddr) {
        let role = gateway::start(self.root.path(), &settings).await.unwrap();
        let (secure, plain) = role.addresses();
        tokio::spawn(role.serve(self.stop.clone()));
        (secure.unwrap(), plain.unwrap())
    }

    pub(crate) async fn relay(&self, gateway: SocketAddr) -> SocketAddr {
        self.relay_to(&at(gateway).url).await
    }

    pub(crate) async fn relay_to(&self, gateway: &str) -> SocketAddr {
        self.relay_with(self.relay_settings(gateway)).await
    }

    pub(crate) fn relay_settings(&self, gateway: &str) -> settings::relay::Settings {
        let gateway = Upstream { url: gateway.to_owned(), ..Upstream::default() };
        settings::relay::Settings { listen: local(), gateway, ..Default::default() }
    }

    pub(crate) async fn relay_with(&self, settings: settings::relay::Settings) -> SocketAddr {
        let role = relay::start(self.root.path(), &settings).await.unwrap();
        let address = role.addresses().0.unwrap();
        tokio::spawn(role.serve(self.stop.clone()));
        address
    }

    pub(crate) fn auth_settings(&self, gateway: SocketAddr) -> settings::auth::Settings {
        settings::auth::Settings {
            listen: local(),
            identity: Some(self.identity),
            relay_urls: vec!["https://relay.example:3100".to_owned()],
            router_url: "https://router.example:3600".to_owned(),
            gateway: at(gateway),
            refresh_s: 1,
            ..Default::default()
        }
    }

    /// Serves until the returned token is cancelled.
    pub(crate) async fn auth(
        &self,
        settings: settings::auth::Settings,
    ) -> (SocketAddr, CancellationToken) {
        let stop = self.stop.child_token();
        let role = auth::start(self.root.path(), &settings).await.unwrap();
        let address = role.addresses().0.unwrap();
        tokio::spawn(role.serve(stop.clone()));
        (address, stop)
    }

    /// Asks auth until it has a configuration.
    pub(crate) async fn config(&self, auth: SocketAddr) -> Answer {
        eventually("a configuration", async || {
            Some(self.client().get(auth, path::CONFIG).await).filter(|answer| answer.status == 200)
        })
        .await
    }
}

fn local() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}
