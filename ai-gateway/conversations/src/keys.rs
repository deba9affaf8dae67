//! Keys of people and of conversations, each sealed under the one before it.

use hkdf::Hkdf;
use sha2::Sha256;
use store::seal::{Cell, Key, OpenError, SealError};
use zeroize::Zeroizing;

use crate::{error::Error, message::Message, recovery::RecoveryCode};

/// A key's bytes.
type Bytes = Zeroizing<[u8; 32]>;

/// A person's key: it seals the keys and names of their conversations.
pub(crate) struct PersonKey {
    /// As the database names the person.
    person: String,
    bytes: Bytes,
    seal: Key,
}

/// A conversation's key: it seals its messages.
#[derive(Clone)]
pub(crate) struct ConversationKey {
    /// The person and the conversation's number, of which each message's associated data begin.
    row: Vec<u8>,
    seal: Key,
}

fn random() -> Result<Bytes, SealError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(SealError::Random)?;
    Ok(bytes)
}

fn whole(opened: &[u8]) -> Result<Bytes, OpenError> {
    opened.try_into().map(Zeroizing::new).map_err(|_| OpenError::Refused)
}

/// A key that follows from another secret, for one purpose.
fn derived(secret: &[u8], purpose: &[u8]) -> Bytes {
    let mut bytes = Zeroizing::new([0; 32]);
    // 32 bytes are one block of the function, which gives up to 255.
    let _ = Hkdf::<Sha256>::new(None, secret).expand(purpose, &mut *bytes);
    bytes
}

impl PersonKey {
    const TABLE: &str = "people";

    fn new(person: String, bytes: Bytes) -> Self {
        Self { person, seal: Key::new(&bytes), bytes }
    }

    pub(crate) fn random(person: String) -> Result<Self, SealError> {
        Ok(Self::new(person, random()?))
    }

    fn cell<'a>(person: &'a str, column: &'a str) -> Cell<'a> {
        Cell { table: Self::TABLE, column, row: person.as_bytes() }
    }

    /// Sealed under the machine's key.
    pub(crate) fn seal(&self, machine: &Key) -> Result<Vec<u8>, SealError> {
        machine.seal(Self::cell(&self.person, "key_sealed"), &*self.bytes)
    }

    pub(crate) fn open(machine: &Key, person: String, sealed: &[u8]) -> Result<Self, Error> {
        let opened = machine.open(Self::cell(&person, "key_sealed"), sealed);
        let opened = opened.map_err(|error| match error {
            OpenError::Refused => Error::OtherMachine,
            other @ OpenError::Version(_) => other.into(),
        })?;
        Ok(Self::new(person, whole(&opened)?))
    }

    /// Sealed under a recovery code.
    pub(crate) fn seal_for(&self, code: &RecoveryCode) -> Result<Vec<u8>, SealError> {
        let key = Key::new(&derived(code.bytes(), b"maru recovery code 1"));
        key.seal(Self::cell(&self.person, "recovery_sealed"), &*self.bytes)
    }

    pub(crate) fn recover(
        code: &RecoveryCode,
        person: String,
        sealed: &[u8],
    ) -> Result<Self, Error> {
        let key = Key::new(&derived(code.bytes(), b"maru recovery code 1"));
        let opened = key.open(Self::cell(&person, "recovery_sealed"), sealed);
        Ok(Self::new(person, whole(&opened.map_err(|_| Error::WrongCode)?)?))
    }

    /// The digest that finds a conversation by its name; without the key, nobody can try names.
    pub(crate) fn digest(&self, name: &str) -> Vec<u8> {
        derived(&*self.bytes, &[b"maru conversation name 1 ", name.as_bytes()].concat()).to_vec()
    }

    fn conversation<'a>(column: &'a str, id: &'a [u8]) -> Cell<'a> {
        Cell { table: "conversations", column, row: id }
    }

    pub(crate) fn seal_name(&self, id: i64, name: &str) -> Result<Vec<u8>, SealError> {
        self.seal.seal(Self::conversation("name_sealed", &id.to_be_bytes()), name.as_bytes())
    }

    pub(crate) fn open_name(&self, id: i64, sealed: &[u8]) -> Result<String, OpenError> {
        let name = self.seal.open(Self::conversation("name_sealed", &id.to_be_bytes()), sealed)?;
        String::from_utf8(name.to_vec()).map_err(|_| OpenError::Refused)
    }

    pub(crate) fn seal_model(&self, id: i64, model: &str) -> Result<Vec<u8>, SealError> {
        self.seal.seal(Self::conversation("model_sealed", &id.to_be_bytes()), model.as_bytes())
    }

    pub(crate) fn open_model(&self, id: i64, sealed: &[u8]) -> Result<String, OpenError> {
        let model =
            self.seal.open(Self::conversation("model_sealed", &id.to_be_bytes()), sealed)?;
        String::from_utf8(model.to_vec()).map_err(|_| OpenError::Refused)
    }

    /// The cell of a file of the person's memory.
    fn memory(row: &[u8]) -> Cell<'_> {
        Cell { table: "memory_files", column: "content_sealed", row }
    }

    fn memory_row(&self, name: &str) -> Vec<u8> {
        [self.person.as_bytes(), b"\0", name.as_bytes()].concat()
    }

    pub(crate) fn seal_memory(&self, name: &str, text: &str) -> Result<Vec<u8>, SealError> {
        self.seal.seal(Self::memory(&self.memory_row(name)), text.as_bytes())
    }

    pub(crate) fn open_memory(&self, name: &str, sealed: &[u8]) -> Result<String, OpenError> {
        let text = self.seal.open(Self::memory(&self.memory_row(name)), sealed)?;
        String::from_utf8(text.to_vec()).map_err(|_| OpenError::Refused)
    }

    /// A new key for a conversation, and its sealed form.
    pub(crate) fn new_key(&self, id: i64) -> Result<(ConversationKey, Vec<u8>), SealError> {
        let bytes = random()?;
        let sealed =
            self.seal.seal(Self::conversation("key_sealed", &id.to_be_bytes()), &*bytes)?;
        Ok((self.with(id, &bytes), sealed))
    }

    pub(crate) fn key(&self, id: i64, sealed: &[u8]) -> Result<ConversationKey, OpenError> {
        let opened = self.seal.open(Self::conversation("key_sealed", &id.to_be_bytes()), sealed)?;
        Ok(self.with(id, &whole(&opened)?))
    }

    fn with(&self, id: i64, bytes: &Bytes) -> ConversationKey {
        let row = [self.person.as_bytes(), b"\0", &id.to_be_bytes()].concat();
        ConversationKey { row, seal: Key::new(bytes) }
    }
}

impl ConversationKey {
    fn cell(row: &[u8]) -> Cell<'_> {
        Cell { table: "messages", column: "content_sealed", row }
    }

    fn row(&self, number: i64) -> Vec<u8> {
        [&*self.row, &number.to_be_bytes()].concat()
    }

    fn summary_cell(row: &[u8]) -> Cell<'_> {
        Cell { table: "compactions", column: "summary_sealed", row }
    }

    /// Seals a summary of the messages before `first`.
    pub(crate) fn seal_summary(&self, first: i64, summary: &str) -> Result<Vec<u8>, SealError> {
        self.seal.seal(Self::summary_cell(&self.row(first)), summary.as_bytes())
    }

    pub(crate) fn open_summary(&self, first: i64, sealed: &[u8]) -> Result<String, OpenError> {
        let text = self.seal.open(Self::summary_cell(&self.row(first)), sealed)?;
        String::from_utf8(text.to_vec()).map_err(|_| OpenError::Refused)
    }

    pub(crate) fn seal(&self, number: i64, message: &Message) -> Result<Vec<u8>, SealError> {
        self.seal.seal(Self::cell(&self.row(number)), &message.encode())
    }

    pub(crate) fn open(&self, number: i64, sealed: &[u8]) -> Result<Message, Error> {
        Message::decode(&self.seal.open(Self::cell(&self.row(number)), sealed)?)
    }

    /// Opens a message in memory that is used again: it replaces what is in `json`.
    pub(crate) fn open_json(
        &self,
        number: i64,
        sealed: &[u8],
        json: &mut Zeroizing<Vec<u8>>,
    ) -> Result<(), OpenError> {
        self.seal.open_into(Self::cell(&self.row(number)), sealed, json)
    }

    /// Seals a message of this conversation as the message of the same number of another one.
    pub(crate) fn seal_for(
        &self,
        other: &Self,
        number: i64,
        sealed: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let opened = self.seal.open(Self::cell(&self.row(number)), sealed)?;
        Ok(other.seal.seal(Self::cell(&other.row(number)), &opened)?)
    }
}
