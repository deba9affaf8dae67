//! Execution of commands, and recovery from failures.
//!
//! ```text
//! run ──▶ send: flushes old objects once in an era ──▶ transmit: repeats while the TPM is not ready ──▶ exchange
//!                      └── list, flush ───────────────▲                                               │
//!                                    no response, a malformed one, or a lost object ──▶ a new era ────┘
//! ```

use std::{
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use tpm2_protocol::{
    TpmWriter,
    basic::{TpmHandle, TpmUint32},
    constant::TPM_MAX_COMMAND_SIZE,
    data::{TpmCap, TpmRcBase, TpmSt, TpmsAuthCommand, TpmuCapabilities},
    frame::{
        TpmFlushContextCommand, TpmFlushContextResponse, TpmFrame, TpmGetCapabilityCommand,
        TpmGetCapabilityResponse, TpmUnmarshalBody, tpm_marshal_command,
    },
};

use super::{
    super::{
        answer::{self, Answer},
        error::TpmError,
    },
    Commands, is,
};

/// The first handles of sessions and of transient objects (part 2, section 7.2).
const MADE: [u32; 2] = [0x0200_0000, 0x8000_0000];
/// Number of handles in one request.
const HANDLES: u32 = 64;
/// How long commands fail at once after the TPM did not respond, so that waiting callers do not each wait for the timeout.
const REST: Duration = Duration::from_secs(1);
/// Pauses before a command is repeated because the TPM was not ready, in milliseconds, as in Linux's driver.
const PAUSES_MS: [u64; 7] = [1, 10, 20, 40, 80, 160, 320];

impl Commands {
    /// Executes a command, with the authorization of a session.
    pub(super) fn run<C: TpmFrame, R: TpmUnmarshalBody>(
        &mut self,
        what: &'static str,
        command: &C,
        session: Option<TpmHandle>,
    ) -> Result<R, TpmError> {
        self.run_within(self.patience, what, command, session)
    }

    /// [`Self::run`] with this timeout.
    pub(super) fn run_within<C: TpmFrame, R: TpmUnmarshalBody>(
        &mut self,
        patience: Duration,
        what: &'static str,
        command: &C,
        session: Option<TpmHandle>,
    ) -> Result<R, TpmError> {
        debug_assert!(command.cc() == R::CC, "the response has the type of the command");
        let answer = self.send(patience, command, session)?;
        answer::read(&answer, session.is_some()).map_err(|bad| self.failed(what, bad))
    }

    /// Executes a command; returns the encoded response.
    pub(super) fn send<C: TpmFrame>(
        &mut self,
        patience: Duration,
        command: &C,
        session: Option<TpmHandle>,
    ) -> Result<Answer, TpmError> {
        if !self.cleared {
            self.clear()?;
            self.cleared = true;
        }
        self.transmit(patience, command, session)
    }

    /// Flushes the objects of an earlier process, since a TPM has room for three keys. A device's driver does that itself, and
    /// other objects there belong to other processes.
    fn clear(&mut self) -> Result<(), TpmError> {
        if !self.stream.keeps() {
            return Ok(());
        }
        for handle in self.handles()? {
            match self.flush_handle(handle) {
                Ok(()) => {}
                Err(error @ TpmError::Refused(..)) => {
                    tracing::debug!(%error, "an object could not be flushed");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sessions and transient keys in the TPM.
    pub(in super::super) fn handles(&mut self) -> Result<Vec<TpmUint32>, TpmError> {
        let what = "GetCapability";
        let mut found = Vec::new();
        for property in MADE {
            let command = TpmGetCapabilityCommand {
                handles: [],
                cap: TpmCap::Handles,
                property: property.into(),
                property_count: HANDLES.into(),
            };
            let answer = self.transmit(self.patience, &command, None)?;
            let read: TpmGetCapabilityResponse =
                answer::read(&answer, false).map_err(|bad| self.failed(what, bad))?;
            let TpmuCapabilities::Handles(handles) = read.capability_data.data else {
                return Err(TpmError::Malformed(what));
            };
            found.extend(handles.iter().copied());
        }
        Ok(found)
    }

    /// Flushes the object at a handle.
    pub(super) fn flush_handle(&mut self, flush_handle: TpmHandle) -> Result<(), TpmError> {
        let command = TpmFlushContextCommand { handles: [], flush_handle };
        let answer = self.transmit(self.patience, &command, None)?;
        answer::read::<TpmFlushContextResponse>(&answer, false)
            .map(drop)
            .map_err(|bad| self.failed("FlushContext", bad))
    }

    fn transmit<C: TpmFrame>(
        &mut self,
        patience: Duration,
        command: &C,
        session: Option<TpmHandle>,
    ) -> Result<Answer, TpmError> {
        let authorization =
            session.map(|session_handle| TpmsAuthCommand { session_handle, ..<_>::default() });
        let tag = if session.is_some() { TpmSt::Sessions } else { TpmSt::NoSessions };
        let mut bytes = [0; TPM_MAX_COMMAND_SIZE];
        let mut writer = TpmWriter::new(&mut bytes);
        tpm_marshal_command(command, tag, authorization.as_slice(), &mut writer)
            .map_err(|_| TpmError::TooLong)?;
        let mut pauses = PAUSES_MS.into_iter();
        loop {
            let answer = self.exchange(patience, writer.as_bytes())?;
            match pauses.next() {
                Some(pause) if answer::is_not_yet(&answer) => {
                    thread::sleep(Duration::from_millis(pause));
                }
                Some(_) | None => return Ok(answer),
            }
        }
    }

    fn exchange(&mut self, patience: Duration, command: &[u8]) -> Result<Answer, TpmError> {
        if self.silent.is_some_and(|since| since.elapsed() < REST) {
            return Err(TpmError::Silent);
        }
        let said = self.stream.exchange(command, patience);
        self.condition.silent.store(said.is_err(), Ordering::Relaxed);
        said.map_err(|source| {
            self.new_era();
            self.silent = Some(Instant::now());
            TpmError::Io(self.stream.at().to_owned(), source)
        })
    }

    /// Records a failure.
    pub(super) fn failed(&mut self, what: &'static str, bad: answer::ResponseError) -> TpmError {
        let error = TpmError::of(what, bad);
        // A lost object means that the TPM was restarted.
        let lost = [TpmRcBase::Handle, TpmRcBase::ReferenceH0].iter().any(|base| is(&error, *base));
        // These commands may have handles that do not exist.
        let may_be_gone = ["ReadPublic", "FlushContext"].contains(&what);
        if matches!(error, TpmError::Malformed(_)) || (lost && !may_be_gone) {
            self.new_era();
        }
        error
    }

    fn new_era(&mut self) {
        self.stream.close();
        self.condition.era.fetch_add(1, Ordering::Relaxed);
        self.cleared = false;
    }
}
