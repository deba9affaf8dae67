//! The identity by which the app knows the gateway of each membership.
//!
//! The first one that is offered and proves itself is kept. From then on another one is refused until the person
//! accepts it: the coordinator, which hands identities out, cannot put a gateway of its own in the place of home's.
//! A device that leaves a network and joins it again finds what was kept.

use ai_gateway_api::sealed::Ed25519Public;
use chassis::state::Format;
use messages::{Message, message};
use serde::{Deserialize, Serialize};

use super::state::{Directory, remedy};
use crate::fingerprint::Fingerprint;

const FILE: &str = "identities.json";
const FORMAT: Format<PinFile> = Format::new(1).remedy(remedy);

/// The network of this device. Its name alone is not unique: `maru.home.arpa` is the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Membership {
    /// The network's domain.
    pub(super) network: String,
    /// The coordinator's Noise key, `mkey:…`.
    pub(super) coordinator: String,
}

#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PinFile {
    pins: Vec<Pin>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pin {
    #[serde(flatten)]
    membership: Membership,
    identity: Ed25519Public,
}

impl PinFile {
    fn find(&mut self, membership: &Membership) -> Option<&mut Pin> {
        self.pins.iter_mut().find(|pin| pin.membership == *membership)
    }
}

impl Directory {
    /// The identity that is known for this membership, `None` before the first use.
    pub(super) fn pinned(&self, membership: &Membership) -> anyhow::Result<Option<Ed25519Public>> {
        let mut file: PinFile = self.read(FILE, &FORMAT)?;
        Ok(file.find(membership).map(|pin| pin.identity))
    }

    /// Keeps the first identity of this membership; returns the one that is known now.
    pub(super) fn pin(
        &self,
        membership: &Membership,
        identity: Ed25519Public,
    ) -> anyhow::Result<Ed25519Public> {
        self.change(FILE, &FORMAT, |file: &mut PinFile| match file.find(membership) {
            Some(pin) => pin.identity,
            None => {
                file.pins.push(Pin { membership: membership.clone(), identity });
                identity
            }
        })
    }

    /// Puts another identity in the place of the one that was known.
    pub(super) fn accept(
        &self,
        membership: &Membership,
        identity: Ed25519Public,
    ) -> anyhow::Result<()> {
        self.change(FILE, &FORMAT, |file: &mut PinFile| match file.find(membership) {
            Some(pin) => pin.identity = identity,
            None => file.pins.push(Pin { membership: membership.clone(), identity }),
        })
    }
}

/// The error where the network names another gateway than the pinned one.
pub(super) fn changed(network: &str, known: Ed25519Public, offered: Ed25519Public) -> Message {
    let (known, offered) = (Fingerprint::of(known), Fingerprint::of(offered));
    message!("gateway-changed", network, known, offered)
}

/// The error where another identity is accepted than the one that the network names.
pub(super) fn not_offered(accepted: Fingerprint, offered: Ed25519Public) -> Message {
    message!("gateway-not-offered", accepted, offered = Fingerprint::of(offered))
}

#[cfg(test)]
mod tests {
    use messages::Language;

    use ai_gateway_api::wire::Fixed;

    use super::*;

    const FIRST: Ed25519Public = Fixed([1; 32]);
    const SECOND: Ed25519Public = Fixed([2; 32]);

    fn directory() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path().join("chat")).unwrap();
        (folder, directory)
    }

    fn membership(network: &str, coordinator: &str) -> Membership {
        Membership { network: network.to_owned(), coordinator: coordinator.to_owned() }
    }

    #[test]
    fn the_first_identity_stays_until_another_is_accepted() {
        let (_folder, directory) = directory();
        let home = membership("maru.home.arpa", "mkey:01");
        assert_eq!(directory.pinned(&home).unwrap(), None);

        assert_eq!(directory.pin(&home, FIRST).unwrap(), FIRST);
        assert_eq!(directory.pin(&home, SECOND).unwrap(), FIRST);
        assert_eq!(directory.pinned(&home).unwrap(), Some(FIRST));

        directory.accept(&home, SECOND).unwrap();
        assert_eq!(directory.pin(&home, FIRST).unwrap(), SECOND);
    }

    #[test]
    fn each_membership_has_an_identity_of_its_own() {
        let (_folder, directory) = directory();
        let home = membership("maru.home.arpa", "mkey:01");
        directory.pin(&home, FIRST).unwrap();

        for other in
            [membership("maru.home.arpa", "mkey:02"), membership("lab.internal", "mkey:01")]
        {
            assert_eq!(directory.pinned(&other).unwrap(), None, "{other:?}");
            assert_eq!(directory.pin(&other, SECOND).unwrap(), SECOND, "{other:?}");
        }
        assert_eq!(directory.pinned(&home).unwrap(), Some(FIRST));
    }

    #[test]
    fn of_many_at_once_one_is_first_and_all_are_kept() {
        let (_folder, directory) = directory();
        let home = membership("maru.home.arpa", "mkey:01");

        let known: Vec<_> = std::thread::scope(|scope| {
            let start = |seed: u8| {
                let (directory, home) = (&directory, &home);
                scope.spawn(move || {
                    let own = membership("maru.home.arpa", &format!("mkey:{seed}"));
                    directory.pin(&own, Fixed([seed; 32])).unwrap();
                    directory.pin(home, Fixed([seed; 32])).unwrap()
                })
            };
            let threads: Vec<_> = (10..26).map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });

        assert!(known.windows(2).all(|pair| pair[0] == pair[1]), "two were first");
        for seed in 10..26 {
            let own = membership("maru.home.arpa", &format!("mkey:{seed}"));
            assert_eq!(directory.pinned(&own).unwrap(), Some(Fixed([seed; 32])), "one was lost");
        }
    }

    #[test]
    fn a_newer_or_damaged_file_is_refused_untouched() {
        let (folder, directory) = directory();
        let home = membership("maru.home.arpa", "mkey:01");
        let path = folder.path().join("chat").join(FILE);
        for (text, what) in [
            (r#"{"version":2}"#, "version 2"),
            (r#"{"version":1,"pins":[{}]}"#, "damaged"),
            ("", "damaged"),
        ] {
            std::fs::write(&path, text).unwrap();

            for said in [
                directory.pinned(&home).map(drop),
                directory.pin(&home, FIRST).map(drop),
                directory.accept(&home, FIRST),
            ] {
                let said = format!("{:#}", said.unwrap_err());
                assert!(said.contains(what), "{said}");
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_change_is_told_in_both_languages() {
        let (first, second) = (Fingerprint::of(FIRST), Fingerprint::of(SECOND));
        for (language, words) in [
            (Language::English, "nothing was sent"),
            (Language::Korean, "아무것도 보내지 않았습니다"),
        ] {
            let said = changed("maru.home.arpa", FIRST, SECOND).text(language).into_owned();

            let command = format!("`maru chat --accept-identity {second}`");
            for words in [words, &command, &first.to_string(), &second.to_string()] {
                assert!(said.contains(words), "{said}");
            }
            let said = not_offered(first, SECOND).text(language).into_owned();
            assert!(
                said.contains(&first.to_string()) && said.contains(&second.to_string()),
                "{said}"
            );
        }
    }
}
