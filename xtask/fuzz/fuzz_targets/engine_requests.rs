//! What the embedded engine is asked, and the text that it puts together from tokens.
#![no_main]

use libfuzzer_sys::fuzz_target;

use maru_llm::{
    TextDecoder,
    request::{Body, InvalidRequest},
    thinking::{Parts, Thinking, ThinkingSplitter},
};

/// What was accepted stays within the bounds that are documented.
fn body(decoded: Result<Body, InvalidRequest>) {
    let Ok(body) = decoded else { return };
    let sampling = body.sampling();
    assert!((0.0..=10.0).contains(&sampling.temperature));
    assert!((0.0..=1.0).contains(&sampling.top_p) && (0.0..=1.0).contains(&sampling.min_p));
    assert!((0.1..=10.0).contains(&sampling.repeat_penalty));
    assert!((-2.0..=2.0).contains(&sampling.frequency_penalty));
    assert!((-2.0..=2.0).contains(&sampling.presence_penalty));
    assert!(body.max_tokens() != Some(0));
    assert!(body.chat.options.stop.len() <= 16);
}

/// However tokens cut a text, the same text leaves, and nothing of a stop text.
fn text(cuts: &[u8], body: &[u8]) {
    let mut stops = body.splitn(3, |&byte| byte == 0);
    let (one, two) = (stops.next().unwrap_or_default(), stops.next().unwrap_or_default());
    let all = stops.next().unwrap_or_default();
    let stops: Vec<String> =
        [one, two].map(|stop| String::from_utf8_lossy(stop).into_owned()).to_vec();
    let read = |pieces: Vec<&[u8]>| {
        let mut text = TextDecoder::new(stops.clone());
        let mut said: String = pieces.into_iter().map(|piece| text.push(piece)).collect();
        said.push_str(&text.finish());
        said
    };
    let cut = read(fuzz::pieces(cuts, all));
    assert_eq!(cut, read(all.chunks(1).collect()));
    for stop in stops.iter().filter(|stop| !stop.is_empty()) {
        assert!(!cut.contains(stop.as_str()), "{stop:?} left in {cut:?}");
    }
}

/// However a text is cut, the same thoughts and the same answer leave.
fn thoughts(cuts: &[u8], text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    for thinking in [Thinking::Never, Thinking::Marked, Thinking::Begun] {
        let read = |pieces: Vec<&str>| {
            let (mut splitter, mut all) = (ThinkingSplitter::new(thinking), Parts::default());
            pieces.into_iter().for_each(|piece| all.append(&splitter.push(piece)));
            all.append(&splitter.finish());
            all
        };
        let mut ends = cuts.iter();
        let pieces = text.split_inclusive(|_| ends.next().is_some_and(|cut| cut % 2 == 0));
        assert_eq!(read(pieces.collect()), read(vec![&text]));
    }
}

fuzz_target!(|input: &[u8]| {
    let (cuts, rest) = fuzz::cuts(input);
    body(Body::decode(rest, "m"));
    body(Body::decode_completion(rest, "m"));
    text(cuts, rest);
    thoughts(cuts, rest);
});
