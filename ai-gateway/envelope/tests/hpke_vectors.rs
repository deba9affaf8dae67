//! The HPKE beneath this crate against vectors of other implementations: RFC 9180, the post-quantum and hybrid drafts
//! (draft-ietf-hpke-pq), and X-Wing of Go's standard library.
//!
//! Both directions of every entry are run: encapsulation with the entry's randomness must give its encapsulated key,
//! sealing its ciphertexts, opening its plaintexts, exporting its secrets. Which suites the crate lacks is listed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: nothing to do but fail, and it says how many ran"
)]

use std::{convert::Infallible, path::Path};

use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable,
    aead::{Aead, AeadCtxR, AeadCtxS, AesGcm128, AesGcm256, ChaCha20Poly1305, ExportOnlyAead},
    kdf::{
        HkdfSha256, HkdfSha384, HkdfSha512, Kdf, KdfShake128, KdfShake256, KdfTurboShake128,
        KdfTurboShake256,
    },
    kem::{
        DhP256HkdfSha256, DhP384HkdfSha384, DhP521HkdfSha512, MlKem768, MlKem768P256, MlKem1024,
        MlKem1024P384, X25519HkdfSha256, XWing,
    },
    rand_core::{TryCryptoRng, TryRng},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use shake::{ExtendableOutput, Shake128, Update, XofReader};

/// Bytes as hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        hex::decode(String::deserialize(from)?).map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Deserialize)]
struct Entry {
    mode: u8,
    kem_id: u16,
    kdf_id: u16,
    aead_id: u16,
    info: Hex,
    #[serde(rename = "ikmE")]
    ikm_e: Hex,
    #[serde(rename = "ikmR")]
    ikm_r: Hex,
    #[serde(rename = "skRm")]
    private: Hex,
    #[serde(rename = "pkRm")]
    public: Hex,
    enc: Hex,
    #[serde(default)]
    encryptions: Vec<Encryption>,
    #[serde(default)]
    exports: Vec<Export>,
    encryptions_accumulated: Option<Hex>,
    exports_accumulated: Option<Hex>,
}

#[derive(Debug, Deserialize)]
struct Encryption {
    aad: Hex,
    pt: Hex,
    ct: Hex,
}

#[derive(Debug, Deserialize)]
struct Export {
    exporter_context: Hex,
    #[serde(rename = "L")]
    length: usize,
    exported_value: Hex,
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Hands out the entry's randomness.
struct FixedRandom<'a>(&'a [u8]);

impl TryRng for FixedRandom<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("KEMs draw bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("KEMs draw bytes")
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), Infallible> {
        let (head, tail) = self.0.split_at(into.len());
        into.copy_from_slice(head);
        self.0 = tail;
        Ok(())
    }
}

impl TryCryptoRng for FixedRandom<'_> {}

/// Runs one entry in both directions.
fn run<K: Kem, D: Kdf, A: Aead>(entry: &Entry) {
    let (_, derived) = K::derive_keypair(&entry.ikm_r.0);
    assert_eq!(derived.to_bytes().as_slice(), entry.public.0, "DeriveKeyPair");
    let private = K::PrivateKey::from_bytes(&entry.private.0).unwrap();
    assert_eq!(
        K::sk_to_pk(&private).to_bytes().as_slice(),
        entry.public.0,
        "the private key's public key"
    );
    let public = K::PublicKey::from_bytes(&entry.public.0).unwrap();

    let mut given = FixedRandom(&entry.ikm_e.0);
    let (enc, mut sender) =
        hpke::setup_sender_with_rng::<A, D, K>(&OpModeS::Base, &public, &entry.info.0, &mut given)
            .unwrap();
    assert_eq!(enc.to_bytes().as_slice(), entry.enc.0, "encapsulated key");
    let enc = K::EncappedKey::from_bytes(&entry.enc.0).unwrap();
    let mut receiver =
        hpke::setup_receiver::<A, D, K>(&OpModeR::Base, &private, &enc, &entry.info.0).unwrap();

    for Encryption { aad, pt, ct } in &entry.encryptions {
        assert_eq!(sender.seal(&pt.0, &aad.0).unwrap(), ct.0, "ciphertext");
        assert_eq!(receiver.open(&ct.0, &aad.0).unwrap(), pt.0, "plaintext");
    }
    for Export { exporter_context, length, exported_value } in &entry.exports {
        assert_eq!(
            export(&sender, &exporter_context.0, *length),
            exported_value.0,
            "exported by the sender"
        );
        let mut exported = vec![0; *length];
        receiver.export(&exporter_context.0, &mut exported).unwrap();
        assert_eq!(exported, exported_value.0, "exported by the receiver");
    }
    if let Some(value) = &entry.encryptions_accumulated {
        assert_eq!(
            accumulate_encryptions(&mut sender, &mut receiver),
            value.0,
            "1,000 encryptions"
        );
    }
    if let Some(value) = &entry.exports_accumulated {
        assert_eq!(accumulate_exports(&sender), value.0, "1,000 exports");
    }
    let proofs = entry.encryptions.len() + entry.exports.len();
    assert!(proofs > 0 || entry.exports_accumulated.is_some(), "the entry proves something");
}

fn export<K: Kem, D: Kdf, A: Aead>(
    sender: &AeadCtxS<A, D, K>,
    context: &[u8],
    length: usize,
) -> Vec<u8> {
    let mut exported = vec![0; length];
    sender.export(context, &mut exported).unwrap();
    exported
}

/// Draws inputs: one byte n, then n bytes.
struct RandomTape(<Shake128 as ExtendableOutput>::Reader);

impl RandomTape {
    fn new() -> Self {
        Self(Shake128::default().finalize_xof())
    }

    fn next(&mut self) -> Vec<u8> {
        let mut length = [0];
        self.0.read(&mut length);
        let mut bytes = vec![0; usize::from(length[0])];
        self.0.read(&mut bytes);
        bytes
    }
}

/// First 16 bytes of what was absorbed.
fn digest(absorbed: Shake128) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    absorbed.finalize_xof().read(&mut bytes);
    bytes
}

fn accumulate_encryptions<K: Kem, D: Kdf, A: Aead>(
    sender: &mut AeadCtxS<A, D, K>,
    receiver: &mut AeadCtxR<A, D, K>,
) -> Vec<u8> {
    let (mut draw, mut absorbed) = (RandomTape::new(), Shake128::default());
    for _ in 0..1000 {
        let (aad, plaintext) = (draw.next(), draw.next());
        let ciphertext = sender.seal(&plaintext, &aad).unwrap();
        absorbed.update(&ciphertext);
        assert_eq!(receiver.open(&ciphertext, &aad).unwrap(), plaintext);
    }
    digest(absorbed)
}

fn accumulate_exports<K: Kem, D: Kdf, A: Aead>(sender: &AeadCtxS<A, D, K>) -> Vec<u8> {
    let (mut draw, mut absorbed) = (RandomTape::new(), Shake128::default());
    for length in 0..1000 {
        absorbed.update(&export(sender, &draw.next(), length));
    }
    digest(absorbed)
}

/// Runs the entry if the crate has its suite; says whether.
fn dispatch(entry: &Entry) -> bool {
    assert_eq!(entry.mode, 0, "base mode");
    macro_rules! suites {
        ($($kem:literal $kdf:literal $aead:literal => $K:ty, $D:ty, $A:ty;)*) => {
            match (entry.kem_id, entry.kdf_id, entry.aead_id) {
                $(($kem, $kdf, $aead) => run::<$K, $D, $A>(entry),)*
                _ => return false,
            }
        };
    }
    suites! {
        0x0020 0x0001 0x0001 => X25519HkdfSha256, HkdfSha256, AesGcm128;
        0x0020 0x0001 0x0002 => X25519HkdfSha256, HkdfSha256, AesGcm256;
        0x0020 0x0001 0x0003 => X25519HkdfSha256, HkdfSha256, ChaCha20Poly1305;
        0x0020 0x0001 0xffff => X25519HkdfSha256, HkdfSha256, ExportOnlyAead;
        0x0020 0x0003 0x0001 => X25519HkdfSha256, HkdfSha512, AesGcm128;
        0x0020 0x0003 0x0002 => X25519HkdfSha256, HkdfSha512, AesGcm256;
        0x0020 0x0003 0x0003 => X25519HkdfSha256, HkdfSha512, ChaCha20Poly1305;
        0x0020 0x0003 0xffff => X25519HkdfSha256, HkdfSha512, ExportOnlyAead;
        0x0010 0x0001 0x0001 => DhP256HkdfSha256, HkdfSha256, AesGcm128;
        0x0010 0x0001 0x0002 => DhP256HkdfSha256, HkdfSha256, AesGcm256;
        0x0010 0x0001 0x0003 => DhP256HkdfSha256, HkdfSha256, ChaCha20Poly1305;
        0x0010 0x0001 0xffff => DhP256HkdfSha256, HkdfSha256, ExportOnlyAead;
        0x0010 0x0003 0x0001 => DhP256HkdfSha256, HkdfSha512, AesGcm128;
        0x0010 0x0003 0x0002 => DhP256HkdfSha256, HkdfSha512, AesGcm256;
        0x0010 0x0003 0x0003 => DhP256HkdfSha256, HkdfSha512, ChaCha20Poly1305;
        0x0010 0x0003 0xffff => DhP256HkdfSha256, HkdfSha512, ExportOnlyAead;
        0x0012 0x0001 0x0001 => DhP521HkdfSha512, HkdfSha256, AesGcm128;
        0x0012 0x0001 0x0002 => DhP521HkdfSha512, HkdfSha256, AesGcm256;
        0x0012 0x0001 0x0003 => DhP521HkdfSha512, HkdfSha256, ChaCha20Poly1305;
        0x0012 0x0001 0xffff => DhP521HkdfSha512, HkdfSha256, ExportOnlyAead;
        0x0012 0x0003 0x0001 => DhP521HkdfSha512, HkdfSha512, AesGcm128;
        0x0012 0x0003 0x0002 => DhP521HkdfSha512, HkdfSha512, AesGcm256;
        0x0012 0x0003 0x0003 => DhP521HkdfSha512, HkdfSha512, ChaCha20Poly1305;
        0x0012 0x0003 0xffff => DhP521HkdfSha512, HkdfSha512, ExportOnlyAead;
        0x0041 0x0001 0x0001 => MlKem768, HkdfSha256, AesGcm128;
        0x0042 0x0002 0x0002 => MlKem1024, HkdfSha384, AesGcm256;
        0x0042 0x0013 0x0001 => MlKem1024, KdfTurboShake256, AesGcm128;
        0x0050 0x0001 0x0001 => MlKem768P256, HkdfSha256, AesGcm128;
        0x0050 0x0010 0x0002 => MlKem768P256, KdfShake128, AesGcm256;
        0x0051 0x0002 0x0002 => MlKem1024P384, HkdfSha384, AesGcm256;
        0x647a 0x0001 0x0003 => XWing, HkdfSha256, ChaCha20Poly1305;
        0x647a 0x0011 0x0003 => XWing, KdfShake256, ChaCha20Poly1305;
        0x0010 0x0010 0x0001 => DhP256HkdfSha256, KdfShake128, AesGcm128;
        0x0011 0x0011 0x0002 => DhP384HkdfSha384, KdfShake256, AesGcm256;
        0x0020 0x0012 0x0003 => X25519HkdfSha256, KdfTurboShake128, ChaCha20Poly1305;
    }
    true
}

/// Says which entry it was if it fails.
struct Running<'a>(&'a Entry);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Entry { kem_id, kdf_id, aead_id, .. } = self.0;
            println!("failed: KEM {kem_id:#06x}, KDF {kdf_id:#06x}, AEAD {aead_id:#06x}");
        }
    }
}

/// Runs a file; asserts how many entries ran, and that ours is among them.
fn run_file(name: &str, expected: usize, lacking: &[u16]) {
    let entries: Vec<Entry> = read(name);
    let (ran, skipped): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| {
        let _running = Running(entry);
        dispatch(entry)
    });
    let skipped: Vec<_> = skipped.iter().map(|entry| entry.kem_id).collect();

    let names: Vec<_> =
        skipped.iter().map(|kem| format!("; KEM {kem:#06x} is not there")).collect();
    println!(
        "HPKE vectors: {} of {} entries of {name} ran{}",
        ran.len(),
        entries.len(),
        names.concat()
    );
    assert_eq!(ran.len(), expected);
    assert_eq!(skipped, lacking);
}

#[test]
#[ignore = "needs: shared"]
fn rfc_9180() {
    run_file("rfc9180.json", 24, &[]);
}

/// The crate lacks ML-KEM-512 (0x0040) and X448 (0x0021).
#[test]
#[ignore = "needs: shared"]
fn post_quantum_and_hybrid_drafts() {
    run_file("hpke-pq.json", 11, &[0x0040, 0x0021]);
}

#[derive(Debug, Deserialize)]
struct GoEntry {
    sk: Hex,
    pk: Hex,
    enc: Hex,
    ct: Hex,
    export: Hex,
}

/// One single-shot message; its suite and inputs are those that open it.
#[test]
#[ignore = "needs: shared"]
fn x_wing_of_go() {
    let entries: Vec<GoEntry> = read("go-stdlib-xwing.json");
    for entry in &entries {
        let private = <XWing as Kem>::PrivateKey::from_bytes(&entry.sk.0).unwrap();
        assert_eq!(XWing::sk_to_pk(&private).to_bytes().as_slice(), entry.pk.0);
        let enc = <XWing as Kem>::EncappedKey::from_bytes(&entry.enc.0).unwrap();
        let context = hpke::setup_receiver::<AesGcm128, HkdfSha256, XWing>(
            &OpModeR::Base,
            &private,
            &enc,
            b"info",
        );
        let mut context = context.unwrap();

        assert_eq!(context.open(&entry.ct.0, b"aad").unwrap(), b"hello x-wing from go stdlib");
        let mut exported = [0; 16];
        context.export(b"message/bhttp response", &mut exported).unwrap();
        assert_eq!(exported[..], entry.export.0);
    }
    println!("HPKE vectors: {} of {0} entries of go-stdlib-xwing.json ran", entries.len());
    assert_eq!(entries.len(), 1);
}
