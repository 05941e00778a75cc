//! Checksum: 128 bits that stand for a state, the same wherever it lies.
//!
//! The digests of its units, of 256 canonical bytes each, are added up. A VM that keeps
//! snapshots keeps the digests, too, and makes only those again that changed
//! ([`super::follower`]).

use super::Vm;
use super::canonical::{Canonical, For};
use super::images::{State, live_state};
use crate::error::Result;
use crate::image::{Sum, UNIT_BYTES, sum_of, unit_digest};
use crate::units::PAGE_SIZE;

/// Of an idle VM's state.
///
/// # Safety
/// `vm` is live and held.
pub unsafe fn checksum(vm: *mut Vm) -> Result<Sum> {
    // SAFETY: the contract above.
    unsafe {
        let State { view, base } = live_state(vm)?;
        let mut canonical = Canonical::of(view, base, For::Checksum)?;
        let used = canonical.used_bytes();
        Ok(sum_of((*vm).follow(&mut canonical)?, used))
    }
}

/// Digests of a state that comes in whole units.
#[derive(Default)]
pub struct Digests {
    sum: u128,
    bytes: usize,
}

impl Digests {
    /// What comes next; only the last part ends in the middle of a unit.
    pub fn add(&mut self, part: &[u8]) {
        let first = self.bytes / UNIT_BYTES;
        for (at, unit) in part.chunks(UNIT_BYTES).enumerate() {
            self.sum = self.sum.wrapping_add(unit_digest(first + at, unit));
        }
        self.bytes += part.len();
    }

    /// Of a whole state.
    ///
    /// # Safety
    /// As said of [`Canonical::of`].
    pub unsafe fn of(canonical: &mut Canonical) -> Result<Digests> {
        let (mut digests, mut chunk) = (Digests::default(), [0; 4 * PAGE_SIZE]);
        // SAFETY: the contract above.
        unsafe {
            canonical.each(&mut chunk, |part| {
                digests.add(part);
                Ok(())
            })?;
        }
        Ok(digests)
    }

    /// The digests' sum.
    pub fn total(&self) -> u128 {
        self.sum
    }

    /// Of all that came.
    pub fn sum(&self) -> Sum {
        sum_of(self.sum, self.bytes)
    }
}
