//! `ohttp-peer`: the crate `ohttp` as a client or a gateway of Oblivious HTTP.
//!
//! All messages are hexadecimal, one per line; the exit status is 1 if a message cannot be opened.
//!
//! ```text
//! ohttp-peer client whole|chunked CONFIGURATION QUESTION   writes the sealed question, reads the sealed answer, writes
//!                                                          the opened answer
//! ohttp-peer gateway whole|chunked KEM ANSWER              writes its key's configuration, reads the sealed question,
//!                                                          writes the opened question, and then the sealed answer
//! ```

use std::{
    cell::RefCell,
    env,
    io::{self, BufRead as _, Cursor, Write},
    rc::Rc,
};

use anyhow::{Context as _, Result, bail};
use futures::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, executor::block_on,
    io::AllowStdIo,
};
use ohttp::{
    ClientRequest, KeyConfig, Server, SymmetricSuite,
    hpke::{Aead, Kdf, Kem},
};

/// Size of a chunk, in bytes.
const CHUNK: usize = 100;
/// The id of the gateway's key.
const KEY_ID: u8 = 7;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["client", "whole", config, question] => {
            let client = ClientRequest::from_encoded_config(&hex::decode(config)?)?;
            let (sealed, response) = client.encapsulate(&hex::decode(question)?)?;
            write(&sealed);
            write(&response.decapsulate(&read()?)?);
        }
        ["client", "chunked", config, question] => {
            let client = ClientRequest::from_encoded_config(&hex::decode(config)?)?;
            let sealed = Shared::default();
            let mut stream = client.encapsulate_stream(AllowStdIo::new(sealed.clone()))?;
            seal(&mut stream, &hex::decode(question)?)?;
            write(&sealed.0.take());
            write(&open(&mut stream.response(AllowStdIo::new(Cursor::new(read()?)))?)?);
        }
        ["gateway", form, kem, answer] => gateway(form, kem, &hex::decode(answer)?)?,
        _ => bail!("unknown arguments"),
    }
    Ok(())
}

fn gateway(form: &str, kem: &str, answer: &[u8]) -> Result<()> {
    let kem = match kem {
        "x-wing" => Kem::XWing,
        "p-256" => Kem::P256Sha256,
        "x25519" => Kem::X25519Sha256,
        _ => bail!("unknown KEM"),
    };
    let suites = vec![SymmetricSuite::new(Kdf::HkdfSha256, Aead::Aes128Gcm)];
    let server = Server::new(KeyConfig::new(KEY_ID, kem, suites)?)?;
    write(&server.config().encode()?);
    let sealed = read()?;
    if form == "whole" {
        let (question, response) = server.decapsulate(&sealed)?;
        write(&question);
        write(&response.encapsulate(answer)?);
        return Ok(());
    }
    let mut question = server.decapsulate_stream(AllowStdIo::new(Cursor::new(sealed)));
    write(&open(&mut question)?);
    let sealed = Shared::default();
    seal(&mut question.response(AllowStdIo::new(sealed.clone()))?, answer)?;
    write(&sealed.0.take());
    Ok(())
}

/// Seals in chunks.
fn seal(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> Result<()> {
    block_on(async {
        for piece in message.chunks(CHUNK) {
            stream.write_all(piece).await?;
        }
        stream.close().await?;
        Ok(())
    })
}

/// Opens a message that was sealed in chunks.
fn open(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    block_on(stream.read_to_end(&mut message)).context("the message cannot be opened")?;
    Ok(message)
}

/// Bytes that can be read while a stream still owns them.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(message: &[u8]) {
    println!("{}", hex::encode(message));
}

fn read() -> Result<Vec<u8>> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    hex::decode(line.trim()).context("a line is not hexadecimal")
}
