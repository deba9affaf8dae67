//! The moments at which a test kills a program: random, and the same ones again for a seed.
//!
//! `MARU_KILL_ROUNDS` sets how often it is killed, and `MARU_KILL_SEED` draws the same moments again:
//! `MARU_KILL_ROUNDS=200 cargo xtask test killed_at_random`.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// How long a program runs on at most after the change that decides on its end, in microseconds.
const THEN_US: u64 = 20_000;
/// How long a start that is cut off may have had, in microseconds.
const START_US: u64 = 100_000;

/// How often a program is killed: so often, unless the environment says otherwise.
pub fn rounds(default: u64) -> u64 {
    number("MARU_KILL_ROUNDS").unwrap_or(default)
}

/// The moments of one test: splitmix64.
#[derive(Debug)]
pub struct Moments(u64);

impl Moments {
    /// Draws by the seed of the environment, or by a new one, which the output of a test that fails names.
    #[allow(clippy::print_stdout, reason = "who sees it fail can draw the same moments again")]
    pub fn draw() -> Self {
        let seed = number("MARU_KILL_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
        println!("the moments are drawn by MARU_KILL_SEED={seed}");
        Self(seed)
    }

    /// After how many more changes the program is killed, at most `most`.
    pub fn changes(&mut self, most: u64) -> u64 {
        1 + self.below(most)
    }

    /// How long it runs on then.
    pub fn then(&mut self) -> Duration {
        Duration::from_micros(self.below(THEN_US))
    }

    /// Whether its start is cut off, too, and after how long.
    pub fn cut_off(&mut self) -> Option<Duration> {
        (self.below(2) == 0).then(|| Duration::from_micros(self.below(START_US)))
    }

    /// A number below another one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}
