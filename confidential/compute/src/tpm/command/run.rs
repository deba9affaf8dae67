//! How a command is carried out, and what follows where it is not.
//!
//! ```text
//! run ──▶ send: clears away once in an era ──▶ transmit: again while the TPM is not ready ──▶ exchange
//!                      └── list, flush ───────────▲                                              │
//!                         no answer, or none of its kind, or what was made is gone ──▶ a new era ─┘
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

/// Where handles of sessions and of what was made begin (part 2, section 7.2).
const MADE: [u32; 2] = [0x0200_0000, 0x8000_0000];
/// How many handles are asked for at once.
const HANDLES: u32 = 64;
/// How long a TPM that did not answer is left alone, so that those who wait for it need not each find out.
const REST: Duration = Duration::from_secs(1);
/// Pauses before a command is sent again that the TPM was not ready for, in milliseconds. Linux's driver does the same.
const PAUSES_MS: [u64; 7] = [1, 10, 20, 40, 80, 160, 320];

impl Commands {
    /// Has a command carried out, with the authorization of a session.
    pub(super) fn run<C: TpmFrame, R: TpmUnmarshalBody>(
        &mut self,
        what: &'static str,
        command: &C,
        session: Option<TpmHandle>,
    ) -> Result<R, TpmError> {
        self.run_within(self.patience, what, command, session)
    }

    /// As [`Self::run`], where the TPM may take this long.
    pub(super) fn run_within<C: TpmFrame, R: TpmUnmarshalBody>(
        &mut self,
        patience: Duration,
        what: &'static str,
        command: &C,
        session: Option<TpmHandle>,
    ) -> Result<R, TpmError> {
        debug_assert!(command.cc() == R::CC, "an answer of its kind is expected");
        let answer = self.send(patience, command, session)?;
        answer::read(&answer, session.is_some()).map_err(|bad| self.failed(what, bad))
    }

    /// The bytes of a command's answer.
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

    /// Clears away what a process before this one made: a TPM has room for three keys. The device's driver has done so, and
    /// what is there is somebody else's.
    fn clear(&mut self) -> Result<(), TpmError> {
        if !self.stream.keeps() {
            return Ok(());
        }
        for handle in self.handles()? {
            match self.flush_handle(handle) {
                Ok(()) => {}
                Err(error @ TpmError::Refused { .. }) => {
                    tracing::debug!(%error, "something is left in the TPM");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sessions and keys that are in the TPM.
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

    /// Forgets what is at a handle. It clears nothing away, so that clearing can use it.
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
            TpmError::Io { at: self.stream.at().to_owned(), source }
        })
    }

    /// Notes that something went wrong.
    pub(super) fn failed(&mut self, what: &'static str, bad: answer::Bad) -> TpmError {
        let error = TpmError::of(what, bad);
        // What it was asked about is gone, so it was started anew; or it says nothing sensible.
        let lost = [TpmRcBase::Handle, TpmRcBase::ReferenceH0].iter().any(|base| is(&error, *base));
        // Here a handle may be anybody's.
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
