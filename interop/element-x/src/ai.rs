//! A person who writes with the AI, in an encrypted direct chat.
//!
//! Of a reply's words only the mark is looked at that says that it was cut: the rest is a model's.

use anyhow::{Result, ensure};
use matrix_sdk::{
    RoomState,
    room::{IncludeRelations, RelationsOptions},
    ruma::{
        EventId, OwnedEventId, OwnedUserId,
        events::{relation::RelationType, room::message::MessageType},
    },
};
use matrix_sdk_ui::timeline::EventTimelineItem;
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use crate::{
    chat::Chat,
    device::{Device, Found},
    host::direct_chat,
    walk::{Walk, until},
};

/// A question with a short reply, and one with a long one.
const SHORT: &str = "What colour is the sea?";
const LONG: &str = "Tell me a very long story about the sea.";
/// The end of a reply that was cut, as `room-cut` of the messages says it.
const CUT: &str = "(cut off)";
/// Bytes of text that a reply has which is cut at the limit of its tokens: a small model does not always find an end.
const LIMIT: usize = 200;
/// The start of what the AI says in place of a reply (`room-unanswered`).
const UNANSWERED: &str = "I cannot answer now";
/// Most edits of a reply.
const EDITS: usize = 25;
/// What is killed while it makes a reply: the steps in which the reply is cut, and the next message answered.
const KILLED: [[&str; 2]; 3] = [
    ["gateway_killed", "gateway_back"],
    ["model_killed", "model_back"],
    ["participant_killed", "participant_back"],
];

/// A reply as the app shows it.
struct Shown {
    event: OwnedEventId,
    text: String,
}

/// The chat with the AI.
struct Conversation<'a> {
    chat: Chat<'a>,
    ai: OwnedUserId,
    typing: Receiver<Vec<OwnedUserId>>,
    is_typing: bool,
}

/// Walks.
pub(crate) async fn run(walk: &Walk) -> Result<()> {
    let found = walk.step("discover", Found::homeserver(walk)).await?;
    let device = walk.step("sign_in", found.sign_in(walk, &walk.password)).await?;
    let chat = walk.step("ai_joins", invite(walk, &device)).await?;
    let (_guard, typing) = chat.room.subscribe_to_typing_notifications();
    let mut conversation = Conversation { chat, ai: walk.peer.clone(), typing, is_typing: false };
    let told = walk.step("ai_tells", conversation.told()).await?;
    walk.step("ai_answers", conversation.is_answered()).await?;
    for [killed, back] in KILLED {
        walk.step(killed, conversation.is_cut()).await?;
        walk.step(back, conversation.is_answered()).await?;
    }
    walk.step("ai_told_once", async {
        ensure!(conversation.notices().await == [told], "not one notice");
        Ok(())
    })
    .await?;
    drop(conversation);
    walk.step("sign_out", device.sign_out()).await
}

/// Makes a chat with the AI alone, which joins.
async fn invite<'a>(walk: &Walk, device: &'a Device) -> Result<Chat<'a>> {
    let id = direct_chat(walk, device).await?;
    let room = device.room(&id, RoomState::Joined).await?;
    until("the AI", async || {
        let member = room.get_member(&walk.peer).await.ok()??;
        (member.membership().as_str() == "join").then_some(())
    })
    .await?;
    room.request_encryption_state().await?;
    ensure!(room.encryption_state().is_encrypted(), "the chat is not encrypted");
    Chat::open(device, room).await
}

impl Conversation<'_> {
    /// Waits for the notice that the AI reads this room.
    async fn told(&self) -> Result<OwnedEventId> {
        self.chat.event("the notice", |event| self.notice(event)).await
    }

    /// The AI's notices.
    async fn notices(&self) -> Vec<OwnedEventId> {
        let items = self.chat.timeline.items().await;
        let events = items.iter().filter_map(|item| item.as_event());
        events.filter_map(|event| self.notice(event)).collect()
    }

    fn notice(&self, event: &EventTimelineItem) -> Option<OwnedEventId> {
        let is_notice = matches!(event.content().as_message()?.msgtype(), MessageType::Notice(_));
        (event.sender() == self.ai && is_notice).then(|| event.event_id().map(ToOwned::to_owned))?
    }

    /// Asks something that is answered once, to the end or to the limit.
    async fn is_answered(&mut self) -> Result<()> {
        let (question, reply) = self.ask(SHORT).await?;
        let text = &reply.text;
        let is_whole = !text.ends_with(CUT) || text.len() > LIMIT;
        ensure!(is_whole && !text.starts_with(UNANSWERED), "no whole reply: {text}");
        self.is_whole(&question, &reply).await
    }

    /// Asks something whose reply is cut, as something fails meanwhile.
    async fn is_cut(&mut self) -> Result<()> {
        let question = self.chat.say(LONG).await?;
        let is_cut = |event: &EventTimelineItem| {
            self.reply(event, &question).filter(|shown| shown.text.ends_with(CUT))
        };
        let reply = self.chat.event("the mark", is_cut).await?;
        self.is_whole(&question, &reply).await
    }

    /// Asks, and returns what is shown once the AI types no more.
    async fn ask(&mut self, text: &str) -> Result<(OwnedEventId, Shown)> {
        // What came of the reply before.
        while self.next_typing().is_some() {}
        let question = self.chat.say(text).await?;
        self.types(true).await?;
        self.types(false).await?;
        let reply = self.chat.event("a reply", |event| self.reply(event, &question)).await?;
        Ok((question, reply))
    }

    /// Waits until it is shown that the AI types, or that it does not.
    async fn types(&mut self, types: bool) -> Result<()> {
        until(if types { "typing" } else { "the end of typing" }, async || {
            while self.is_typing != types {
                self.next_typing()?;
            }
            Some(())
        })
        .await
    }

    /// Takes the next news of who types.
    fn next_typing(&mut self) -> Option<()> {
        loop {
            match self.typing.try_recv() {
                Ok(who) => {
                    self.is_typing = who.contains(&self.ai);
                    return Some(());
                }
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    /// Whether an event is the AI's reply.
    fn reply(&self, event: &EventTimelineItem, question: &EventId) -> Option<Shown> {
        let is_reply = event.content().in_reply_to()?.event_id == question;
        let text = event.content().as_message()?.body().to_owned();
        let event = (event.sender() == self.ai && is_reply).then(|| event.event_id())??;
        Some(Shown { event: event.to_owned(), text })
    }

    /// Checks that a question has one reply, with few edits.
    async fn is_whole(&self, question: &EventId, reply: &Shown) -> Result<()> {
        let items = self.chat.timeline.items().await;
        let events = items.iter().filter_map(|item| item.as_event());
        let replies = events.filter_map(|event| self.reply(event, question)).count();
        ensure!(replies == 1, "{replies} replies");
        let include_relations = IncludeRelations::RelationsOfType(RelationType::Replacement);
        let options = RelationsOptions {
            include_relations,
            limit: Some(100_u32.into()),
            ..RelationsOptions::default()
        };
        let edits = self.chat.room.relations(reply.event.clone(), options).await?.chunk.len();
        ensure!(edits <= EDITS, "{edits} edits");
        Ok(())
    }
}
