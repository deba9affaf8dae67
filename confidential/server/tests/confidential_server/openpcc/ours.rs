//! What of the chain is ours: gateway, router and auth in this process, and a node of real processes.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, LazyLock},
    thread,
    time::Duration,
};

use attestation::{Pin, PinnedAnchor};
use attester::{Authority, nsm::Module};
use common::wire::Bytes;
use confidential_api::{
    evidence::EvidencePiece,
    names::path,
    policy::{Anchor, EvidenceKind, Image, Policy, Registers, RekKind},
    quote::TpmQuote,
    routing::{ComputeManifest, ComputeManifestList, ComputeManifestRequest},
    settings::{self, gateway},
};
use confidential_envelope::ohttp::KeyConfig;
use hyper::Method;
use lab::swtpm::{self, Swtpm};
use llm_backend::{
    Timeouts,
    confidential::{Confidential, InMemoryStore, Settings},
};
use sha2::{Digest as _, Sha256};
use testkit::{blocking, eventually};

use super::{
    super::{
        client::{active, request},
        world::{TestDeployment, run},
    },
    engine::Engine,
};

/// What the nodes answer as.
pub(super) const MODEL: &str = "smollm2";

/// The root of the stand-ins for security modules.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::generate().unwrap());

/// What a node shows, and what the policy says of it.
pub(super) struct NodeMeasurement {
    pub(super) anchor: Anchor,
    pub(super) registers: Registers,
    pub(super) model: &'static str,
    tpm: Option<Tpm>,
}

/// A TPM, in a folder of its own.
struct Tpm {
    swtpm: Swtpm,
    _folder: tempfile::TempDir,
}

impl NodeMeasurement {
    /// The stand-in for an enclave's security module.
    pub(super) fn enclave() -> Self {
        let anchor = Anchor {
            name: "lab".to_owned(),
            kind: EvidenceKind::Nitro,
            certificate: Some(Bytes(AUTHORITY.certificate().to_vec())),
            key: None,
        };
        let registers = Registers((0..3).map(|index| (index, vec![1; 48])).collect());
        Self { anchor, registers, model: MODEL, tpm: None }
    }

    /// A TPM whose registers 8 and 12 were extended.
    pub(super) fn machine() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let swtpm = Swtpm::start(&folder.path().join("tpm")).unwrap();
        let registers = [(8, [8; 32]), (12, [12; 32])].map(|(register, digest)| {
            swtpm::extend(swtpm.socket(), register, digest).unwrap();
            let value = Sha256::new().chain_update([0; 32]).chain_update(digest).finalize();
            (register, value.to_vec())
        });
        let settings = folder.path().join("ak.toml");
        fs::write(&settings, format!("tpm = {:?}\n", swtpm.socket())).unwrap();
        let mut command = Command::new(lab::binary("maru-compute").unwrap());
        let printed = command.arg("--config").arg(settings).arg("ak").output().unwrap();
        assert!(printed.status.success(), "{printed:?}");
        let anchor = serde_json::from_slice(&printed.stdout).unwrap();
        let tpm = Some(Tpm { swtpm, _folder: folder });
        Self { anchor, registers: Registers(registers.into()), model: MODEL, tpm }
    }

    /// A stock node, by what it shows: its attestation key and the registers that it quotes, whatever they hold.
    pub(super) fn stock(ak: &EvidencePiece, quote: &EvidencePiece, model: &'static str) -> Self {
        let anchor = Anchor {
            name: "stock".to_owned(),
            kind: EvidenceKind::Tpm,
            certificate: None,
            key: Some(Bytes(ak.data.clone())),
        };
        let registers = TpmQuote::decode(&quote.data).unwrap().registers;
        Self { anchor, registers, model, tpm: None }
    }

    /// What a home pins of it.
    pub(super) fn pin(&self, world: &TestDeployment) -> Pin {
        let anchors = vec![PinnedAnchor { anchor: self.anchor.clone(), vendor: false }];
        Pin { identity: world.identity, anchors, images: None, min_epoch: 0 }
    }

    /// What the deployment publishes of it, signed.
    pub(super) fn signed(&self, world: &TestDeployment) -> String {
        let file = world.root.path().join("policy.json");
        fs::write(&file, serde_json::to_vec(&self.policy()).unwrap()).unwrap();
        run(&world.own(), &["sign-policy", file.to_str().unwrap()]).unwrap()
    }

    /// Starts what shows it; the line of the node's settings that names it.
    fn serve(&self, root: &Path) -> String {
        if let Some(tpm) = &self.tpm {
            return format!("tpm = {:?}", tpm.swtpm.socket());
        }
        let registers: BTreeMap<u16, Vec<u8>> =
            self.registers.0.iter().map(|(at, value)| (u16::from(*at), value.clone())).collect();
        let authority =
            Authority::from_pem(&AUTHORITY.key_pem(), &AUTHORITY.certificate_pem()).unwrap();
        let module = Module::new("i-0-enc0".to_owned(), authority, &registers).unwrap();
        let socket = root.join("run/nsm.sock");
        let listener = attester::serve::listen(&socket).unwrap();
        thread::spawn(move || attester::serve::serve(&listener, module));
        format!("nsm = {socket:?}")
    }

    fn policy(&self) -> Policy {
        let kind = self.anchor.kind;
        let rek = match kind {
            EvidenceKind::Nitro => RekKind::XWing,
            EvidenceKind::Tpm => RekKind::P256,
        };
        let image = Image {
            name: "maru-compute".to_owned(),
            kind,
            models: vec![self.model.to_owned()],
            pcrs: self.registers.clone(),
            rek,
        };
        Policy {
            version: Default::default(),
            policy_id: "2026-11".to_owned(),
            epoch: 2,
            not_after: 4_000_000_000_000,
            simulated: true,
            anchors: vec![self.anchor.clone()],
            images: vec![image],
        }
    }
}

/// Gateway, router and auth.
pub(super) struct TestChain {
    pub(super) world: TestDeployment,
    pub(super) router: SocketAddr,
    /// The gateway's key.
    pub(super) key: KeyConfig,
    pub(super) gateway: SocketAddr,
    auth: SocketAddr,
    pin: Pin,
}

impl TestChain {
    /// Starts them where the stock relay looks for the gateway.
    pub(super) async fn start(measured: &NodeMeasurement) -> Self {
        let world = TestDeployment::new();
        fs::write(world.file("policy.json"), measured.signed(&world)).unwrap();

        // A stock node tells that it lives once a minute.
        let nodes =
            settings::router::Nodes { silent_s: 90, check_every_s: 1, ..Default::default() };
        let settings = settings::router::Settings { nodes, ..Default::default() };
        let router = world.router_with(settings).await;
        let settings = gateway::Settings {
            listen_plain: Some(([127, 0, 0, 1], 3200).into()),
            // The stock relay keeps the name that it was called by itself.
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            ..world.gateway_settings(router)
        };
        let (gateway, _) = world.gateway_both(settings).await;
        let (auth, _) = world.auth(world.auth_settings(gateway)).await;
        world.config(auth).await;
        let key = active(&world.client().bundle(gateway, &world.identity).await);
        let pin = measured.pin(&world);
        Self { world, router, key, gateway, auth, pin }
    }

    /// The client of a home, which asks through this relay.
    pub(super) fn client(&self, relay: llm_backend::Settings) -> Confidential {
        let mut auth = llm_backend::Settings::new(format!("https://{}", self.auth));
        auth.tls.ca = Some(self.world.file("ca.crt"));
        let settings = Settings {
            name: "lab".to_owned(),
            auth,
            relays: vec![relay],
            pin: self.pin.clone(),
            simulated: true,
            shared_seeds: false,
            verified_for: Duration::from_secs(60),
            timeouts: Timeouts::default(),
            memory: Arc::new(InMemoryStore::default()),
        };
        Confidential::new(settings).unwrap()
    }

    /// What the router shows of nodes with a model, as soon as there is one.
    pub(super) async fn manifests(&self, model: &str) -> Vec<ComputeManifest> {
        let asked = ComputeManifestRequest { tags: vec![format!("model={model}")], limit: 9 };
        let headers = [("content-type", confidential_api::names::media::BINARY)];
        let asked = request(Method::POST, path::COMPUTE_MANIFESTS, &headers, &asked.encode());
        eventually("the router knows a node", async || {
            let opened = self.world.client().ask(self.gateway, &self.key, &asked).await;
            let list = ComputeManifestList::decode(&opened.content).unwrap();
            Some(list.0).filter(|list| !list.is_empty())
        })
        .await
    }
}

/// `maru-compute`, as it runs on a node.
pub(super) struct Node {
    processes: Vec<Child>,
    _root: tempfile::TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Node {
    /// Starts one at a router of ours.
    pub(super) async fn start(
        ours: &TestChain,
        measured: &NodeMeasurement,
        engine: &Engine,
    ) -> Self {
        let at = lab::free_port().unwrap();
        let router = format!("https://{}", ours.router);
        Self::start_at(&ours.world, measured, engine, at, &format!("https://{at}"), &router)
    }

    /// Starts one that listens at this address, and tells this router that it is reached at this URL.
    pub(super) fn start_at(
        world: &TestDeployment,
        measured: &NodeMeasurement,
        engine: &Engine,
        at: SocketAddr,
        url: &str,
        router: &str,
    ) -> Self {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc/maru/confidential");
        fs::create_dir_all(&etc).unwrap();
        for file in ["ca.crt", "node.crt", "node.key"] {
            fs::copy(world.file(file), etc.join(file)).unwrap();
        }
        fs::create_dir_all(root.path().join("run")).unwrap();
        engine.listen(&root.path().join("run/engine.sock"));
        let shown = measured.serve(root.path());
        let settings = format!(
            "listen = \"{at}\"\nurl = \"{url}\"\nheartbeat_s = 1\nmodels = [\"{MODEL}\"]\n\
             engine = \"run/engine.sock\"\n{shown}\n[router]\nurl = \"{router}\"\n",
        );
        fs::write(root.path().join("etc/maru/confidential-compute.toml"), settings).unwrap();
        let boot = process(root.path(), "boot");
        let socket = root.path().join("run/maru/confidential-boot/boot.sock");
        blocking::eventually("boot begins", || socket.exists());
        let processes = vec![boot, process(root.path(), "router-com")];
        Self { processes, _root: root }
    }
}

fn process(root: &Path, process: &str) -> Child {
    let mut command = Command::new(lab::binary("maru-compute").unwrap());
    command.arg("--root").arg(root).arg(process).stdin(Stdio::null()).spawn().unwrap()
}
