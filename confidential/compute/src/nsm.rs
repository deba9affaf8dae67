//! The Nitro Security Module or an emulator of it. Requests and responses are the CBOR of AWS's driver
//! (`aws-nitro-enclaves-nsm-api` 0.5, `api/mod.rs`).
//!
//! An emulator listens on a UNIX socket, where each message has a length of four bytes, big-endian, before the CBOR.

mod device;

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::unix::Connector;
use ciborium::Value;

/// Longest request of the driver, in bytes (`NSM_REQUEST_MAX_SIZE`).
const REQUEST_MAX: usize = 0x1000;
/// Timeout of an emulator.
const PATIENCE: Duration = Duration::from_secs(10);

/// A security module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nsm {
    /// A device file, `/dev/nsm` on AWS.
    Device(PathBuf),
    /// The UNIX socket of an emulator.
    Socket(PathBuf),
}

/// The module failed.
#[derive(Debug, thiserror::Error)]
pub enum NsmError {
    /// It does not respond.
    #[error("the security module {} does not respond: does it exist, and may this user open it?", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// It refused.
    #[error("the security module refused the request: {0}")]
    Refused(String),
    /// The response is malformed.
    #[error("the response of the security module is malformed")]
    Malformed,
}

impl Nsm {
    /// Requests a signed document with this user data and nonce; blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// See [`NsmError`].
    pub fn attest(&self, user_data: &[u8], nonce: &[u8]) -> Result<Vec<u8>, NsmError> {
        let request = attestation(user_data, nonce);
        let (at, answer) = match self {
            Self::Device(path) => (path, device::exchange(path, &request)),
            Self::Socket(path) => (path, over_socket(path, &request)),
        };
        let answer = answer.map_err(|source| NsmError::Io(at.clone(), source))?;
        document(&answer)
    }
}

fn over_socket(path: &Path, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = Connector::new(Path::new("/"), path).connect_blocking(PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = u32::try_from(request.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), request].concat())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > device::RESPONSE_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// `Request::Attestation`.
fn attestation(user_data: &[u8], nonce: &[u8]) -> Vec<u8> {
    let text = |text: &str| Value::Text(text.to_owned());
    let fields = vec![
        (text("user_data"), Value::Bytes(user_data.to_vec())),
        (text("nonce"), Value::Bytes(nonce.to_vec())),
        (text("public_key"), Value::Null),
    ];
    let request = Value::Map(vec![(text("Attestation"), Value::Map(fields))]);
    let mut bytes = Vec::with_capacity(256);
    // Writing to memory does not fail.
    let _ = ciborium::into_writer(&request, &mut bytes);
    debug_assert!(bytes.len() <= REQUEST_MAX);
    bytes
}

/// The document in a `Response::Attestation`; public for fuzzing. Bytes after the response are ignored.
///
/// # Errors
///
/// [`NsmError::Refused`] for an error response, [`NsmError::Malformed`] for any other.
pub fn document(answer: &[u8]) -> Result<Vec<u8>, NsmError> {
    let value: Value = ciborium::from_reader(answer).map_err(|_| NsmError::Malformed)?;
    let Value::Map(response) = value else { return Err(NsmError::Malformed) };
    let [(Value::Text(kind), content)] = response.as_slice() else {
        return Err(NsmError::Malformed);
    };
    match (kind.as_str(), content) {
        ("Attestation", Value::Map(fields)) => match fields.as_slice() {
            [(Value::Text(name), Value::Bytes(document))] if name == "document" => {
                Ok(document.clone())
            }
            _ => Err(NsmError::Malformed),
        },
        ("Error", Value::Text(code)) => {
            let word: String = code.chars().filter(char::is_ascii_alphabetic).take(40).collect();
            Err(NsmError::Refused(word))
        }
        _ => Err(NsmError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use proptest::prelude::*;

    use super::*;

    fn response(kind: &str, content: Value) -> Vec<u8> {
        let mut bytes = Vec::new();
        let map = Value::Map(vec![(Value::Text(kind.to_owned()), content)]);
        ciborium::into_writer(&map, &mut bytes).unwrap();
        bytes
    }

    fn attested(document: &[u8]) -> Vec<u8> {
        let field = (Value::Text("document".to_owned()), Value::Bytes(document.to_vec()));
        response("Attestation", Value::Map(vec![field]))
    }

    /// As `aws-nitro-enclaves-nsm-api` 0.5.2 writes `Request::Attestation`, byte for byte.
    #[test]
    fn the_request_is_the_drivers() {
        let expected = [
            b"\xa1\x6bAttestation\xa3".as_slice(),
            b"\x69user_data\x42\x01\x02",
            b"\x65nonce\x41\x03",
            b"\x6apublic_key\xf6",
        ];
        assert_eq!(attestation(&[1, 2], &[3]), expected.concat());
    }

    #[test]
    fn a_document_is_taken_and_anything_else_is_said_to_be_none() {
        assert_eq!(document(&attested(b"cose")).unwrap(), b"cose");
        let padded = [attested(b"cose"), vec![0; 9]].concat();
        assert_eq!(document(&padded).unwrap(), b"cose", "as the driver's buffer ends");

        let refused = response("Error", Value::Text("InvalidArgument".to_owned()));
        let said = document(&refused).unwrap_err().to_string();
        assert!(said.ends_with("InvalidArgument"), "{said}");
        for other in [
            Vec::new(),
            vec![0xff],
            response("Attestation", Value::Null),
            response("GetRandom", Value::Map(Vec::new())),
            response("Error", Value::Null),
        ] {
            assert!(matches!(document(&other), Err(NsmError::Malformed)));
        }
    }

    #[test]
    fn a_stand_in_answers_over_its_socket_and_one_that_is_away_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nsm.sock");
        let nsm = Nsm::Socket(path.clone());
        let said = nsm.attest(b"data", b"nonce").unwrap_err().to_string();
        assert!(said.contains("nsm.sock"), "{said}");

        let listener = UnixListener::bind(&path).unwrap();
        let stand_in = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            let answer = attested(b"document");
            let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
            stream.write_all(&[&length, answer.as_slice()].concat()).unwrap();
            request
        });
        assert_eq!(nsm.attest(b"data", b"nonce").unwrap(), b"document");
        assert_eq!(stand_in.join().unwrap(), attestation(b"data", b"nonce"));
    }

    #[test]
    fn an_answer_that_is_too_long_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nsm.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let stand_in = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.write_all(&u32::MAX.to_be_bytes()).unwrap();
            // Until the other end has left.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let error = Nsm::Socket(path).attest(b"", b"").unwrap_err();
        assert!(
            matches!(error, NsmError::Io(_, source) if source.kind() == io::ErrorKind::InvalidData)
        );
        stand_in.join().unwrap();
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = document(&bytes);
        }
    }
}
