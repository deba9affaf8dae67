//! Ollama's `options`.

use crate::{
    decode::{DecodeError, Fields},
    options::{Options, stops},
};

/// Options about memory and speed, and the context size, which only the settings define.
const HARMLESS: [&str; 12] = [
    "f16_kv",
    "low_vram",
    "main_gpu",
    "num_batch",
    "num_ctx",
    "num_gpu",
    "num_keep",
    "num_thread",
    "numa",
    "use_mlock",
    "use_mmap",
    "vocab_only",
];

/// Takes `options` out of a request.
pub(super) fn read(request: &mut Fields<'_>) -> Result<Options, DecodeError> {
    let Some(raw) = request.raw("options") else {
        return Ok(Options::default());
    };
    let mut fields = Fields::open(raw, "options")?;
    // A negative limit means no limit, a negative seed a random one.
    let count = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
    let limit: Option<i64> = fields.whole("num_predict", "a whole number")?;
    let seed: Option<i64> = fields.whole("seed", "a whole number")?;
    let options = Options {
        max_tokens: limit.filter(|&number| number >= 0).map(count),
        seed: seed.filter(|&number| number >= 0).map(count),
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.whole("top_k", "a whole number")?,
        min_p: fields.number("min_p")?,
        stop: stops(&mut fields)?,
        frequency_penalty: fields.number("frequency_penalty")?,
        presence_penalty: fields.number("presence_penalty")?,
        repeat_penalty: fields.number("repeat_penalty")?,
        ..Options::default()
    };
    fields.finish(&HARMLESS)?;
    Ok(options)
}
