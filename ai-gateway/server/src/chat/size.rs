//! The size of a request that waits.

use std::io;

use chat_vocabulary::ChatRequest;

/// Least bytes of text per token. A text that fits by this count fits.
pub(super) const BYTES_PER_TOKEN: usize = 2;
/// Tokens of a message besides its text.
const TOKENS_PER_MESSAGE: usize = 8;

/// The tokens of a message of so many bytes, by estimate.
pub(super) fn tokens_of(bytes: usize) -> usize {
    bytes / BYTES_PER_TOKEN + TOKENS_PER_MESSAGE
}

/// A writer that only counts bytes.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The request's size as JSON, in bytes.
pub(super) fn size(request: &ChatRequest) -> usize {
    let mut counter = Counter(0);
    // Serialization cannot fail: maps have string keys, and counting always succeeds.
    let _ = serde_json::to_writer(&mut counter, request);
    counter.0
}

#[cfg(test)]
mod tests {

    use super::size;

    #[test]
    fn all_that_a_client_can_make_long_counts() {
        let request = |text: &str, schema: &str| {
            let body = format!(
                r#"{{"messages": [{{"role": "user", "content": "{text}"}}],
                    "tools": [{{"type": "function", "function": {{"name": "f", "parameters": {{"description": "{schema}"}}}}}}]}}"#
            );
            size(&chat_vocabulary::decode(body.as_bytes()).unwrap())
        };
        let (least, long) = (request("", ""), "x".repeat(5000));
        assert!(least < 300, "{least}");
        assert_eq!(request(&long, ""), least + 5000);
        assert_eq!(request("", &long), least + 5000);
    }
}
