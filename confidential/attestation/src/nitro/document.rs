//! The format of a document: its fields and their lengths.

use std::collections::BTreeMap;

use ciborium::Value;

use crate::{
    Code, Fingerprint,
    cbor::{self, NotStrict},
};

/// Protected header `{1: -35}`: signed with ES384, nothing else.
const ES384: &[u8] = &[0xa1, 0x01, 0x38, 0x22];
/// Length of an ES384 signature in bytes.
const SIGNATURE_LEN: usize = 96;
/// Registers of the enclave's image, its kernel and its programs.
pub(crate) const REGISTERS_OF_CODE: [u8; 3] = [0, 1, 2];
/// Registers that a module has.
const REGISTERS: usize = 32;
/// Length of a register in bytes: SHA-384.
const REGISTER_LEN: usize = 48;
/// Longest certificate, and longest `public_key`, in bytes.
const MAX_CERTIFICATE: usize = 1024;
/// Longest `user_data`, and longest `nonce`, in bytes.
const MAX_DATA: usize = 512;
/// Longest chain; AWS's have four.
const MAX_CHAIN: usize = 8;
/// Longest module ID.
const MAX_MODULE_ID: usize = 128;

impl From<NotStrict> for Code {
    fn from(_: NotStrict) -> Self {
        Self::Malformed
    }
}

/// A COSE_Sign1 as NSM writes it: untagged, nothing unprotected.
#[derive(Debug)]
pub(crate) struct Signed {
    protected: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    /// Reads one.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Code> {
        let parts = cbor::read(bytes)?.into_array().map_err(|_| Code::Malformed)?;
        let Ok(
            [
                Value::Bytes(protected),
                Value::Map(unprotected),
                Value::Bytes(payload),
                Value::Bytes(signature),
            ],
        ) = <[Value; 4]>::try_from(parts)
        else {
            return Err(Code::Malformed);
        };
        if !unprotected.is_empty() {
            return Err(Code::Malformed);
        }
        Ok(Self { protected, payload, signature })
    }

    /// Whether it is signed with ES384.
    pub(crate) fn check_algorithm(&self) -> Result<(), Code> {
        if self.signature.iter().all(|byte| *byte == 0) {
            return Err(Code::Unsigned);
        }
        if self.protected != ES384 {
            return Err(Code::Algorithm);
        }
        Ok(())
    }

    /// `r || s`.
    pub(crate) fn signature(&self) -> Result<&[u8], Code> {
        if self.signature.len() == SIGNATURE_LEN {
            Ok(&self.signature)
        } else {
            Err(Code::Signature)
        }
    }

    /// What is signed: `Sig_structure` (RFC 9052, section 4.4).
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        cbor::write(&Value::Array(vec![
            Value::from("Signature1"),
            Value::Bytes(self.protected.clone()),
            Value::Bytes(Vec::new()),
            Value::Bytes(self.payload.clone()),
        ]))
    }

    /// The document in it; only its format is checked.
    pub(crate) fn document(&self) -> Result<Document, Code> {
        Document::read(&self.payload)
    }
}

/// Who issued a document: which of two fields has the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Issuer {
    /// `pcrs`.
    Enclave,
    /// `nitrotpm_pcrs`: a virtual machine's TPM, with the same root and format, but without isolation from its operator.
    NitroTpm,
}

/// A document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) module_id: String,
    /// Unix milliseconds.
    pub(crate) timestamp: u64,
    pub(crate) pcrs: BTreeMap<u8, Vec<u8>>,
    pub(crate) certificate: Vec<u8>,
    /// Root first.
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) user_data: Option<Vec<u8>>,
    pub(crate) nonce: Option<Vec<u8>>,
    issuer: Issuer,
}

impl Document {
    fn read(payload: &[u8]) -> Result<Self, Code> {
        let entries = cbor::read(payload)?.into_map().map_err(|_| Code::Malformed)?;
        let mut fields = Fields::new(entries)?;
        let (registers, issuer) = match (fields.take("pcrs"), fields.take("nitrotpm_pcrs")) {
            (Some(registers), None) => (registers, Issuer::Enclave),
            (None, Some(registers)) => (registers, Issuer::NitroTpm),
            (Some(_), Some(_)) | (None, None) => return Err(Code::Malformed),
        };
        if fields.text("digest")? != "SHA384" {
            return Err(Code::Malformed);
        }
        let document = Self {
            module_id: fields.text("module_id")?,
            timestamp: fields.unsigned("timestamp")?,
            pcrs: read_registers(registers)?,
            certificate: bytes(fields.need("certificate")?, MAX_CERTIFICATE)?,
            chain: read_chain(fields.need("cabundle")?)?,
            user_data: fields.optional("user_data", MAX_DATA)?,
            nonce: fields.optional("nonce", MAX_DATA)?,
            issuer,
        };
        // Signed, but not used here.
        fields.optional("public_key", MAX_CERTIFICATE)?;
        fields.end()?;
        let id = &document.module_id;
        if id.is_empty() || id.len() > MAX_MODULE_ID || !id.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Code::Malformed);
        }
        Ok(document)
    }

    /// The fingerprint of its root.
    pub(crate) fn root(&self) -> Fingerprint {
        Fingerprint::of(self.chain.first().map_or(&[], Vec::as_slice))
    }

    /// Whether an enclave's module made it (`i-…-enc…`), and not a virtual machine's TPM.
    pub(crate) fn check_kind(&self) -> Result<(), Code> {
        let parts = self.module_id.strip_prefix("i-").and_then(|id| id.split_once("-enc"));
        let is_hex = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit());
        let is_enclave =
            parts.is_some_and(|(instance, enclave)| is_hex(instance) && is_hex(enclave));
        if self.issuer == Issuer::Enclave && is_enclave { Ok(()) } else { Err(Code::WrongKind) }
    }

    /// Whether the code was measured: a debug enclave's registers are zero.
    pub(crate) fn check_measured(&self) -> Result<(), Code> {
        let is_measured =
            |index| self.pcrs.get(index).is_some_and(|value| value.iter().any(|byte| *byte != 0));
        if REGISTERS_OF_CODE.iter().all(is_measured) { Ok(()) } else { Err(Code::DebugEnclave) }
    }
}

/// The fields of a document, each taken once; none may be left.
struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn new(entries: Vec<(Value, Value)>) -> Result<Self, Code> {
        let named = entries.into_iter().map(|(name, value)| Some((name.into_text().ok()?, value)));
        named.collect::<Option<_>>().map(Self).ok_or(Code::Malformed)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    fn need(&mut self, name: &str) -> Result<Value, Code> {
        self.take(name).ok_or(Code::Malformed)
    }

    fn text(&mut self, name: &str) -> Result<String, Code> {
        self.need(name)?.into_text().map_err(|_| Code::Malformed)
    }

    fn unsigned(&mut self, name: &str) -> Result<u64, Code> {
        let integer = self.need(name)?.into_integer().map_err(|_| Code::Malformed)?;
        u64::try_from(integer).map_err(|_| Code::Malformed)
    }

    /// Bytes, or `null`, or nothing.
    fn optional(&mut self, name: &str, max: usize) -> Result<Option<Vec<u8>>, Code> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bytes(bytes)) if bytes.len() <= max => Ok(Some(bytes)),
            Some(_) => Err(Code::Malformed),
        }
    }

    fn end(self) -> Result<(), Code> {
        if self.0.is_empty() { Ok(()) } else { Err(Code::Malformed) }
    }
}

/// 1 to `max` bytes.
fn bytes(value: Value, max: usize) -> Result<Vec<u8>, Code> {
    let bytes = value.into_bytes().ok().filter(|bytes| !bytes.is_empty() && bytes.len() <= max);
    bytes.ok_or(Code::Malformed)
}

fn read_registers(value: Value) -> Result<BTreeMap<u8, Vec<u8>>, Code> {
    let entries = value.into_map().map_err(|_| Code::Malformed)?;
    let register = |(index, value): (Value, Value)| {
        let index = u8::try_from(index.into_integer().ok()?).ok()?;
        let value = bytes(value, REGISTER_LEN).ok()?;
        let is_whole = usize::from(index) < REGISTERS && value.len() == REGISTER_LEN;
        is_whole.then_some((index, value))
    };
    entries.into_iter().map(register).collect::<Option<_>>().ok_or(Code::Malformed)
}

fn read_chain(value: Value) -> Result<Vec<Vec<u8>>, Code> {
    let certificates = value.into_array().map_err(|_| Code::Malformed)?;
    if certificates.is_empty() || certificates.len() > MAX_CHAIN {
        return Err(Code::Malformed);
    }
    certificates.into_iter().map(|certificate| bytes(certificate, MAX_CERTIFICATE)).collect()
}
