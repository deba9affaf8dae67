//! The key by which an engine knows whose prompts may share its cache.

use super::*;

#[tokio::test]
async fn each_person_has_a_key_and_nobody_names_one() {
    let (models, backend, _) = models();
    let people = [
        Person::User(1),
        Person::User(2),
        Person::Room("1".to_owned()),
        Person::App("1".to_owned()),
        Person::User(1),
    ];
    for person in &people {
        // As a client would that wants to see what another asked.
        let named = backend.keys.lock().unwrap().first().cloned().flatten();
        let messages = vec![Message::user("hi")];
        let request = ChatRequest { messages, prompt_cache_key: named, ..ChatRequest::default() };
        models.choose(None).unwrap().of(person).open(request).await.unwrap();
    }
    let request = ChatRequest { prompt_cache_key: Some("x".to_owned()), ..ChatRequest::default() };
    models.choose(None).unwrap().open(request).await.unwrap();

    let keys = backend.keys.lock().unwrap().clone();
    let first: Vec<_> = keys[..4].iter().map(|key| key.clone().unwrap()).collect();
    let different: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(different.len(), 4, "{keys:?}");
    assert_eq!(keys[4], keys[0], "the same person");
    assert_eq!(keys[5], None, "nobody is known");
    assert!(first.iter().all(|key| key.len() == 32 && !key.contains("user")), "{keys:?}");
}
