//! Config: how a VM is made.

use crate::error::{Error, Result};
use crate::image::Key;
use crate::lua::Birth;
use crate::region;
use crate::vm::guarded::Mode;

/// The most snapshots that a VM keeps: a bound on nonsense, not on memory.
pub const MAX_SNAPSHOTS: usize = 1 << 20;

/// How fast the incremental collector works; 0 in a field leaves Lua's own value.
#[derive(Clone, Copy, Debug)]
pub struct Pacing {
    /// Percent of the live bytes at which the next cycle starts.
    pub pause: i32,
    /// Work per byte that is allocated, in percent.
    pub step_multiplier: i32,
    /// Logarithm of the bytes that are allocated between two steps.
    pub step_size: i32,
    /// Divides the work of a step while it sweeps; 1 is Lua's own.
    pub sweep_divisor: u32,
}

impl Pacing {
    /// Lua's own.
    pub const STOCK: Pacing =
        Pacing { pause: 0, step_multiplier: 0, step_size: 0, sweep_divisor: 0 };

    /// For rollback: a cycle is spread over many frames. Lua's own pacing marks and sweeps within
    /// a frame or two and writes to nearly every page then; docs/BENCHMARKS.md compares both.
    pub const ROLLBACK: Pacing =
        Pacing { pause: 200, step_multiplier: 4, step_size: 12, sweep_divisor: 8 };
}

/// Whose rules scripts find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Nothing of the platform or the process reaches a script.
    Deterministic,
    /// lua.org's.
    Stock,
}

/// How a VM is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// The state never exceeds this; 0 is the maximum.
    pub memory_bytes: usize,
    /// Snapshots kept; 0 keeps none.
    pub max_snapshots: usize,
    /// Seed of string hashes, and of chance in scripts; `None` takes a random one, as stock Lua.
    pub seed: Option<u64>,
    /// `rlua_Tracker`; 0 chooses.
    pub tracker: i32,
    /// Pages that are audited in 16 captures and restores.
    pub audit: u32,
    /// Whether the host announces what it writes to its blocks.
    pub announces: bool,
    /// Of the collector.
    pub pacing: Pacing,
    /// What a finalizer in C means.
    pub guard: Mode,
    /// Whose rules scripts find.
    pub profile: Profile,
    /// What images are authenticated with.
    pub image_key: Option<Key>,
    /// Whose images are loaded.
    pub trust: Trust,
    /// Whether the bodies of images are compressed.
    pub compress: bool,
}

/// Whose images are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Of those who have the key.
    Key,
    /// Anybody's, but for what is not verified: code. All else is proved.
    Proved,
    /// Those that this host made.
    Own,
}

/// [`Config::audit`] where the host does not say.
pub const AUDIT: u32 = 4;

impl Default for Config {
    fn default() -> Config {
        Config {
            memory_bytes: 0,
            max_snapshots: 0,
            seed: Some(0),
            tracker: 0,
            audit: AUDIT,
            announces: false,
            pacing: Pacing::ROLLBACK,
            guard: Mode::On,
            profile: Profile::Deterministic,
            image_key: None,
            trust: Trust::Key,
            compress: false,
        }
    }
}

impl Config {
    /// The limit in bytes, where the rest of the config makes sense, too.
    pub(super) fn limit_bytes(&self) -> Result<usize> {
        see_max_snapshots(self.max_snapshots)?;
        Ok(match self.memory_bytes {
            0 => region::MAX_BYTES,
            bytes => bytes,
        })
    }

    /// What C is told before the state runs; `None` where the seed is random. Lua's seed of strings
    /// has 32 bits; every bit of ours counts.
    pub(super) fn birth(&self, region_bytes: usize) -> Option<Birth> {
        self.seed.map(|seed| {
            let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let string_seed = (mixed >> 32) as u32 ^ mixed as u32;
            let deterministic = (self.profile == Profile::Deterministic).into();
            let region_bytes = region_bytes as u64;
            Birth { seed, region_bytes, string_seed, deterministic }
        })
    }
}

/// Sees that a number of snapshots is no nonsense.
pub(super) fn see_max_snapshots(wanted: usize) -> Result<()> {
    match wanted > MAX_SNAPSHOTS {
        true => Err(Error::TooManySnapshots { wanted, max: MAX_SNAPSHOTS }),
        false => Ok(()),
    }
}
