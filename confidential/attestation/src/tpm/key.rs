//! The two keys in a TPM's evidence, as public areas (TPMT_PUBLIC, Part 2, 12.2.4).

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use confidential_api::evidence::EvidencePiece;
use confidential_envelope::{Kem, inner::Rek};
use sha2::{Digest as _, Sha256};
use tpm2_protocol::data::{
    TpmAlgId, TpmEccCurve, TpmaObject, TpmsSchemeHash, TpmtKdfScheme, TpmtPublic, TpmuAsymScheme,
    TpmuPublicId, TpmuPublicParms,
};

use super::{Registers, attest::Attest, wire};
use crate::{Code, Fingerprint};

/// RSA's usual public exponent, 65,537, which a TPM writes as zero too.
const EXPONENT: [u8; 3] = [1, 0, 1];
/// Bits of an AK's modulus.
const AK_BITS: u16 = 2048;
/// Bytes of a coordinate on P-256; a TPM pads them (Part 1, C.8).
const COORDINATE: usize = 32;

/// Attributes that an AK must have: it signs only what its TPM generated, and never leaves the TPM.
const AK_IS: TpmaObject = bits(&[
    TpmaObject::FIXED_TPM,
    TpmaObject::FIXED_PARENT,
    TpmaObject::SENSITIVE_DATA_ORIGIN,
    TpmaObject::RESTRICTED,
    TpmaObject::SIGN_ENCRYPT,
]);
/// Attributes that it may have: they concern who may use it.
const AK_MAY: TpmaObject = bits(&[
    TpmaObject::ST_CLEAR,
    TpmaObject::USER_WITH_AUTH,
    TpmaObject::ADMIN_WITH_POLICY,
    TpmaObject::NO_DA,
]);
/// Attributes that a REK must have: it only decrypts, is authorized only by its policy, and never leaves its TPM.
const REK_IS: TpmaObject = bits(&[
    TpmaObject::FIXED_TPM,
    TpmaObject::FIXED_PARENT,
    TpmaObject::SENSITIVE_DATA_ORIGIN,
    TpmaObject::ADMIN_WITH_POLICY,
    TpmaObject::DECRYPT,
]);
/// Attributes that it may have.
const REK_MAY: TpmaObject = TpmaObject::NO_DA;

const fn bits(all: &[TpmaObject]) -> TpmaObject {
    let (mut bits, mut rest) = (0, all);
    while let [first, others @ ..] = rest {
        bits |= first.bits();
        rest = others;
    }
    TpmaObject::from_bits_truncate(bits)
}

/// Whether `attributes` has all of `must` and nothing beside `must` and `may`.
fn is(attributes: TpmaObject, must: TpmaObject, may: TpmaObject) -> bool {
    attributes.contains(must) && (must | may).contains(attributes)
}

/// The details of a scheme with SHA-256.
const SHA256: TpmuAsymScheme = TpmuAsymScheme::Hash(TpmsSchemeHash { hash_alg: TpmAlgId::Sha256 });

/// A public area, and the bytes that it was read from.
#[derive(Debug)]
struct PublicArea<'a> {
    bytes: &'a [u8],
    public: TpmtPublic,
}

impl<'a> PublicArea<'a> {
    /// Reads a public area whose piece has its name as the signature.
    fn read(piece: &'a EvidencePiece) -> Result<Self, Code> {
        let area = Self { bytes: &piece.data, public: wire::read(&piece.data)? };
        if area.name() == piece.signature { Ok(area) } else { Err(Code::KeyName) }
    }

    /// The name of an object whose algorithm of names is SHA-256 (Part 1, 16).
    fn name(&self) -> Vec<u8> {
        [&TpmAlgId::Sha256.value().to_be_bytes()[..], &Sha256::digest(self.bytes)].concat()
    }
}

/// The AK, which signs quotes and creations.
#[derive(Debug)]
pub(crate) struct AttestationKey<'a>(PublicArea<'a>);

impl<'a> AttestationKey<'a> {
    pub(super) fn read(piece: &'a EvidencePiece) -> Result<Self, Code> {
        PublicArea::read(piece).map(Self)
    }

    /// The fingerprint by which policies name it.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.bytes)
    }

    /// Its name, hexadecimal.
    pub(crate) fn name(&self) -> String {
        hex::encode(self.0.name())
    }

    /// Whether it is an RSA key of 2,048 bits that signs with RSASSA and SHA-256.
    pub(super) fn check_algorithm(&self) -> Result<(), Code> {
        self.modulus().map(drop)
    }

    fn modulus(&self) -> Result<&[u8], Code> {
        let TpmtPublic { name_alg, parameters, unique, .. } = &self.0.public;
        let (TpmuPublicParms::Rsa(rsa), TpmuPublicId::Rsa(modulus)) = (parameters, unique) else {
            return Err(Code::Algorithm);
        };
        let exponent = rsa.exponent.value();
        let is_it = *name_alg == TpmAlgId::Sha256
            && rsa.symmetric.algorithm == TpmAlgId::Null
            && (rsa.scheme.scheme, rsa.scheme.details) == (TpmAlgId::Rsassa, SHA256)
            && rsa.key_bits.value() == AK_BITS
            && matches!(exponent, 0 | 65_537)
            && modulus.len() == usize::from(AK_BITS / 8);
        if is_it { Ok(modulus) } else { Err(Code::Algorithm) }
    }

    /// Whether its TPM lets it sign attestations only.
    pub(crate) fn check_attributes(&self) -> Result<(), Code> {
        let is_ak = is(self.0.public.object_attributes, AK_IS, AK_MAY);
        if is_ak { Ok(()) } else { Err(Code::AkAttributes) }
    }

    /// Whether it signed this.
    pub(super) fn check_signature(&self, attest: &Attest) -> Result<(), Code> {
        let key = RsaPublicKeyComponents { n: self.modulus()?, e: &EXPONENT[..] };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, attest.signed(), attest.signature()?)
            .map_err(|_| Code::Signature)
    }
}

/// The key that requests are sealed to, in the TPM: the REK.
#[derive(Debug)]
pub(crate) struct NodeKey<'a>(PublicArea<'a>);

impl<'a> NodeKey<'a> {
    pub(super) fn read(piece: &'a EvidencePiece) -> Result<Self, Code> {
        PublicArea::read(piece).map(Self)
    }

    /// The key, if it has this name and is a P-256 key.
    pub(crate) fn named(&self, name: &[u8]) -> Result<Rek, Code> {
        if self.0.name() != name {
            return Err(Code::KeyNotBound);
        }
        let TpmtPublic { parameters, unique, .. } = &self.0.public;
        let (TpmuPublicParms::Ecc(ecc), TpmuPublicId::Ecc(point)) = (parameters, unique) else {
            return Err(Code::RekKind);
        };
        if ecc.curve_id != TpmEccCurve::NistP256 {
            return Err(Code::RekKind);
        }
        if point.x.len() != COORDINATE || point.y.len() != COORDINATE {
            return Err(Code::Malformed);
        }
        // SEC 1, 2.3.3: uncompressed.
        let point = [&[4][..], &point.x, &point.y].concat();
        Rek::from_bytes(Kem::P256, &point).map_err(|_| Code::Malformed)
    }

    /// Whether its TPM keeps it, and lets it decrypt only.
    pub(crate) fn check_attributes(&self) -> Result<(), Code> {
        let TpmtPublic { name_alg, object_attributes, parameters, .. } = &self.0.public;
        let TpmuPublicParms::Ecc(ecc) = parameters else { return Err(Code::RekAttributes) };
        let scheme = (ecc.scheme.scheme, ecc.scheme.details);
        let is_rek = is(*object_attributes, REK_IS, REK_MAY)
            && *name_alg == TpmAlgId::Sha256
            && ecc.symmetric.algorithm == TpmAlgId::Null
            && [(TpmAlgId::Ecdh, SHA256), (TpmAlgId::Null, TpmuAsymScheme::Null)].contains(&scheme)
            && ecc.kdf == TpmtKdfScheme::default();
        if is_rek { Ok(()) } else { Err(Code::RekAttributes) }
    }

    /// Whether its policy requires exactly these registers.
    pub(crate) fn check_policy(&self, registers: &Registers) -> Result<(), Code> {
        let policy = registers.policy().ok_or(Code::RekPolicy)?;
        if *self.0.public.auth_policy == policy { Ok(()) } else { Err(Code::RekPolicy) }
    }
}
