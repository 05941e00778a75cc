//! Snapshots: byte-exact checkpoints of the used pages, costing what was written between them.
//!
//! The newest snapshot is kept whole: the *mirror* names a page for each used page. An older one
//! keeps only what the next newer one replaced, in lines of 64 bytes:
//!
//! ```text
//!  oldest                                 newest
//!  undo {page 3: lines 0, 9}  <-  undo {}  <-  mirror [0 1 2 3 4 5 6 7]      live region
//!  (lines as they were before the next capture overwrote them)
//! ```
//!
//! A capture compares each page that may have been written with the mirror's, and moves the lines
//! that differ: the mirror's into the undo log of the snapshot before, the live ones into the
//! mirror. A restore walks from the newest to the target and puts the lines back, into the mirror
//! and into the region. The history is a line, so nothing is shared and nothing has to be counted.
//!
//! # Invariants
//! - S1 *total*: the mirror names a page for every index below the newest snapshot's `used_pages`.
//! - S2 *owned*: a page of the store is in exactly one place: the mirror, one undo log, or free.
//! - S3 *frozen*: the bytes of an undo log do not change, nor those of the mirror while its
//!   snapshot is the newest.
//!
//! # Not here
//! Blocks and Lua objects. Idleness (V1) is checked by `crate::vm`.

mod check;
mod copy;
mod differences;
mod lines;
mod replace;
mod store;
mod undo;
mod verify;
mod written;

use crate::error::{Error, Result};
use crate::pages::{Live, PageIndex, PagePtr, PageSet};
use crate::tracker::Tracker;
use crate::units::{Frame, LINE_BYTES, PAGE_SIZE};
pub use copy::Copy;
pub use lines::prefetch;
use std::collections::VecDeque;
use store::PageStore;
use undo::{Undo, copy_line, copy_page, equalize};
use verify::verify;
pub use written::Written;

/// Small, so that a history of untouched captures is one or two cache lines.
struct Snapshot {
    frame: Frame,
    used_pages: u32,
    /// What the next newer snapshot replaced: an index into the logs. None in the newest.
    log: u32,
}

/// What a capture did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captured {
    /// There is one snapshot more; the oldest went if the history was full.
    Added,
    /// The newest snapshot had the label, and holds what is live now.
    Replaced,
}

/// Where nothing was replaced.
const NO_LOG: u32 = u32::MAX;

/// Snapshots that a history has room for from its first capture on.
const SNAPSHOTS_AHEAD: usize = 32;

/// The held snapshots, oldest first.
pub struct History {
    /// First what a capture of an untouched region needs.
    snapshots: VecDeque<Snapshot>,
    max_snapshots: usize,
    dirty_pages: usize,
    highest: Option<Frame>,
    mirror: Vec<PagePtr>,
    store: PageStore,
    /// Pages that a capture or a restore looks at, and then those that it changed.
    pages: PageSet,
    /// Pages that a restore changes by the logs.
    undone: PageSet,
    logs: Vec<Undo>,
    /// The place of the snapshot that somebody keeps a copy of.
    noted: Option<usize>,
    /// Emptied logs, so that a steady state allocates nothing. Has room for all of them.
    spare: Vec<u32>,
}

// SAFETY: the page pointers are the store's, which the history owns.
unsafe impl Send for History {}

impl History {
    /// A history that keeps up to `max_snapshots`.
    pub fn new(max_snapshots: usize) -> History {
        History {
            store: PageStore::default(),
            mirror: Vec::new(),
            snapshots: VecDeque::new(),
            max_snapshots,
            pages: PageSet::default(),
            undone: PageSet::default(),
            dirty_pages: 0,
            highest: None,
            logs: Vec::new(),
            noted: None,
            spare: Vec::new(),
        }
    }

    /// Snapshots held.
    pub fn count(&self) -> usize {
        self.snapshots.len()
    }

    /// Snapshots held at most.
    pub fn max_snapshots(&self) -> usize {
        self.max_snapshots
    }

    /// Labels of the oldest and the newest snapshot.
    pub fn frames(&self) -> Option<(Frame, Frame)> {
        Some((self.snapshots.front()?.frame, self.snapshots.back()?.frame))
    }

    /// How many restores back the snapshot of that label is: 1 for the newest.
    pub fn steps_to(&self, frame: Frame) -> Option<usize> {
        let at = self.snapshots.binary_search_by_key(&frame, |snapshot| snapshot.frame).ok()?;
        Some(self.snapshots.len() - at)
    }

    /// Pages that the last capture found changed or new.
    pub fn dirty_pages(&self) -> usize {
        self.dirty_pages
    }

    /// Bytes of memory that the snapshots hold.
    pub fn held_bytes(&self) -> usize {
        self.store.used_pages() * PAGE_SIZE
    }

    /// The highest label that was ever captured under. Never falls.
    pub fn highest_frame(&self) -> Option<Frame> {
        self.highest
    }

    /// The label of the next capture: the wanted one, which may be the newest snapshot's again, or
    /// the one after it.
    pub fn label(&self, wanted: Option<Frame>) -> Result<Frame> {
        if self.max_snapshots == 0 {
            return Err(Error::Disabled);
        }
        let newest = self.snapshots.back().map(|newest| newest.frame.0);
        match (wanted, newest) {
            (Some(Frame(wanted)), Some(newest)) if wanted < newest => {
                Err(Error::BadFrame { wanted, newest })
            }
            (Some(frame), _) => Ok(frame),
            (None, Some(newest)) => newest.checked_add(1).map(Frame).ok_or(Error::NoMoreFrames),
            (None, None) => Ok(Frame(0)),
        }
    }

    /// Captures the live pages under a label that [`label`](Self::label) allows.
    ///
    /// Where the region is `untouched` in the tracker's interval, and there is a snapshot, that one
    /// is what the region holds: it is noted once more, and neither a page of the region nor one of
    /// ours is looked at. `live` is not asked then.
    ///
    /// After an error nothing has changed.
    ///
    /// # Safety
    /// Nothing writes to the region during the call. `untouched` is what the tracker answered, and
    /// nothing was written since.
    pub unsafe fn capture(
        &mut self,
        live: impl FnOnce() -> Live,
        untouched: bool,
        tracker: &mut dyn Tracker,
        frame: Frame,
    ) -> Result<Captured> {
        let frame = self.label(Some(frame))?;
        let newest = self.snapshots.back().map(|newest| (newest.frame, newest.used_pages));
        let replaces = newest.is_some_and(|(newest, _)| newest == frame);
        match newest {
            Some((_, used_pages)) if untouched => {
                if !replaces {
                    self.reserve_snapshots(1)?;
                    self.push(frame, used_pages);
                }
                self.dirty_pages = 0;
            }
            // SAFETY: the caller's contract.
            _ if replaces => unsafe { self.replace_newest(live(), tracker)? },
            // SAFETY: the caller's contract.
            _ => unsafe { self.add(live(), tracker, frame)? },
        }
        self.highest = self.highest.max(Some(frame));
        Ok(if replaces { Captured::Replaced } else { Captured::Added })
    }

    /// Whether the newest snapshot has these lines as they are in the region from `base`.
    ///
    /// # Safety
    /// Nothing writes to the lines during the call; the region is committed there.
    pub unsafe fn newest_has(&self, base: *const u8, lines: &[u32]) -> bool {
        let places = lines.iter().map(|&line| {
            let at = line as usize * LINE_BYTES;
            let kept = self.mirror.get(at / PAGE_SIZE)?;
            Some((base.wrapping_add(at), kept.cast_const().wrapping_add(at % PAGE_SIZE)))
        });
        // All at once on their way from memory, then one by one.
        places.clone().flatten().for_each(|(one, other)| {
            prefetch(1, one);
            prefetch(1, other);
        });
        // SAFETY: the caller's contract; whole lines of the region and of a page.
        let same = |(one, other)| unsafe { lines::is_same(one, other) };
        self.count() > 0 && { places }.all(|pair| pair.is_some_and(same))
    }

    /// Adds a snapshot of the live pages. After an error nothing has changed.
    unsafe fn add(&mut self, live: Live, tracker: &mut dyn Tracker, frame: Frame) -> Result<()> {
        // SAFETY: the contract of capture().
        unsafe {
            self.find(live, live.used_pages, tracker)?;
            self.reserve_mirror(live.used_pages)?;
            self.reserve_snapshots(match self.snapshots.len() {
                // At once, so that the captures that follow allocate nothing.
                0 => self.max_snapshots.min(SNAPSHOTS_AHEAD),
                _ => 1,
            })?;
            match self.snapshots.len() {
                0 => {
                    self.extend_mirror(live);
                    self.pages.insert_range(0, live.used_pages);
                }
                held => self.move_changes(live, held - 1, |page| tracker.lines(page))?,
            }
            self.push(frame, live.used_pages as u32);
            self.finish(live, tracker);
        }
        Ok(())
    }

    /// Finds the pages that may have been written; both sets have room for `widest` pages.
    unsafe fn find(&mut self, live: Live, widest: usize, tracker: &mut dyn Tracker) -> Result<()> {
        self.pages.clear();
        self.pages.resize(widest)?;
        self.undone.resize(widest)?;
        // SAFETY: the contract of capture().
        unsafe {
            tracker.find(live, &mut self.pages)?;
            verify(tracker, live, &self.mirror, &self.pages)
        }
    }

    /// The live pages equal the newest snapshot, and the changed or new ones are in the set.
    unsafe fn finish(&mut self, live: Live, tracker: &mut dyn Tracker) {
        self.dirty_pages = self.pages.count();
        // SAFETY: the contract of capture().
        unsafe { tracker.captured(live, &self.pages) };
    }

    /// Adds a snapshot, for which there is room; the oldest goes when the history is full.
    fn push(&mut self, frame: Frame, used_pages: u32) {
        if self.snapshots.len() == self.max_snapshots {
            self.drop_oldest();
        }
        self.snapshots.push_back(Snapshot { frame, used_pages, log: NO_LOG });
    }

    fn reserve_snapshots(&mut self, more: usize) -> Result<()> {
        self.snapshots.try_reserve(more).map_err(|_| Error::NoMemoryForPages { wanted_pages: 1 })
    }

    /// Makes sure that the mirror can grow to `used_pages` without asking for memory.
    fn reserve_mirror(&mut self, used_pages: usize) -> Result<()> {
        let grown = used_pages.saturating_sub(self.mirror.len());
        self.store.reserve(grown)?;
        self.mirror.try_reserve(grown).map_err(|_| Error::NoMemoryForPages { wanted_pages: grown })
    }

    fn take_log(&mut self) -> Result<u32> {
        if let Some(log) = self.spare.pop() {
            return Ok(log);
        }
        let out_of_memory = |_| Error::NoMemoryForPages { wanted_pages: 1 };
        self.logs.try_reserve(1).map_err(out_of_memory)?;
        self.spare.try_reserve(self.logs.len() + 1).map_err(out_of_memory)?;
        self.logs.push(Undo::default());
        Ok(self.logs.len() as u32 - 1)
    }

    fn give_log(&mut self, log: u32) {
        if let Some(undo) = self.logs.get_mut(log as usize) {
            undo.clear(&mut self.store);
            self.spare.push(log);
        }
    }

    /// Copies the pages that the mirror does not have yet; they are reserved.
    unsafe fn extend_mirror(&mut self, live: Live) {
        for index in self.mirror.len()..live.used_pages {
            let copy = self.store.take();
            // SAFETY: the contract of capture(); the copy is a page of the store.
            unsafe { copy_page(live.page(index), copy) };
            self.mirror.push(copy);
        }
    }

    /// Moves what the suspected pages differ in into the mirror, and what was there into the log of
    /// the snapshot `at`, which the mirror holds. In the set stay the pages that did differ, and
    /// those that are new.
    ///
    /// After an error, which only missing memory is, the mirror is what it was.
    unsafe fn move_changes(
        &mut self,
        live: Live,
        at: usize,
        lines_of: impl Fn(usize) -> lines::Mask,
    ) -> Result<()> {
        let held = self.mirror.len();
        let kept = live.used_pages.min(held);
        let log = self.take_log()?;
        // SAFETY: the contract of capture(); the mirror's pages are the store's.
        let moved = unsafe {
            // First, since these pages are reserved, and those of the log are not.
            self.extend_mirror(live);
            let (pages, undo) = (&self.pages, &mut self.logs[log as usize]);
            undo.exchange_all(pages, kept, lines_of, live, &mut self.mirror, &mut self.store)
        };
        let undo = &mut self.logs[log as usize];
        if let Err(error) = moved.and_then(|()| undo.reserve_cut(held - kept)) {
            // SAFETY: as above; the log holds what it took from this mirror.
            unsafe { undo.put_back(&mut self.mirror, |_, _, _| {}) };
            self.mirror.drain(held..).for_each(|page| self.store.give(page));
            self.give_log(log);
            return Err(error);
        }
        undo.cut(&mut self.mirror, live.used_pages);
        self.pages.clear();
        undo.changed_pages().for_each(|page| self.pages.insert(page.get()));
        self.pages.insert_range(kept, live.used_pages);
        if undo.is_empty() {
            self.give_log(log);
        } else {
            self.snapshots[at].log = log;
        }
        Ok(())
    }

    /// Sees that the n-th newest snapshot is held, and makes room for a restore of it. Answers its
    /// place.
    pub fn prepare_restore(&mut self, n: usize) -> Result<usize> {
        let held = self.snapshots.len();
        if n == 0 || n > held {
            return Err(Error::NoSuchSnapshot { wanted: n, held, max: self.max_snapshots });
        }
        let target = held - n;
        // No more than the captures had: a restore asks for no memory.
        let used_pages = |snapshot: &Snapshot| snapshot.used_pages;
        let widest = self.snapshots.range(target..).map(used_pages).max().unwrap_or(0) as usize;
        for set in [&mut self.pages, &mut self.undone] {
            set.clear();
            set.resize(widest)?;
        }
        self.mirror
            .try_reserve(widest.saturating_sub(self.mirror.len()))
            .map_err(|_| Error::NoMemoryForPages { wanted_pages: widest })?;
        Ok(target)
    }

    /// Puts back the n-th newest snapshot, drops the newer ones, keeps this one.
    ///
    /// `before` is told which pages may be written, before they are.
    ///
    /// After an error nothing has changed; behind [`prepare_restore`](Self::prepare_restore) there
    /// is none.
    ///
    /// # Safety
    /// Nothing else touches the region during the call, and every page below any held snapshot's
    /// `used_pages` is committed.
    pub unsafe fn restore(
        &mut self,
        live: Live,
        tracker: &mut dyn Tracker,
        n: usize,
        before: &mut dyn FnMut(&Written<'_>),
    ) -> Result<()> {
        let target = self.prepare_restore(n)?;
        let restored = Live { used_pages: self.snapshots[target].used_pages as usize, ..live };
        let looked_at = live.used_pages.min(restored.used_pages);
        // Where the tracker has no memory for its answer, every page is suspected: behind
        // prepare_restore nothing fails any more.
        // SAFETY: the caller's contract.
        let found =
            unsafe { tracker.find(Live { used_pages: looked_at, ..live }, &mut self.pages) };
        // Where the mirror did not have the page all the time, no line of it is known.
        let fewest = self.snapshots.range(target..).map(|held| held.used_pages as usize).min();
        let common_pages = looked_at.min(fewest.unwrap_or(0));
        let known = if found.is_ok() { common_pages } else { 0 };
        // SAFETY: the caller's contract.
        unsafe { verify(tracker, Live { used_pages: known, ..live }, &self.mirror, &self.pages)? };
        self.pages.insert_range(if found.is_ok() { looked_at } else { 0 }, restored.used_pages);
        let logs = self.snapshots.range(target..).filter_map(|s| self.logs.get(s.log as usize));
        for page in logs.flat_map(Undo::changed_pages) {
            self.undone.insert(page.get());
        }
        before(&Written { live, common_pages, pages: &self.pages, undone: &self.undone });
        // SAFETY: the caller's contract.
        unsafe {
            tracker.expect_writes(restored, &self.undone);
            for _ in 1..n {
                self.drop_newest(restored);
            }
            let pages = self.pages.iter().map(PageIndex::get);
            let mut pages = pages.take_while(|&page| page < restored.used_pages).map(|page| {
                let whole = page >= known || self.undone.contains(page);
                (page, if whole { lines::Mask::MAX } else { tracker.lines(page) })
            });
            let mut next = pages.next();
            while let Some((page, suspects)) = next {
                next = pages.next();
                if let Some((next, lines)) = next {
                    prefetch(lines, live.page(next));
                    prefetch(lines, self.mirror[next]);
                }
                equalize(suspects, self.mirror[page], live.page(page));
            }
            tracker.restored(restored);
        }
        Ok(())
    }

    /// Makes the mirror what the second newest snapshot was, and the live pages with it, but for
    /// those in the set: these are put back as a whole, at the end.
    ///
    /// # Safety
    /// As for [`History::restore`].
    unsafe fn drop_newest(&mut self, restored: Live) {
        let History { store, mirror, snapshots, pages, logs, noted, .. } = self;
        snapshots.pop_back();
        *noted = noted.filter(|&at| at < snapshots.len());
        let Some(target) = snapshots.back_mut() else { return };
        let used_pages = target.used_pages as usize;
        while mirror.len() > used_pages {
            store.give(mirror.pop().expect("longer than the target"));
        }
        let log = std::mem::replace(&mut target.log, NO_LOG);
        let Some(undo) = logs.get_mut(log as usize) else { return };
        pages.insert_range(mirror.len(), used_pages);
        undo.uncut(mirror);
        let write = |index: usize, offset: usize, line: *const u8| {
            if index < restored.used_pages && !pages.contains(index) {
                // SAFETY: the caller's contract: the page is committed.
                unsafe { copy_line(line, restored.page(index).add(offset)) };
            }
        };
        // SAFETY: the log holds what the dropped snapshot took from this mirror.
        unsafe { undo.put_back(mirror, write) };
        self.give_log(log);
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.snapshots.pop_front() {
            self.give_log(oldest.log);
            self.noted = self.noted.and_then(|at| at.checked_sub(1));
        }
    }

    fn discard_oldest(&mut self) {
        self.drop_oldest();
        if self.snapshots.is_empty() {
            self.mirror.drain(..).for_each(|page| self.store.give(page));
            self.logs.clear();
            self.spare.clear();
            self.store.release_if_unused();
        }
    }

    /// Drops every snapshot whose label is below `frame`.
    pub fn discard_before(&mut self, frame: Frame) {
        while self.snapshots.front().is_some_and(|oldest| oldest.frame < frame) {
            self.discard_oldest();
        }
    }

    /// Changes how many are kept; the oldest go.
    pub fn set_max_snapshots(&mut self, max_snapshots: usize) {
        while self.snapshots.len() > max_snapshots {
            self.discard_oldest();
        }
        self.max_snapshots = max_snapshots;
    }
}

#[cfg(test)]
mod tests;
