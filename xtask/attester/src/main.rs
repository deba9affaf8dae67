//! `maru-attester`: stands in for `/dev/nsm`, for tests and demonstrations.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use attester::{Authority, nsm::Module, serve};
use clap::Parser;

/// Answers the calls of the Nitro Security Module on a socket, and signs by a test root.
///
/// What it signs proves nothing: the evidence is SIMULATED.
#[derive(Debug, Parser)]
#[command(name = "maru-attester", version)]
struct Args {
    /// Socket that is opened in place of /dev/nsm
    #[arg(long, value_name = "SOCKET")]
    listen: PathBuf,
    /// Folder of the root: its key and certificate, made if they are not there
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// A register's value, 48 bytes, which is locked; others are zero
    #[arg(long, value_name = "N=HEX", value_parser = register)]
    pcr: Vec<(u16, Vec<u8>)>,
    /// How the module calls itself
    #[arg(long, value_name = "ID", default_value = "i-0123456789abcdef0-enc0123456789abcdef")]
    module_id: String,
}

fn register(text: &str) -> Result<(u16, Vec<u8>), String> {
    let (index, value) = text.split_once('=').ok_or("write it as N=HEX")?;
    let index = index.parse().map_err(|_| "N is the number of a register, 0 to 31")?;
    Ok((index, hex::decode(value).map_err(|_| "HEX is 96 hexadecimal digits")?))
}

fn main() -> Result<()> {
    let args = Args::parse();
    let authority = authority(&args.root)?;
    let pcrs: BTreeMap<u16, Vec<u8>> = args.pcr.into_iter().collect();
    let module = Module::new(args.module_id, authority, &pcrs)?;
    serve::serve(&serve::listen(&args.listen)?, module)
}

/// The root of an earlier start, or a new one.
fn authority(folder: &Path) -> Result<Authority> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (key, certificate) = (folder.join("root.key"), folder.join("root.pem"));
    if key.exists() {
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        return Authority::from_pem(&read(&key)?, &read(&certificate)?);
    }
    let authority = Authority::generate()?;
    let write = |path: &Path, text: String| {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write(&certificate, authority.certificate_pem())?;
    write(&key, authority.key_pem())?;
    Ok(authority)
}
