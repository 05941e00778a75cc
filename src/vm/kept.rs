//! Kept: the canonical form of a state, of which only that is made again that changed.
//!
//! # Not here
//! Which units of a state what changed concerns ([`super::follower`]); whose form is kept
//! ([`super::base`], [`super::front`]).

use super::Vm;
use super::canonical::{Canonical, For};
use super::follower::Follower;
use super::handles::overlook;
use crate::arena::View;
use crate::error::{Error, HostError, Result};
use crate::image::{Sum, UNIT_BYTES, sum_of};
use crate::units::{LINE_BYTES, PAGE_SIZE};
use std::ops::Range;
use std::slice;

/// A unit that is another one than it was.
pub struct Changed {
    pub unit: usize,
    /// A bit for each line of it that differs.
    pub lines: u32,
    /// Whether names may stand in it.
    pub named: bool,
}

/// A page, aligned as blocks in it have to be.
type Page = [u128; PAGE_SIZE / 16];

/// A canonical form, and the digests of its units.
#[derive(Default)]
pub struct Kept {
    /// Behind the end is nothing but zeros.
    pages: Vec<Page>,
    used_bytes: usize,
    /// Is to be told what changed.
    pub follower: Follower,
}

impl Kept {
    /// The sum of the state.
    pub fn sum(&self) -> Sum {
        sum_of(self.follower.sum(), self.used_bytes)
    }

    /// Bytes that the state has.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// All pages of it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: numbers, read as bytes.
        unsafe { slice::from_raw_parts(self.pages.as_ptr().cast(), self.pages.len() * PAGE_SIZE) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.pages.len() * PAGE_SIZE;
        // SAFETY: numbers, which any bytes are.
        unsafe { slice::from_raw_parts_mut(self.pages.as_mut_ptr().cast(), bytes) }
    }

    /// A part in lines.
    pub fn lines(&self, first: usize, count: usize) -> &[u8] {
        &self.bytes()[first * LINE_BYTES..][..count * LINE_BYTES]
    }

    fn resize(&mut self, used_bytes: usize) -> Result<()> {
        let pages = used_bytes.div_ceil(PAGE_SIZE);
        let more = pages.saturating_sub(self.pages.len());
        let wanted_bytes = more * PAGE_SIZE;
        self.pages.try_reserve(more).map_err(|_| HostError::NoMemory { wanted_bytes })?;
        self.pages.resize(pages, [0; PAGE_SIZE / 16]);
        self.bytes_mut()[used_bytes..].fill(0);
        self.used_bytes = used_bytes;
        Ok(())
    }

    /// Makes it the form of the state in `view`, as the follower was told what changed. Answers
    /// which lines of it are others, and with what names it was made. After an error it is none.
    ///
    /// # Safety
    /// As for [`form_of`].
    pub unsafe fn renew(&mut self, view: View, vm: *const Vm) -> Result<(Canonical, Vec<Changed>)> {
        // SAFETY: the contract above.
        let mut canonical = unsafe { form_of(view, vm)? };
        self.resize(canonical.used_bytes())?;
        let mut changed = Vec::new();
        let mut has_room = true;
        let mut follower = std::mem::take(&mut self.follower);
        let bytes = self.bytes_mut();
        let beside = bytes.as_ptr();
        let found = |unit: usize, part: &[u8], named| {
            let kept = &mut bytes[unit * UNIT_BYTES..][..part.len()];
            let lines = differing(kept, part);
            if lines != 0 {
                kept.copy_from_slice(part);
                has_room &= changed.try_reserve(1).is_ok();
                if has_room {
                    changed.push(Changed { unit, lines, named });
                }
            }
        };
        // SAFETY: the contract above.
        unsafe { follower.follow(&mut canonical, Some(beside), found)? };
        self.follower = follower;
        if has_room { Ok((canonical, changed)) } else { Err(Error::NoMemoryForHandle) }
    }

    /// Makes it the form of another state, of so many bytes, by lines of that, each with its place
    /// in bytes; which are in it. Nothing of a state is looked at.
    pub fn put(&mut self, lines: &[(usize, Vec<u8>)], used_bytes: usize) -> Result<()> {
        self.resize(used_bytes)?;
        let bytes = self.bytes_mut();
        lines.iter().for_each(|(at, line)| bytes[*at..][..line.len()].copy_from_slice(line));
        bytes[used_bytes..].fill(0);
        let mut follower = std::mem::take(&mut self.follower);
        for (at, bytes) in lines {
            follower.changed_bytes(*at..at + bytes.len());
        }
        follower.put(&self.bytes()[..used_bytes])?;
        self.follower = follower;
        Ok(())
    }

    /// Hands on the units in which the other state may differ from the one before, as bytes, and
    /// the run that has the first of them.
    ///
    /// # Safety
    /// It is the form of a state.
    pub unsafe fn each_put(&mut self, found: impl FnMut(usize, Range<usize>)) -> Result<View> {
        // SAFETY: offsets are addresses of a region at 0, and what leads out is not looked at.
        unsafe {
            let view = View::new(self.pages.as_ptr().cast());
            let canonical = Canonical::of(view, std::ptr::null(), For::Checksum)?;
            self.follower.each_put(&canonical, found);
            Ok(view)
        }
    }
}

/// The canonical form of a state of `vm`, its own or that of a snapshot, as deltas have it.
///
/// # Safety
/// As for [`Canonical::of`] and [`overlook`].
pub unsafe fn form_of(view: View, vm: *const Vm) -> Result<Canonical> {
    // SAFETY: the contract above.
    unsafe {
        let mut canonical = Canonical::of(view, (*vm).arena.base(), For::Image)?;
        overlook(&mut canonical, vm);
        Ok(canonical)
    }
}

/// Which lines of a unit differ.
fn differing(before: &[u8], now: &[u8]) -> u32 {
    let pairs = before.chunks(LINE_BYTES).zip(now.chunks(LINE_BYTES));
    let differs = |(before, now): (&[u8], &[u8])| {
        before.iter().zip(now).fold(0, |any, (before, now)| any | before ^ now) != 0
    };
    pairs.enumerate().map(|(at, pair)| u32::from(differs(pair)) << at).sum()
}
