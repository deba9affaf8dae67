//! Stands in for a TPM 2.0: evidence like its own, signed by a key in software.
//!
//! Everything can be changed before it is signed, also to what no TPM would sign. The bytes are written here by hand,
//! after Part 2 of the TPM 2.0 Library specification, so that a verifier is not tested with its own reader.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use confidential_api::{
    evidence::{EvidenceList, EvidencePiece, EvidenceType},
    policy::Registers,
    quote::TpmQuote,
};
use sha2::{Digest as _, Sha256};

/// `TPM_GENERATED_VALUE`.
pub const GENERATED: u32 = 0xff54_4347;
/// `TPM_ST_ATTEST_QUOTE`.
pub const ATTEST_QUOTE: u16 = 0x8018;
/// `TPM_ST_ATTEST_CREATION`.
pub const ATTEST_CREATION: u16 = 0x801a;
/// `TPM_ALG_SHA256`.
pub const SHA256: u16 = 0x000b;
/// `TPM_ALG_NULL`.
pub const NULL: u16 = 0x0010;
/// `TPM_ALG_RSASSA`.
pub const RSASSA: u16 = 0x0014;
/// `TPM_ALG_ECDH`.
pub const ECDH: u16 = 0x0019;
/// `TPM_ALG_RSA`.
pub const RSA: u16 = 0x0001;
/// `TPM_ALG_ECC`.
pub const ECC: u16 = 0x0023;
/// `TPM_ECC_NIST_P256`.
pub const P256: u16 = 0x0003;

/// `TPMA_OBJECT`: bits of a key's attributes.
pub mod attribute {
    /// It never leaves its TPM.
    pub const FIXED_TPM: u32 = 1 << 1;
    /// It ends with the next start of the TPM.
    pub const ST_CLEAR: u32 = 1 << 2;
    /// It never leaves its parent.
    pub const FIXED_PARENT: u32 = 1 << 4;
    /// The TPM made its secret.
    pub const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    /// Who knows its secret may use it.
    pub const USER_WITH_AUTH: u32 = 1 << 6;
    /// Who administers it satisfies its policy.
    pub const ADMIN_WITH_POLICY: u32 = 1 << 7;
    /// Wrong secrets are not counted.
    pub const NO_DA: u32 = 1 << 10;
    /// It leaves encrypted alone.
    pub const ENCRYPTED_DUPLICATION: u32 = 1 << 11;
    /// It signs or decrypts only what its TPM made.
    pub const RESTRICTED: u32 = 1 << 16;
    /// It decrypts.
    pub const DECRYPT: u32 = 1 << 17;
    /// It signs.
    pub const SIGN: u32 = 1 << 18;
}

/// A key that signs as a TPM's attestation key.
pub struct AttestationKey(KeyPair);

impl AttestationKey {
    /// Makes one: RSA of 2,048 bits.
    ///
    /// # Errors
    ///
    /// Fails if none can be made.
    pub fn generate() -> Result<Self> {
        Self::of_size(KeySize::Rsa2048)
    }

    /// Makes one of another size.
    ///
    /// # Errors
    ///
    /// Fails if none can be made.
    pub fn of_size(size: KeySize) -> Result<Self> {
        KeyPair::generate(size).map(Self).map_err(|_| anyhow!("no RSA key can be made"))
    }

    /// Its public area.
    #[must_use]
    pub fn public(&self) -> Public {
        // RSAPublicKey (RFC 8017, A.1.1) ends with the modulus and the exponent, which is 65,537.
        let der = self.0.public_key().as_ref();
        let before_exponent = der.strip_suffix(&[2, 3, 1, 0, 1]).unwrap_or_default();
        let len = self.0.public_modulus_len();
        let modulus =
            before_exponent.get(before_exponent.len().saturating_sub(len)..).unwrap_or_default();
        let bits = u16::try_from(len * 8).unwrap_or_default();
        Public {
            algorithm: RSA,
            name_algorithm: SHA256,
            attributes: attribute::FIXED_TPM
                | attribute::FIXED_PARENT
                | attribute::SENSITIVE_DATA_ORIGIN
                | attribute::USER_WITH_AUTH
                | attribute::RESTRICTED
                | attribute::SIGN,
            policy: Vec::new(),
            // symmetric, scheme, its hash, bits, exponent
            parameters: [words(&[NULL, RSASSA, SHA256, bits]), vec![0; 4]].concat(),
            unique: sized(modulus),
        }
    }

    /// A `TPMT_SIGNATURE` by RSASSA with SHA-256.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be made.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| anyhow!("cannot sign"))?;
        Ok([words(&[RSASSA, SHA256]), sized(&signature)].concat())
    }
}

/// A key's public area: the fields of a `TPMT_PUBLIC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// `type`.
    pub algorithm: u16,
    /// `nameAlg`.
    pub name_algorithm: u16,
    /// [`attribute`]s.
    pub attributes: u32,
    /// `authPolicy`, without its length.
    pub policy: Vec<u8>,
    /// `parameters`, as it is written.
    pub parameters: Vec<u8>,
    /// `unique`, as it is written.
    pub unique: Vec<u8>,
}

impl Public {
    /// A node's key on P-256, as it is made under a policy; `point` is `x || y`.
    #[must_use]
    pub fn rek(point: &[u8; 64], policy: &[u8]) -> Self {
        let (x, y) = point.split_at(32);
        Self {
            algorithm: ECC,
            name_algorithm: SHA256,
            attributes: attribute::FIXED_TPM
                | attribute::FIXED_PARENT
                | attribute::SENSITIVE_DATA_ORIGIN
                | attribute::ADMIN_WITH_POLICY
                | attribute::DECRYPT,
            policy: policy.to_vec(),
            // symmetric, scheme, its hash, curve, key derivation
            parameters: words(&[NULL, ECDH, SHA256, P256, NULL]),
            unique: [sized(x), sized(y)].concat(),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let head = words(&[self.algorithm, self.name_algorithm]);
        let attributes = self.attributes.to_be_bytes();
        [&head, &attributes[..], &sized(&self.policy), &self.parameters, &self.unique].concat()
    }

    /// The key's name: the algorithm of names, and SHA-256 of the above.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        [&SHA256.to_be_bytes()[..], &Sha256::digest(self.write())].concat()
    }
}

/// What an attestation key signs: a `TPMS_ATTEST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attest {
    /// [`GENERATED`].
    pub magic: u32,
    /// [`ATTEST_QUOTE`] or [`ATTEST_CREATION`].
    pub kind: u16,
    /// `extraData`, without its length.
    pub extra_data: Vec<u8>,
    /// `resetCount`.
    pub resets: u32,
    /// `restartCount`.
    pub restarts: u32,
    /// `attested`, as it is written.
    pub attested: Vec<u8>,
}

impl Attest {
    /// A quote: which registers of which banks, and the digest.
    #[must_use]
    pub fn quote(extra_data: &[u8], banks: &[(u16, Vec<u8>)], digest: &[u8]) -> Self {
        let kind = ATTEST_QUOTE;
        Self::new(kind, extra_data, [selections(banks), sized(digest)].concat())
    }

    /// A certified creation of the object that has this name.
    #[must_use]
    pub fn creation(extra_data: &[u8], name: &[u8]) -> Self {
        let hash = Sha256::digest(b"creation data");
        Self::new(ATTEST_CREATION, extra_data, [sized(name), sized(&hash)].concat())
    }

    fn new(kind: u16, extra_data: &[u8], attested: Vec<u8>) -> Self {
        let extra_data = extra_data.to_vec();
        Self { magic: GENERATED, kind, extra_data, resets: 3, restarts: 1, attested }
    }

    /// As it is written.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = self.magic.to_be_bytes().to_vec();
        bytes.extend(self.kind.to_be_bytes());
        // The qualified name of who signs: below which key it stands says nothing here.
        bytes.extend(sized(&[&SHA256.to_be_bytes()[..], &[0x51; 32]].concat()));
        bytes.extend(sized(&self.extra_data));
        bytes.extend(1_234_567_u64.to_be_bytes());
        bytes.extend(self.resets.to_be_bytes());
        bytes.extend(self.restarts.to_be_bytes());
        bytes.push(1);
        bytes.extend(0x2019_1023_0016_3636_u64.to_be_bytes());
        bytes.extend(&self.attested);
        bytes
    }
}

/// What a set says, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The attestation key.
    pub ak: Public,
    /// The node's key.
    pub rek: Public,
    /// Beside the quote.
    pub registers: BTreeMap<u8, Vec<u8>>,
    /// What is said of the registers.
    pub quote: Attest,
    /// What is said of the node's key.
    pub creation: Attest,
    /// 32 bytes each, joined.
    pub nonces: Vec<u8>,
}

impl Claims {
    /// All of it valid: `bound` is what both are made for, `point` the node's key.
    #[must_use]
    pub fn new(
        ak: Public,
        point: &[u8; 64],
        registers: BTreeMap<u8, Vec<u8>>,
        nonces: &[u8],
        bound: &[u8],
    ) -> Self {
        let rek = Public::rek(point, &pcr_policy(&registers));
        let quote = Attest::quote(bound, &[(SHA256, select(&registers))], &digest(&registers));
        let creation = Attest::creation(bound, &rek.name());
        Self { ak, rek, registers, quote, creation, nonces: nonces.to_vec() }
    }

    /// The set, signed with this key.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be signed.
    pub fn sign(&self, key: &AttestationKey) -> Result<EvidenceList> {
        let piece = |kind, data, signature| EvidencePiece { kind, data, signature };
        let (quote, creation) = (self.quote.write(), self.creation.write());
        let [by_quote, by_creation] = [key.sign(&quote)?, key.sign(&creation)?];
        let quote = TpmQuote { attest: quote, registers: Registers(self.registers.clone()) };
        Ok(EvidenceList(vec![
            piece(EvidenceType::AK_TPMT_PUBLIC, self.ak.write(), self.ak.name()),
            piece(EvidenceType::CERTIFY_REK_CREATION, sized(&creation), by_creation),
            piece(EvidenceType::TPM_QUOTE, quote.encode(), by_quote),
            piece(EvidenceType::TPMT_PUBLIC, self.rek.write(), self.rek.name()),
            piece(EvidenceType::NONCE_SET, self.nonces.clone(), Vec::new()),
        ]))
    }
}

/// A bit for each register, in three bytes.
#[must_use]
pub fn select(registers: &BTreeMap<u8, Vec<u8>>) -> Vec<u8> {
    let byte = |at: u8| {
        let bits = (0..8).filter(|bit| registers.contains_key(&(at * 8 + bit)));
        bits.fold(0, |byte, bit| byte | 1 << bit)
    };
    (0..3).map(byte).collect()
}

/// SHA-256 of the values, by index.
#[must_use]
pub fn digest(registers: &BTreeMap<u8, Vec<u8>>) -> Vec<u8> {
    let values: Vec<u8> = registers.values().flatten().copied().collect();
    Sha256::digest(values).to_vec()
}

/// The policy that holds while the registers are these: `TPM2_PolicyPCR` alone.
#[must_use]
pub fn pcr_policy(registers: &BTreeMap<u8, Vec<u8>>) -> Vec<u8> {
    let command = 0x0000_017f_u32.to_be_bytes();
    let selections = selections(&[(SHA256, select(registers))]);
    Sha256::digest([&[0; 32], &command[..], &selections, &digest(registers)].concat()).to_vec()
}

/// A `TPML_PCR_SELECTION`.
fn selections(banks: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = u32::try_from(banks.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    for (bank, select) in banks {
        bytes.extend(bank.to_be_bytes());
        bytes.push(u8::try_from(select.len()).unwrap_or(u8::MAX));
        bytes.extend(select);
    }
    bytes
}

/// A `TPM2B`: a length, and the bytes.
#[must_use]
pub fn sized(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&len.to_be_bytes()[..], bytes].concat()
}

/// Numbers of 16 bits, one after the other.
#[must_use]
pub fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
