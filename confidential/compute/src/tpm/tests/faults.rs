//! A TPM that fails, hangs, or answers what few do.

use std::{
    fs::File,
    io,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, channel},
    },
    time::Duration,
};

use testkit::blocking::eventually;
use tpm2_protocol::{
    TpmWriter,
    constant::TPM_MAX_COMMAND_SIZE,
    data::{TpmRc, TpmRcBase, TpmuPublicId},
    frame::{TpmCreatePrimaryResponse, tpm_marshal_response},
};

use super::{
    stand_in::{SOON, code, device, forward, listen, success},
    *,
};

/// Codes of commands (*TPM 2.0 Library*, part 2, section 6.5.2).
const GET_CAPABILITY: u32 = 0x17a;
const FLUSH_CONTEXT: u32 = 0x165;
const CREATE_PRIMARY: u32 = 0x131;
/// An answer that refuses: `TPM_RC_HANDLE` of the first handle.
const NO_HANDLE: [u8; 10] = [0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0x8b];

/// Counts commands of one code.
#[derive(Clone, Debug)]
struct Count(u32, Arc<AtomicUsize>);

impl Count {
    fn of(code: u32) -> Self {
        Self(code, Arc::default())
    }

    /// How many there were before, if this is one.
    fn see(&self, command: &[u8]) -> Option<usize> {
        (code(command) == self.0).then(|| self.1.fetch_add(1, Ordering::Relaxed))
    }

    fn seen(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }
}

/// Nobody waits for a slow TPM who needs nothing of it.
#[test]
#[ignore = "needs: swtpm"]
fn the_present_key_is_known_while_the_tpm_works_at_something() {
    let (_folder, _swtpm, tpm) = measured();
    let reks = Arc::new(RekStore::new(Box::new(tpm.clone())).unwrap());
    let works = tpm.commands();
    let (known, told) = channel();
    thread::spawn(move || known.send(reks.present().is_ok()));
    assert_eq!(told.recv_timeout(SOON), Ok(true));
    drop(works);
}

/// A TPM that lists two keys, and says this to whoever wants one forgotten.
fn forgets_nothing(at: &Path, said: &'static [u8]) -> [Count; 2] {
    let counts = [Count::of(GET_CAPABILITY), Count::of(FLUSH_CONTEXT)];
    let [lists, flushes] = counts.clone();
    listen(at, move |command| {
        let handles: &[u8] = if command.get(14) == Some(&0x80) {
            &[0, 0, 0, 2, 0x80, 0, 0, 0, 0x80, 0, 0, 1]
        } else {
            &[0, 0, 0, 0]
        };
        if lists.see(command).is_some() {
            // No more of them, of the kind 1 (TPM_CAP_HANDLES).
            success(&[&[0, 0, 0, 0, 1], handles].concat())
        } else if flushes.see(command).is_some() {
            said.to_vec()
        } else {
            NO_HANDLE.to_vec()
        }
    });
    counts
}

#[test]
fn a_key_that_a_tpm_does_not_forget_is_asked_about_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tpm.sock");
    let [lists, flushes] = forgets_nothing(&path, &NO_HANDLE);
    let mut commands = Commands::new(Stream::new(path));
    assert!(matches!(commands.read_public(AK), Ok(None)));
    assert!(matches!(commands.read_public(AK), Ok(None)));
    assert_eq!((lists.seen(), flushes.seen()), (2, 2), "sessions, and keys; each key");
    assert_eq!(commands.condition().era(), 0, "nothing else was lost by that");
}

#[test]
fn a_tpm_that_says_nonsense_of_a_key_that_it_should_forget_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tpm.sock");
    let [lists, flushes] = forgets_nothing(&path, &[0x80, 1, 0, 0, 0, 11, 0, 0, 0, 0, 1]);
    let error = Commands::new(Stream::new(path)).read_public(AK).unwrap_err();
    assert!(matches!(error, TpmError::Malformed("FlushContext")), "{error}");
    assert_eq!((lists.seen(), flushes.seen()), (2, 1));
}

/// A device that is silent until it is told to answer, and how often it was asked.
fn silent() -> (File, mpsc::Sender<()>, Count) {
    let count = Count::of(FLUSH_CONTEXT);
    let ((answer, answers), seen) = (channel::<()>(), count.clone());
    let file = device(move |command| {
        seen.see(command);
        answers.recv().ok().map(|()| success(&[]))
    });
    (file, answer, count)
}

/// `FlushContext` of nothing.
const FLUSH: [u8; 14] = [0x80, 1, 0, 0, 0, 14, 0, 0, 0x01, 0x65, 0, 0, 0, 0];

#[test]
fn a_device_that_does_not_answer_is_left_alone_until_its_driver_returns() {
    let (file, answer, asked) = silent();
    let mut stream = Stream::over(file);
    let kind = |said: io::Result<_>| said.map(|_| ()).unwrap_err().kind();
    assert_eq!(kind(stream.exchange(&FLUSH, Duration::from_millis(50))), io::ErrorKind::TimedOut);

    let (done, told) = channel();
    let waits = thread::spawn(move || {
        let said = kind(stream.exchange(&FLUSH, Duration::from_secs(3600)));
        done.send(said).unwrap();
        stream
    });
    assert_eq!(told.recv_timeout(SOON), Ok(io::ErrorKind::TimedOut), "nobody waits for it again");
    let mut stream = waits.join().unwrap();
    assert_eq!(asked.seen(), 1);

    answer.send(()).unwrap();
    // Then it is opened anew, which here cannot be done.
    let returned = || kind(stream.exchange(&FLUSH, SOON)) != io::ErrorKind::TimedOut;
    eventually("the driver returns", returned);
    assert_eq!(asked.seen(), 1, "what came late is nobody's answer");
}

#[test]
fn a_device_that_does_not_answer_is_told_from_one_that_does() {
    let (file, answer, _) = silent();
    answer.send(()).unwrap();
    let mut commands = Commands::new(Stream::over(file));
    let condition = commands.condition();
    assert!(!condition.is_silent());
    assert!(matches!(commands.registers(&[8]), Err(TpmError::Malformed(_))), "not of its kind");
    assert!(!condition.is_silent());

    let (file, _answer, _) = silent();
    let mut commands = Commands::new(Stream::over(file));
    commands.patience(Duration::from_millis(50));
    let condition = commands.condition();
    assert!(matches!(commands.registers(&[8]), Err(TpmError::Io(..))));
    assert!(condition.is_silent());
}

/// `swtpm` as the driver shows a TPM, but for what the driver keeps apart.
fn behind_a_device(swtpm: &Swtpm) -> Tpm {
    let socket = swtpm.socket().to_owned();
    let file = device(move |command| Some(forward(&socket, command)));
    Tpm::over(Stream::over(file), AK, vec![8, 12])
}

#[test]
#[ignore = "needs: swtpm"]
fn behind_a_device_requests_are_opened_and_what_others_made_is_left() {
    let (_folder, swtpm, tpm) = measured();
    let others = RekStore::new(Box::new(tpm)).unwrap();

    let reks = RekStore::new(Box::new(behind_a_device(&swtpm))).unwrap();

    for reks in [&reks, &others] {
        assert!(reks.open(Media::Whole, &sealed(reks)).is_ok());
    }
}

/// How many keys and sessions are in a TPM.
fn made(swtpm: &Swtpm) -> usize {
    Commands::new(Stream::new(swtpm.socket().to_owned())).handles().unwrap().len()
}

/// `swtpm`, where this changes what it says of a key that it makes, for so many keys.
fn changed(
    swtpm: &Swtpm,
    keys: usize,
    change: impl Fn(&mut TpmCreatePrimaryResponse) + Send + 'static,
) -> (Tpm, Count) {
    let (socket, makes) = (swtpm.socket().to_owned(), Count::of(CREATE_PRIMARY));
    let seen = makes.clone();
    let file = device(move |command| {
        let answer = forward(&socket, command);
        if seen.see(command).is_none_or(|before| before >= keys) {
            return Some(answer);
        }
        let mut response: TpmCreatePrimaryResponse = answer::read(&answer, true).unwrap();
        change(&mut response);
        let mut bytes = [0; TPM_MAX_COMMAND_SIZE];
        let mut writer = TpmWriter::new(&mut bytes);
        let code = TpmRc::Fmt0(TpmRcBase::Success);
        tpm_marshal_response(&response, code, &[<_>::default()], &mut writer).unwrap();
        Some(writer.as_bytes().to_vec())
    });
    (Tpm::over(Stream::over(file), AK, vec![8, 12]), makes)
}

/// As TPMs do that write no zeros in front of a coordinate.
fn shorten(made: &mut TpmCreatePrimaryResponse) {
    let TpmuPublicId::Ecc(point) = &mut made.out_public.inner.unique else { unreachable!() };
    point.x = public::buffer(&point.x.to_vec()[1..]).unwrap();
    let area = public::bytes(&made.out_public.inner).unwrap();
    made.name = public::buffer(&public::name(&area)).unwrap();
}

#[test]
#[ignore = "needs: swtpm"]
fn a_key_with_a_short_coordinate_is_forgotten_and_another_is_made() {
    let (_folder, swtpm, _) = measured();
    let (tpm, makes) = changed(&swtpm, 2, shorten);
    let rek = tpm.generate().unwrap();
    assert_eq!((makes.seen(), made(&swtpm)), (3, 1));
    drop(rek);

    let (tpm, makes) = changed(&swtpm, usize::MAX, shorten);
    assert!(matches!(tpm.generate(), Err(HolderError::Tpm(TpmError::Malformed(_)))));
    assert_eq!((makes.seen(), made(&swtpm)), (8, 0), "not for ever");
}

#[test]
#[ignore = "needs: swtpm"]
fn a_key_whose_name_is_another_ones_is_forgotten() {
    let (_folder, swtpm, _) = measured();
    let (tpm, makes) = changed(&swtpm, usize::MAX, |made| {
        made.name = public::buffer(&public::name(b"another")).unwrap();
    });
    assert!(matches!(tpm.generate(), Err(HolderError::Tpm(TpmError::Malformed(_)))));
    assert_eq!((makes.seen(), made(&swtpm)), (1, 0));
}
