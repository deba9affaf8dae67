//! A deployment in one process: configuration, gateway, router and node, with the envelope's own halves. Each test
//! changes what one of them does.

mod answers;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, SystemTime},
};

use attestation::{Pin, PinnedAnchor, bound_nonce};
use attester::{Authority, Chain, Claims, Lifetime};
use axum::{
    Router,
    routing::{get, post},
};
use common::wire::{Bytes as WireBytes, Fixed, Version};
use confidential_api::{
    NodeId,
    bundle::{Bundle, BundleKey},
    certificate::{Certificate, Use},
    config::{Attestation, Config, ConfigVersion, Features, KeySource},
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::{Anchor, EvidenceKind, Image, Policy, Registers, RekKind},
    signed::Signed,
};
use confidential_envelope::{
    Aead, Kem, PrivateKey,
    ohttp::{self, GatewayKey},
};
use ed25519_dalek::SigningKey;
use llm_backend::{
    Timeouts,
    confidential::{Confidential, InMemoryStore, SeenStore, Settings},
};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use uuid::Uuid;

pub(crate) const MODEL: &str = "smollm2";
const HOUR_MS: u64 = 3_600_000;
const MODULE: &str = "i-0-enc0";

/// What takes long to make.
struct TestChain {
    authority: Authority,
    chain: Chain,
}

static LAB: LazyLock<TestChain> = LazyLock::new(|| {
    let authority = Authority::generate().unwrap();
    let chain = authority.chain(MODULE, Lifetime::of_a_leaf(now_ms() / 1000)).unwrap();
    TestChain { authority, chain }
});

/// When all documents were made: the same script makes the same bytes.
static NOW: LazyLock<u64> = LazyLock::new(now_ms);

/// What each of them does; by default as it should.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) features: Features,
    pub(crate) epoch: u64,
    pub(crate) bundle_epoch: u64,
    pub(crate) policy_epoch: u64,
    pub(crate) key_source: KeySource,
    /// Who signs the configuration.
    pub(crate) signer: u8,
    /// Whose certificate it shows.
    pub(crate) certified_for: Use,
    pub(crate) policy_simulated: bool,
    /// The gateway forgets its key once, so many times.
    pub(crate) key_problems: u32,
    /// Nodes have no `/attest`.
    pub(crate) no_attest: bool,
    /// The node left since it was shown.
    pub(crate) gone: bool,
    /// The evidence is for another nonce.
    pub(crate) other_nonce: bool,
    /// What runs on the nodes.
    pub(crate) registers: u8,
    /// Another key is sealed to than the evidence is of.
    pub(crate) other_key: bool,
    /// Another node answers than was offered.
    pub(crate) not_offered: bool,
    /// The answer comes without its seals.
    pub(crate) unsealed: Option<&'static str>,
    /// So many bytes of the inner answer's end are missing.
    pub(crate) cut: usize,
    /// The node refuses this many requests.
    pub(crate) refuses: u32,
    /// What the node says under its seal.
    pub(crate) status: u16,
    /// Requests that are sealed to nodes.
    pub(crate) questions: u32,
    /// Requests for evidence.
    pub(crate) attested: u32,
    /// Fetches of the configuration.
    pub(crate) fetched: u32,
    /// What was opened.
    pub(crate) heard: Vec<String>,
    /// The nodes that the last one was sealed to.
    pub(crate) candidates: Vec<NodeId>,
    /// What they were sealed with.
    pub(crate) sealed_keys: Vec<Vec<u8>>,
    /// Auth takes requests and answers none.
    pub(crate) auth_hangs: bool,
    /// Requests that auth has taken and not answered, and answers that stopped coming, whose caller still waits.
    pub(crate) hanging: u32,
    /// The router has no room for questions for evidence.
    pub(crate) attest_is_full: bool,
    /// Where an answer to a question stops coming: after the `gateway`'s head, after the `node`'s, or before the end of
    /// the `reply`.
    pub(crate) stops: Option<&'static str>,
    /// What the policy says of the nodes' code.
    pub(crate) policy_registers: u8,
    /// What was made at another time than the present.
    pub(crate) old: Old,
    /// What a second node does that the router shows, if there is one.
    pub(crate) second: Option<SecondRelay>,
    /// How long the gateway takes for a request that is not a chat.
    pub(crate) slow: Duration,
}

/// How a second node answers a request for evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecondRelay {
    /// Its evidence is not valid.
    Refused,
    /// It proves itself; it has the key of the first.
    Proves,
    /// It answers nothing.
    Hangs,
}

/// Documents that were made at another time than the present: by so many hours earlier.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Old {
    pub(crate) policy: i64,
    pub(crate) certificate: i64,
    pub(crate) leaf: i64,
}

/// The present, so many hours ago.
fn ago(hours: i64) -> u64 {
    NOW.saturating_add_signed(-hours * i64::try_from(HOUR_MS).unwrap())
}

impl Default for Script {
    fn default() -> Self {
        Self {
            features: Features { ohttp: true, real_attestation: true },
            epoch: 5,
            bundle_epoch: 5,
            policy_epoch: 5,
            key_source: KeySource::Gateway,
            signer: 2,
            certified_for: Use::Config,
            policy_simulated: true,
            key_problems: 0,
            no_attest: false,
            gone: false,
            other_nonce: false,
            registers: 10,
            other_key: false,
            not_offered: false,
            unsealed: None,
            cut: 0,
            refuses: 0,
            status: 200,
            questions: 0,
            attested: 0,
            fetched: 0,
            heard: Vec::new(),
            candidates: Vec::new(),
            sealed_keys: Vec::new(),
            auth_hangs: false,
            hanging: 0,
            attest_is_full: false,
            stops: None,
            policy_registers: 10,
            old: Old::default(),
            second: None,
            slow: Duration::ZERO,
        }
    }
}

/// The deployment.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) script: Arc<Mutex<Script>>,
    gateway: Arc<GatewayKey>,
    rek: Arc<Mutex<Arc<PrivateKey>>>,
    node: NodeId,
    second: NodeId,
    at: std::net::SocketAddr,
}

pub(crate) fn identity() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn key(of: u8) -> SigningKey {
    SigningKey::from_bytes(&[of; 32])
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn certificate(of: u8, usage: Use, hours_ago: i64) -> Signed<Certificate> {
    let certificate = Certificate {
        version: Version,
        usage,
        key: Fixed(key(of).verifying_key().to_bytes()),
        not_before: ago(hours_ago) - HOUR_MS,
        not_after: ago(hours_ago) + HOUR_MS,
        first_epoch: 0,
    };
    Signed::sign(&certificate, &identity(), None).unwrap()
}

fn anchor() -> Anchor {
    Anchor {
        name: "lab".to_owned(),
        kind: EvidenceKind::Nitro,
        certificate: Some(WireBytes(LAB.authority.certificate().to_vec())),
        key: None,
    }
}

/// What the home pins.
pub(crate) fn pin() -> Pin {
    Pin {
        identity: Fixed(identity().verifying_key().to_bytes()),
        anchors: vec![PinnedAnchor { anchor: anchor(), vendor: false }],
        images: None,
        min_epoch: 0,
    }
}

impl Deployment {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let private = PrivateKey::generate(Kem::XWing).unwrap();
        let deployment = Self {
            script: Arc::default(),
            gateway: Arc::new(GatewayKey::new(7, private, vec![Aead::Aes128Gcm]).unwrap()),
            rek: Arc::new(Mutex::new(Arc::new(PrivateKey::generate(Kem::XWing).unwrap()))),
            node: NodeId::new(Uuid::now_v7()).unwrap(),
            second: NodeId::new(Uuid::now_v7()).unwrap(),
            at: listener.local_addr().unwrap(),
        };
        let router = Router::new()
            .route("/api/config", get(answers::config))
            .route("/", post(answers::relay))
            .with_state(deployment.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        deployment
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    /// The node starts anew, with another key.
    pub(crate) fn exchange_key(&self) {
        *self.rek.lock().unwrap() = Arc::new(PrivateKey::generate(Kem::XWing).unwrap());
    }

    pub(crate) fn seen(&self) -> Script {
        self.script.lock().unwrap().clone()
    }

    pub(crate) fn settings(&self) -> Settings {
        let url = format!("http://{}", self.at);
        Settings {
            name: "lab".to_owned(),
            auth: llm_backend::Settings::new(url.clone()),
            relays: vec![llm_backend::Settings::new(url)],
            pin: pin(),
            simulated: true,
            shared_seeds: false,
            verified_for: Duration::from_secs(60),
            timeouts: Timeouts::default(),
            memory: Arc::new(InMemoryStore::default()),
        }
    }

    pub(crate) fn client(&self) -> Confidential {
        Confidential::new(self.settings()).unwrap()
    }

    pub(crate) fn client_with(&self, memory: Arc<dyn SeenStore>) -> Confidential {
        Confidential::new(Settings { memory, ..self.settings() }).unwrap()
    }

    fn config(&self, script: &Script) -> Config {
        let policy = Policy {
            version: Version,
            policy_id: "2026-11".to_owned(),
            epoch: script.policy_epoch,
            not_after: ago(script.old.policy) + HOUR_MS,
            simulated: script.policy_simulated,
            anchors: vec![anchor()],
            images: vec![Image {
                name: "maru-compute test".to_owned(),
                kind: EvidenceKind::Nitro,
                models: vec![MODEL.to_owned()],
                pcrs: Registers(
                    registers(script.policy_registers)
                        .into_iter()
                        .map(|(at, it)| (u8::try_from(at).unwrap(), it))
                        .collect(),
                ),
                rek: RekKind::XWing,
            }],
        };
        let (active_from, active_until) = (*NOW - HOUR_MS, *NOW + HOUR_MS);
        let config = WireBytes(self.gateway.config().encode());
        let keys = vec![BundleKey { key_id: 7, config, active_from, active_until }];
        let bundle = Bundle { version: Version, epoch: script.bundle_epoch, keys };
        let bundle = Signed::sign(&bundle, &key(3), Some(certificate(3, Use::Bundle, 0))).unwrap();
        let period = confidential_api::config::Period { key_id: 7, active_from, active_until };
        Config {
            version: ConfigVersion,
            features: script.features,
            relay_urls: vec!["https://relay.invalid".to_owned()],
            gateway_url: "https://gateway.invalid".to_owned(),
            router_url: "https://router.invalid".to_owned(),
            ohttp_key_configs_bundle: ohttp::KeyConfig::encode_list(&[self
                .gateway
                .config()
                .clone()]),
            ohttp_key_rotation_periods: vec![period],
            attestation: Attestation {
                policy_id: "2026-11".to_owned(),
                allowed_images: Signed::sign(&policy, &identity(), None).unwrap(),
                verifier_hints: Vec::new(),
            },
            epoch: script.epoch,
            key_source: script.key_source,
            bundle: (script.key_source == KeySource::Gateway).then_some(bundle),
        }
    }

    fn key_config(&self) -> Vec<u8> {
        let rek = self.rek.lock().unwrap();
        [&[0x64, 0x7a, 0, 1, 0, 1][..], &rek.public().to_bytes()].concat()
    }

    fn evidence(&self, script: &Script, node: NodeId, nonce: [u8; 32]) -> EvidenceList {
        let refused = node == self.second && script.second == Some(SecondRelay::Refused);
        let set = if script.other_nonce || refused { vec![9; 32] } else { nonce.to_vec() };
        let key_config = self.key_config();
        let old_chain;
        let chain = if script.old.leaf == 0 {
            &LAB.chain
        } else {
            let made = Lifetime::of_a_leaf(ago(script.old.leaf) / 1000);
            old_chain = LAB.authority.chain(MODULE, made).unwrap();
            &old_chain
        };
        let bound = if script.other_key { vec![0; 3] } else { key_config.clone() };
        let claims = Claims {
            module_id: MODULE.to_owned(),
            timestamp: now_ms(),
            pcrs: registers(script.registers),
            certificate: chain.certificate.clone(),
            cabundle: chain.bundle.clone(),
            public_key: None,
            user_data: Some(Sha256::digest(bound).to_vec()),
            nonce: Some(bound_nonce(&set).to_vec()),
        };
        let document = claims.sign(&chain.key).unwrap();
        let piece = |kind, data| EvidencePiece { kind, data, signature: Vec::new() };
        EvidenceList(vec![
            piece(EvidenceType::NITRO_DOCUMENT, document),
            piece(EvidenceType::NONCE_SET, set),
            piece(EvidenceType::KEY_CONFIG, key_config),
        ])
    }
}

fn registers(of: u8) -> BTreeMap<u16, Vec<u8>> {
    (0..3).map(|index| (index, vec![of + u8::try_from(index).unwrap(); 48])).collect()
}
