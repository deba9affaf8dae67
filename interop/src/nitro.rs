//! `nitro-peers`: third-party crates verify and make Nitro documents.
//!
//! A document is read from standard input or written to standard output; the exit status reports whether it was
//! accepted.
//!
//! ```text
//! nitro-peers document                                    the real document in nitro_attest
//! nitro-peers nitro-attest MS < DOCUMENT                  under AWS's root, at this Unix millisecond
//! nitro-peers nsm-utils ROOT MS < DOCUMENT                under this root (DER)
//! nitro-peers sign KEY LEAF CERTIFICATE… > DOCUMENT       by this key (PKCS #8, DER), its leaf, and the chain from
//!                                                         the root on
//! nitro-peers nsm SOCKET                                  sends each request of AWS's crate to a stand-in for /dev/nsm
//! ```
#![allow(clippy::disallowed_methods, reason = "a test connects to what it started")]

use std::{
    env, fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use anyhow::{Context as _, Result, bail, ensure};
use nitro_attest::UnparsedAttestationDoc;
use nsm_nitro_enclave_utils::{
    api::{
        ByteBuf, DecodePrivateKey as _, SecretKey,
        nsm::{AttestationDoc, Request, Response},
    },
    driver::{Driver as _, dev::DevNitro},
    pcr::{Pcr, PcrIndex, Pcrs},
    time::Time,
    verify::AttestationDocVerifierExt as _,
};

/// Carried by `nitro_attest` for its own tests; `build.rs` finds it.
const DOCUMENT: &[u8] = include_bytes!(env!("NITRO_ATTEST_DOCUMENT"));

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["document"] => Ok(std::io::stdout().write_all(DOCUMENT)?),
        ["nitro-attest", at] => {
            let at = time::OffsetDateTime::from_unix_timestamp(at.parse::<i64>()? / 1000)?;
            let document = document()?;
            let verified = UnparsedAttestationDoc::from(document.as_slice()).parse_and_verify(at);
            verified.map(drop).context("not accepted")
        }
        ["nsm-utils", root, at] => {
            let at: u64 = at.parse()?;
            let time = Time::new(Box::new(move || at));
            let verified = AttestationDoc::from_cose(&document()?, &fs::read(root)?, time);
            verified.map(drop).map_err(|error| anyhow::anyhow!("not accepted: {error:?}"))
        }
        ["sign", key, leaf, chain @ ..] => {
            let document = sign(&fs::read(key)?, fs::read(leaf)?, chain)?;
            Ok(std::io::stdout().write_all(&document)?)
        }
        ["nsm", socket] => ask_all(&mut UnixStream::connect(socket)?),
        _ => bail!("unknown arguments"),
    }
}

/// Checks that AWS's crate can decode each answer, and that it has the requested kind.
fn ask_all(stream: &mut UnixStream) -> Result<()> {
    let none = || Request::Attestation { user_data: None, nonce: None, public_key: None };
    let some = || Some(ByteBuf::from(vec![7; 32]));
    let all = Request::Attestation { user_data: some(), nonce: some(), public_key: some() };
    for (request, wanted) in [
        (Request::DescribeNSM, "DescribeNSM"),
        (Request::DescribePCR { index: 0 }, "DescribePCR"),
        (Request::ExtendPCR { index: 20, data: b"x".to_vec() }, "ExtendPCR"),
        (Request::LockPCR { index: 20 }, "LockPCR"),
        (Request::LockPCRs { range: 22 }, "LockPCRs"),
        (none(), "Attestation"),
        (all, "Attestation"),
        (Request::GetRandom, "GetRandom"),
        (Request::ExtendPCR { index: 20, data: b"x".to_vec() }, "Error(ReadOnlyIndex)"),
        (Request::DescribePCR { index: 32 }, "Error(InvalidIndex)"),
    ] {
        let answer = format!("{:?}", ask(stream, &request)?);
        ensure!(answer.starts_with(wanted), "{request:?}: {answer}");
    }
    Ok(())
}

fn ask(stream: &mut UnixStream, request: &Request) -> Result<Response> {
    let request = serde_cbor::to_vec(request)?;
    let len = u32::try_from(request.len())?.to_be_bytes();
    stream.write_all(&[&len[..], &request].concat())?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut answer = vec![0; u32::from_be_bytes(len).try_into()?];
    stream.read_exact(&mut answer)?;
    Ok(serde_cbor::from_slice(&answer)?)
}

fn document() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    ensure!(!bytes.is_empty(), "no document on standard input");
    Ok(bytes)
}

/// Registers 0 to 2 are 48 times 1.
fn sign(key: &[u8], leaf: Vec<u8>, chain: &[&str]) -> Result<Vec<u8>> {
    let key = SecretKey::from_pkcs8_der(key).context("no key")?;
    let chain = chain.iter().map(|path| Ok(ByteBuf::from(fs::read(path)?)));
    let registers = [PcrIndex::Zero, PcrIndex::One, PcrIndex::Two];
    let registers = registers.map(|index| (index, Pcr::from([1; 48])));
    let module = DevNitro::builder(key, ByteBuf::from(leaf))
        .ca_bundle(chain.collect::<Result<_>>()?)
        .pcrs(Pcrs::from(std::collections::BTreeMap::from(registers)))
        .build();
    let request = Request::Attestation { user_data: None, nonce: None, public_key: None };
    match module.process_request(request) {
        Response::Attestation { document } => Ok(document),
        other => bail!("{other:?}"),
    }
}
