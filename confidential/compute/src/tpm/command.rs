//! The commands that are used, one function each (*TPM 2.0 Library*, part 3).

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

/// Bytes of a register of the bank of SHA-256.
const REGISTER_LEN: usize = 32;
/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long making a key may take.
const KEY_PATIENCE: Duration = Duration::from_secs(30);
/// How long making a key of RSA may take, whose primes are searched for: as long as Linux's driver waits.
const RSA_PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of a session's nonce: at least half of its hash.
const NONCE: usize = 32;

/// A TPM that is asked for one thing after the other.
#[derive(Debug)]
pub(super) struct Commands {
    stream: Stream,
    condition: Arc<Condition>,
    /// Whether what others left was cleared away in this era.
    cleared: bool,
    /// When it did not answer.
    silent: Option<Instant>,
    patience: Duration,
}

/// What is known of a TPM without waiting for it.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// Rises with each failure, after which what was made is not counted on.
    era: AtomicU64,
    /// Whether it did not answer when it was last asked.
    silent: AtomicBool,
}

impl Condition {
    /// Whether something is still there, as far as is known.
    pub(super) fn has(&self, made: Made) -> bool {
        made.era == self.era()
    }

    /// Whether it did not answer when it was last asked.
    pub(super) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// It rises with each failure.
    pub(super) fn era(&self) -> u64 {
        self.era.load(Ordering::Relaxed)
    }
}

/// Something that was made in the TPM, and is gone after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    handle: TpmHandle,
    era: u64,
}

/// A key that was made, and what tells how.
#[derive(Debug)]
pub(super) struct Created {
    pub(super) key: Made,
    pub(super) public: TpmtPublic,
    /// The public area's bytes.
    pub(super) bytes: Vec<u8>,
    hash: Tpm2bDigest,
    ticket: TpmtTkCreation,
}

/// A statement that the attestation key signed.
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

    /// Lets each command take this long.
    #[cfg(test)]
    pub(super) const fn patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub(super) fn condition(&self) -> Arc<Condition> {
        Arc::clone(&self.condition)
    }

    /// The public area at a handle, and its bytes; none if nothing is there.
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

    /// What these registers hold.
    pub(super) fn registers(&mut self, wanted: &[u8]) -> Result<Registers, TpmError> {
        let mut found = BTreeMap::new();
        loop {
            let missing: Vec<_> =
                wanted.iter().copied().filter(|it| !found.contains_key(it)).collect();
            if missing.is_empty() {
                return Ok(Registers(found));
            }
            // Of a long selection it tells the first eight.
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

    /// Makes a key of a hierarchy's seed and what is asked.
    pub(super) fn create(
        &mut self,
        hierarchy: TpmRh,
        wanted: TpmtPublic,
    ) -> Result<Created, TpmError> {
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
            Ok(bytes) => Ok(Created {
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

    /// Keeps a key over restarts, at this handle.
    pub(super) fn keep(&mut self, key: Made, at: u32) -> Result<(), TpmError> {
        let handles = [TpmRh::Owner.value().into(), self.handle(key)?];
        let command = TpmEvictControlCommand { handles, persistent_handle: at.into() };
        let _: TpmEvictControlResponse = self.run("EvictControl", &command, Some(password()))?;
        Ok(())
    }

    /// Forgets what was made; what cannot be forgotten is gone.
    pub(super) fn flush(&mut self, made: Made) {
        if let Ok(handle) = self.handle(made)
            && let Err(error) = self.flush_handle(handle)
        {
            tracing::debug!(%error, "something is left in the TPM");
        }
    }

    /// Has the attestation key sign what the registers hold, with `data`.
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

    /// Has the attestation key sign that the TPM made a key, and how, with `data`.
    pub(super) fn certify(
        &mut self,
        ak: u32,
        data: &[u8],
        created: &Created,
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

    /// Multiplies a point of P-256, uncompressed, with a private key that these registers allow: the x coordinate.
    ///
    /// # Errors
    ///
    /// [`TpmError::Changed`] if they hold something else than when the key was made.
    pub(super) fn multiply(
        &mut self,
        key: Made,
        registers: &[u8],
        point: &[u8; 65],
    ) -> Result<Zeroizing<[u8; 32]>, TpmError> {
        match self.multiply_once(key, registers, point) {
            // Some register changed while the session was under way, perhaps one that nobody asked about.
            Err(error) if is(&error, TpmRcBase::PcrChanged) => {
                self.multiply_once(key, registers, point)
            }
            Err(error) if is(&error, TpmRcBase::PolicyFail) => Err(TpmError::Changed),
            result => result,
        }
    }

    fn multiply_once(
        &mut self,
        key: Made,
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
            // Used up only if it went well.
            self.flush(session);
        }
        said
    }

    /// A session that shows what the registers hold now.
    fn policy(&mut self, registers: &[u8]) -> Result<Made, TpmError> {
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

    /// Has a session show what the registers hold now.
    fn show(&mut self, session: Made, registers: &[u8]) -> Result<(), TpmError> {
        let command = TpmPolicyPcrCommand {
            handles: [session.handle],
            pcr_digest: <_>::default(),
            pcrs: selection(registers.iter().copied())?,
        };
        self.run::<_, TpmPolicyPcrResponse>("PolicyPCR", &command, None).map(drop)
    }

    /// Something that the TPM says it made just now.
    fn made(&self, [handle]: [TpmHandle; 1]) -> Made {
        Made { handle, era: self.condition.era() }
    }

    fn handle(&self, made: Made) -> Result<TpmHandle, TpmError> {
        if self.condition.has(made) { Ok(made.handle) } else { Err(TpmError::Lost) }
    }
}

/// Whether a TPM refused for this reason.
fn is(error: &TpmError, base: TpmRcBase) -> bool {
    matches!(error, TpmError::Refused { code, .. } if code.base() == Some(base))
}

/// The session of an empty password.
fn password() -> TpmHandle {
    TpmRh::Pw.value().into()
}

/// The bytes of a public area, which the TPM calls by this name.
fn named(what: &'static str, public: &TpmtPublic, name: &[u8]) -> Result<Vec<u8>, TpmError> {
    let bytes = public::bytes(public)?;
    if public::name(&bytes) == name { Ok(bytes) } else { Err(TpmError::Malformed(what)) }
}
