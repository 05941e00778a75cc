//! Base: the snapshot that the last delta led to, from which the next one goes on. So a delta costs
//! what changed, and a VM that makes them has its state twice more.
//!
//! # Not here
//! The format of a delta ([`super::deltas`]); which units of a state what changed concerns
//! ([`super::follower`]).

use super::Vm;
use super::canonical::{Canonical, For};
use super::follower::Follower;
use crate::arena::View;
use crate::error::{Error, Result};
use crate::image::{Sum, UNIT_BYTES, sum_of};
use crate::snapshot::Copy;
use crate::units::{Frame, LINE_BYTES};

/// A unit that is another one than it was.
pub struct Changed {
    pub unit: usize,
    /// A bit for each line of it that differs.
    pub lines: u32,
    /// Whether names may stand in it.
    named: bool,
}

/// A held snapshot: as it is, and its canonical form.
pub struct Base {
    copy: Copy,
    bytes: Vec<u8>,
    used_bytes: usize,
    follower: Follower,
}

impl Base {
    /// The sum of its canonical form.
    pub fn sum(&self) -> Sum {
        sum_of(self.follower.sum(), self.used_bytes)
    }

    /// Bytes of its canonical form.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// A part of the canonical form, in lines; behind its end are zeros.
    pub fn lines(&self, first: usize, count: usize) -> &[u8] {
        &self.bytes[first * LINE_BYTES..][..count * LINE_BYTES]
    }

    /// Makes the canonical form that of the copy, as the follower was told what changed. Answers
    /// which lines of it are others.
    ///
    /// # Safety
    /// The copy's pointers are those of a region at `region`.
    unsafe fn renew(&mut self, region: *const u8) -> Result<Vec<Changed>> {
        let Base { copy, bytes, used_bytes, follower } = self;
        // SAFETY: the contract above; nobody writes to a copy.
        let mut canonical = unsafe { Canonical::of(View::new(copy.start()), region, For::Image)? };
        *used_bytes = canonical.used_bytes();
        let room = used_bytes.div_ceil(UNIT_BYTES) * UNIT_BYTES;
        let more = room.saturating_sub(bytes.len());
        bytes.try_reserve_exact(more).map_err(|_| Error::NoMemoryForHandle)?;
        bytes.resize(room, 0);
        let mut changed: Vec<Changed> = Vec::new();
        let mut has_room = true;
        // SAFETY: as above.
        unsafe {
            follower.follow(&mut canonical, |unit, part, named| {
                // Behind the end of a state are zeros.
                let mut whole = [0; UNIT_BYTES];
                whole[..part.len()].copy_from_slice(part);
                let kept = &mut bytes[unit * UNIT_BYTES..][..UNIT_BYTES];
                let lines = differing(kept, &whole, part.len().div_ceil(LINE_BYTES));
                if lines != 0 {
                    kept.copy_from_slice(&whole);
                    has_room &= changed.try_reserve(1).is_ok();
                    if has_room {
                        changed.push(Changed { unit, lines, named });
                    }
                }
            })?;
        }
        if has_room { Ok(changed) } else { Err(Error::NoMemoryForHandle) }
    }

    /// The names that stand in those units, as the format has them, and how many.
    ///
    /// # Safety
    /// As for [`Base::renew`].
    pub unsafe fn names(&self, region: *const u8, changed: &[Changed]) -> Result<Canonical> {
        // SAFETY: the contract above; nobody writes to a copy.
        unsafe {
            let mut canonical = Canonical::of(View::new(self.copy.start()), region, For::Image)?;
            let mut bytes = [0; UNIT_BYTES];
            for &Changed { unit, .. } in changed.iter().filter(|changed| changed.named) {
                let first = unit * UNIT_BYTES;
                let length = UNIT_BYTES.min(self.used_bytes - first);
                canonical.write(self.follower.run_at(unit), first, &mut bytes[..length])?;
            }
            Ok(canonical)
        }
    }
}

/// Which of the first lines of a unit differ.
fn differing(before: &[u8], now: &[u8], lines: usize) -> u32 {
    let pairs = before.chunks_exact(LINE_BYTES).zip(now.chunks_exact(LINE_BYTES)).take(lines);
    pairs.enumerate().map(|(at, (before, now))| u32::from(before != now) << at).sum()
}

impl Vm {
    /// The sum of the snapshot `from`, the snapshot `to` as the base, and what leads to it. The
    /// base is to be put back.
    pub(super) fn take_base(
        &mut self,
        from: Frame,
        to: Frame,
    ) -> Result<(Sum, Base, Vec<Changed>)> {
        let (from, to) = (self.steps_to(from)?, self.steps_to(to)?);
        let kept = self.base.take().zip(self.history.noted());
        let mut base = match kept {
            Some((base, at)) if at == from => base,
            Some((mut base, at)) => {
                self.move_base(&mut base, at, from)?;
                base
            }
            None => {
                let copy = self.history.copy_of(from)?;
                let follower = Follower::default();
                let mut base = Base { copy, bytes: Vec::new(), used_bytes: 0, follower };
                // SAFETY: a copy of a snapshot of this region.
                unsafe { base.renew(self.arena.base())? };
                base
            }
        };
        let before = base.sum();
        let changed = self.move_base(&mut base, from, to)?;
        self.history.note(to);
        Ok((before, base, changed))
    }

    fn move_base(&self, base: &mut Base, from: usize, to: usize) -> Result<Vec<Changed>> {
        let Base { copy, follower, .. } = base;
        self.history.move_copy(copy, (from, to), |page, lines| follower.changed(page, lines))?;
        // SAFETY: a copy of a snapshot of this region.
        unsafe { base.renew(self.arena.base()) }
    }
}
