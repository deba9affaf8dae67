//! Pebble, the authority with which Let's Encrypt has clients tested (ACME, RFC 8555), and the names that it asks for.

use std::{
    env, fs,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use serde_json::json;

/// Bytes of the head of a DNS message (RFC 1035, section 4.1.1).
const HEAD: usize = 12;

/// How Pebble runs.
#[derive(Clone, Copy, Debug)]
pub struct Pebble<'a> {
    /// Folder with its certificate `cert.pem` and the key `key.pem`; its settings go there.
    pub folder: &'a Path,
    /// Address of its directory, `https://…/dir`.
    pub listen: SocketAddr,
    /// Another free address.
    pub management: SocketAddr,
    /// A server of [`names`].
    pub dns: SocketAddr,
    /// The port at which names are proved.
    pub tls_port: u16,
    /// Lifetime of its certificates, in seconds.
    pub life_s: u64,
}

impl Pebble<'_> {
    /// The program, from `MARU_PEBBLE`.
    ///
    /// # Panics
    ///
    /// If the variable is not set.
    #[must_use]
    #[allow(clippy::expect_used, reason = "nothing to do but fail")]
    pub fn program() -> std::ffi::OsString {
        env::var_os("MARU_PEBBLE").expect("cargo xtask names the program in MARU_PEBBLE")
    }

    /// Completes a command that runs [`Self::program`].
    ///
    /// # Errors
    ///
    /// If its settings cannot be written.
    pub fn configure(&self, command: &mut Command) -> io::Result<()> {
        let config = json!({ "pebble": {
            "listenAddress": self.listen.to_string(),
            "managementListenAddress": self.management.to_string(),
            "certificate": self.folder.join("cert.pem"),
            "privateKey": self.folder.join("key.pem"),
            "httpPort": 1,
            "tlsPort": self.tls_port,
            "profiles": { "default": { "description": "short", "validityPeriod": self.life_s } },
        } });
        let file = self.folder.join("pebble.json");
        fs::write(&file, config.to_string())?;
        command.arg("-config").arg(file).arg("-dnsserver").arg(self.dns.to_string()).arg("-strict");
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "0");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(())
    }
}

/// Answers on a thread that every name is at `address`, over TCP, which Pebble wants.
pub fn names(listener: TcpListener, address: Ipv4Addr) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, address));
        }
    });
}

/// Answers the questions of one connection.
fn answer(mut stream: TcpStream, address: Ipv4Addr) -> Option<()> {
    loop {
        let mut len = [0; 2];
        stream.read_exact(&mut len).ok()?;
        let mut query = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut query).ok()?;
        let answer = here(&query, address)?;
        let len = u16::try_from(answer.len()).ok()?.to_be_bytes();
        stream.write_all(&[&len[..], &answer].concat()).ok()?;
    }
}

/// The answer to one question, which follows the head: a name that ends with a zero byte, type and class.
fn here(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let name = query.get(HEAD..)?.iter().position(|byte| *byte == 0)?;
    let question = query.get(HEAD..HEAD + name + 5)?;
    let is_a = question.get(name + 1..name + 3)? == [0, 1];
    let mut answer = query.get(..2)?.to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    answer.extend(question);
    if is_a {
        // A pointer to the name, type, class, life, length.
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
