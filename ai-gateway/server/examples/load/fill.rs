//! Stores conversations as the gateway would have, for many people.

use std::path::PathBuf;

use chat_vocabulary::Role;
use conversations::{Conversations, Limits, Message};
use mesh_identity::Person;
use store::{Database, seal::Key};

use crate::{Failure, now_us};

/// What the names of the sessions begin with.
pub(crate) const SESSION: &str = "stored";

/// What is stored.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    #[arg(long)]
    database: PathBuf,
    /// The machine's key
    #[arg(long)]
    key: PathBuf,
    /// People
    #[arg(long)]
    people: u64,
    /// Conversations of each
    #[arg(long)]
    conversations: usize,
    /// Messages of each
    #[arg(long)]
    messages: usize,
}

/// Stores them.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let machine = Key::new(&*chassis::secret::load(&args.key)?);
    let limits = Limits { person_bytes: i64::MAX, conversations: i64::MAX };
    let database = Database::Sqlite(args.database);
    let conversations = Conversations::open(&database, None, machine, limits).await?;
    let messages: Vec<_> = (0..args.messages).map(message).collect();
    let now_ms = i64::try_from(now_us() / 1000)?;
    for person in (1..=args.people).map(Person::User) {
        for number in 0..args.conversations {
            let name = format!("{SESSION}-{number}");
            conversations.append(&person, &name, &messages, now_ms).await?;
        }
    }
    conversations.close().await;
    Ok(())
}

/// A question, or an answer of 400 characters.
fn message(number: usize) -> Message {
    let question = format!("What does the heron at the pond near the {number}th house eat?");
    match number % 2 {
        0 => Message { role: Role::User, text: question },
        _ => Message { role: Role::Assistant, text: "It eats fish and frogs. ".repeat(17) },
    }
}
