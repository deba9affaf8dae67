//! The module: its registers, and what it answers.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, ensure};
use ciborium::Value;
use sha2::{Digest as _, Sha384};

use crate::{Authority, Chain, Claims, Lifetime, document::encode};

/// Longest request in bytes, as the device takes it.
pub const MAX_REQUEST: usize = 0x1000;
/// Longest response in bytes, as the device gives it.
pub const MAX_RESPONSE: usize = 0x3000;
/// Registers that there are.
const REGISTERS: u16 = 32;
/// Length of a register in bytes: SHA-384.
const REGISTER_LEN: usize = 48;
/// Registers that the hypervisor sets and locks.
const LOCKED: u16 = 16;
/// Bytes of one answer to `GetRandom`.
const RANDOM_LEN: usize = 256;
/// How long before its end a leaf is replaced, in seconds.
const RENEW: u64 = 10 * 60;

/// NSM's words for what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Error {
    InvalidArgument,
    InvalidIndex,
    ReadOnlyIndex,
    InvalidOperation,
    InputTooLarge,
    Internal,
}

impl From<anyhow::Error> for Error {
    fn from(_: anyhow::Error) -> Self {
        Self::Internal
    }
}

impl Error {
    const fn word(self) -> &'static str {
        match self {
            Self::InvalidArgument => "InvalidArgument",
            Self::InvalidIndex => "InvalidIndex",
            Self::ReadOnlyIndex => "ReadOnlyIndex",
            Self::InvalidOperation => "InvalidOperation",
            Self::InputTooLarge => "InputTooLarge",
            Self::Internal => "InternalError",
        }
    }
}

#[derive(Clone, Debug)]
struct Register {
    value: Vec<u8>,
    is_locked: bool,
}

/// One module: what an enclave sees of `/dev/nsm`.
pub struct Module {
    id: String,
    authority: Authority,
    registers: Vec<Register>,
    chain: Option<(u64, Chain)>,
}

impl Module {
    /// A module with these registers; others are zero. These and the first 16 are locked, as the hypervisor leaves
    /// them: a document holds the locked ones.
    ///
    /// # Errors
    ///
    /// Fails if a register does not exist or is not 48 bytes long.
    pub fn new(id: String, authority: Authority, pcrs: &BTreeMap<u16, Vec<u8>>) -> Result<Self> {
        let register = |index| Register { value: vec![0; REGISTER_LEN], is_locked: index < LOCKED };
        let mut registers: Vec<Register> = (0..REGISTERS).map(register).collect();
        for (index, value) in pcrs {
            let register = registers.get_mut(usize::from(*index));
            let register = register.ok_or_else(|| anyhow!("there is no register {index}"))?;
            ensure!(value.len() == REGISTER_LEN, "register {index} has 48 bytes: 96 hex digits");
            *register = Register { value: value.clone(), is_locked: true };
        }
        Ok(Self { id, authority, registers, chain: None })
    }

    /// Answers one request; `now` is in Unix milliseconds. Whatever the bytes are, there is an answer.
    pub fn handle(&mut self, request: &[u8], now: u64) -> Vec<u8> {
        let answer = self.answer(request, now);
        let answer = answer.unwrap_or_else(|error| one("Error", Value::from(error.word())));
        encode(&answer).unwrap_or_default()
    }

    fn answer(&mut self, request: &[u8], now: u64) -> Result<Value, Error> {
        if request.len() > MAX_REQUEST {
            return Err(Error::InputTooLarge);
        }
        let request = ciborium::de::from_reader_with_recursion_limit(request, 8);
        let request: Value = request.map_err(|_| Error::InvalidArgument)?;
        let (call, mut fields) = match request.into_text() {
            Ok(call) => (call, Fields(Vec::new())),
            Err(request) => Fields::of_the_only(request)?,
        };
        match call.as_str() {
            "DescribePCR" => self.describe(fields.index("index")?),
            "ExtendPCR" => self.extend(fields.index("index")?, &fields.bytes("data")?),
            "LockPCR" => self.lock(fields.index("index")?),
            "LockPCRs" => self.lock_all(fields.index("range")?),
            "DescribeNSM" => Ok(self.describe_module()),
            "Attestation" => self.attest(&mut fields, now),
            "GetRandom" => random(),
            _ => Err(Error::InvalidOperation),
        }
    }

    fn register(&mut self, index: u16) -> Result<&mut Register, Error> {
        self.registers.get_mut(usize::from(index)).ok_or(Error::InvalidIndex)
    }

    fn describe(&mut self, index: u16) -> Result<Value, Error> {
        let register = self.register(index)?;
        let [is_locked, value] = [register.is_locked.into(), register.value.clone().into()];
        Ok(one("DescribePCR", map([("lock", is_locked), ("data", value)])))
    }

    /// SHA-384 of the value so far and the data behind it.
    fn extend(&mut self, index: u16, data: &[u8]) -> Result<Value, Error> {
        let register = self.register(index)?;
        if register.is_locked {
            return Err(Error::ReadOnlyIndex);
        }
        register.value = extended(&register.value, data);
        Ok(one("ExtendPCR", map([("data", register.value.clone().into())])))
    }

    fn lock(&mut self, index: u16) -> Result<Value, Error> {
        let register = self.register(index)?;
        if register.is_locked {
            return Err(Error::ReadOnlyIndex);
        }
        register.is_locked = true;
        Ok(Value::from("LockPCR"))
    }

    fn lock_all(&mut self, range: u16) -> Result<Value, Error> {
        let registers = self.registers.get_mut(..usize::from(range)).ok_or(Error::InvalidIndex)?;
        registers.iter_mut().for_each(|register| register.is_locked = true);
        Ok(Value::from("LockPCRs"))
    }

    fn describe_module(&self) -> Value {
        let locked = self.registers.iter().zip(0_u16..).filter(|(it, _)| it.is_locked);
        let locked = locked.map(|(_, index)| Value::from(index)).collect();
        let fields = [
            ("version_major", Value::from(1)),
            ("version_minor", Value::from(0)),
            ("version_patch", Value::from(0)),
            ("module_id", Value::from(self.id.as_str())),
            ("max_pcrs", Value::from(REGISTERS)),
            ("locked_pcrs", Value::Array(locked)),
            ("digest", Value::from("SHA384")),
        ];
        one("DescribeNSM", map(fields))
    }

    fn attest(&mut self, fields: &mut Fields, now: u64) -> Result<Value, Error> {
        let public_key = fields.optional("public_key", 1024)?;
        let user_data = fields.optional("user_data", 512)?;
        let nonce = fields.optional("nonce", 512)?;
        let pcrs = self.registers.iter().zip(0..).filter(|(it, _)| it.is_locked);
        let pcrs = pcrs.map(|(register, index)| (index, register.value.clone())).collect();
        let module_id = self.id.clone();
        let chain = self.chain(now / 1000)?;
        let claims = Claims {
            module_id,
            timestamp: now,
            pcrs,
            certificate: chain.certificate.clone(),
            cabundle: chain.bundle.clone(),
            public_key,
            user_data,
            nonce,
        };
        let document = claims.sign(&chain.key)?;
        Ok(one("Attestation", map([("document", document.into())])))
    }

    /// The chain that signs at this second: made anew before the leaf's time is over.
    fn chain(&mut self, now: u64) -> Result<&Chain> {
        let is_over = self.chain.as_ref().is_none_or(|(until, _)| now + RENEW > *until);
        if is_over {
            let lifetime = Lifetime::of_a_leaf(now);
            self.chain = Some((lifetime.not_after, self.authority.chain(&self.id, lifetime)?));
        }
        self.chain.as_ref().map(|(_, chain)| chain).ok_or_else(|| anyhow!("no chain"))
    }
}

/// A register after data was extended into it: `SHA-384(value || data)`.
#[must_use]
pub fn extended(value: &[u8], data: &[u8]) -> Vec<u8> {
    Sha384::new_with_prefix(value).chain_update(data).finalize().to_vec()
}

fn random() -> Result<Value, Error> {
    let mut bytes = vec![0; RANDOM_LEN];
    getrandom::fill(&mut bytes).map_err(|_| Error::Internal)?;
    Ok(one("GetRandom", map([("random", bytes.into())])))
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.map(|(name, value)| (Value::from(name), value)).to_vec())
}

fn one(name: &str, value: Value) -> Value {
    map([(name, value)])
}

/// What a call is given.
struct Fields(Vec<(Value, Value)>);

impl Fields {
    /// The name of a map's only key, and the map behind it.
    fn of_the_only(request: Value) -> Result<(String, Self), Error> {
        let entries = request.into_map().map_err(|_| Error::InvalidArgument)?;
        let Ok([(Value::Text(call), Value::Map(fields))]) = <[_; 1]>::try_from(entries) else {
            return Err(Error::InvalidArgument);
        };
        Ok((call, Self(fields)))
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| known.as_text() == Some(name))?;
        Some(self.0.swap_remove(at).1)
    }

    fn index(&mut self, name: &str) -> Result<u16, Error> {
        let value = self.take(name).and_then(|value| value.into_integer().ok());
        value.and_then(|value| value.try_into().ok()).ok_or(Error::InvalidArgument)
    }

    fn bytes(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        self.optional(name, MAX_REQUEST)?.ok_or(Error::InvalidArgument)
    }

    fn optional(&mut self, name: &str, max: usize) -> Result<Option<Vec<u8>>, Error> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bytes(bytes)) if bytes.len() <= max => Ok(Some(bytes)),
            Some(Value::Bytes(_)) => Err(Error::InputTooLarge),
            Some(_) => Err(Error::InvalidArgument),
        }
    }
}
