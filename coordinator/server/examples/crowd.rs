//! Fills a network with devices that nobody ever starts: `crowd DATABASE COUNT`, while no coordinator runs on it.
//!
//! `cargo xtask bench tunnel` measures what an agent needs among them.

use std::{
    error::Error,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use control_protocol::{
    key::{MachinePublic, NodePublic},
    map::Hostinfo,
};
use coordinator::store::{Database, Store};
use coordinator_api::Actor;
use coordinator_core::model::{NewNode, Owner, Registrant};

/// Whose they are.
const PERSON: &str = "crowd";
/// The network's domain, as the coordinator's settings have it by default.
const NETWORK: &str = "maru.home.arpa";
/// The capability version that they tell.
const VERSION: u32 = 130;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [database, count] = <[String; 2]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "call it as: crowd DATABASE COUNT")?;
    let count: u32 = count.parse()?;
    #[allow(clippy::disallowed_methods, reason = "a tool runs on the real clock")]
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let store = Store::open(&Database::Sqlite(PathBuf::from(database)), NETWORK).await?;
    let mut change = store.change(Actor::Uid { uid: 0 }).await?;
    let owner = Owner::User(change.insert_user(PERSON, now).await?.id);
    for number in 0..count {
        let new = NewNode {
            id: None,
            owner: owner.clone(),
            device: Registrant {
                machine: MachinePublic::from_bytes(random()?),
                node_key: NodePublic::from_bytes(random()?),
                hostinfo: Hostinfo { hostname: format!("silent{number}"), ..Hostinfo::default() },
                version: VERSION,
                ..Registrant::default()
            },
            expires: None,
            name: None,
            wireguard: None,
        };
        change.insert_node(new, now).await?;
    }
    change.commit().await?;
    store.close().await;
    Ok(())
}

fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
