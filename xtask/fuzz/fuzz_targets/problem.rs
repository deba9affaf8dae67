//! Problem documents (RFC 9457), as relays and routers of others answer with them.
#![no_main]

use common::{
    foreign,
    problem::{CONTENT_TYPE, MAX, Problem, TEXT_MAX, is_problem},
};
use fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let named = input.bytes();
    let kind = if named.is_empty() { CONTENT_TYPE.as_bytes() } else { named };
    let body = input.rest();
    let Some(problem) = Problem::received(kind, body) else {
        let object = serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(body);
        return assert!(!is_problem(kind) || body.len() > MAX || object.is_err());
    };
    for text in [Some(&problem.kind), Some(&problem.title), problem.detail.as_ref()] {
        let text = text.map_or("", String::as_str);
        assert!(text.chars().count() <= TEXT_MAX && !text.chars().any(foreign::steers), "{text:?}");
    }
    assert!(problem.to_string().lines().count() <= 1);
    let written = serde_json::to_vec(&problem).expect("it is written");
    assert_eq!(Problem::received(kind, &written).as_ref(), Some(&problem));
    // Where the strict reader finds one, it is the same but for what may not be shown.
    if let Ok(strict) = serde_json::from_slice::<Problem>(body) {
        let shown = |text: &String| foreign::short(text, TEXT_MAX);
        assert_eq!((problem.kind, problem.title), (shown(&strict.kind), shown(&strict.title)));
        assert_eq!(
            (problem.status, problem.detail),
            (strict.status, strict.detail.as_ref().map(shown))
        );
    }
});
