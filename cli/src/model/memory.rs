//! Whether a model fits into memory.

use anyhow::Context as _;

use gguf::{CacheType, Header};
use messages::{Message, message};

use crate::model::size::size;

/// What the system and Maru's other services need, in bytes.
const OTHERS: u64 = 1 << 30;
/// What an engine needs besides model and cache, in bytes: graphs, batches, the vocabulary.
const ENGINE: u64 = 256 << 20;
/// Tokens that an engine's cache holds.
const CACHE_TOKENS: u64 = 8192;

/// Bytes of memory that this machine can give to engines.
pub(super) fn total() -> anyhow::Result<u64> {
    Ok(read("MemTotal")?.saturating_sub(OTHERS))
}

/// Bytes of memory that programs could have now, without swap.
pub(super) fn free() -> anyhow::Result<u64> {
    read("MemAvailable")
}

fn read(key: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").context(message!("meminfo-not-read"))?;
    parse(&text, key).context(message!("meminfo-unknown"))
}

/// Parameters of the largest usual model in Q4 for a machine that has so many bytes for engines: 36 GB of memory hold one of
/// 32B, 16 GB one of 13B, 8 GB one of 7B. The kernel counts a little less than what is installed.
pub(super) fn largest(bytes: u64) -> &'static str {
    let sizes = [(34, "32B"), (15, "13B"), (7, "7B"), (3, "3B")];
    let fits = |size: &&(u64, &str)| bytes + OTHERS >= size.0 << 30;
    sizes.iter().find(fits).map_or("1B", |size| size.1)
}

/// What a machine with so many bytes for engines holds.
pub(super) fn holds(bytes: u64) -> Message {
    message!("machine-holds", memory = size(bytes + OTHERS), parameters = largest(bytes))
}

/// A warning if a file of so many bytes is larger than what this machine has for engines.
pub(super) fn too_large(bytes: u64, has: u64) -> Option<Message> {
    (bytes > has).then(|| message!("model-too-large", size = size(bytes), has = size(has)))
}

/// Memory that the engines need for a model, in bytes. The model itself is in memory once, since they map the same file.
pub(super) fn needed(bytes: u64, header: &Header, engines: u64, kind: CacheType) -> u64 {
    let token = header.cache_bytes_per_token.unwrap_or_default();
    // 16 bits for each number.
    let cache = token.saturating_mul(CACHE_TOKENS).saturating_mul(kind.bytes_of_32()) / 64;
    bytes.saturating_add(ENGINE.saturating_add(cache).saturating_mul(engines))
}

/// The value of a key in bytes (proc_meminfo(5)).
fn parse(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_and_caches_count_for_each_engine() {
        let text = "MemTotalX: 9 kB\nMemFree: 3 kB\nMemTotal:       2048 kB\nMemAvailable: 4 kB\n";
        assert_eq!(parse(text, "MemTotal"), Some(2 << 20));
        assert_eq!(parse(text, "MemAvailable"), Some(4 << 10));
        assert_eq!(parse("MemTotal: many kB\n", "MemTotal"), None);
        let sizes = [36_u64, 16, 8, 4, 2].map(|gb| largest((gb << 30) - (gb << 24) - OTHERS));
        assert_eq!(sizes, ["32B", "13B", "7B", "3B", "1B"]);
        let header = Header { cache_bytes_per_token: Some(1024), ..Header::default() };
        let f16 = CacheType::F16;
        assert_eq!(needed(5, &header, 1, f16), 5 + ENGINE + 1024 * CACHE_TOKENS);
        assert_eq!(needed(5, &header, 2, f16), 5 + 2 * (ENGINE + 1024 * CACHE_TOKENS));
        assert_eq!(needed(5, &header, 1, CacheType::Q8_0), 5 + ENGINE + 544 * CACHE_TOKENS);
        assert_eq!(needed(u64::MAX, &header, 2, f16), u64::MAX);
    }
}
