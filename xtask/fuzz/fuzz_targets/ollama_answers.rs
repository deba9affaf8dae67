//! What an Ollama answers to `maru up --ollama`, and the files that it is written into.
#![no_main]

use cli::decoders;
use fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let port = u16::from(input.byte()) + 1;
    let lens = [input.byte(), input.byte()];
    let mut rest = input.rest();
    let mut cut = |len: u8| {
        let (cut, left) = rest.split_at(usize::from(len).min(rest.len()));
        rest = left;
        cut
    };
    let files = lens.map(&mut cut).map(String::from_utf8_lossy);
    let answer = rest;

    let context = decoders::context(answer);
    assert!(context.is_none_or(|tokens| (1..=8192).contains(&tokens)));
    let Some((names, _)) = decoders::names(answer) else { return };
    assert!(names.len() <= 200 && names.is_sorted());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/".contains(&byte);
    assert!(names.iter().all(|name| (1..=200).contains(&name.len()) && name.bytes().all(plain)));

    let models: Vec<_> = names.into_iter().map(|name| (name, context)).collect();
    let texts = files.each_ref().map(AsRef::as_ref);
    let edited = decoders::edits(([127, 0, 0, 1], port).into(), &models, texts);
    // Once written, it is as it should be.
    let now = [0, 1].map(|at| edited[at].as_deref().unwrap_or(texts[at]));
    let again = decoders::edits(([127, 0, 0, 1], port).into(), &models, now);
    assert!((0..2).all(|at| edited[at].is_none() || again[at].is_none()), "{now:?}");
});
