//! Requests under the seal, sealed before anything is measured.

use ai_gateway_api::sealed::{
    Chat, History, Input, Operation, Search, SessionName, decode_keys, path,
};
use chat_vocabulary::Options;
use ed25519_dalek::SigningKey;
use hpke_envelope::{
    Suite,
    client::{Keys, seal},
    device,
};
use uuid::Uuid;

use crate::{
    Failure,
    ask::Args,
    caller::{Caller, node},
    fill, now_us,
};

/// Turns of a session, until the next one begins.
const TURNS: usize = 10;

/// What is asked.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Operations {
    /// Chats
    Chat,
    /// What is stored of the member
    List,
    /// One stored conversation after the other
    History,
    /// All conversations of the member, for a word that is in none
    Search,
}

/// `count` requests of the `number`th member, whose key is bound first.
pub(crate) async fn requests(
    args: &Args,
    caller: &mut Caller,
    number: usize,
    count: usize,
) -> Result<Vec<Vec<u8>>, Failure> {
    let now = now_us() / 1000;
    let (status, document) =
        caller.text(args.target.head("GET", path::KEYS, &[], 0).as_bytes()).await?;
    if status != 200 {
        return Err(format!("the gateway's keys: status {status}").into());
    }
    let document = decode_keys(&document)?;
    let keys = Keys::verify(&document, document.identity, 0)?;
    let key = keys.select(Suite::XWing, now).ok_or("no key of X-Wing")?;

    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&u64::try_from(number)?.to_be_bytes());
    let own = SigningKey::from_bytes(&seed);
    let proof = device::prove(&own, document.identity, &node(number), now);
    let body = serde_json::to_string(&proof)?;
    let bind = args.target.head("POST", path::DEVICES, &[], body.len()) + &body;
    let (status, _) = caller.text(bind.as_bytes()).await?;
    if status != 200 {
        return Err(format!("the member's key was not bound: status {status}").into());
    }

    let mut requests = Vec::with_capacity(count);
    for at in 0..count {
        let plaintext = operation(args, at)?.encode();
        let (request, _) = seal(&own, key, Uuid::now_v7(), &plaintext, now_us() / 1000)?;
        let body = serde_json::to_string(&request)?;
        requests.push((args.target.head("POST", path::CHAT, &[], body.len()) + &body).into_bytes());
    }
    Ok(requests)
}

/// The operation of one request.
fn operation(args: &Args, at: usize) -> Result<Operation, Failure> {
    Ok(match args.operation {
        Operations::Chat => Operation::Chat(Chat {
            session: args.session.as_ref().map(|name| session(name, at / TURNS)).transpose()?,
            input: Input::Text(args.text.clone()),
            model: Some(args.model.clone()),
            language: None,
            options: Options { max_tokens: Some(64), ..Options::default() },
        }),
        Operations::List => Operation::List,
        Operations::History => Operation::History(History {
            session: session(fill::SESSION, at)?,
            before: None,
            limit: None,
        }),
        Operations::Search => Operation::Search(Search { text: "kingfisher".to_owned() }),
    })
}

fn session(name: &str, number: usize) -> Result<SessionName, Failure> {
    Ok(format!("{name}-{number}").parse()?)
}
