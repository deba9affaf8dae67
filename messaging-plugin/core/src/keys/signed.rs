//! JSON objects with signatures (specification, appendices, "Signing JSON").

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, SigningKeyAlgorithm, UserId,
    signatures::{to_canonical_json_string_for_signing, verify_canonical_json_bytes},
};

use crate::{Error, json};

/// Largest key object, in bytes of JSON.
pub const KEY_MAX: usize = 16_384;

/// Most signatures that one object has.
pub const SIGNATURES_MAX: usize = 64;

/// Keys and signatures are unpadded base64; padding is read, too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A JSON object that may have `signatures`. It has no `unsigned`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedObject(CanonicalJsonObject);

/// A signature of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The person who signed.
    pub signer: String,
    /// The key, such as `ed25519:DEVICE`.
    pub key_id: String,
    /// The signature in base64.
    pub signature: String,
}

impl SignedObject {
    /// Reads an object; `unsigned` is left out.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] beyond [`KEY_MAX`]; [`Error::BadJson`] if it is not canonical JSON, or has signatures of
    /// another form or more than [`SIGNATURES_MAX`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > KEY_MAX {
            return Err(Error::TooLarge { what: "the key", max: "16,384 bytes" });
        }
        let mut object = json::content(bytes)?;
        object.remove("unsigned");
        let object = Self(object);
        object.check_signatures()?;
        Ok(object)
    }

    /// A member of the object that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(CanonicalJsonValue::as_str)
    }

    /// A member of the object.
    pub(super) fn get(&self, name: &str) -> Option<&CanonicalJsonValue> {
        self.0.get(name)
    }

    /// The object `keys`, if all of its values are text.
    pub(super) fn keys(&self) -> Option<Vec<(&str, &str)>> {
        let CanonicalJsonValue::Object(keys) = self.0.get("keys")? else { return None };
        keys.iter().map(|(id, key)| Some((id.as_str(), key.as_str()?))).collect()
    }

    /// All signatures.
    #[must_use]
    pub fn signatures(&self) -> Vec<Signature> {
        let Some(CanonicalJsonValue::Object(signers)) = self.0.get("signatures") else {
            return Vec::new();
        };
        let mut signatures = Vec::new();
        for (signer, by_key) in signers {
            let CanonicalJsonValue::Object(by_key) = by_key else { continue };
            let by_key = by_key.iter().filter_map(|(id, text)| Some((id, text.as_str()?)));
            signatures.extend(by_key.map(|(key_id, signature)| Signature {
                signer: signer.clone(),
                key_id: key_id.clone(),
                signature: signature.to_owned(),
            }));
        }
        signatures
    }

    /// Whether the object has a valid signature of this Ed25519 key, given in base64.
    #[must_use]
    pub fn is_signed_by(&self, signer: &UserId, key_id: &str, public_key: &str) -> bool {
        let signatures = self.signatures();
        let signature = signatures.iter().find(|of| of.signer == *signer && of.key_id == key_id);
        let Some(signature) = signature else { return false };
        let decoded = (BASE64.decode(public_key), BASE64.decode(&signature.signature));
        let (Ok(key), Ok(signature)) = decoded else { return false };
        let Ok(text) = to_canonical_json_string_for_signing(&self.0) else { return false };
        let ed25519 = SigningKeyAlgorithm::Ed25519;
        verify_canonical_json_bytes(&ed25519, &key, &signature, text.as_bytes()).is_ok()
    }

    /// The valid signatures that a person made with one of these Ed25519 keys, each with its name and in base64.
    #[must_use]
    pub fn valid_signatures(&self, signer: &UserId, keys: &[(String, String)]) -> Vec<Signature> {
        let is_valid = |of: &Signature| {
            let key = keys.iter().find(|(id, _)| *id == of.key_id);
            key.is_some_and(|(id, key)| self.is_signed_by(signer, id, key))
        };
        self.signatures().into_iter().filter(|of| of.signer == *signer && is_valid(of)).collect()
    }

    /// The object with these signatures and no others.
    #[must_use]
    pub fn with_signatures(&self, signatures: impl IntoIterator<Item = Signature>) -> Self {
        let mut signers = CanonicalJsonObject::new();
        for Signature { signer, key_id, signature } in signatures {
            let by_key =
                signers.entry(signer).or_insert(CanonicalJsonValue::Object(Default::default()));
            if let CanonicalJsonValue::Object(by_key) = by_key {
                by_key.insert(key_id, signature.into());
            }
        }
        let mut object = self.0.clone();
        object.insert("signatures".to_owned(), signers.into());
        Self(object)
    }

    /// Whether two objects are the same but for their signatures.
    #[must_use]
    pub fn is_same_but_signatures(&self, other: &Self) -> bool {
        self.with_signatures([]) == other.with_signatures([])
    }

    /// Adds `unsigned`, which no signature covers.
    #[must_use]
    pub fn to_json_with_unsigned(&self, unsigned: CanonicalJsonObject) -> String {
        let mut object = self.0.clone();
        object.insert("unsigned".to_owned(), unsigned.into());
        CanonicalJsonValue::Object(object).to_string()
    }

    /// The object as canonical JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        CanonicalJsonValue::Object(self.0.clone()).to_string()
    }

    fn check_signatures(&self) -> Result<(), Error> {
        let wrong =
            || Error::BadJson("`signatures` has an object for each signer, with texts".to_owned());
        let Some(signers) = self.0.get("signatures") else { return Ok(()) };
        let CanonicalJsonValue::Object(signers) = signers else { return Err(wrong()) };
        let mut count = 0;
        for by_key in signers.values() {
            let CanonicalJsonValue::Object(by_key) = by_key else { return Err(wrong()) };
            if !by_key.values().all(CanonicalJsonValue::is_string) {
                return Err(wrong());
            }
            count += by_key.len();
        }
        if count > SIGNATURES_MAX {
            return Err(Error::BadJson(format!("a key has more than {SIGNATURES_MAX} signatures")));
        }
        Ok(())
    }
}

/// Whether this is an Ed25519 or Curve25519 public key: 32 bytes in base64.
pub(super) fn is_public_key(text: &str) -> bool {
    BASE64.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}
