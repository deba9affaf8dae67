//! The machine's key under systemd's host key, by the real `systemd-creds`. `cargo xtask vm sealed` tries a TPM.
//!
//! Fails if a sealed key lies on the disk in the clear, if it opens on a machine that did not seal it, or if such a machine
//! is locked out who has the passphrase. Blind to what the gateway makes of the key.

use super::{
    control_plane::{last_word, says},
    setup::TestMachine,
};

const FILE: &str = "/var/lib/maru/machine-key.json";
const HANDED: &str = "od -An -v -tx1 /run/maru/gateway-key/key";

#[test]
#[ignore = "needs: root"]
fn a_sealed_key_opens_here_alone_or_by_the_passphrase_and_nothing_is_lost_where_it_does_not() {
    let home = TestMachine::new();
    home.sh("mkdir -p /var/lib/maru /var/lib/systemd /run/maru/gateway-key");
    let unlock = || home.run(&["passphrase", "unlock"]);
    let unlocked_anew = || {
        home.sh("umount /run/maru/gateway-key");
        unlock()
    };
    assert!(unlock().status.success());
    let key = home.sh(HANDED);
    assert!(home.file(FILE).contains("\"file\""));

    let done = home.run(&["passphrase", "seal"]);

    let said = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && said.contains("on the same disk"), "{said}");
    let passphrase = said.lines().last().unwrap().to_owned();
    assert_eq!(passphrase.len(), 39, "{said}");
    let sealed = home.file(FILE);
    assert!(sealed.contains("\"host\""), "{sealed}");
    assert!(unlocked_anew().status.success());
    assert_eq!(home.sh(HANDED), key, "it opens by itself, and is the same");
    let again = home.run(&["passphrase", "seal"]);
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.success() && said.lines().count() == 1, "the passphrase stays: {said}");

    // Another machine, or this one after its host key was lost.
    home.sh("rm /var/lib/systemd/credential.secret");
    let sealed = home.file(FILE);
    let said = last_word(&unlocked_anew(), 1, 2);
    says(&said, "this machine's key has a passphrase, and there is no terminal to ask at", &[]);
    let doctor = home.run(&["doctor", "-o", "json"]);
    let found = String::from_utf8(doctor.stdout).unwrap();
    assert!(found.contains("\"machine-key\"") && found.contains("no longer opens"), "{found}");
    home.sh(&format!(
        "umask 77; echo {passphrase} > /run/words; echo wrong-{passphrase} > /run/others"
    ));
    let wrong = home.run(&["passphrase", "seal", "--passphrase-file", "/run/others"]);
    says(&last_word(&wrong, 1, 2), "this is not the passphrase", &["nothing was changed"]);
    assert_eq!(home.file(FILE), sealed, "nothing is changed before the passphrase opens it");

    assert!(home.run(&["passphrase", "seal", "--passphrase-file", "/run/words"]).status.success());
    assert!(unlock().status.success());
    assert_eq!(home.sh(HANDED), key);
    assert_ne!(home.file(FILE), sealed);
}
