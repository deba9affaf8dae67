//! Public areas of the keys, and the policy that binds one to registers (*TPM 2.0 Library*, part 2, section 12.2; part 3,
//! section 23.7).

use confidential_api::policy::Registers;
use sha2::{Digest as _, Sha256};
use tpm2_protocol::{
    TpmMarshal, TpmSized, TpmWriter,
    basic::TpmUint16,
    data::{
        TpmAlgId, TpmCc, TpmEccCurve, TpmaObject, TpmlPcrSelection, TpmsEccParms, TpmsEccPoint,
        TpmsPcrSelect, TpmsPcrSelection, TpmsRsaParms, TpmsSchemeHash, TpmtEccScheme,
        TpmtKdfScheme, TpmtPublic, TpmtRsaScheme, TpmtSymDef, TpmuAsymScheme, TpmuKdfScheme,
        TpmuPublicId, TpmuPublicParms, TpmuSymKeyBits, TpmuSymMode,
    },
};

use super::error::TpmError;

/// Length of an attestation key in bits.
const AK_BITS: u16 = 2048;
/// Attributes that an attestation key must have: it signs only what its TPM generated.
const AK_ATTRIBUTES: [TpmaObject; 5] = [
    TpmaObject::FIXED_TPM,
    TpmaObject::FIXED_PARENT,
    TpmaObject::SENSITIVE_DATA_ORIGIN,
    TpmaObject::RESTRICTED,
    TpmaObject::SIGN_ENCRYPT,
];
/// Attributes of the request encryption key: it is authorized only by its policy, and never leaves its TPM.
const REK_ATTRIBUTES: [TpmaObject; 6] = [
    TpmaObject::FIXED_TPM,
    TpmaObject::FIXED_PARENT,
    TpmaObject::SENSITIVE_DATA_ORIGIN,
    TpmaObject::ADMIN_WITH_POLICY,
    TpmaObject::NO_DA,
    TpmaObject::DECRYPT,
];
/// Length of a coordinate on P-256 in bytes.
const COORDINATE: usize = 32;
/// Length of a selection in bytes: registers 0 to 23.
const SELECTION: usize = 3;

const NO_CIPHER: TpmtSymDef = TpmtSymDef {
    algorithm: TpmAlgId::Null,
    key_bits: TpmuSymKeyBits::Null,
    mode: TpmuSymMode::Null,
};
const SHA256: TpmuAsymScheme = TpmuAsymScheme::Hash(TpmsSchemeHash { hash_alg: TpmAlgId::Sha256 });

/// Encodes a structure.
pub(super) fn bytes(of: &(impl TpmMarshal + TpmSized)) -> Result<Vec<u8>, TpmError> {
    let mut bytes = vec![0; of.len()];
    let mut writer = TpmWriter::new(&mut bytes);
    of.marshal(&mut writer).map_err(|_| TpmError::TooLong)?;
    let written = writer.len();
    bytes.truncate(written);
    Ok(bytes)
}

/// The template of an attestation key: RSA-2048, which OpenPCC's verifier requires.
pub(super) fn ak() -> TpmtPublic {
    let parameters = TpmsRsaParms {
        symmetric: NO_CIPHER,
        scheme: TpmtRsaScheme { scheme: TpmAlgId::Rsassa, details: SHA256 },
        key_bits: TpmUint16::new(AK_BITS),
        exponent: 0.into(),
    };
    TpmtPublic {
        object_type: TpmAlgId::Rsa,
        name_alg: TpmAlgId::Sha256,
        object_attributes: all(&AK_ATTRIBUTES) | TpmaObject::USER_WITH_AUTH,
        auth_policy: <_>::default(),
        parameters: TpmuPublicParms::Rsa(parameters),
        unique: TpmuPublicId::Rsa(<_>::default()),
    }
}

/// Whether verifiers accept a key as an attestation key.
pub(super) fn is_ak(public: &TpmtPublic) -> bool {
    let TpmuPublicParms::Rsa(parameters) = &public.parameters else { return false };
    public.name_alg == TpmAlgId::Sha256
        && AK_ATTRIBUTES.iter().all(|it| public.object_attributes.contains(*it))
        && parameters.key_bits.value() == AK_BITS
        && parameters.scheme == (TpmtRsaScheme { scheme: TpmAlgId::Rsassa, details: SHA256 })
}

/// The template of a key with this policy. Keys are derived from the template, so `unique` must be random.
pub(super) fn rek(policy: [u8; 32], unique: [u8; 32]) -> Result<TpmtPublic, TpmError> {
    let parameters = TpmsEccParms {
        symmetric: NO_CIPHER,
        scheme: TpmtEccScheme { scheme: TpmAlgId::Ecdh, details: SHA256 },
        curve_id: TpmEccCurve::NistP256,
        kdf: TpmtKdfScheme { scheme: TpmAlgId::Null, details: TpmuKdfScheme::Null },
    };
    let unique = TpmsEccPoint { x: buffer(&unique)?, y: <_>::default() };
    Ok(TpmtPublic {
        object_type: TpmAlgId::Ecc,
        name_alg: TpmAlgId::Sha256,
        object_attributes: all(&REK_ATTRIBUTES),
        auth_policy: buffer(&policy)?,
        parameters: TpmuPublicParms::Ecc(parameters),
        unique: TpmuPublicId::Ecc(unique),
    })
}

/// The point of a key, uncompressed (SEC 1, section 2.3.3); `None` if a coordinate is short. Some TPMs omit leading zeros, and
/// verifiers refuse such keys.
pub(super) fn point(public: &TpmtPublic) -> Option<[u8; 65]> {
    let TpmuPublicId::Ecc(point) = &public.unique else { return None };
    let (x, y) = (&*point.x, &*point.y);
    let whole = x.len() == COORDINATE;
    [&[4], x, y].concat().try_into().ok().filter(|_| whole)
}

/// The name of a public area, by SHA-256 (*TPM 2.0 Library*, part 1, section 16).
pub(super) fn name(public: &[u8]) -> Vec<u8> {
    [&TpmAlgId::Sha256.value().to_be_bytes()[..], &Sha256::digest(public)].concat()
}

/// A selection of registers of the SHA-256 bank.
pub(super) fn selection(
    registers: impl IntoIterator<Item = u8>,
) -> Result<TpmlPcrSelection, TpmError> {
    let mut selected = [0_u8; SELECTION];
    for register in registers {
        let byte = selected.get_mut(usize::from(register / 8)).ok_or(TpmError::TooLong)?;
        *byte |= 1 << (register % 8);
    }
    let too_long = |_| TpmError::TooLong;
    let pcr_select = TpmsPcrSelect::try_from(&selected[..]).map_err(too_long)?;
    let mut list = TpmlPcrSelection::new();
    list.try_push(TpmsPcrSelection { hash: TpmAlgId::Sha256, pcr_select }).map_err(too_long)?;
    Ok(list)
}

/// The registers in a selection of the SHA-256 bank, in order.
pub(super) fn selected(list: &TpmlPcrSelection) -> Option<Vec<u8>> {
    let [one] = &**list else { return None };
    let has = |register: &u8| {
        one.pcr_select
            .get(usize::from(register / 8))
            .is_some_and(|it| it >> (register % 8) & 1 == 1)
    };
    (one.hash == TpmAlgId::Sha256).then(|| (0..u8::MAX).filter(has).collect())
}

/// The policy digest that binds a key to these register values (`PolicyPCR` alone).
pub(super) fn policy(registers: &Registers) -> Result<[u8; 32], TpmError> {
    let selection = bytes(&selection(registers.0.keys().copied())?)?;
    let mut held = Sha256::new();
    registers.0.values().for_each(|value| held.update(value));
    let policy = Sha256::new_with_prefix([0; 32])
        .chain_update(TpmCc::PolicyPcr.value().to_be_bytes())
        .chain_update(selection)
        .chain_update(held.finalize());
    Ok(policy.finalize().into())
}

/// Converts bytes to a type of `tpm2-protocol`.
pub(super) fn buffer<'a, T: TryFrom<&'a [u8]>>(bytes: &'a [u8]) -> Result<T, TpmError> {
    T::try_from(bytes).map_err(|_| TpmError::TooLong)
}

fn all(attributes: &[TpmaObject]) -> TpmaObject {
    attributes.iter().fold(TpmaObject::empty(), |all, it| all | *it)
}
