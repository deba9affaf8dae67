//! Many at once: who waits, for how long, and who is next.

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use ai_gateway_api::sealed::Event;
use chat_vocabulary::FinishReason;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::line::InLine;

use super::{
    House, Member, ada,
    backend::Script,
    bob,
    client::{Answer, chat, text_of},
    house, house_with, house_without_fallback, member, tagged,
};

const SOON: Duration = Duration::from_secs(30);

/// A question by OpenAI's API, or Ollama's.
fn body(question: &str, stream: bool) -> Value {
    let message = json!({"role": "user", "content": question});
    json!({"model": "maru", "stream": stream, "messages": [message]})
}

/// Asks in the background, as a program does that has several requests under way: status and body.
fn ask(house: &House, who: &Member, question: &str) -> JoinHandle<(u16, String)> {
    let sending = house.sending(who, "/v1/chat/completions", body(question, true));
    tokio::spawn(async move {
        let answer = sending.await;
        (answer.status.as_u16(), answer.text().await)
    })
}

/// Asks in the background and waits for the first token alone; the answer is still open.
fn first_token(house: &House, who: &Member, question: &str) -> JoinHandle<Answer> {
    let sending = house.sending(who, "/v1/chat/completions", body(question, true));
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

impl House {
    /// Waits until so many wait for the first provider.
    async fn until_waiting(&self, count: usize) {
        let waited = tokio::time::timeout(SOON, async {
            while self.waiting() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        assert!(waited.await.is_ok(), "{} wait, not {count}", self.waiting());
    }

    fn metrics(&self) -> String {
        self.app.counters()
    }

    fn waiting(&self) -> usize {
        self.line("llamacpp").waiting
    }

    /// The line of a provider.
    fn line(&self, provider: &str) -> InLine {
        self.app.lines.state().into_iter().find(|(name, _)| name == provider).unwrap().1
    }

    /// What was asked of the first backend last.
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
    let house = house();
    house.one.script(Script::Held);
    let adas: Vec<_> = (0..20).map(|number| ask(&house, &ada(), &format!("a{number}"))).collect();
    house.one.until_open(1, SOON).await;
    house.until_waiting(19).await;
    assert_eq!(house.one.requests().len(), 1, "one of the two slots stays free");

    for question in ["b1", "b2", "b3"] {
        let bobs = first_token(&house, &bob(), question);
        let answer = tokio::time::timeout(SOON, bobs).await.expect("at once").unwrap();
        assert_eq!(
            (house.last_question(), house.ended()),
            (question.to_owned(), asked_before(question))
        );
        drop(answer);
        house.one.until_open(1, SOON).await;
    }
    house.one.release(20);
    for ada in adas {
        let (status, text) = ada.await.unwrap();
        assert!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{status} {text}");
    }
    assert_eq!(house.waiting(), 0);
}

/// How many of Bob's questions have ended before this one: none of Ada's did.
fn asked_before(question: &str) -> usize {
    question[1..].parse::<usize>().unwrap() - 1
}

/// With a single slot, each of another's questions waits for one reply, never for two.
#[tokio::test]
async fn one_persons_twenty_requests_delay_anothers_first_token_by_one_reply_at_most() {
    let house = house_without_fallback(|config| config.line.slots = NonZeroU16::MIN);
    house.one.script(Script::Held);
    let adas: Vec<_> = (0..20).map(|number| ask(&house, &ada(), &format!("a{number}"))).collect();
    house.one.until_open(1, SOON).await;
    house.until_waiting(19).await;
    for question in ["b1", "b2", "b3"] {
        let before = house.ended();
        let bobs = first_token(&house, &bob(), question);
        house.until_waiting(20 - before / 2).await;
        house.one.release(1);
        let answer = tokio::time::timeout(SOON, bobs).await.expect("one reply later").unwrap();
        assert_eq!((house.last_question(), house.ended()), (question.to_owned(), before + 1));
        drop(answer);
        // What he left goes to Ada.
        house.one.until_asked(before + 3, SOON).await;
        house.one.until_open(1, SOON).await;
    }
    house.one.release(40);
    for ada in adas {
        let (status, text) = ada.await.unwrap();
        assert!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{status} {text}");
    }
    assert_eq!(house.waiting(), 0);
}

/// Members and machines alike: with requests of each in the line, nobody is asked for twice before each was once.
#[tokio::test]
async fn people_and_machines_take_turns_and_nobody_has_two_slots_while_others_wait() {
    let house = house();
    house.one.script(Script::Held);
    let everyone = [ada(), bob(), tagged("n33"), member(44)];
    let mut asked = Vec::new();
    for (index, who) in everyone.iter().enumerate() {
        for number in 0..3 {
            asked.push(ask(&house, who, &format!("{index} {number}")));
            // In this order; Ada has the first slot and Bob the second.
            let under_way = if index == 0 { 1 } else { 2 };
            house.one.until_asked(under_way, SOON).await;
            house.until_waiting(asked.len() - under_way).await;
        }
    }
    let mut order = Vec::new();
    for ended in 1..=10 {
        house.one.release(1);
        house.one.until_asked(ended + 2, SOON).await;
        order.push(house.last_question());
    }
    assert_eq!(
        order,
        ["2 0", "3 0", "0 1", "1 1", "2 1", "3 1", "0 2", "1 2", "2 2", "3 2"],
        "round by round, each person's own in their order"
    );
    house.one.release(2);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

impl House {
    /// Waits until a long reply of Ada's has its first token and Bob's question has taken its slot from it.
    async fn yielded(&self, path: &str, body: Value) -> String {
        self.one.script(Script::Endless);
        let adas = tokio::spawn(self.sending(&ada(), path, body));
        self.one.until_open(1, SOON).await;
        self.one.script(Script::Hello);
        let bobs = ask(self, &bob(), "b1");
        let (status, text) = tokio::time::timeout(SOON, bobs).await.unwrap().unwrap();
        assert!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{status} {text}");
        let adas = adas.await.unwrap();
        assert_eq!(adas.status, 200);
        adas.text().await
    }
}

/// A house with one slot, which a reply holds for a second if somebody waits.
fn house_that_yields() -> House {
    house_without_fallback(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.yield_seconds = NonZeroU32::MIN;
    })
}

/// What it said so far stays, and its end says why, in the words and places that each API has.
#[tokio::test]
async fn a_long_reply_ends_with_its_text_and_a_notice_once_somebody_has_waited() {
    const NOTICE: &str = "others waited for the model";
    let house = house_that_yields();
    let text = house.yielded("/v1/chat/completions", body("a1", true)).await;
    let events: Vec<_> = text.split("\n\n").filter(|event| !event.is_empty()).collect();
    let [.., said, end, "data: [DONE]"] = events[..] else { panic!("{text}") };
    assert!(said.contains("\"content\":\"Hello\"") && !said.contains(NOTICE), "{text}");
    assert!(end.contains("\"finish_reason\":\"length\"") && end.contains(NOTICE), "{text}");
    assert_eq!(text.matches("maru_notice").count(), 1, "{text}");

    let text = house.yielded("/v1/chat/completions", body("a1", false)).await;
    let whole: Value = serde_json::from_str(&text).unwrap();
    let choice = &whole["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&"Hello".into(), &"length".into())
    );
    assert!(whole["maru_notice"].as_str().unwrap().contains(NOTICE), "{text}");

    let text = house.yielded("/api/chat", body("a1", true)).await;
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["done"], &last["done_reason"]), (&true.into(), &"length".into()), "{text}");
    assert!(last["maru_notice"].as_str().unwrap().contains(NOTICE), "{text}");
    assert_eq!(text.matches(NOTICE).count(), 1, "{text}");
    let text = house.yielded("/api/chat", body("a1", false)).await;
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&whole["message"]["content"], &whole["done_reason"]),
        (&"Hello".into(), &"length".into())
    );
    assert!(whole["maru_notice"].is_string(), "{text}");
}

/// It can be asked to go on: what was said is in the session.
#[tokio::test]
async fn a_sealed_reply_that_yields_says_so_under_the_seal_and_is_kept() {
    let house = house_that_yields();
    house.bind(&ada()).await;
    house.one.script(Script::Endless);
    let (ada, question) = (ada(), chat(Some("main"), "a1"));
    let other = async {
        house.one.until_open(1, SOON).await;
        house.one.script(Script::Hello);
        ask(&house, &bob(), "b1").await.unwrap()
    };
    let (events, (status, _)) = tokio::join!(house.sealed(&ada, &question), other);
    assert_eq!((status, text_of(&events).as_str()), (200, "Hello"));
    assert_eq!(events.last(), Some(&Event::Finish(FinishReason::Yielded)), "{events:?}");
    assert_eq!(house.history(&ada, "main").await, ["a1", "Hello"]);
}

/// Nothing was said: so nothing is lost, and a client that asks again on a 503 is served by itself.
#[tokio::test]
async fn whoever_has_no_token_yet_and_an_embedding_are_told_to_ask_again() {
    let house = house_that_yields();
    for (path, body) in [
        ("/v1/chat/completions", body("a1", false)),
        ("/api/chat", body("a1", false)),
        ("/v1/embeddings", json!({"model": "llamacpp/smollm2", "input": "a1"})),
    ] {
        house.one.script(Script::Silent);
        let adas = tokio::spawn(house.sending(&ada(), path, body));
        house.one.until_open(1, SOON).await;
        house.one.script(Script::Hello);
        assert_eq!(ask(&house, &bob(), "b1").await.unwrap().0, 200);
        let adas = adas.await.unwrap();
        assert_eq!(adas.status, 503, "{path}");
        assert!(adas.headers.contains_key("retry-after"), "{path}");
        assert!(adas.text().await.contains("thers waited for the model"), "{path}");
    }
}

/// Its client does not read on: the slot is another's all the same.
#[tokio::test]
async fn a_reply_that_is_not_read_yields_too() {
    let house = house_that_yields();
    house.one.script(Script::Endless);
    let unread = first_token(&house, &ada(), "a1").await.unwrap();
    house.one.script(Script::Hello);
    assert_eq!(ask(&house, &bob(), "b1").await.unwrap().0, 200);
    assert!(unread.text().await.contains("maru_notice"));
}

/// Nobody's reply has to end for somebody whom a fallback can answer.
#[tokio::test]
async fn a_free_fallback_is_asked_before_a_reply_has_to_end() {
    let house = house_with(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.yield_seconds = NonZeroU32::MIN;
    });
    house.one.script(Script::Held);
    let adas = ask(&house, &ada(), "a1");
    house.one.until_open(1, SOON).await;
    let (status, text) = ask(&house, &bob(), "b1").await.unwrap();
    assert!(status == 200 && text.contains("spare/smollm2"), "{status} {text}");
    house.one.release(1);
    let (_, text) = adas.await.unwrap();
    assert!(!text.contains("maru_notice") && text.contains("Hello"), "{text}");
}

/// A program that asks for the reply, a title, tags and what to ask next at once, and the next question while it reads.
#[tokio::test]
async fn a_question_of_a_chat_program_meets_no_limit() {
    let house = house();
    for question in 0..10 {
        let question = question.to_string();
        let four = ["reply", "title", "tags", "next"].map(|what| (what == "reply", what));
        let asked: Vec<_> = four
            .into_iter()
            .map(|(stream, what)| {
                let body = body(&format!("{what} {question}"), stream);
                tokio::spawn(house.sending(&ada(), "/v1/chat/completions", body))
            })
            .collect();
        for answer in asked {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status, 200);
            assert!(answer.text().await.contains("Hello"), "{question}");
        }
    }
    assert_eq!(house.one.requests().len(), 40);
}

/// An editor that asks anew with each word and hangs up on what it asked before. That it may do so for an hour is
/// shown where the rates are, with their clock.
#[tokio::test]
async fn an_editors_completions_each_cancelled_by_the_next_meet_no_limit() {
    let house = house();
    house.one.script(Script::Endless);
    let mut last: Option<Answer> = None;
    for word in 0..50 {
        drop(last.take());
        let body = body(&format!("word {word}"), true);
        let answer = house.sending(&ada(), "/v1/chat/completions", body).await;
        assert_eq!(answer.status, 200, "word {word}");
        last = Some(answer);
    }
    house.one.until_open(1, SOON).await;
    drop(last);
    house.one.until_open(0, SOON).await;
    assert_eq!(house.one.requests().len(), 50);
    assert_eq!(house.waiting(), 0);
}

#[tokio::test]
async fn whoever_leaves_is_out_of_the_line() {
    let house = house();
    house.one.script(Script::Held);
    let under_way = [ask(&house, &ada(), "a1"), ask(&house, &member(44), "d0")];
    house.one.until_asked(2, SOON).await;
    let left = ask(&house, &bob(), "left");
    house.until_waiting(1).await;
    let stays = ask(&house, &bob(), "stays");
    house.until_waiting(2).await;
    left.abort();
    house.until_waiting(1).await;

    house.one.release(1);
    house.one.until_asked(3, SOON).await;
    assert_eq!(house.last_question(), "stays");
    house.one.release(3);
    for ask in under_way.into_iter().chain([stays]) {
        assert_eq!(ask.await.unwrap().0, 200);
    }
    assert_eq!(house.one.requests().len(), 3, "who left was never asked for");
}

#[tokio::test]
async fn a_full_line_is_429_for_one_person_and_503_for_all_with_retry_after() {
    let house = house_without_fallback(|config| {
        config.line.waiting_per_person = 1;
        config.line.waiting = 2;
    });
    house.one.script(Script::Held);
    let mut asked = vec![ask(&house, &ada(), "a1"), ask(&house, &member(44), "d0")];
    house.one.until_asked(2, SOON).await;
    asked.push(ask(&house, &ada(), "a3"));
    house.until_waiting(1).await;

    let refused = house.post(&ada(), "/v1/chat/completions", &body("a4", true)).await;
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
    refused.openai_error(429, "rate_limit_exceeded").await;
    let refused = house.post(&ada(), "/api/chat", &body("a4", false)).await;
    assert_eq!(refused.status, 429);
    assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);

    asked.push(ask(&house, &bob(), "b1"));
    house.until_waiting(2).await;
    let third = member(33);
    for path in ["/v1/chat/completions", "/api/chat", "/v1/embeddings", "/api/embed"] {
        let embeds = path.contains("embed");
        let embed = || json!({"model": "llamacpp/smollm2", "input": "c1"});
        let body = if embeds { embed() } else { body("c1", false) };
        let refused = house.post(&third, path, &body).await;
        assert_eq!(refused.status, 503, "{path}");
        assert_eq!(refused.headers["retry-after"], "5", "{path}");
    }
    // The other provider has a line of its own.
    let mut other = body("c2", false);
    other["model"] = "spare/smollm2".into();
    assert_eq!(house.post(&third, "/v1/chat/completions", &other).await.status, 200);

    house.one.release(4);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
    let metrics = house.metrics();
    for (reason, count) in [("person", 2), ("total", 4)] {
        let line = format!("maru_gateway_line_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert!(metrics.contains("maru_gateway_line_waiting{provider=\"llamacpp\"} 0\n"), "{metrics}");
    assert!(metrics.contains("maru_gateway_line_wait_seconds_count 5\n"), "{metrics}");
}

/// Images wait in memory, too.
#[tokio::test]
async fn what_waits_is_bounded_in_bytes() {
    let house = house_with(|config| config.line.waiting_bytes_per_person = 30_000);
    house.one.script(Script::Held);
    let mut asked = vec![ask(&house, &ada(), "a1"), ask(&house, &member(44), "d0")];
    house.one.until_asked(2, SOON).await;
    let long = "x".repeat(20_000);
    asked.push(ask(&house, &ada(), &long));
    house.until_waiting(1).await;
    let refused = house.post(&ada(), "/v1/chat/completions", &body(&long, true)).await;
    refused.openai_error(429, "rate_limit_exceeded").await;
    asked.push(ask(&house, &bob(), &long));
    house.until_waiting(2).await;
    house.one.release(4);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

/// A further request of somebody who has a slot already: whoever has none is not told so, but gets one.
#[tokio::test]
async fn whoever_waited_as_long_as_one_may_is_told_when_to_come_back() {
    let house = house_without_fallback(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.seconds = 0;
    });
    house.bind(&ada()).await;
    house.one.script(Script::Endless);
    let adas = first_token(&house, &ada(), "a1").await.unwrap();

    for stream in [true, false] {
        let late = house.post(&ada(), "/v1/chat/completions", &body("a2", stream)).await;
        assert_eq!(late.headers["retry-after"], "5");
        late.openai_error(503, "rate_limit_exceeded").await;
        let late = house.post(&ada(), "/api/chat", &body("a2", stream)).await;
        assert_eq!(
            (late.status.as_u16(), &late.headers["retry-after"]),
            (503, &"5".parse().unwrap())
        );
    }
    // The same under the seal.
    let events = house.sealed(&ada(), &chat(None, "a2")).await;
    assert!(matches!(&events[..], [Event::Error { kind, .. }] if kind == "busy"), "{events:?}");

    drop(adas);
    house.one.until_open(0, SOON).await;
    house.one.script(Script::Hello);
    assert_eq!(text_of(&house.sealed(&ada(), &chat(None, "a3")).await), "Hello there");
}

#[tokio::test]
async fn sealed_chats_stand_in_the_same_line() {
    let house = house_with(|config| config.line.waiting_per_person = 0);
    house.bind(&ada()).await;
    house.one.script(Script::Held);
    let asked = [ask(&house, &ada(), "a1"), ask(&house, &member(44), "d0")];
    house.one.until_asked(2, SOON).await;
    let events = house.sealed(&ada(), &chat(None, "a3")).await;
    assert!(matches!(&events[..], [Event::Error { kind, .. }] if kind == "rate"), "{events:?}");
    house.one.release(2);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

/// Whoever finds the primary's line full is answered by the fallback, where there is one, and in its own turn.
#[tokio::test]
async fn a_full_line_spills_into_the_fallbacks() {
    let house = house_with(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.waiting = 1;
    });
    house.one.script(Script::Held);
    house.two.script(Script::Held);
    let mut asked = vec![ask(&house, &ada(), "a1")];
    house.one.until_asked(1, SOON).await;
    asked.push(ask(&house, &bob(), "b1"));
    house.until_waiting(1).await;

    let third = member(33);
    asked.push(ask(&house, &third, "c1"));
    house.two.until_asked(1, SOON).await;
    // Who asked for a model by another name than the primary's gets that one or none.
    let mut named = body("c2", false);
    named["model"] = "spare/smollm2".into();
    let waits = tokio::spawn(house.sending(&third, "/v1/chat/completions", named.clone()));
    let until = async {
        while house.line("spare").waiting == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, until).await.unwrap();
    let full = house.post(&member(44), "/v1/chat/completions", &body("d1", true)).await;
    full.openai_error(503, "rate_limit_exceeded").await;

    house.one.release(2);
    house.two.release(2);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
    assert_eq!(waits.await.unwrap().status, 200);
    assert_eq!((house.one.requests().len(), house.two.requests().len()), (2, 2));
}

#[tokio::test]
async fn one_person_does_not_get_a_further_line_by_filling_the_first() {
    let house = house_with(|config| config.line.waiting_per_person = 0);
    house.one.script(Script::Held);
    let asked = [ask(&house, &ada(), "a1"), ask(&house, &member(44), "d0")];
    house.one.until_asked(2, SOON).await;
    let refused = house.post(&ada(), "/v1/chat/completions", &body("a3", true)).await;
    refused.openai_error(429, "rate_limit_exceeded").await;
    assert_eq!(house.two.requests().len(), 0);
    house.one.release(2);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn who_had_no_turn_in_time_is_answered_by_a_fallback_that_is_free() {
    let house = house_with(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.seconds = 0;
    });
    house.one.script(Script::Endless);
    house.two.script(Script::Held);
    let _adas = first_token(&house, &ada(), "a1").await.unwrap();
    let bobs = ask(&house, &bob(), "b1");
    house.two.until_asked(1, SOON).await;
    // Now the fallback is busy, too.
    let late = house.post(&ada(), "/v1/chat/completions", &body("a2", true)).await;
    late.openai_error(503, "rate_limit_exceeded").await;
    house.two.release(1);
    let (status, text) = bobs.await.unwrap();
    assert!(status == 200 && text.contains("spare/smollm2"), "{status} {text}");
    assert_eq!(house.line("llamacpp").waiting, 0, "its place in the first line is given up");
}

#[tokio::test]
async fn when_to_ask_again_follows_from_how_long_replies_take() {
    let house = house_without_fallback(|config| {
        config.line.slots = NonZeroU16::MIN;
        config.line.waiting = 0;
    });
    assert_eq!(house.post(&ada(), "/v1/chat/completions", &body("a1", true)).await.status, 200);
    house.one.script(Script::Endless);
    let _adas = first_token(&house, &ada(), "a2").await.unwrap();
    let refused = house.post(&bob(), "/v1/chat/completions", &body("b1", true)).await;
    assert_eq!(refused.status, 503);
    let told: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(told < 5, "the reply took some milliseconds, and not five seconds: {told}");
}

#[tokio::test]
async fn a_server_that_says_how_many_slots_it_has_gets_as_many() {
    let house = house_with(|config| config.line.slots = NonZeroU16::MIN);
    let learn = async || {
        house.app.models.learn(true).await;
        house.app.lines.follow(&house.app.models);
        house.line("llamacpp").slots
    };
    assert_eq!(learn().await, 1, "it does not tell");
    for slots in [3, 2] {
        house.one.slots(slots);
        assert_eq!(learn().await, slots);
    }
    house.one.script(Script::Held);
    let asked: Vec<_> = (33..36).map(|who| ask(&house, &member(who), "hi")).collect();
    house.one.until_open(2, SOON).await;
    house.until_waiting(1).await;
    house.one.slots(4);
    assert_eq!(learn().await, 4);
    house.one.until_open(3, SOON).await;
    house.one.release(3);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}

#[tokio::test]
async fn a_provider_has_as_many_slots_as_the_settings_say() {
    let house = house_with(|config| {
        let slots = [("llamacpp".to_owned(), NonZeroU16::new(3).unwrap())];
        config.line.providers = slots.into();
    });
    house.one.script(Script::Held);
    let asked: Vec<_> = (33..38).map(|who| ask(&house, &member(who), "hi")).collect();
    house.one.until_open(3, SOON).await;
    house.until_waiting(2).await;
    assert_eq!(house.one.requests().len(), 3);
    house.one.release(5);
    for ask in asked {
        assert_eq!(ask.await.unwrap().0, 200);
    }
}
