//! The commands that are used, one function each (*TPM 2.0 Library*, part 3).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use confidential_api::policy::Registers;
use tpm2_protocol::{
    TpmWriter,
    basic::{TpmHandle, TpmUint32},
    constant::TPM_MAX_COMMAND_SIZE,
    data::{
        Tpm2bData, Tpm2bDigest, Tpm2bEccPoint, Tpm2bPublic, TpmAlgId, TpmCap, TpmRcBase, TpmRh,
        TpmSe, TpmSt, TpmsAttest, TpmsAuthCommand, TpmsEccPoint, TpmtPublic, TpmtSigScheme,
        TpmtSignature, TpmtSymDef, TpmtTkCreation, TpmuAttest, TpmuCapabilities, TpmuSymKeyBits,
        TpmuSymMode,
    },
    frame::{
        TpmCertifyCreationCommand, TpmCertifyCreationResponse, TpmCreatePrimaryCommand,
        TpmCreatePrimaryResponse, TpmEcdhZGenCommand, TpmEvictControlCommand,
        TpmEvictControlResponse, TpmFlushContextCommand, TpmFlushContextResponse, TpmFrame,
        TpmGetCapabilityCommand, TpmGetCapabilityResponse, TpmPcrReadCommand, TpmPcrReadResponse,
        TpmPolicyPcrCommand, TpmPolicyPcrResponse, TpmQuoteCommand, TpmQuoteResponse,
        TpmReadPublicCommand, TpmReadPublicResponse, TpmStartAuthSessionCommand,
        TpmStartAuthSessionResponse, TpmUnmarshalBody, tpm_marshal_command,
    },
};
use zeroize::Zeroizing;

use super::{
    REGISTER_LEN, TpmError, answer,
    public::{self, buffer, selection},
    stream::{Answer, Stream},
};

/// Where handles of sessions and of what was made begin (part 2, section 7.2).
const MADE: [u32; 2] = [0x0200_0000, 0x8000_0000];
/// How many handles are asked for at once.
const HANDLES: u32 = 64;
/// How long a TPM that did not answer is left alone, so that those who wait for it need not each find out.
const REST: Duration = Duration::from_secs(1);
/// Pauses before a command is sent again that the TPM was not ready for, in milliseconds. Linux's driver does the same.
const PAUSES_MS: [u64; 7] = [1, 10, 20, 40, 80, 160, 320];
/// Bytes of a session's nonce: at least half of its hash.
const NONCE: usize = 32;

/// A TPM that is asked for one thing after the other.
#[derive(Debug)]
pub(super) struct Commands {
    stream: Stream,
    /// Rises with each failure, after which what was made is not counted on.
    era: u64,
    /// Whether what others left was cleared away in this era.
    cleared: bool,
    /// When it did not answer.
    silent: Option<Instant>,
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
    pub(super) const fn new(at: PathBuf) -> Self {
        Self { stream: Stream::new(at), era: 0, cleared: false, silent: None }
    }

    /// Where the TPM is.
    pub(super) fn at(&self) -> &Path {
        self.stream.at()
    }

    /// Lets a stand-in take this long.
    #[cfg(test)]
    pub(super) const fn patience(&mut self, patience: Duration) {
        self.stream.patience(patience);
    }

    /// Whether something is still there, as far as is known.
    pub(super) const fn has(&self, made: Made) -> bool {
        made.era == self.era
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
        let command = TpmCreatePrimaryCommand {
            handles: [hierarchy.value().into()],
            in_public: Tpm2bPublic { inner: wanted },
            ..<_>::default()
        };
        let made: TpmCreatePrimaryResponse =
            self.run("CreatePrimary", &command, Some(password()))?;
        let bytes = named("CreatePrimary", &made.out_public.inner, &made.name)?;
        let [handle] = made.handles;
        Ok(Created {
            key: Made { handle, era: self.era },
            public: made.out_public.inner,
            bytes,
            hash: made.creation_hash,
            ticket: made.creation_ticket,
        })
    }

    /// Keeps a key over restarts, at this handle.
    pub(super) fn keep(&mut self, key: Made, at: u32) -> Result<(), TpmError> {
        let handles = [TpmRh::Owner.value().into(), self.handle(key)?];
        let command = TpmEvictControlCommand { handles, persistent_handle: at.into() };
        let _: TpmEvictControlResponse = self.run("EvictControl", &command, Some(password()))?;
        Ok(())
    }

    /// Forgets what was made.
    pub(super) fn flush(&mut self, made: Made) {
        if let Ok(flush_handle) = self.handle(made) {
            self.flush_handle(flush_handle);
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
        let said = self.send(&command, Some(session)).and_then(|answer| {
            answer::product(&answer).map_err(|bad| self.failed("ECDH_ZGen", bad))
        });
        if said.is_err() {
            // Used up only if it went well.
            self.flush_handle(session);
        }
        said
    }

    /// A session that shows what the registers hold now.
    fn policy(&mut self, registers: &[u8]) -> Result<TpmHandle, TpmError> {
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
        let [session] = begun.handles;
        let command = TpmPolicyPcrCommand {
            handles: [session],
            pcr_digest: <_>::default(),
            pcrs: selection(registers.iter().copied())?,
        };
        match self.run::<_, TpmPolicyPcrResponse>("PolicyPCR", &command, None) {
            Ok(_) => Ok(session),
            Err(error) => {
                self.flush_handle(session);
                Err(error)
            }
        }
    }

    fn handle(&self, made: Made) -> Result<TpmHandle, TpmError> {
        if self.has(made) { Ok(made.handle) } else { Err(TpmError::Lost) }
    }

    /// Forgets; what cannot be forgotten is gone.
    fn flush_handle(&mut self, flush_handle: TpmHandle) {
        let command = TpmFlushContextCommand { handles: [], flush_handle };
        let flushed: Result<TpmFlushContextResponse, _> = self.run("FlushContext", &command, None);
        if let Err(error) = flushed {
            tracing::debug!(%error, "something is left in the TPM");
        }
    }

    /// Clears away what a process before this one made: a TPM has room for three keys. The driver shows each process its
    /// own alone, so there this finds nothing.
    fn clear(&mut self) -> Result<(), TpmError> {
        self.cleared = true;
        for property in MADE {
            let command = TpmGetCapabilityCommand {
                handles: [],
                cap: TpmCap::Handles,
                property: property.into(),
                property_count: HANDLES.into(),
            };
            let read: TpmGetCapabilityResponse = self.run("GetCapability", &command, None)?;
            let TpmuCapabilities::Handles(handles) = read.capability_data.data else {
                return Err(TpmError::Malformed("GetCapability"));
            };
            let handles: Vec<TpmUint32> = handles.to_vec();
            handles.into_iter().for_each(|handle| self.flush_handle(handle));
        }
        Ok(())
    }

    /// Has a command carried out, with the authorization of a session.
    fn run<C: TpmFrame, R: TpmUnmarshalBody>(
        &mut self,
        what: &'static str,
        command: &C,
        session: Option<TpmHandle>,
    ) -> Result<R, TpmError> {
        debug_assert!(command.cc() == R::CC, "an answer of its kind is expected");
        let answer = self.send(command, session)?;
        answer::read(&answer, session.is_some()).map_err(|bad| self.failed(what, bad))
    }

    fn send<C: TpmFrame>(
        &mut self,
        command: &C,
        session: Option<TpmHandle>,
    ) -> Result<Answer, TpmError> {
        if !self.cleared {
            self.clear()?;
        }
        let authorization =
            session.map(|session_handle| TpmsAuthCommand { session_handle, ..<_>::default() });
        let tag = if session.is_some() { TpmSt::Sessions } else { TpmSt::NoSessions };
        let mut bytes = [0; TPM_MAX_COMMAND_SIZE];
        let mut writer = TpmWriter::new(&mut bytes);
        tpm_marshal_command(command, tag, authorization.as_slice(), &mut writer)
            .map_err(|_| TpmError::TooLong)?;
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let answer = self.exchange(writer.as_bytes())?;
            match pauses.next() {
                Some(pause) if answer::is_not_yet(&answer) => {
                    thread::sleep(Duration::from_millis(pause));
                }
                Some(_) | None => return Ok(answer),
            }
        }
    }

    fn exchange(&mut self, command: &[u8]) -> Result<Answer, TpmError> {
        if self.silent.is_some_and(|since| since.elapsed() < REST) {
            return Err(TpmError::Silent);
        }
        self.stream.exchange(command).map_err(|source| {
            self.new_era();
            self.silent = Some(Instant::now());
            TpmError::Io { at: self.at().to_owned(), source }
        })
    }

    /// Notes that something went wrong.
    fn failed(&mut self, what: &'static str, bad: answer::Bad) -> TpmError {
        let error = TpmError::of(what, bad);
        // It says nothing sensible, or was started anew: then what was made is gone.
        let lost = [TpmRcBase::Handle, TpmRcBase::ReferenceH0].map(|base| is(&error, base));
        if matches!(error, TpmError::Malformed(_)) || (what != "ReadPublic" && lost.contains(&true))
        {
            self.new_era();
        }
        error
    }

    fn new_era(&mut self) {
        self.stream.close();
        self.era += 1;
        self.cleared = false;
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
