mod faults;
mod stand_in;

use std::{os::unix::net::UnixListener, thread};

use confidential_api::evidence::{EvidencePiece, EvidenceType};
use confidential_envelope::{
    Plaintext,
    inner::{self, Recipient},
};
use lab::swtpm::{Swtpm, extend};
use sha2::{Digest as _, Sha256};
use tpm2_protocol::data::{TpmRh, TpmsEccPoint, TpmuPublicId};

use super::*;
use crate::{
    frame::Refusal,
    holder::{Holder as _, HolderError, Rek as _},
    job::Media,
    rek::RekStore,
    test_support::Node,
};
use stand_in::{forward, listen};

const AK: u32 = 0x8101_0002;

fn tpm_at(at: &Path) -> Tpm {
    Tpm::new(at, AK, &[8, 12]).unwrap()
}

/// A TPM as it is where a program and a model were measured, with its attestation key.
fn measured() -> (tempfile::TempDir, Swtpm, Tpm) {
    let folder = tempfile::tempdir().unwrap();
    let swtpm = Swtpm::start(folder.path()).unwrap();
    for register in [8, 12] {
        extend(swtpm.socket(), register, [register; 32]).unwrap();
    }
    let tpm = tpm_at(swtpm.socket());
    tpm.provision("node").unwrap();
    (folder, swtpm, tpm)
}

fn sealed(reks: &RekStore) -> Vec<u8> {
    let node = Node::of(&*reks.present().unwrap());
    let recipients = vec![Recipient::new(&node).unwrap()];
    let sealed = inner::seal(recipients, &Plaintext::from(b"question".to_vec())).unwrap();
    sealed.keys[0].bytes.clone()
}

#[test]
fn only_registers_and_handles_that_there_are_can_be_named() {
    let at = Path::new("/dev/tpmrm0");
    for registers in [&[][..], &[8, 8], &[24]] {
        let said = Tpm::new(at, AK, registers).unwrap_err().to_string();
        assert!(said.contains("pcrs = ") && said.contains("0 to 23"), "{said}");
    }
    for handle in [0, 0x8000_0000, 0x8180_0000] {
        assert!(matches!(Tpm::new(at, handle, &[8]), Err(TpmError::Handle(_))));
    }
    assert!(Tpm::new(at, AK, &(0..24).collect::<Vec<_>>()).is_ok());
}

#[test]
fn a_tpm_that_is_away_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let said = tpm_at(&folder.path().join("tpm.sock")).generate().unwrap_err().to_string();
    assert!(said.contains("tpm.sock"), "{said}");
}

#[test]
fn a_tpm_that_says_nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let answers = [
        Vec::new(),
        vec![0; 40],
        vec![0xff; 40],
        // An answer to another command.
        vec![0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0],
        // One that says that it is longer than it may be.
        vec![0x80, 1, 0xff, 0, 0, 10, 0, 0, 0, 0],
    ];
    for (at, answer) in answers.into_iter().enumerate() {
        let path = folder.path().join(at.to_string());
        listen(&path, move |_| answer.clone());
        let error = tpm_at(&path).generate().unwrap_err();
        let malformed =
            matches!(error, HolderError::Tpm(TpmError::Malformed(_) | TpmError::Io(..)));
        assert!(malformed, "{at}: {error}");
    }
}

/// Nobody waits for each of those before them to find out.
#[test]
fn who_waits_for_a_tpm_that_does_not_answer_fails_with_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tpm.sock");
    let _silent = UnixListener::bind(&path).unwrap();
    let mut commands = Commands::new(Stream::new(path));
    commands.patience(std::time::Duration::from_millis(50));
    assert!(matches!(commands.registers(&[8]), Err(TpmError::Io(..))));
    assert!(matches!(commands.registers(&[8]), Err(TpmError::Silent)));
}

#[test]
#[ignore = "needs: swtpm"]
fn a_request_is_opened_by_the_tpm_once_and_a_changed_one_not_at_all() {
    let (_folder, _swtpm, tpm) = measured();
    let reks = RekStore::new(Box::new(tpm)).unwrap();
    let key = sealed(&reks);

    assert_eq!(reks.open(Media::Whole, &key).unwrap().kem.id(), 0x10);
    assert_eq!(reks.open(Media::Whole, &key).unwrap_err(), Refusal::Sealed, "played again");
    let key = sealed(&reks);
    // The header, the point, and what is sealed.
    for at in [2, 7, 8, 40, key.len() - 1] {
        let mut changed = key.clone();
        changed[at] ^= 1;
        assert_eq!(reks.open(Media::Whole, &changed).unwrap_err(), Refusal::Sealed, "{at}");
    }
    assert!(reks.open(Media::Whole, &key).is_ok());
}

#[test]
#[ignore = "needs: swtpm"]
fn a_full_memory_has_the_tpm_make_a_new_key_and_forget_the_old_one() {
    let (_folder, _swtpm, tpm) = measured();
    let reks = RekStore::with_max(Box::new(tpm), 1).unwrap();
    // More often than a TPM has room for keys.
    for _ in 0..5 {
        let (first, second) = (sealed(&reks), sealed(&reks));
        assert!(reks.open(Media::Whole, &first).is_ok());
        assert_eq!(reks.open(Media::Whole, &second).unwrap_err(), Refusal::Sealed, "the old key's");
    }
}

#[test]
#[ignore = "needs: swtpm"]
fn what_processes_before_left_in_the_tpm_is_cleared_away() {
    let (_folder, swtpm, _) = measured();
    for _ in 0..5 {
        let reks = RekStore::new(Box::new(tpm_at(swtpm.socket()))).unwrap();
        // As where the process is killed: nothing is taken back.
        std::mem::forget(reks);
    }
}

#[test]
#[ignore = "needs: swtpm"]
fn a_tpm_refuses_after_a_register_changed() {
    let (_folder, swtpm, tpm) = measured();
    let reks = RekStore::new(Box::new(tpm.clone())).unwrap();
    let (before, after) = (sealed(&reks), sealed(&reks));
    // One that the key is not bound to.
    extend(swtpm.socket(), 9, [1; 32]).unwrap();
    assert!(reks.open(Media::Whole, &before).is_ok());

    extend(swtpm.socket(), 12, [1; 32]).unwrap();

    assert_eq!(reks.open(Media::Whole, &after).unwrap_err(), Refusal::Failed);
    let rek = rek::TpmRek::generate(tpm).unwrap();
    let error = {
        extend(swtpm.socket(), 8, [1; 32]).unwrap();
        rek.multiply(&public_point(&rek)).unwrap_err()
    };
    assert!(matches!(error, TpmError::Changed), "{error}");
    assert!(error.to_string().contains("restart"), "{error}");
}

fn public_point(rek: &rek::TpmRek) -> [u8; 65] {
    rek.public().to_bytes().try_into().unwrap()
}

#[test]
#[ignore = "needs: swtpm"]
fn a_tpm_that_was_started_anew_gets_a_new_key() {
    let (folder, swtpm, tpm) = measured();
    let reks = RekStore::new(Box::new(tpm)).unwrap();
    let (before, key) = (reks.present().unwrap(), sealed(&reks));
    drop(swtpm);
    let swtpm = Swtpm::start(folder.path()).unwrap();

    assert_eq!(reks.open(Media::Whole, &key).unwrap_err(), Refusal::Failed);

    assert!(!Arc::ptr_eq(&reks.present().unwrap(), &before));
    assert!(reks.open(Media::Whole, &sealed(&reks)).is_ok());
    // A TPM asks for the first use of a key after a start once more.
    reks.present().unwrap().attest(&[1; 32]).unwrap();
    drop(swtpm);
}

#[test]
#[ignore = "needs: swtpm"]
fn an_attestation_key_is_made_once_and_another_key_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let swtpm = Swtpm::start(folder.path()).unwrap();
    let tpm = tpm_at(swtpm.socket());
    let error = tpm.generate().unwrap_err().to_string();
    assert!(error.contains("maru-compute ak"), "{error}");

    let made = tpm.provision("node").unwrap();
    assert_eq!(tpm.provision("node").unwrap(), made);
    // Whoever lost it gets the same one.
    let other = Tpm::new(swtpm.socket(), AK + 1, &[8]).unwrap();
    assert_eq!(other.provision("node").unwrap(), made);

    // A key that decrypts is none.
    let mut commands = tpm.commands();
    let key = commands.create(TpmRh::Owner, public::rek([0; 32], [0; 32]).unwrap());
    let key = key.unwrap().key;
    commands.keep(key, AK + 2).unwrap();
    commands.flush(key);
    drop(commands);
    let wrong = Tpm::new(swtpm.socket(), AK + 2, &[8]).unwrap();
    assert!(matches!(wrong.provision("node"), Err(TpmError::WrongAk(_))));
}

/// `TPM2_EvictControl` of a key that is kept, by the owner with an empty password (*TPM 2.0 Library*, part 3, section 28.5).
fn keep_no_more(socket: &Path, handle: u32) {
    let handle = handle.to_be_bytes();
    let head = [0x80, 2, 0, 0, 0, 35, 0, 0, 1, 0x20, 0x40, 0, 0, 1];
    let password = [0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0];
    let said = forward(socket, &[&head[..], &handle, &password, &handle].concat());
    assert_eq!(said[6..10], [0; 4]);
}

#[test]
#[ignore = "needs: swtpm"]
fn evidence_names_the_attestation_key_that_signed_it() {
    let (_folder, swtpm, tpm) = measured();
    let rek = tpm.generate().unwrap();
    let ak = || rek.attest(&[1; 32]).unwrap()[0].data.clone();
    let before = ak();

    // Another one comes into its place.
    keep_no_more(swtpm.socket(), AK);
    let mut other = public::ak();
    other.unique = TpmuPublicId::Rsa(public::buffer(&[7; 256]).unwrap());
    let mut commands = tpm.commands();
    let key = commands.create(TpmRh::Endorsement, other).unwrap().key;
    commands.keep(key, AK).unwrap();
    commands.flush(key);
    let (_, now) = commands.read_public(AK).unwrap().unwrap();
    drop(commands);

    assert_ne!(now, before);
    assert_eq!(ak(), now);
}

#[test]
fn a_point_is_of_two_whole_coordinates() {
    let public = |x: &[u8], y: &[u8]| {
        let mut public = public::rek([0; 32], [0; 32]).unwrap();
        let [x, y] = [x, y].map(|it| public::buffer(it).unwrap());
        public.unique = TpmuPublicId::Ecc(TpmsEccPoint { x, y });
        public
    };
    let (mut x, y) = ([1; 32], [2; 32]);
    x[0] = 0;
    let whole = [&[4][..], &x, &y].concat();
    assert_eq!(public::point(&public(&x, &y)).map(Vec::from), Some(whole));
    for (x, y) in [(&x[1..], &y[..]), (&x[..], &y[1..]), (&[1; 33][..], &y[1..])] {
        assert_eq!(public::point(&public(x, y)), None);
    }
}

#[test]
#[ignore = "needs: swtpm"]
fn evidence_is_of_the_registers_the_nonces_and_the_key() {
    let (_folder, swtpm, tpm) = measured();
    let reks = RekStore::new(Box::new(tpm.clone())).unwrap();
    let rek = reks.present().unwrap();
    let pieces = rek.attest(&[5; 64]).unwrap();
    let kinds: Vec<_> = pieces.iter().map(|piece| piece.kind).collect();
    let expected = [
        EvidenceType::AK_TPMT_PUBLIC,
        EvidenceType::CERTIFY_REK_CREATION,
        EvidenceType::TPM_QUOTE,
        EvidenceType::TPMT_PUBLIC,
        EvidenceType::NONCE_SET,
    ];
    assert_eq!(kinds, expected);
    let contains = |piece: &EvidencePiece, part: &[u8]| {
        piece.data.windows(part.len()).any(|window| window == part)
    };
    let bound = confidential_api::evidence::bound_nonce(&[5; 64]);
    assert!(contains(&pieces[1], &bound) && contains(&pieces[2], &bound));
    assert!(contains(&pieces[1], &public::name(&pieces[3].data)), "the key is certified");
    assert!(contains(&pieces[3], &rek.public().to_bytes()[1..33]));
    for register in [8, 12] {
        let held = Sha256::new().chain_update([0; 32]).chain_update([register; 32]).finalize();
        assert!(contains(&pieces[2], &held), "register {register}");
    }
    let many = Tpm::new(swtpm.socket(), AK, &(0..24).collect::<Vec<_>>()).unwrap();
    let all = many.registers(&mut many.commands()).unwrap();
    assert_eq!(all.0.len(), 24, "more than the TPM tells at once");
    many.generate().unwrap().attest(&[1; 32]).unwrap();
}
