//! Follower: the digests of a state's units, of which only those are made again that may have
//! changed.
//!
//! A unit's canonical bytes depend on what lies in it, on the run or the slab that reaches into it,
//! and, where it has stacks or frames, on their threads. So from the lines that changed it goes on
//! - to all of the blocks of a slab that they lie in;
//! - to all of a slab that has other blocks than it had. That no line needs to tell: a block that
//!   came back to its free list can leave the slab's header as it was, and what lies in the block.
//!   So for each slab a digest of its blocks is noted;
//! - to all units of a run that is another one than it was, which its head tells; so for each unit
//!   it is noted which run reaches into it;
//! - to all of an object that is a run, whose head says how long it is; in other runs to the unit
//!   before or behind, where a line at its border changed: a value may lie on both;
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
use crate::arena::kinds::{OBJECT, STACK, THREAD};
use crate::arena::layout::UNIT as SLAB_GRAIN;
use crate::arena::{Blocks, MAIN_OFFSET, Run, View};
use crate::error::{Error, Result};
use crate::image::{UNIT_BYTES, blocks_digest, unit_digest};
use crate::snapshot::prefetch;
use crate::units::{LINE_BYTES, PAGE_SIZE};
use std::ops::Range;

/// Lines of a unit.
pub(super) const LINES: usize = UNIT_BYTES / LINE_BYTES;
/// Units of a page.
const UNITS: usize = PAGE_SIZE / UNIT_BYTES;
const LINES_OF_PAGE: usize = PAGE_SIZE / LINE_BYTES;
/// More than the head of an object that says what it is.
const OBJECT_HEAD: usize = 64;

/// A bit for each line of a page; where it is about units, each has that of its first line.
type Mask = u64;

/// The first unit's lines.
const UNIT_MASK: Mask = (1 << LINES) - 1;
/// The first line of each unit.
const FIRST_LINES: Mask = Mask::MAX / UNIT_MASK;

/// The units of some lines.
fn units_of(lines: Mask) -> Mask {
    (0..LINES).fold(0, |units, line| units | lines >> line) & FIRST_LINES
}

/// What is noted of a unit.
#[derive(Clone, Copy, Default)]
struct Unit {
    /// Two halves: so it is 24 bytes.
    digest: [u64; 2],
    /// The run that has its first byte, and its head.
    run: (u32, u32),
}

impl Unit {
    fn digest(&self) -> u128 {
        u128::from(self.digest[0]) | u128::from(self.digest[1]) << 64
    }
}

/// The slab that was met last: its lines may lie in several units.
struct Seen {
    run: usize,
    blocks: Blocks,
    /// Whether it has other blocks than it had: then all of it is stale.
    is_other: bool,
}

/// Digests of the state's units, as it was when they were last asked for.
#[derive(Default)]
pub struct Follower {
    units: Vec<Unit>,
    /// Of all digests.
    sum: u128,
    /// Of each slab, where it begins, a digest of which blocks it has.
    slabs: Vec<u64>,
    /// For each page, the lines that changed.
    changed: Vec<Mask>,
    /// For each page, the units that are to be made again.
    stale: Vec<Mask>,
    used_bytes: usize,
    /// [`Canonical::named`].
    named: u32,
    /// What differs from the newest snapshot: it changes again when that is captured or put back.
    differing: Vec<(usize, Mask)>,
    lost: bool,
}

impl Follower {
    /// Whether it follows.
    pub fn follows(&self) -> bool {
        !self.units.is_empty()
    }

    /// Forgets all.
    pub fn forget(&mut self) {
        *self = Follower::default();
    }

    fn mark(&mut self, unit: usize) {
        if let Some(page) = self.stale.get_mut(unit / UNITS) {
            *page |= 1 << (unit % UNITS * LINES);
        }
    }

    fn mark_all(&mut self, first: usize, last: usize) {
        (first..=last).for_each(|unit| self.mark(unit));
    }

    /// The units that bytes lie in, which are some.
    fn mark_bytes(&mut self, bytes: Range<usize>) {
        self.mark_all(bytes.start / UNIT_BYTES, (bytes.end - 1) / UNIT_BYTES);
    }

    /// Lines of a page changed.
    pub fn changed(&mut self, page: usize, lines: Mask) {
        if let Some(changed) = self.changed.get_mut(page) {
            *changed |= lines;
        }
    }

    /// Bytes changed.
    pub fn changed_bytes(&mut self, bytes: Range<usize>) {
        for line in bytes.start / LINE_BYTES..bytes.end.div_ceil(LINE_BYTES) {
            self.changed(line / LINES_OF_PAGE, 1 << (line % LINES_OF_PAGE));
        }
    }

    /// Lines of a page are not those of the newest snapshot.
    pub fn differs(&mut self, page: usize, lines: Mask) {
        // Where there is no memory for it, it is told by `follow`.
        if self.differing.try_reserve(1).is_ok() {
            self.differing.push((page, lines));
        } else {
            self.lost = true;
        }
    }

    /// Room for so many units; new ones have changed.
    fn resize(&mut self, units: usize) -> Result<()> {
        fn resize<T: Copy + Default>(vector: &mut Vec<T>, count: usize) -> Result<()> {
            let more = count.saturating_sub(vector.len());
            vector.try_reserve(more).map_err(|_| Error::NoMemoryForHandle)?;
            vector.resize(count, T::default());
            Ok(())
        }
        let before = self.units.len();
        for unit in self.units.drain(units.min(before)..) {
            self.sum = self.sum.wrapping_sub(unit.digest());
        }
        resize(&mut self.units, units)?;
        resize(&mut self.slabs, (units * UNIT_BYTES).div_ceil(SLAB_GRAIN))?;
        resize(&mut self.changed, units.div_ceil(UNITS))?;
        resize(&mut self.stale, units.div_ceil(UNITS))?;
        for unit in before..units {
            self.changed(unit / UNITS, UNIT_MASK << (unit % UNITS * LINES));
        }
        Ok(())
    }

    /// Makes the digests of the stale units again, whose canonical bytes it hands on, and whether
    /// names may stand in them; answers the sum of all. Before, everything that changed or differs
    /// has to be told. What lies at the same places behind `beside` is fetched, too.
    ///
    /// Cost: the stale units; the first time, all.
    ///
    /// # Safety
    /// As for [`Canonical::of`], as long as this lasts.
    pub unsafe fn follow(
        &mut self,
        canonical: &mut Canonical,
        beside: Option<*const u8>,
        mut found: impl FnMut(usize, &[u8], bool),
    ) -> Result<u128> {
        if std::mem::take(&mut self.lost) {
            return Err(Error::NoMemoryForHandle);
        }
        self.change_differing();
        self.begin(canonical.used_bytes())?;
        if std::mem::replace(&mut self.named, canonical.named()) != canonical.named() {
            self.mark_all(0, self.units.len() - 1);
        }
        let start = canonical.view().base();
        self.fetch(|unit| (1, (&raw const self.units[unit]).cast()));
        self.fetch(|unit| (1, start.wrapping_add(self.run_at(unit))));
        // SAFETY: the contract above.
        unsafe { self.widen_all(canonical) };
        self.fetch_units(start);
        beside.inspect(|&bytes| self.fetch_units(bytes));
        let (mut at, mut bytes) = (0, [0; PAGE_SIZE]);
        while let Some(units) = self.next_stretch(at) {
            let stretch = self.bytes_of(&units);
            let bytes = &mut bytes[..stretch.len()];
            let met = canonical.names_met();
            // SAFETY: the contract above.
            unsafe { canonical.write(self.run_at(units.start), stretch.start, bytes)? };
            at = units.end;
            for (unit, part) in units.zip(bytes.chunks(UNIT_BYTES)) {
                found(unit, part, canonical.names_met() != met);
                self.note_digest(unit, part);
            }
        }
        self.end();
        self.change_differing();
        self.differing.clear();
        Ok(self.sum)
    }

    /// The state is another one, in the lines that were told, and this is its canonical form: makes
    /// the digests of the units that these lie in.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.begin(bytes.len())?;
        let mut at = 0;
        while let Some(units) = self.next_stretch(at) {
            at = units.end;
            let stretch = self.bytes_of(&units);
            for (unit, part) in units.zip(bytes[stretch].chunks(UNIT_BYTES)) {
                self.note_digest(unit, part);
            }
        }
        Ok(())
    }

    /// Behind [`Follower::put`], hands on the units whose meaning may be another, as bytes, with
    /// the run that has the first of them. `canonical` is of the canonical form.
    ///
    /// # Safety
    /// As for [`Canonical::of`], but that what leads out is none.
    pub unsafe fn each_put(
        &mut self,
        canonical: &Canonical,
        mut found: impl FnMut(usize, Range<usize>),
    ) {
        // SAFETY: the contract above.
        unsafe { self.widen_all(canonical) };
        let mut at = 0;
        while let Some(units) = self.next_stretch(at) {
            at = units.end;
            found(self.run_at(units.start), self.bytes_of(&units));
        }
        self.end();
    }

    /// The state has so many bytes.
    fn begin(&mut self, used_bytes: usize) -> Result<()> {
        // Only what ends behind the end has another length.
        if used_bytes != self.used_bytes {
            if let Some(last) = self.units.len().checked_sub(1) {
                self.mark(last);
            }
            self.resize(used_bytes.div_ceil(UNIT_BYTES))?;
            self.used_bytes = used_bytes;
        }
        for (stale, &changed) in self.stale.iter_mut().zip(&self.changed) {
            *stale |= units_of(changed);
        }
        Ok(())
    }

    fn end(&mut self) {
        self.stale.fill(0);
        self.changed.fill(0);
    }

    /// Asks for lines of each stale unit, all at once: one after the other, they would be waited
    /// for.
    fn fetch(&self, lines_of: impl Fn(usize) -> (Mask, *const u8)) {
        let mut at = 0;
        while let Some(unit) = self.next_stale(at) {
            let (lines, place) = lines_of(unit);
            prefetch(lines, place);
            at = unit + 1;
        }
    }

    /// Whole units of what begins there.
    fn fetch_units(&self, start: *const u8) {
        self.fetch(|unit| (UNIT_MASK, start.wrapping_add(unit * UNIT_BYTES)));
    }

    unsafe fn widen_all(&mut self, canonical: &Canonical) {
        let (mut at, mut seen) = (0, None);
        while let Some(unit) = self.next_stale(at) {
            // SAFETY: the contract of follow().
            unsafe { self.widen(canonical, unit, &mut seen) };
            at = unit + 1;
        }
    }

    /// Stale units that follow each other, a page of them at most.
    fn next_stretch(&self, from: usize) -> Option<Range<usize>> {
        let first = self.next_stale(from)?;
        let mut end = first + 1;
        while end < first + UNITS && self.next_stale(end) == Some(end) {
            end += 1;
        }
        Some(first..end)
    }

    fn bytes_of(&self, units: &Range<usize>) -> Range<usize> {
        units.start * UNIT_BYTES..self.used_bytes.min(units.end * UNIT_BYTES)
    }

    fn note_digest(&mut self, unit: usize, bytes: &[u8]) {
        let (digest, noted) = (unit_digest(unit, bytes), &mut self.units[unit]);
        self.sum = self.sum.wrapping_sub(noted.digest()).wrapping_add(digest);
        noted.digest = [digest as u64, (digest >> 64) as u64];
    }

    fn change_differing(&mut self) {
        for at in 0..self.differing.len() {
            let (page, lines) = self.differing[at];
            self.changed(page, lines);
        }
    }

    /// The run that has a unit's first byte, or the first, where that is the header's.
    pub fn run_at(&self, unit: usize) -> usize {
        (self.units[unit].run.0 as usize).max(View::FIRST)
    }

    fn next_stale(&self, from: usize) -> Option<usize> {
        let mut at = from / UNITS;
        let mut units = self.stale.get(at)? & (Mask::MAX << (from % UNITS * LINES));
        while units == 0 {
            at += 1;
            units = *self.stale.get(at)?;
        }
        let unit = at * UNITS + units.trailing_zeros() as usize / LINES;
        (unit < self.units.len()).then_some(unit)
    }

    /// Goes on from a stale unit to what depends on it, and notes the runs that reach out of it.
    /// Units before it were seen, and the slab that was the last in them.
    unsafe fn widen(&mut self, canonical: &Canonical, unit: usize, seen: &mut Option<Seen>) {
        let view = canonical.view();
        let (start, used) = (unit * UNIT_BYTES, view.used_bytes());
        let end = start + UNIT_BYTES;
        let mut run = self.run_at(unit);
        while run < used && run - View::HEAD < end {
            let (what, stride) = view.run(run);
            let stop = run + stride - View::HEAD;
            self.note_run(view, run, unit);
            if stop.is_multiple_of(UNIT_BYTES) && stop < used {
                self.note_run(view, run + stride, unit);
            }
            let changed = self.lines_of(unit, run.max(start)..stop.min(end));
            match what {
                Run::Slab if run / UNIT_BYTES == unit || changed != 0 => {
                    let slab = match seen.take().filter(|seen| seen.run == run) {
                        Some(slab) => slab,
                        // SAFETY: a slab of the arena.
                        None => unsafe { self.see_slab(canonical, run..stop) },
                    };
                    if !slab.is_other {
                        self.widen_slab(canonical, &slab.blocks, start, changed);
                    }
                    *seen = Some(slab);
                }
                Run::Slab | Run::Free | Run::Map => {}
                Run::Block(_) if changed == 0 => {}
                Run::Block(THREAD) => {
                    self.mark_bytes(run..stop);
                    self.mark_parts(canonical, MAIN_OFFSET);
                }
                Run::Block(STACK) => self.mark_bytes(run..stop),
                Run::Block(OBJECT) if self.lines_of(unit, run..run + OBJECT_HEAD) != 0 => {
                    self.mark_bytes(run..stop);
                }
                Run::Block(_) => {
                    if changed & 1 != 0 && run < start {
                        self.mark(unit - 1);
                    }
                    if changed >> (LINES - 1) != 0 && stop > end {
                        self.mark(unit + 1);
                    }
                }
            }
            run += stride;
        }
    }

    /// Which lines of a unit changed, of those that have some of these bytes: a bit for each.
    fn lines_of(&self, unit: usize, bytes: Range<usize>) -> Mask {
        let start = unit * UNIT_BYTES;
        let (from, to) = (bytes.start.max(start), bytes.end.min(start + UNIT_BYTES));
        if from >= to {
            return 0;
        }
        let (first, last) = ((from - start) / LINE_BYTES, (to - start - 1) / LINE_BYTES);
        let wanted = UNIT_MASK >> (LINES - 1 - last) & UNIT_MASK << first;
        self.changed[unit / UNITS] >> (unit % UNITS * LINES) & wanted
    }

    /// Goes on to all of a slab where it has other blocks than it had.
    unsafe fn see_slab(&mut self, canonical: &Canonical, slab: Range<usize>) -> Seen {
        // SAFETY: the contract of widen().
        let blocks = unsafe { canonical.view().slab(slab.start) };
        let digest = blocks_digest(&blocks.signature());
        let noted = &mut self.slabs[slab.start / SLAB_GRAIN];
        let is_other = std::mem::replace(noted, digest) != digest;
        if is_other {
            self.mark_bytes(slab.clone());
            self.mark_threads(canonical, &blocks, slab.clone());
        }
        Seen { run: slab.start, blocks, is_other }
    }

    /// Goes on from lines of a slab to their blocks: `changed` are those of the unit at `start`.
    fn widen_slab(
        &mut self,
        canonical: &Canonical,
        blocks: &Blocks,
        start: usize,
        mut changed: Mask,
    ) {
        while changed != 0 {
            let line = start + changed.trailing_zeros() as usize * LINE_BYTES;
            changed &= changed - 1;
            let Some(whole) = blocks.around(line..line + LINE_BYTES) else { continue };
            self.mark_bytes(whole.clone());
            self.mark_threads(canonical, blocks, whole);
        }
    }

    /// Stacks and frames of the threads that lie in a part of a slab.
    fn mark_threads(&mut self, canonical: &Canonical, blocks: &Blocks, part: Range<usize>) {
        if blocks.are_opaque() {
            let threads = blocks.within(part).filter(|block| block.kind == THREAD);
            threads.for_each(|thread| self.mark_parts(canonical, thread.offset));
        }
    }

    /// Notes a run for the units from `unit` on whose first byte it has, and that these are stale
    /// if it is another than it was.
    fn note_run(&mut self, view: View, run: usize, unit: usize) {
        let (_, stride) = view.run(run);
        let first = (run - View::HEAD).div_ceil(UNIT_BYTES).max(unit);
        let last = (run + stride - View::HEAD - 1) / UNIT_BYTES;
        let noted = (run as u32, view.head(run));
        if first <= last && self.units.get(first).is_some_and(|known| known.run != noted) {
            let end = (last + 1).min(self.units.len());
            self.units[first..end].iter_mut().for_each(|unit| unit.run = noted);
            self.mark_all(first, last);
            // What blocks it had as a slab before says nothing.
            self.slabs[run / SLAB_GRAIN] = 0;
        }
    }

    /// The stack and the frames of a thread.
    fn mark_parts(&mut self, canonical: &Canonical, thread: usize) {
        canonical.thread_parts(thread, |offset, bytes| self.mark_bytes(offset..offset + bytes));
    }

    /// The digests' sum, as it was answered last.
    pub fn sum(&self) -> u128 {
        self.sum
    }
}
