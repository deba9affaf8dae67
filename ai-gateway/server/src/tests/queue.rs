//! Many at once: who waits, for how long, and who is next.

mod limits;
mod preemption;

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use ai_gateway_api::sealed::Event;
use chat_vocabulary::FinishReason;
use serde_json::{Value, json};
use testkit::{equal, eventually, http::Response};
use tokio::task::JoinHandle;

use crate::queue::QueueState;

use super::{
    Member, TestGateway, ada,
    backend::Script,
    bob,
    client::{chat, text_of},
    gateway, gateway_with, gateway_without_fallback, member, tagged,
};

const SOON: Duration = Duration::from_secs(30);

/// A question by OpenAI's API, or Ollama's.
fn body(question: &str, stream: bool) -> Value {
    let message = json!({"role": "user", "content": question});
    json!({"model": "maru", "stream": stream, "messages": [message]})
}

/// Asks in the background, as a program does that has several requests under way: status and body.
fn ask(gateway: &TestGateway, who: &Member, question: &str) -> JoinHandle<(u16, String)> {
    let sending = gateway.sending(who, "/v1/chat/completions", body(question, true));
    tokio::spawn(async move {
        let answer = sending.await;
        (answer.status.as_u16(), answer.text().await)
    })
}

/// Asks in the background and waits for the first token alone; the answer is still open.
fn first_token(gateway: &TestGateway, who: &Member, question: &str) -> JoinHandle<Response> {
    let sending = gateway.sending(who, "/v1/chat/completions", body(question, true));
    tokio::spawn(async move {
        let mut answer = sending.await;
        assert_eq!(answer.status, 200);
        let mut text = String::new();
        while !text.contains("Hello") {
            text.push_str(std::str::from_utf8(&answer.piece().await.unwrap().unwrap()).unwrap());
        }
        answer
    })
}

impl TestGateway {
    /// Waits until so many wait for the first provider.
    pub(super) async fn until_waiting(&self, count: usize) {
        eventually(&format!("{count} wait"), async || equal(self.waiting(), count)).await;
    }

    async fn metrics(&self) -> String {
        self.app.counters().await
    }

    fn waiting(&self) -> usize {
        self.line("llamacpp").waiting
    }

    /// The line of a provider.
    fn line(&self, provider: &str) -> QueueState {
        self.app.queues.state().into_iter().find(|(name, _)| name == provider).unwrap().1
    }

    /// The last request to the first backend.
    fn last_question(&self) -> String {
        let request = self.one.requests().pop().unwrap();
        let messages = request["messages"].as_array().unwrap();
        messages.last().unwrap()["content"].as_str().unwrap().to_owned()
    }

    /// Replies of the first backend that have ended.
    fn ended(&self) -> usize {
        self.one.requests().len() - self.one.open()
    }
}

/// With more than one slot, another's first token is not delayed at all.
#[tokio::test]
async fn one_persons_twenty_requests_leave_a_slot_for_another() {
    let gateway = gateway();
    gateway.one.script(Script::Held);
    let adas: Vec<_> = (0..20).map(|number| ask(&gateway, &ada(), &format!("a{number}"))).collect();
    gateway.one.until_open(1).await;
    gateway.until_waiting(19).await;
    assert_eq!(gateway.one.requests().len(), 1, "one of the two slots stays free");

    for question in ["b1", "b2", "b3"] {
        let bobs = first_token(&gateway, &bob(), question);
        let answer = tokio::time::timeout(SOON, bobs).await.expect("at once").unwrap();
        assert_eq!(
            (gateway.last_question(), gateway.ended()),
            (question.to_owned(), asked_before(question))
        );
        drop(answer);
        gateway.one.until_open(1).await;
    }
    gateway.one.release(20);
    for ada in adas {
        let (status, text) = ada.await.unwrap();
        assert!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{status} {text}");
    }
    assert_eq!(gateway.waiting(), 0);
}

/// How many of Bob's questions have ended before this one: none of Ada's did.
fn asked_before(question: &str) -> usize {
    question[1..].parse::<usize>().unwrap() - 1
}

/// With a single slot, each of another's questions waits for one reply, never for two.
#[tokio::test]
async fn one_persons_twenty_requests_delay_anothers_first_token_by_one_reply_at_most() {
    let gateway = gateway_without_fallback(|config| config.line.slots = NonZeroU16::MIN);
    gateway.one.script(Script::Held);
    let adas: Vec<_> = (0..20).map(|number| ask(&gateway, &ada(), &format!("a{number}"))).collect();
    gateway.one.until_open(1).await;
    gateway.until_waiting(19).await;
    for question in ["b1", "b2", "b3"] {
        let before = gateway.ended();
        let bobs = first_token(&gateway, &bob(), question);
        gateway.until_waiting(20 - before / 2).await;
        gateway.one.release(1);
        let answer = tokio::time::timeout(SOON, bobs).await.expect("one reply later").unwrap();
        assert_eq!((gateway.last_question(), gateway.ended()), (question.to_owned(), before + 1));
        drop(answer);
        // What he left goes to Ada.
        gateway.one.until_asked(before + 3).await;
        gateway.one.until_open(1).await;
    }
    gateway.one.release(40);
    for ada in adas {
        let (status, text) = ada.await.unwrap();
        assert!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{status} {text}");
    }
    assert_eq!(gateway.waiting(), 0);
}

/// If requests of several members and machines wait, each gets a slot before anyone gets a second one.
#[tokio::test]
async fn people_and_machines_take_turns_and_nobody_has_two_slots_while_others_wait() {
    let gateway = gateway();
    gateway.one.script(Script::Held);
    let everyone = [ada(), bob(), tagged("n33"), member(44)];
    let mut asked = Vec::new();
    for (index, who) in everyone.iter().enumerate() {
        for number in 0..3 {
            asked.push(ask(&gateway, who, &format!("{index} {number}")));
            // In this order; Ada has the first slot and Bob the second.
            let under_way = if index == 0 { 1 } else { 2 };
            gateway.one.until_asked(under_way).await;
            gateway.until_waiting(asked.len() - under_way).await;
        }
    }
    let mut order = Vec::new();
    for ended in 1..=10 {
        gateway.one.release(1);
        gateway.one.until_asked(ended + 2).await;
        order.push(gateway.last_question());
    }
    assert_eq!(
        order,
        ["2 0", "3 0", "0 1", "1 1", "2 1", "3 1", "0 2", "1 2", "2 2", "3 2"],
        "round by round, each person's own in their order"
    );
    gateway.one.release(2);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

impl TestGateway {
    /// Waits until a long reply of Ada's has its first token and Bob's question has taken its slot from it.
    async fn yielded(&self, path: &str, body: Value) -> String {
        self.one.script(Script::Endless);
        let adas = tokio::spawn(self.sending(&ada(), path, body));
        self.one.until_open(1).await;
        self.one.script(Script::Hello);
        let bobs = ask(self, &bob(), "b1");
        let (status, text) = tokio::time::timeout(SOON, bobs).await.unwrap().unwrap();
        assert!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{status} {text}");
        let adas = adas.await.unwrap();
        assert_eq!(adas.status, 200);
        adas.text().await
    }
}

/// A program that asks for the reply, a title, tags and what to ask next at once, and the next question while it reads.
#[tokio::test]
async fn a_question_of_a_chat_program_meets_no_limit() {
    let gateway = gateway();
    for question in 0..10 {
        let question = question.to_string();
        let four = ["reply", "title", "tags", "next"].map(|what| (what == "reply", what));
        let asked: Vec<_> = four
            .into_iter()
            .map(|(stream, what)| {
                let body = body(&format!("{what} {question}"), stream);
                tokio::spawn(gateway.sending(&ada(), "/v1/chat/completions", body))
            })
            .collect();
        for answer in asked {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status, 200);
            assert!(answer.text().await.contains("Hello"), "{question}");
        }
    }
    assert_eq!(gateway.one.requests().len(), 40);
}

/// An editor that asks anew with each word and hangs up on what it asked before. That it may do so for an hour is
/// shown where the rates are, with their clock.
#[tokio::test]
async fn an_editors_completions_each_cancelled_by_the_next_meet_no_limit() {
    let gateway = gateway();
    gateway.one.script(Script::Endless);
    let mut last: Option<Response> = None;
    for word in 0..50 {
        drop(last.take());
        let body = body(&format!("word {word}"), true);
        let answer = gateway.sending(&ada(), "/v1/chat/completions", body).await;
        assert_eq!(answer.status, 200, "word {word}");
        last = Some(answer);
    }
    gateway.one.until_open(1).await;
    drop(last);
    gateway.one.until_open(0).await;
    assert_eq!(gateway.one.requests().len(), 50);
    assert_eq!(gateway.waiting(), 0);
}

#[tokio::test]
async fn a_client_that_disconnects_leaves_the_queue() {
    let gateway = gateway();
    gateway.one.script(Script::Held);
    let under_way = [ask(&gateway, &ada(), "a1"), ask(&gateway, &member(44), "d0")];
    gateway.one.until_asked(2).await;
    let left = ask(&gateway, &bob(), "left");
    gateway.until_waiting(1).await;
    let stays = ask(&gateway, &bob(), "stays");
    gateway.until_waiting(2).await;
    left.abort();
    gateway.until_waiting(1).await;

    gateway.one.release(1);
    gateway.one.until_asked(3).await;
    assert_eq!(gateway.last_question(), "stays");
    gateway.one.release(3);
    for ask in under_way.into_iter().chain([stays]) {
        assert_eq!(ask.await.unwrap().0, 200);
    }
    assert_eq!(gateway.one.requests().len(), 3, "who left was never asked for");
}

#[tokio::test]
async fn sealed_chats_stand_in_the_same_line() {
    let gateway = gateway_with(|config| config.line.waiting_per_person = 0);
    gateway.bind(&ada()).await;
    gateway.one.script(Script::Held);
    let asked = [ask(&gateway, &ada(), "a1"), ask(&gateway, &member(44), "d0")];
    gateway.one.until_asked(2).await;
    let events = gateway.sealed(&ada(), &chat(None, "a3")).await;
    assert!(matches!(&events[..], [Event::Error { kind, .. }] if kind == "rate"), "{events:?}");
    gateway.one.release(2);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn a_server_that_says_how_many_slots_it_has_gets_as_many() {
    let gateway = gateway_with(|config| config.line.slots = NonZeroU16::MIN);
    let learn = async || {
        gateway.app.models.learn(true).await;
        gateway.app.queues.follow(&gateway.app.models);
        gateway.line("llamacpp").slots
    };
    assert_eq!(learn().await, 1, "it does not tell");
    for slots in [3, 2] {
        gateway.one.slots(slots);
        assert_eq!(learn().await, slots);
    }
    gateway.one.script(Script::Held);
    let asked: Vec<_> = (33..36).map(|who| ask(&gateway, &member(who), "hi")).collect();
    gateway.one.until_open(2).await;
    gateway.until_waiting(1).await;
    gateway.one.slots(4);
    assert_eq!(learn().await, 4);
    gateway.one.until_open(3).await;
    gateway.one.release(3);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn a_provider_has_as_many_slots_as_the_settings_say() {
    let gateway = gateway_with(|config| {
        let slots = [("llamacpp".to_owned(), NonZeroU16::new(3).unwrap())];
        config.line.providers = slots.into();
    });
    gateway.one.script(Script::Held);
    let asked: Vec<_> = (33..38).map(|who| ask(&gateway, &member(who), "hi")).collect();
    gateway.one.until_open(3).await;
    gateway.until_waiting(2).await;
    assert_eq!(gateway.one.requests().len(), 3);
    gateway.one.release(5);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}
