//! The commands in use, one function each (*TPM 2.0 Library*, part 3).

mod run;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use confidential_api::policy::Registers;
use tpm2_protocol::{
    basic::TpmHandle,
    data::{
        Tpm2bData, Tpm2bDigest, Tpm2bEccPoint, Tpm2bPublic, TpmAlgId, TpmRcBase, TpmRh, TpmSe,
        TpmsAttest, TpmsEccPoint, TpmtPublic, TpmtSigScheme, TpmtSignature, TpmtSymDef,
        TpmtTkCreation, TpmuAttest, TpmuSymKeyBits, TpmuSymMode,
    },
    frame::{
        TpmCertifyCreationCommand, TpmCertifyCreationResponse, TpmCreatePrimaryCommand,
        TpmCreatePrimaryResponse, TpmEcdhZGenCommand, TpmEvictControlCommand,
        TpmEvictControlResponse, TpmPcrReadCommand, TpmPcrReadResponse, TpmPolicyPcrCommand,
        TpmPolicyPcrResponse, TpmQuoteCommand, TpmQuoteResponse, TpmReadPublicCommand,
        TpmReadPublicResponse, TpmStartAuthSessionCommand, TpmStartAuthSessionResponse,
    },
};
use zeroize::Zeroizing;

use super::{
    answer,
    error::TpmError,
    public::{self, buffer, selection},
    stream::Stream,
};

/// Length of a register of the SHA-256 bank in bytes.
const REGISTER_LEN: usize = 32;
/// Timeout of a command.
const PATIENCE: Duration = Duration::from_secs(10);
/// Timeout of making a key.
const KEY_PATIENCE: Duration = Duration::from_secs(30);
/// Timeout of making an RSA key, the same as that of Linux's driver: finding primes is slow.
const RSA_PATIENCE: Duration = Duration::from_secs(300);
/// Length of a session's nonce in bytes: at least half of its hash.
const NONCE: usize = 32;

/// A TPM with exclusive access.
#[derive(Debug)]
pub(super) struct Commands {
    stream: Stream,
    condition: Arc<TpmStatus>,
    /// Whether objects of earlier processes were flushed in this era.
    cleared: bool,
    /// When it last failed to respond.
    silent: Option<Instant>,
    patience: Duration,
}

/// The status of a TPM, available without exclusive access.
#[derive(Debug, Default)]
pub(super) struct TpmStatus {
    /// Rises with each failure; objects of earlier eras are considered lost.
    era: AtomicU64,
    /// Whether it did not answer when it was last asked.
    silent: AtomicBool,
}

impl TpmStatus {
    /// Whether an object still exists, as far as is known.
    pub(super) fn has(&self, made: TransientHandle) -> bool {
        made.era == self.era()
    }

    /// Whether it did not answer when it was last asked.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// The current era, which ends with a failure.
    pub(super) fn era(&self) -> u64 {
        self.era.load(Ordering::Relaxed)
    }
}

/// The handle of a session or transient key, which is lost after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TransientHandle {
    handle: TpmHandle,
    era: u64,
}

/// A new key with its creation data.
#[derive(Debug)]
pub(super) struct CreatedKey {
    pub(super) key: TransientHandle,
    pub(super) public: TpmtPublic,
    /// The encoded public area.
    pub(super) bytes: Vec<u8>,
    hash: Tpm2bDigest,
    ticket: TpmtTkCreation,
}

/// A structure that the attestation key signed.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) attest: TpmsAttest,
    pub(super) signature: TpmtSignature,
}

impl Commands {
    pub(super) fn new(stream: Stream) -> Self {
        let condition = Arc::default();
        Self { stream, condition, cleared: false, silent: None, patience: PATIENCE }
    }

    /// Sets the timeout of commands.
    #[cfg(test)]
    pub(super) const fn patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(super) fn condition(&self) -> Arc<TpmStatus> {
        Arc::clone(&self.condition)
    }

    /// The public area at a handle, decoded and encoded; `None` if the handle is unused.
    pub(super) fn read_public(
        &mut self,
        handle: u32,
    ) -> Result<Option<(TpmtPublic, Vec<u8>)>, TpmError> {
        let command = TpmReadPublicCommand { handles: [handle.into()] };
        let read: TpmReadPublicResponse = match self.run("ReadPublic", &command, None) {
            Ok(read) => read,
            Err(error) if is(&error, TpmRcBase::Handle) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = named("ReadPublic", &read.out_public.inner, &read.name)?;
        Ok(Some((read.out_public.inner, bytes)))
    }

    /// The values of these registers.
    pub(super) fn registers(&mut self, wanted: &[u8]) -> Result<Registers, TpmError> {
        let mut found = BTreeMap::new();
        loop {
            let missing: Vec<_> =
                wanted.iter().copied().filter(|it| !found.contains_key(it)).collect();
            if missing.is_empty() {
                return Ok(Registers(found));
            }
            // A response has at most eight registers.
            let command =
                TpmPcrReadCommand { handles: [], pcr_selection_in: selection(missing.clone())? };
            let read: TpmPcrReadResponse = self.run("PCR_Read", &command, None)?;
            let malformed = TpmError::Malformed("PCR_Read");
            let Some(told) = public::selected(&read.pcr_selection_out) else {
                return Err(malformed);
            };
            let fits = told.iter().all(|it| missing.contains(it))
                && told.len() == read.pcr_values.len()
                && read.pcr_values.iter().all(|value| value.len() == REGISTER_LEN);
            if told.is_empty() || !fits {
                return Err(malformed);
            }
            let values = read.pcr_values.iter().map(|value| value.to_vec());
            found.extend(told.into_iter().zip(values));
        }
    }

    /// Derives a key from a hierarchy's seed and this template.
    pub(super) fn create(
        &mut self,
        hierarchy: TpmRh,
        wanted: TpmtPublic,
    ) -> Result<CreatedKey, TpmError> {
        let is_rsa = wanted.object_type == TpmAlgId::Rsa;
        let patience = if is_rsa { RSA_PATIENCE } else { KEY_PATIENCE };
        let command = TpmCreatePrimaryCommand {
            handles: [hierarchy.value().into()],
            in_public: Tpm2bPublic { inner: wanted },
            ..<_>::default()
        };
        let made: TpmCreatePrimaryResponse =
            self.run_within(patience, "CreatePrimary", &command, Some(password()))?;
        let key = self.made(made.handles);
        match named("CreatePrimary", &made.out_public.inner, &made.name) {
            Ok(bytes) => Ok(CreatedKey {
                key,
                public: made.out_public.inner,
                bytes,
                hash: made.creation_hash,
                ticket: made.creation_ticket,
            }),
            Err(error) => {
                self.flush(key);
                Err(error)
            }
        }
    }

    /// Makes a key persistent at this handle.
    pub(super) fn keep(&mut self, key: TransientHandle, at: u32) -> Result<(), TpmError> {
        let handles = [TpmRh::Owner.value().into(), self.handle(key)?];
        let command = TpmEvictControlCommand { handles, persistent_handle: at.into() };
        let _: TpmEvictControlResponse = self.run("EvictControl", &command, Some(password()))?;
        Ok(())
    }

    /// Flushes an object; errors are only logged.
    pub(super) fn flush(&mut self, made: TransientHandle) {
        if let Ok(handle) = self.handle(made)
            && let Err(error) = self.flush_handle(handle)
        {
            tracing::debug!(%error, "an object could not be flushed");
        }
    }

    /// Signs the values of the registers and `data` with the attestation key.
    pub(super) fn quote(
        &mut self,
        ak: u32,
        data: &[u8],
        registers: &Registers,
    ) -> Result<Signed, TpmError> {
        let command = TpmQuoteCommand {
            handles: [ak.into()],
            qualifying_data: buffer(data)?,
            in_scheme: TpmtSigScheme::default(),
            pcr_select: selection(registers.0.keys().copied())?,
        };
        let said: TpmQuoteResponse = self.run("Quote", &command, Some(password()))?;
        if !matches!(said.quoted.inner.attested, TpmuAttest::Quote(_)) {
            return Err(TpmError::Malformed("Quote"));
        }
        Ok(Signed { attest: said.quoted.inner, signature: said.signature })
    }

    /// Signs the creation of a key and `data` with the attestation key.
    pub(super) fn certify(
        &mut self,
        ak: u32,
        data: &[u8],
        created: &CreatedKey,
    ) -> Result<Signed, TpmError> {
        let command = TpmCertifyCreationCommand {
            handles: [ak.into(), self.handle(created.key)?],
            qualifying_data: buffer::<Tpm2bData>(data)?,
            creation_hash: created.hash,
            in_scheme: TpmtSigScheme::default(),
            creation_ticket: created.ticket,
        };
        let said: TpmCertifyCreationResponse =
            self.run("CertifyCreation", &command, Some(password()))?;
        if !matches!(said.certify_info.inner.attested, TpmuAttest::Creation(_)) {
            return Err(TpmError::Malformed("CertifyCreation"));
        }
        Ok(Signed { attest: said.certify_info.inner, signature: said.signature })
    }

    /// The x coordinate of a P-256 point, uncompressed, times a private key that is bound to these registers.
    ///
    /// # Errors
    ///
    /// [`TpmError::Changed`] if their values differ from when the key was made.
    pub(super) fn multiply(
        &mut self,
        key: TransientHandle,
        registers: &[u8],
        point: &[u8; 65],
    ) -> Result<Zeroizing<[u8; 32]>, TpmError> {
        match self.multiply_once(key, registers, point) {
            // A register changed during the session, perhaps one outside of the selection.
            Err(error) if is(&error, TpmRcBase::PcrChanged) => {
                self.multiply_once(key, registers, point)
            }
            Err(error) if is(&error, TpmRcBase::PolicyFail) => Err(TpmError::Changed),
            result => result,
        }
    }

    fn multiply_once(
        &mut self,
        key: TransientHandle,
        registers: &[u8],
        point: &[u8; 65],
    ) -> Result<Zeroizing<[u8; 32]>, TpmError> {
        let (x, y) = point[1..].split_at(32);
        let inner = TpmsEccPoint { x: buffer(x)?, y: buffer(y)? };
        let command =
            TpmEcdhZGenCommand { handles: [self.handle(key)?], in_point: Tpm2bEccPoint { inner } };
        let session = self.policy(registers)?;
        let said = self.send(self.patience, &command, Some(session.handle)).and_then(|answer| {
            answer::product(&answer).map_err(|bad| self.failed("ECDH_ZGen", bad))
        });
        if said.is_err() {
            // The session ends only on success.
            self.flush(session);
        }
        said
    }

    /// A policy session with the current values of the registers.
    fn policy(&mut self, registers: &[u8]) -> Result<TransientHandle, TpmError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| TpmError::Random)?;
        let none = TpmHandle::from(TpmRh::Null.value());
        let (key_bits, mode) = (TpmuSymKeyBits::Null, TpmuSymMode::Null);
        let command = TpmStartAuthSessionCommand {
            handles: [none, none],
            nonce_caller: buffer(&nonce)?,
            encrypted_salt: <_>::default(),
            session_type: TpmSe::Policy,
            symmetric: TpmtSymDef { algorithm: TpmAlgId::Null, key_bits, mode },
            auth_hash: TpmAlgId::Sha256,
        };
        let begun: TpmStartAuthSessionResponse = self.run("StartAuthSession", &command, None)?;
        let session = self.made(begun.handles);
        match self.show(session, registers) {
            Ok(()) => Ok(session),
            Err(error) => {
                self.flush(session);
                Err(error)
            }
        }
    }

    /// Adds the current values of the registers to a policy session.
    fn show(&mut self, session: TransientHandle, registers: &[u8]) -> Result<(), TpmError> {
        let command = TpmPolicyPcrCommand {
            handles: [session.handle],
            pcr_digest: <_>::default(),
            pcrs: selection(registers.iter().copied())?,
        };
        self.run::<_, TpmPolicyPcrResponse>("PolicyPCR", &command, None).map(drop)
    }

    /// The handle of a new object.
    fn made(&self, [handle]: [TpmHandle; 1]) -> TransientHandle {
        TransientHandle { handle, era: self.condition.era() }
    }

    fn handle(&self, made: TransientHandle) -> Result<TpmHandle, TpmError> {
        if self.condition.has(made) { Ok(made.handle) } else { Err(TpmError::Lost) }
    }
}

/// Whether a TPM refused with this code.
fn is(error: &TpmError, base: TpmRcBase) -> bool {
    matches!(error, TpmError::Refused(_, code) if code.base() == Some(base))
}

/// The session of an empty password.
fn password() -> TpmHandle {
    TpmRh::Pw.value().into()
}

/// The encoded public area, if its name is this one.
fn named(what: &'static str, public: &TpmtPublic, name: &[u8]) -> Result<Vec<u8>, TpmError> {
    let bytes = public::bytes(public)?;
    if public::name(&bytes) == name { Ok(bytes) } else { Err(TpmError::Malformed(what)) }
}
