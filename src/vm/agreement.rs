//! Agreement: what of a config peers must have in common, as one number that they can compare.
#![forbid(unsafe_code)]

use super::config::{Config, Pacing, Profile};
use super::guarded::Mode;

/// Raised with every change of what the mathematics answers.
const MATHEMATICS: u64 = 1;

/// The fields of a config that decide what a script sees, or what the state's bytes are. Not among
/// them: the tracker and the number of snapshots.
#[derive(Clone, Copy, Debug)]
pub struct Agreement {
    /// Whose rules scripts find.
    pub profile: Profile,
    seed: Option<u64>,
    guard: Mode,
    pacing: Pacing,
    announces: bool,
}

impl Agreement {
    /// Of a config that was found to make sense.
    pub fn of(config: &Config) -> Agreement {
        let Config { profile, seed, guard, pacing, announces, .. } = *config;
        Agreement { profile, seed, guard, pacing, announces }
    }

    /// The number; `None` where the seed is random. Whether snapshots are kept decides something
    /// only where guarded userdata are refused.
    pub fn digest(&self, limit_bytes: u64, keeps_snapshots: bool) -> Option<u64> {
        let Pacing { pause, step_multiplier, step_size, sweep_divisor } = self.pacing;
        let words = [
            MATHEMATICS,
            limit_bytes,
            self.seed?,
            match self.profile {
                Profile::Deterministic => 0,
                Profile::Stock => 1,
            },
            match self.guard {
                Mode::On => 0,
                Mode::Refuse if keeps_snapshots => 1,
                Mode::Off => 2,
                Mode::Refuse => 3,
            },
            pause as u64,
            step_multiplier as u64,
            step_size as u64,
            sweep_divisor.into(),
            self.announces.into(),
        ];
        let text = env!("CARGO_PKG_VERSION").bytes();
        let bytes = text.chain(words.into_iter().flat_map(u64::to_le_bytes));
        Some(scramble(bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3) // FNV-1a
        })))
    }
}

/// The last steps of SplitMix64: every bit depends on every other.
fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
