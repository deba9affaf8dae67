//! `disco-peer`: Tailscale's own codec of disco, the crate `ts_disco_protocol`.
//!
//! ```text
//! disco-peer DISCOKEY     writes its own disco key; then for each sealed message (hexadecimal, one per line), writes what it
//!                         read, and an equal message that it sealed
//! ```
//!
//! The exit status is 1 if a message cannot be opened.

use std::{
    env,
    io::{self, BufRead as _, Write as _},
    net::SocketAddr,
};

use anyhow::{Context as _, Result, bail};
use ts_disco_protocol::{CallMeMaybe, Encrypted, Error, Packet, Ping, Plaintext, Pong};
use ts_keys::{DiscoPrivateKey, DiscoPublicKey};

fn main() -> Result<()> {
    let peer: DiscoPublicKey =
        env::args().nth(1).context("no disco key")?.parse().ok().context("not a disco key")?;
    let own = DiscoPrivateKey::random();
    write(&own.public_key().to_string())?;
    for (line, number) in io::stdin().lock().lines().zip(0..) {
        let mut bytes = hex::decode(line?.trim())?;
        let packet = Packet::<Encrypted>::from_encrypted_bytes_mut(&mut bytes)?;
        let seal = |packet: &mut Packet<Plaintext>| {
            packet.encrypt_in_place(&own, &peer, [number; 24]).map(drop)
        };
        let (read, copy) = copy(packet.decrypt_in_place(&own)?, seal)?;
        write(&read)?;
        write(&hex::encode(copy))?;
    }
    Ok(())
}

fn write(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush())
}

/// What a message says, and the same message, made with the crate's types and sealed.
fn copy(
    packet: &Packet<Plaintext>,
    seal: impl Fn(&mut Packet<Plaintext>) -> Result<(), Error>,
) -> Result<(String, Vec<u8>)> {
    if let Some(ping) = packet.as_msg::<Ping>() {
        let mut buffer = Packet::vec_for_message(Ping::size_with_padding(0));
        seal(Packet::init_from_bytes::<Ping>(&mut buffer, |copy| {
            copy.tx_id = ping.tx_id;
            copy.node_key = ping.node_key;
        })?)?;
        return Ok((format!("ping {}", ping.node_key), buffer));
    }
    if let Some(pong) = packet.as_msg::<Pong>() {
        let mut buffer = Packet::vec_for_message(Pong::size());
        seal(Packet::init_from_bytes::<Pong>(&mut buffer, |copy| *copy = *pong)?)?;
        return Ok((format!("pong {}", pong.src.socket_addr()), buffer));
    }
    let Some(call) = packet.as_msg::<CallMeMaybe>() else { bail!("an unknown message") };
    let size = CallMeMaybe::size_for_endpoint_count(call.endpoints.len());
    let mut buffer = Packet::vec_for_message(size);
    seal(Packet::init_from_bytes::<CallMeMaybe>(&mut buffer, |copy| {
        copy.endpoints.copy_from_slice(&call.endpoints);
    })?)?;
    let addresses: Vec<SocketAddr> = call.endpoints.iter().map(|it| it.socket_addr()).collect();
    Ok((format!("call {addresses:?}"), buffer))
}
