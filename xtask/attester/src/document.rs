//! Documents: what they claim, and the signature around it.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair},
};
use ciborium::Value;

/// The protected header of a document: `{1: -35}`.
pub const ES384: &[u8] = &[0xa1, 0x01, 0x38, 0x22];

/// A key that signs documents.
pub struct Signer(EcdsaKeyPair);

impl Signer {
    /// Reads a P-384 key.
    ///
    /// # Errors
    ///
    /// Fails if it is none.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der)
            .map(Self)
            .map_err(|error| anyhow!("no P-384 key: {error}"))
    }

    /// `r || s` over SHA-384 of the message.
    ///
    /// # Errors
    ///
    /// Fails if the system has no random bytes.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.0.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| anyhow!("cannot sign"))?.as_ref().to_vec())
    }
}

/// What a document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `i-…-enc…`.
    pub module_id: String,
    /// Unix milliseconds.
    pub timestamp: u64,
    /// Registers by index.
    pub pcrs: BTreeMap<u16, Vec<u8>>,
    /// The leaf: DER.
    pub certificate: Vec<u8>,
    /// Root first: DER.
    pub cabundle: Vec<Vec<u8>>,
    /// At most 1,024 bytes.
    pub public_key: Option<Vec<u8>>,
    /// At most 512 bytes.
    pub user_data: Option<Vec<u8>>,
    /// At most 512 bytes.
    pub nonce: Option<Vec<u8>>,
}

impl Claims {
    /// The fields in NSM's order.
    #[must_use]
    pub fn fields(&self) -> Vec<(Value, Value)> {
        let optional = |bytes: &Option<Vec<u8>>| bytes.clone().map_or(Value::Null, Value::Bytes);
        let registers = self.pcrs.iter();
        let registers = registers.map(|(index, value)| ((*index).into(), value.clone().into()));
        let bundle = self.cabundle.iter().cloned().map(Value::Bytes);
        [
            ("module_id", Value::from(self.module_id.as_str())),
            ("digest", Value::from("SHA384")),
            ("timestamp", Value::from(self.timestamp)),
            ("pcrs", Value::Map(registers.collect())),
            ("certificate", Value::Bytes(self.certificate.clone())),
            ("cabundle", Value::Array(bundle.collect())),
            ("public_key", optional(&self.public_key)),
            ("user_data", optional(&self.user_data)),
            ("nonce", optional(&self.nonce)),
        ]
        .map(|(name, value)| (Value::from(name), value))
        .to_vec()
    }

    /// The document: these claims, signed.
    ///
    /// # Errors
    ///
    /// As [`Signer::sign`].
    pub fn sign(&self, key: &Signer) -> Result<Vec<u8>> {
        sign(ES384, &encode(&Value::Map(self.fields()))?, key)
    }
}

/// Signs any payload under any protected header (`COSE_Sign1`, RFC 9052, section 4.2).
///
/// # Errors
///
/// As [`Signer::sign`].
pub fn sign(protected: &[u8], payload: &[u8], key: &Signer) -> Result<Vec<u8>> {
    let [protected, payload] = [protected, payload].map(|bytes| Value::Bytes(bytes.to_vec()));
    let signed = Value::Array(vec![
        Value::from("Signature1"),
        protected.clone(),
        Value::Bytes(Vec::new()),
        payload.clone(),
    ]);
    let signature = key.sign(&encode(&signed)?)?;
    let parts = vec![protected, Value::Map(Vec::new()), payload, Value::Bytes(signature)];
    encode(&Value::Array(parts))
}

/// CBOR.
pub(crate) fn encode(value: &Value) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ciborium::ser::into_writer(value, &mut bytes).map_err(|error| anyhow!("no CBOR: {error}"))?;
    Ok(bytes)
}
