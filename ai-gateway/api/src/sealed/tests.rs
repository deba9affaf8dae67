//! Tests of the sealed-chat formats.

use chat_vocabulary::{Evidence, FinishReason, Message, Options, Role, Usage};
use proptest::prelude::*;

use super::*;
use crate::memory::OwnMemory;

fn request() -> Request {
    Request {
        version: Version,
        key_id: Fixed([1; 8]),
        encapsulated_key: Bytes(vec![2; 32]),
        ciphertext: Bytes(vec![3; 5]),
        timestamp: 1_795_000_000_000,
        request_id: Uuid::from_u128(0x019a_aaaa_aaaa_7aaa_8aaa_aaaa_aaaa_aaaa),
        device_pubkey: Fixed([4; 32]),
        signature: Fixed([5; 64]),
    }
}

#[test]
fn a_request_has_the_documented_fields() {
    let json = serde_json::to_value(request()).unwrap();

    let mut fields: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "ciphertext",
            "device_pubkey",
            "encapsulated_key",
            "key_id",
            "request_id",
            "signature",
            "timestamp",
            "version"
        ]
    );
    assert_eq!(json["key_id"], "AQEBAQEBAQE");
    assert_eq!(json["request_id"], "019aaaaa-aaaa-7aaa-8aaa-aaaaaaaaaaaa");
    assert_eq!(Request::decode(json.to_string().as_bytes()).unwrap(), request());
}

#[test]
fn half_a_character_is_replaced_in_an_operation() {
    for (input, of) in [
        (r#""text":"\ud83d""#, "text"),
        (r#""messages":[{"role":"user","content":"\ud83d"}]"#, "messages"),
    ] {
        let json = format!(r#"{{"version":1,"operation":"chat","session":"\ud83d",{input}}}"#);
        let Ok(Operation::Chat(chat)) = Operation::decode(&mut json.into_bytes(), OwnMemory) else {
            panic!("{of}");
        };
        assert_eq!(chat.session.unwrap().as_str(), "\u{fffd}");
        let said = match chat.input {
            Input::Text(text) => text,
            Input::Messages(messages) => messages[0].content.text().into_owned(),
        };
        assert_eq!(said, "\u{fffd}", "{of}");
    }
}

#[test]
fn an_operation_says_text_or_messages_but_not_both() {
    for (json, good) in [
        (r#"{"version":1,"operation":"chat","text":"hi"}"#, true),
        (r#"{"version":1,"operation":"chat","messages":[{"role":"user","content":"hi"}]}"#, true),
        (r#"{"version":1,"operation":"chat"}"#, false),
        (r#"{"version":1,"operation":"chat","text":"hi","messages":[]}"#, false),
        (r#"{"version":1,"operation":"forget","session":"a"}"#, false),
        (r#"{"version":9,"operation":"chat","text":"hi"}"#, false),
    ] {
        assert_eq!(
            Operation::decode(&mut json.as_bytes().to_vec(), OwnMemory).is_ok(),
            good,
            "{json}"
        );
    }
}

#[test]
fn an_operation_without_a_field_that_it_needs_is_refused() {
    for json in [
        r#"{"version":1,"operation":"history","session":"a"}"#,
        r#"{"version":1,"operation":"search","text":"hi"}"#,
        r#"{"version":1,"operation":"rename","session":"a","to":"b"}"#,
        r#"{"version":1,"operation":"branch","session":"a","before":2,"to":"b"}"#,
        r#"{"version":1,"operation":"delete","session":"a"}"#,
        r#"{"version":1,"operation":"export","format":"json"}"#,
        r#"{"version":1,"operation":"recover","code":"1040"}"#,
    ] {
        let whole: serde_json::Map<_, _> = serde_json::from_str(json).unwrap();
        let decode = |object: &serde_json::Map<String, serde_json::Value>| {
            Operation::decode(&mut serde_json::to_vec(object).unwrap(), OwnMemory)
        };
        assert!(decode(&whole).is_ok(), "{json}");
        for field in whole.keys().filter(|field| !["version", "operation"].contains(&&***field)) {
            let mut less = whole.clone();
            less.remove(field);
            let decoded = decode(&less);
            assert!(matches!(decoded, Err(PlaintextError::Field)), "{json} without {field}");
        }
    }
}

#[test]
fn a_memory_operation_names_a_file_of_the_memory_and_what_it_needs() {
    let decode = |memory: &str| {
        let json = format!(r#"{{"version":1,"operation":"memory","memory":{memory}}}"#);
        Operation::decode(&mut json.into_bytes(), OwnMemory)
    };
    for good in [
        r#"{"action":"read"}"#,
        r#"{"action":"read","file":"USER.md"}"#,
        r#"{"action":"write","file":"memory/2026-11-26.md","text":""}"#,
        r#"{"action":"ai_remembers","on":true}"#,
    ] {
        assert!(decode(good).is_ok(), "{good}");
    }
    for incomplete in [
        r#"{"action":"write","file":"USER.md"}"#,
        r#"{"action":"ai_remembers"}"#,
        r#"{"action":"x"}"#,
    ] {
        assert!(matches!(decode(incomplete), Err(PlaintextError::Field)), "{incomplete}");
    }
    let elsewhere = r#"{"action":"read","file":"../user-2/USER.md"}"#;
    assert!(matches!(decode(elsewhere), Err(PlaintextError::Memory(_))));
}

#[test]
fn a_sessions_name_is_bounded() {
    for (length, good) in [(SessionName::MAX, true), (SessionName::MAX + 1, false)] {
        let name = "x".repeat(length);
        let json = format!(r#"{{"version":1,"operation":"history","session":"{name}"}}"#);
        let decoded = Operation::decode(&mut json.as_bytes().to_vec(), OwnMemory);
        assert_eq!(decoded.is_ok(), good, "{length}");
        assert_eq!(matches!(decoded, Err(PlaintextError::Session(NameTooLong))), !good);
    }
}

#[test]
fn a_proof_of_the_first_version_is_refused_by_name() {
    let body = |version: u32| {
        let (key, signature) = (Fixed([4; 32]), Fixed([5; 64]));
        let body = serde_json::json!({
            "version": version, "device_pubkey": key, "timestamp": 1, "signature": signature,
        });
        BindDevice::decode(body.to_string().as_bytes())
    };
    assert_eq!(body(2).unwrap().device_pubkey, Fixed([4; 32]));
    let error = body(1).unwrap_err();
    assert!(matches!(error, DecodeError::Version { found: 1, known: 2 }), "{error}");
    assert_eq!(error.to_string(), "version 1 is not supported; this program supports version 2");
}

#[test]
fn events_have_the_documented_shape() {
    let events = [
        Event::Model("llamacpp/smollm2".to_owned()),
        Event::Evidence(Evidence {
            class: "SIMULATED".to_owned(),
            image: "lab".to_owned(),
            node: "n".to_owned(),
            verified_at: 1,
        }),
        Event::Delta("안녕".to_owned()),
        Event::Message(SessionMessage { time: None, ..message("hi") }),
        Event::Message(message("hi")),
        Event::Conversation(Conversation {
            name: "main".to_owned(),
            messages: 4,
            bytes: 90,
            created_at: 1,
            used_at: 2,
        }),
        Event::Found(found("hi")),
        Event::Memory(memory_file("- tea")),
        Event::RecoveryCode("1040-G208".to_owned()),
        Event::Notice { kind: "not-kept".to_owned(), message: "the disk is full".to_owned() },
        Event::Usage(Usage { prompt_tokens: 3, completion_tokens: 1 }),
        Event::Finish(FinishReason::Length),
        Event::Error { kind: "model".to_owned(), message: "no model answers".to_owned() },
    ];

    let json = encode_events(&events);

    assert_eq!(
        String::from_utf8(json.clone()).unwrap(),
        concat!(
            r#"[{"model":"llamacpp/smollm2"},"#,
            r#"{"evidence":{"class":"SIMULATED","image":"lab","node":"n","verified_at":1}},"#,
            r#"{"delta":"안녕"},{"message":{"role":"user","content":"hi","number":3}},"#,
            r#"{"message":{"role":"user","content":"hi","number":3,"time":5}},"#,
            r#"{"conversation":{"name":"main","messages":4,"bytes":90,"created_at":1,"used_at":2}},"#,
            r#"{"found":{"conversation":"main","number":3,"role":"user","excerpt":"hi","time":5}},"#,
            r#"{"memory":{"file":"MEMORY.md","text":"- tea"}},"#,
            r#"{"recovery_code":"1040-G208"},"#,
            r#"{"notice":{"kind":"not-kept","message":"the disk is full"}},"#,
            r#"{"usage":{"prompt_tokens":3,"completion_tokens":1}},{"finish":"length"},"#,
            r#"{"error":{"kind":"model","message":"no model answers"}}]"#
        )
    );
    assert_eq!(decode_events(&json).unwrap(), events);
}

#[test]
fn debug_shows_nothing_that_was_written() {
    let chat = Operation::Chat(Chat {
        session: None,
        input: Input::Text("canary".to_owned()),
        model: None,
        language: None,
        options: Options::default(),
    });

    let text = || "canary".to_owned();
    let shown = format!(
        "{chat:?}{:?}{:?}{:?}{:?}{:?}",
        Operation::Memory(MemoryOperation::Write {
            file: "USER.md".parse().unwrap(),
            text: text(),
            was: Some(text()),
        }),
        Operation::Search(Search { text: text() }),
        Operation::Recover(Recover { code: text() }),
        message(&text()),
        found(&text()),
    );
    let events = [
        Event::Delta(text()),
        Event::Message(message(&text())),
        Event::Found(found(&text())),
        Event::RecoveryCode(text()),
        Event::Memory(memory_file(&text())),
    ];
    let shown = format!("{shown}{events:?}");

    assert!(!shown.contains("canary"), "{shown}");
}

fn message(text: &str) -> SessionMessage {
    let (content, number, time) = (text.to_owned(), Some(3), Some(5));
    SessionMessage { role: Role::User, content, number, time }
}

fn memory_file(text: &str) -> MemoryFile {
    MemoryFile { file: "MEMORY.md".to_owned(), text: text.to_owned() }
}

fn found(text: &str) -> Found {
    let (conversation, excerpt) = ("main".to_owned(), text.to_owned());
    Found { conversation, number: 3, role: Role::User, excerpt, time: 5 }
}

fn session() -> impl Strategy<Value = SessionName> {
    ".{0,25}".prop_map(|name| name.parse().unwrap())
}

fn memory() -> impl Strategy<Value = MemoryOperation> {
    let name = || prop_oneof![Just("MEMORY.md"), Just("USER.md"), Just("memory/2026-11-26.md")];
    let name = move || name().prop_map(|name| name.parse::<MemoryName>().unwrap());
    let write = (name(), any::<String>(), any::<Option<String>>());
    prop_oneof![
        prop::option::of(name()).prop_map(MemoryOperation::Read),
        write.prop_map(|(file, text, was)| MemoryOperation::Write { file, text, was }),
        any::<bool>().prop_map(MemoryOperation::AiRemembers),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let input = prop_oneof![
        any::<String>().prop_map(Input::Text),
        prop::collection::vec(any::<String>().prop_map(Message::user), 0..4)
            .prop_map(Input::Messages),
    ];
    let chat = (
        prop::option::of(session()),
        input,
        any::<Option<String>>(),
        any::<Option<u32>>(),
        any::<bool>(),
        any::<Option<String>>(),
    );
    let format = prop_oneof![Just(ExportFormat::Json), Just(ExportFormat::Markdown)];
    prop_oneof![
        chat.prop_map(|(session, input, model, max_tokens, ignore_eos, language)| {
            let options = Options { max_tokens, ignore_eos, ..Options::default() };
            Operation::Chat(Chat { session, input, model, options, language })
        }),
        (session(), any::<Option<u64>>(), any::<Option<u64>>()).prop_map(
            |(session, before, limit)| Operation::History(History { session, before, limit })
        ),
        Just(Operation::List),
        any::<String>().prop_map(|text| Operation::Search(Search { text })),
        (session(), session()).prop_map(|(session, to)| Operation::Rename(Rename { session, to })),
        (session(), any::<u64>(), session()).prop_map(|(session, before, to)| {
            Operation::Branch(Branch { session, before, to })
        }),
        session().prop_map(Operation::Delete),
        (prop::option::of(session()), format)
            .prop_map(|(session, format)| Operation::Export(Export { session, format })),
        memory().prop_map(Operation::Memory),
        Just(Operation::RecoveryCode),
        any::<String>().prop_map(|code| Operation::Recover(Recover { code })),
    ]
}

proptest! {
    #[test]
    fn an_operation_survives_the_seal(operation in operation()) {
        prop_assert_eq!(Operation::decode(&mut operation.encode(), OwnMemory).unwrap(), operation);
    }

    #[test]
    fn arbitrary_bytes_never_panic(name in any::<String>(), bytes in any::<Vec<u8>>()) {
        let _ = Request::decode(&bytes);
        let _ = BindDevice::decode(bytes.as_slice());
        let _ = decode_keys(&bytes);
        let _ = Operation::decode(&mut bytes.clone(), OwnMemory);
        let _ = decode_events(&bytes);
        let _ = ReplyPart::decode(&name, &bytes);
        for name in [event::START, event::CHUNK, event::FINAL] {
            let _ = ReplyPart::decode(name, &bytes);
        }
    }
}
