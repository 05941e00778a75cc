//! Follower: the digests of a state's units, of which only those are made again that may have
//! changed.
//!
//! A unit's canonical bytes depend on what lies in it, on the run that reaches into it, and, where
//! it has stacks or frames, on their threads. So from the lines that changed it goes on
//! - to the unit before or behind, where a line at its border changed: a value may lie on both;
//! - to all of a slab whose head changed: blocks may have come and gone; and to the rest of an
//!   object that lies in two units of it;
//! - to all units of a run that is another one than it was, which its head tells; so for each unit
//!   it is noted which run reaches into it;
//! - to all of an object that is a run, whose head says how long it is;
//! - to stack and frames of a thread.
//!
//! Where a pointer has got a name, all units are stale.
//!
//! # Invariants
//! - F1 *stale*: of a unit that is not stale the digest is that of the state when it was last asked
//!   for, and what was captured and restored since has not changed it.
//!
//! # Not here
//! Which lines changed ([`super::timeline`]).

use super::canonical::Canonical;
use super::images::zeros;
use crate::arena::kinds::{OBJECT, STACK, THREAD};
use crate::arena::{Block, MAIN_OFFSET, Run, View};
use crate::error::{Error, Result};
use crate::image::{UNIT_BYTES, unit_digest};
use crate::units::{LINE_BYTES, PAGE_SIZE};
use std::ops::ControlFlow;

const LINES: usize = UNIT_BYTES / LINE_BYTES;
/// More than the head of an object that says what it is.
const OBJECT_HEAD: usize = 64;
/// Digests of the state's units, as it was when they were last asked for.
#[derive(Default)]
pub struct Follower {
    digests: Vec<u128>,
    /// Of all of them.
    sum: u128,
    /// For each unit, the run that has its first byte, and what and how long that is.
    runs: Vec<(u32, (Run, usize))>,
    /// A bit for each unit.
    stale: Vec<u64>,
    used_bytes: usize,
    /// [`Canonical::named`].
    named: u32,
    /// What differs from the newest snapshot: it changes again when that is captured or put back.
    differing: Vec<(usize, u64)>,
    lost: bool,
}

impl Follower {
    /// Whether it follows.
    pub fn follows(&self) -> bool {
        !self.digests.is_empty()
    }

    /// Forgets all.
    pub fn forget(&mut self) {
        *self = Follower::default();
    }

    fn mark(&mut self, unit: usize) {
        if let Some(word) = self.stale.get_mut(unit / 64) {
            *word |= 1 << (unit % 64);
        }
    }

    fn mark_all(&mut self, first: usize, last: usize) {
        (first..=last).for_each(|unit| self.mark(unit));
    }

    /// Lines of a page changed.
    pub fn changed(&mut self, page: usize, mut lines: u64) {
        while lines != 0 {
            let line = page * (PAGE_SIZE / LINE_BYTES) + lines.trailing_zeros() as usize;
            lines &= lines - 1;
            let unit = line / LINES;
            self.mark(unit);
            if line.is_multiple_of(LINES) && unit > 0 {
                self.mark(unit - 1);
            } else if line % LINES == LINES - 1 {
                self.mark(unit + 1);
            }
        }
    }

    /// Lines of a page are not those of the newest snapshot.
    pub fn differs(&mut self, page: usize, lines: u64) {
        // Where there is no memory for it, it is told by `follow`.
        if self.differing.try_reserve(1).is_ok() {
            self.differing.push((page, lines));
        } else {
            self.lost = true;
        }
    }

    /// Room for so many units; new ones are stale.
    fn resize(&mut self, units: usize) -> Result<()> {
        let before = self.digests.len();
        let more = units.saturating_sub(before);
        let no_memory = |_| Error::NoMemoryForHandle;
        self.digests.try_reserve(more).map_err(no_memory)?;
        self.runs.try_reserve(more).map_err(no_memory)?;
        let words = units.div_ceil(64).saturating_sub(self.stale.len());
        self.stale.try_reserve(words).map_err(no_memory)?;
        for digest in self.digests.drain(units.min(before)..) {
            self.sum = self.sum.wrapping_sub(digest);
        }
        self.digests.resize(units, 0);
        self.runs.resize(units, (0, (Run::Free, 0)));
        self.stale.resize(units.div_ceil(64), 0);
        if let Some(last) = units.checked_sub(1) {
            self.mark_all(before.min(last), last);
        }
        Ok(())
    }

    /// Makes the digests of the stale units again, whose canonical bytes it hands on; answers the
    /// sum of all. Before, everything that changed or differs has to be told.
    ///
    /// Cost: the stale units; the first time, all.
    ///
    /// # Safety
    /// As for [`Canonical::of`], as long as this lasts.
    pub unsafe fn follow(
        &mut self,
        canonical: &mut Canonical,
        mut found: impl FnMut(usize, &[u8]),
    ) -> Result<u128> {
        if std::mem::take(&mut self.lost) {
            return Err(Error::NoMemoryForHandle);
        }
        let view = canonical.view();
        let used = view.used_bytes();
        let units = used.div_ceil(UNIT_BYTES);
        // Only what ends behind the end has another length.
        if used != self.used_bytes {
            if let Some(last) = self.digests.len().checked_sub(1) {
                self.mark(last);
            }
            self.resize(units)?;
            self.used_bytes = used;
        }
        if std::mem::replace(&mut self.named, canonical.named()) != canonical.named() {
            self.mark_all(0, units - 1);
        }
        self.mark_differing();
        // SAFETY: the contract above.
        unsafe {
            let mut at = 0;
            while let Some(unit) = self.next_stale(at) {
                self.widen(canonical, unit);
                at = unit + 1;
            }
            let mut bytes = zeros(UNIT_BYTES)?;
            let mut at = 0;
            while let Some(unit) = self.next_stale(at) {
                let first = unit * UNIT_BYTES;
                let run = self.run_at(unit);
                let part = &mut bytes[..UNIT_BYTES.min(used - first)];
                canonical.write(run, first, part)?;
                let digest = unit_digest(unit, part);
                found(unit, part);
                let before = std::mem::replace(&mut self.digests[unit], digest);
                self.sum = self.sum.wrapping_sub(before).wrapping_add(digest);
                at = unit + 1;
            }
        }
        self.stale.fill(0);
        self.mark_differing();
        self.differing.clear();
        Ok(self.sum)
    }

    fn mark_differing(&mut self) {
        for at in 0..self.differing.len() {
            let (page, lines) = self.differing[at];
            self.changed(page, lines);
        }
    }

    /// The run that has a unit's first byte, or the first, where that is the header's.
    pub fn run_at(&self, unit: usize) -> usize {
        (self.runs[unit].0 as usize).max(View::FIRST)
    }

    fn next_stale(&self, from: usize) -> Option<usize> {
        let mut word = self.stale.get(from / 64)? & (u64::MAX << (from % 64));
        let mut at = from / 64;
        while word == 0 {
            at += 1;
            word = *self.stale.get(at)?;
        }
        Some(at * 64 + word.trailing_zeros() as usize).filter(|&unit| unit < self.digests.len())
    }

    /// Goes on from a stale unit to what depends on it, and notes the runs that reach out of it.
    /// Units before it were seen.
    unsafe fn widen(&mut self, canonical: &Canonical, unit: usize) {
        let view = canonical.view();
        let (used, end) = (view.used_bytes(), (unit + 1) * UNIT_BYTES);
        let mut run = self.run_at(unit);
        while run < used && run - View::HEAD < end {
            let (what, stride) = view.run(run);
            let stop = run + stride - View::HEAD;
            // The units that its first and its last byte lie in.
            let (first, last) = (run / UNIT_BYTES, (stop - 1) / UNIT_BYTES);
            self.note_run(view, run, unit);
            if stop.is_multiple_of(UNIT_BYTES) && stop < used {
                self.note_run(view, run + stride, unit);
            }
            match what {
                // Only its head lies in the unit.
                _ if run >= end => {}
                // SAFETY: a slab of the arena.
                Run::Slab => unsafe {
                    match first == unit {
                        // Blocks may have come and gone.
                        true => self.mark_all(first, last),
                        false if view.object_at(run, end) => self.mark(unit + 1),
                        false => {}
                    }
                    let _ = view.each_in_slab(run, &mut |block: Block| {
                        if block.kind == THREAD {
                            self.mark_parts(canonical, block.offset);
                        }
                        ControlFlow::<()>::Continue(())
                    });
                },
                Run::Block(THREAD) => {
                    self.mark_all(first, last);
                    self.mark_parts(canonical, MAIN_OFFSET);
                }
                Run::Block(STACK) => self.mark_all(first, last),
                Run::Block(OBJECT) if run + OBJECT_HEAD > unit * UNIT_BYTES => {
                    self.mark_all(first, last);
                }
                _ => {}
            }
            run += stride;
        }
    }

    /// Notes a run for the units from `unit` on whose first byte it has, and that these are stale
    /// if it is another than it was.
    fn note_run(&mut self, view: View, run: usize, unit: usize) {
        let (what, stride) = view.run(run);
        let first = (run - View::HEAD).div_ceil(UNIT_BYTES).max(unit);
        let last = (run + stride - View::HEAD - 1) / UNIT_BYTES;
        let noted = (run as u32, (what, stride));
        if first <= last && self.runs.get(first).is_some_and(|&known| known != noted) {
            let end = (last + 1).min(self.runs.len());
            self.runs[first..end].fill(noted);
            self.mark_all(first, last);
        }
    }

    /// The stack and the frames of a thread.
    fn mark_parts(&mut self, canonical: &Canonical, thread: usize) {
        canonical.thread_parts(thread, |offset, bytes| {
            self.mark_all(offset / UNIT_BYTES, (offset + bytes - 1) / UNIT_BYTES);
        });
    }

    /// The digests' sum, as it was answered last.
    pub fn sum(&self) -> u128 {
        self.sum
    }
}
