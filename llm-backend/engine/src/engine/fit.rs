//! Whether a model fits into memory, and how many tokens of conversations with it.

use std::path::{Path, PathBuf};

use chassis::machine;
use gguf::CacheType;

use super::{prompt_batch::BATCH, worker_config::WorkerConfig};
use crate::{Error, options::Load};

/// What the engine takes besides the model and its conversations, in bytes: graphs, logits, the vocabulary.
const ENGINE: u64 = 512 << 20;
/// Most that conversations take by default, in bytes: all of it is zeroed whenever no reply is in progress, which takes
/// half a second for so many.
const DEFAULT_MAX: u64 = 4 << 30;
/// Tokens by default if the file does not say what they take, or for how many the model was trained.
const UNKNOWN: u32 = 4096;
/// The least useful number of tokens: the household's prompt takes some hundred of them as it comes.
const LEAST: u32 = 1024;
/// Most tokens of the household's prompt, whatever it writes (`walkthrough`, `the_prompt_for_hi_stays_under_2000_tokens…`).
pub(super) const PROMPT_MAX: u32 = 2048;
/// llama.cpp rounds up to these.
const STEP: u32 = 256;

/// A model, and the memory for it. Sizes are in bytes.
pub(super) struct Fit {
    pub(super) path: PathBuf,
    pub(super) slots: u32,
    /// What is taken whatever conversations are like.
    pub(super) fixed: u64,
    /// The model's file, a part of `fixed`.
    pub(super) model: u64,
    /// What conversations without a slot may take later; [`Self::stored`] is less rather than the model refused.
    pub(super) stored: u64,
    /// What a token of each conversation takes; [`None`]: not known.
    pub(super) token: Option<u64>,
    /// Tokens that the model was trained for; [`None`]: not known.
    pub(super) trained: Option<u32>,
    /// What there is; [`None`]: not known.
    pub(super) free: Option<u64>,
    /// What the machine has, whoever uses it; [`None`]: not known.
    pub(super) total: Option<u64>,
}

impl Fit {
    /// A model with this header and size, its conversations, and those that are stored.
    pub(super) fn new(
        path: PathBuf,
        (header, bytes): &(gguf::Header, u64),
        (slots, kind): (u32, CacheType),
        stored: u64,
        free: Option<u64>,
    ) -> Self {
        let token = |bytes: u64| {
            // 16 bits for each number.
            let bytes = bytes.saturating_mul(kind.bytes_of_32()).div_ceil(64);
            // And the mask of a batch, which tells which tokens see each other.
            let mask = 8 * u64::from(BATCH);
            bytes.saturating_add(mask).saturating_mul(u64::from(slots))
        };
        Self {
            path,
            slots,
            fixed: bytes.saturating_add(ENGINE),
            model: *bytes,
            stored,
            token: header.cache_bytes_per_token.map(token),
            trained: header.context_tokens.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)),
            free,
            total: None,
        }
    }

    /// The same for one of two engines, which map the same file: half of what the machine has `available` beside it is the other's.
    pub(super) fn for_one_of_two(self, available: Option<u64>) -> Self {
        let half = |available: u64| self.model + available.saturating_sub(self.model) / 2;
        let free = self.free.into_iter().chain(available.map(half)).min();
        Self { free, ..self }
    }

    /// Whether there is less memory than for the tokens that were asked for or, if none were, for those of a usual conversation.
    pub(super) fn is_short(&self, asked: Option<u32>) -> bool {
        let useful = asked.unwrap_or(UNKNOWN).min(self.trained.unwrap_or(u32::MAX));
        self.free.is_some_and(|free| self.most(free.saturating_sub(self.stored)) < useful)
    }

    /// What conversations without a slot may take, beside conversations of so many tokens.
    pub(super) fn stored(&self, ctx: u32) -> usize {
        let left = self.free.unwrap_or(u64::MAX).saturating_sub(self.needed(ctx));
        usize::try_from(self.stored.min(left)).unwrap_or(usize::MAX)
    }

    /// Whether only the model has no room, in memory that others use now. Engines share a model's file, and the kernel reads it
    /// again where memory is short: that is slow, but a spare engine stays, and so does the engine of a busy machine.
    fn is_read_again(&self, ctx: u32) -> bool {
        self.needed(ctx).saturating_sub(self.model) <= self.free.unwrap_or_default()
            && self.fixed <= self.total.unwrap_or_default()
    }

    /// What the engine takes with so many tokens for each conversation.
    pub(super) fn needed(&self, ctx: u32) -> u64 {
        let tokens = self.token.unwrap_or_default().saturating_mul(u64::from(ctx));
        self.fixed.saturating_add(tokens)
    }

    /// The tokens of each conversation: as many as were asked for, or else as many as the model was trained for and memory
    /// holds.
    ///
    /// # Errors
    ///
    /// [`Error::Context`] or [`Error::Memory`] if they do not fit.
    pub(super) fn context(&self, asked: Option<u32>) -> Result<u32, Error> {
        let trained = self.trained.unwrap_or(u32::MAX).max(1);
        let fits = self.most(self.free.unwrap_or(u64::MAX));
        let default = if self.token.is_some() && self.trained.is_some() && self.free.is_some() {
            let beside = self.free.unwrap_or_default().saturating_sub(self.stored);
            let most = self.most(beside.min(self.fixed.saturating_add(DEFAULT_MAX)));
            most.max(LEAST.min(fits))
        } else {
            UNKNOWN.min(fits)
        };
        let ctx = asked.unwrap_or(default).min(trained);
        if asked.is_some_and(|asked| asked > trained) {
            tracing::warn!(
                trained,
                "the model was trained for shorter conversations; they are as long as that"
            );
        }
        let least = asked.unwrap_or(LEAST).min(LEAST).min(trained);
        match asked {
            _ if ctx >= least && ctx <= fits => Ok(ctx),
            None if self.is_read_again(least) => {
                tracing::warn!("memory is short: parts of the model are read from the disk again");
                Ok(least)
            }
            Some(_) if fits >= least => Err(Error::Context { slots: self.slots, ctx, fits }),
            Some(_) | None => Err(Error::Memory {
                path: self.path.clone(),
                slots: self.slots,
                needed: self.needed(least).div_ceil(1 << 20),
                free: self.free.unwrap_or_default() >> 20,
            }),
        }
    }

    /// The most tokens that fit into so many bytes.
    fn most(&self, bytes: u64) -> u32 {
        let Some(left) = bytes.checked_sub(self.fixed) else { return 0 };
        let tokens = self.token.map_or(u64::MAX, |token| left / token.max(1));
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        tokens - tokens % STEP
    }
}

/// What memory holds now.
pub(super) fn measure(plan: &WorkerConfig, file: &(gguf::Header, u64)) -> Fit {
    let root = Path::new("/");
    let conversations = (plan.slots, plan.cache_type);
    let (stored, free) = (plan.cache_bytes as u64, machine::free_memory(root));
    let fit = Fit {
        total: machine::meminfo(root, "MemTotal"),
        ..Fit::new(plan.path.clone(), file, conversations, stored, free)
    };
    match plan.load {
        Load::Now => fit,
        Load::Room | Load::Asked => fit.for_one_of_two(machine::available(root)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_conversations_take_what_is_left_and_a_model_may_wait_for_memory() {
        let fit = fit(CacheType::F16, 4600 + 512);
        let ctx = fit.context(None).unwrap();
        assert!(fit.needed(ctx) + fit.stored(ctx) as u64 <= fit.free.unwrap());
        assert!(fit.stored(ctx) < 512 << 20);

        let short = self::fit(CacheType::F16, 2048);
        assert!(matches!(short.context(None), Err(Error::Memory { .. })), "nobody knows of more");
        let short = Fit { total: Some(8 << 30), ..short };
        assert_eq!(short.context(None).unwrap(), LEAST, "others use the memory now");
        assert!(short.context(Some(8192)).is_err(), "who asks for it is told");
        let small = Fit { total: Some(4 << 30), ..short };
        assert!(small.context(None).is_err(), "this machine never holds it");
    }

    #[test]
    fn one_of_two_engines_takes_half_and_waits_if_that_is_little() {
        let free = |available_mib: u64| {
            fit(CacheType::F16, 100_000).for_one_of_two(Some(available_mib << 20)).free.unwrap()
                >> 20
        };
        assert_eq!([free(4096), free(4098), free(8192), free(1000)], [4096, 4097, 6144, 4096]);
        let limited = fit(CacheType::F16, 5000).for_one_of_two(Some(900_000 << 20));
        assert_eq!(limited.free, Some(5000 << 20), "its container has less");
        let unknown = Fit { free: None, ..fit(CacheType::F16, 1) }.for_one_of_two(None);
        assert!(unknown.free.is_none() && !unknown.is_short(None));

        // 4,096 tokens take 1,040 MiB.
        let short = |free, asked| fit(CacheType::F16, free).is_short(asked);
        assert!(!short(FIXED + STORED + 1040, None) && short(FIXED + STORED + 1039, None));
        assert!(
            short(FIXED + STORED + 1040, Some(8192)) && !short(FIXED + STORED + 1040, Some(512))
        );
        assert!(short(100, None));
    }

    /// A model of 4 GiB whose tokens take 128 KiB in each of two conversations.
    fn fit(kind: CacheType, free_mib: u64) -> Fit {
        let header = gguf::Header {
            context_tokens: Some(32_768),
            cache_bytes_per_token: Some(128 << 10),
            ..gguf::Header::default()
        };
        Fit::new("m.gguf".into(), &(header, 4 << 30), (2, kind), 512 << 20, Some(free_mib << 20))
    }

    const FIXED: u64 = 4096 + 512;
    const STORED: u64 = 512;

    #[test]
    fn the_default_is_what_the_model_was_trained_for_and_memory_holds() {
        let default = |kind, free| fit(kind, free).context(None).unwrap();
        // Two tokens take 260 KiB with their mask.
        assert_eq!(default(CacheType::F16, FIXED + STORED + 1024), 3840);
        assert_eq!(default(CacheType::Q8_0, FIXED + STORED + 1024), 7424);
        assert_eq!(default(CacheType::Q4_0, FIXED + STORED + 1024), 13_568);
        assert_eq!(default(CacheType::F16, FIXED + STORED + 900_000), 16_128, "no more than 4 GiB");
        assert_eq!(default(CacheType::Q4_0, FIXED + STORED + 900_000), 32_768, "trained");
        assert_eq!(default(CacheType::F16, FIXED + 400), 1024, "what is stored makes room");
        let small = Fit { trained: Some(64), ..fit(CacheType::F16, 900_000) };
        assert_eq!(small.context(None).unwrap(), 64);
    }

    #[test]
    fn what_was_asked_for_is_taken_if_it_fits_and_else_what_fits_is_told() {
        let asked = |ctx, free| fit(CacheType::F16, free).context(Some(ctx));
        assert_eq!(asked(32_768, FIXED + 9000).unwrap(), 32_768, "more than the default");
        assert_eq!(asked(1 << 20, FIXED + 9000).unwrap(), 32_768, "trained");
        assert_eq!(asked(64, FIXED + 65).unwrap(), 64);
        let Err(Error::Context { slots: 2, ctx: 8192, fits }) = asked(8192, FIXED + 1024) else {
            panic!("it does not fit")
        };
        assert_eq!(asked(fits, FIXED + 1024).unwrap(), fits);
        assert!(asked(fits + STEP, FIXED + 1024).is_err());
    }

    #[test]
    fn a_model_that_memory_does_not_hold_is_refused_with_what_it_needs() {
        for (asked, free) in [(None, FIXED + 259), (Some(8192), FIXED + 259), (None, 1000)] {
            let fit = fit(CacheType::F16, free);
            let Err(Error::Memory { needed, free: told, .. }) = fit.context(asked) else {
                panic!("it does not fit")
            };
            assert_eq!((needed, told), (FIXED + 260, free));
        }
        assert_eq!(fit(CacheType::F16, FIXED + 260).context(None).unwrap(), LEAST);
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let all = || fit(CacheType::F16, 900_000);
        assert_eq!(Fit { token: None, ..all() }.context(None).unwrap(), UNKNOWN);
        assert_eq!(Fit { trained: None, ..all() }.context(None).unwrap(), UNKNOWN);
        assert_eq!(Fit { free: None, ..all() }.context(None).unwrap(), UNKNOWN);
        assert_eq!(Fit { free: None, ..all() }.context(Some(32_768)).unwrap(), 32_768);
        assert!(Fit { token: None, ..fit(CacheType::F16, 9) }.context(None).is_err());
    }
}
