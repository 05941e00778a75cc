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

mod lines;
mod store;
mod undo;

use crate::error::{Error, Result};
use crate::tracker::{Live, PagePtr, PageSet, Tracker};
use crate::units::{Frame, PAGE_SIZE};
use std::collections::VecDeque;
use std::ptr;
use store::PageStore;
use undo::Undo;

/// Small, so that a history of untouched captures is one or two cache lines.
struct Snapshot {
    frame: Frame,
    used_pages: u32,
    /// What the next newer snapshot replaced: an index into the logs. None in the newest.
    log: u32,
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
    mirror: Vec<PagePtr>,
    store: PageStore,
    /// Pages that a capture or a restore looks at, and then those that it changed.
    pages: PageSet,
    /// Pages that a restore changes by the logs.
    undone: PageSet,
    logs: Vec<Undo>,
    /// Emptied logs, so that a steady state allocates nothing. Has room for all of them.
    spare: Vec<u32>,
}

// SAFETY: the page pointers are the store's, which the history owns.
unsafe impl Send for History {}

/// Copies one page.
///
/// # Safety
/// Both are whole pages, one of them outside the region; nothing writes the source meanwhile.
#[inline]
unsafe fn copy_page(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's contract. A raw copy, not a slice: Lua aliases the region (R3).
    unsafe { ptr::copy_nonoverlapping(from, to, PAGE_SIZE) }
}

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
            logs: Vec::new(),
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

    /// Captures the live pages under a label above the newest one.
    ///
    /// After an error nothing has changed.
    ///
    /// # Safety
    /// Nothing writes to the region during the call.
    pub unsafe fn capture(
        &mut self,
        live: Live,
        tracker: &mut dyn Tracker,
        frame: Frame,
    ) -> Result<()> {
        if self.max_snapshots == 0 {
            return Err(Error::Disabled);
        }
        self.pages.clear();
        self.pages.resize(live.used_pages)?;
        self.undone.resize(live.used_pages)?;
        // SAFETY: the caller's contract.
        unsafe { tracker.find(live, &mut self.pages)? };
        self.reserve_for_capture(live)?;
        // SAFETY: the caller's contract; memory is reserved, but for the changed lines.
        unsafe {
            self.extend_mirror(live);
            if let Err(error) = self.keep_changes(live) {
                let held = self.snapshots.back().map_or(0, |newest| newest.used_pages as usize);
                self.mirror.drain(held..).for_each(|page| self.store.give(page));
                return Err(error);
            }
        }
        self.dirty_pages = self.pages.count();
        self.push(frame, live.used_pages as u32);
        // SAFETY: the caller's contract; the live pages equal the newest snapshot.
        unsafe { tracker.captured(live, &self.pages) };
        Ok(())
    }

    /// Adds a snapshot, for which there is room; the oldest goes when the history is full.
    fn push(&mut self, frame: Frame, used_pages: u32) {
        if self.snapshots.len() == self.max_snapshots {
            self.drop_oldest();
        }
        self.snapshots.push_back(Snapshot { frame, used_pages, log: NO_LOG });
    }

    /// Captures a region that is what the newest snapshot holds, under a label above it: none of
    /// its pages and none of ours is looked at. Answers whether it could; if not, nothing has
    /// changed.
    ///
    /// pre: nothing was written in the tracker's interval, which has begun.
    pub fn repeat(&mut self, frame: Frame) -> Result<bool> {
        let Some(newest) = self.snapshots.back() else { return Ok(false) };
        let used_pages = newest.used_pages;
        self.snapshots.try_reserve(1).map_err(|_| Error::NoMemoryForPages { wanted_pages: 1 })?;
        self.push(frame, used_pages);
        self.dirty_pages = 0;
        Ok(true)
    }

    fn reserve_for_capture(&mut self, live: Live) -> Result<()> {
        let out_of_memory = |wanted_pages| move |_| Error::NoMemoryForPages { wanted_pages };
        let grown = live.used_pages.saturating_sub(self.mirror.len());
        self.store.reserve(grown)?;
        self.mirror.try_reserve(grown).map_err(out_of_memory(grown))?;
        let more = match self.snapshots.len() {
            // At once, so that the captures that follow allocate nothing.
            0 => self.max_snapshots.min(SNAPSHOTS_AHEAD),
            _ => 1,
        };
        self.snapshots.try_reserve(more).map_err(out_of_memory(1))
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

    /// Copies the pages that the mirror does not have yet.
    unsafe fn extend_mirror(&mut self, live: Live) {
        for index in self.mirror.len()..live.used_pages {
            let copy = self.store.take();
            // SAFETY: the caller's contract; the copy is a page of the store.
            unsafe { copy_page(live.page(index), copy) };
            self.mirror.push(copy);
        }
    }

    /// Moves what the suspected pages differ in into the mirror, and what was there into the
    /// newest snapshot's log. In the set stay the pages that did differ, and those that are new.
    ///
    /// After an error, which only missing memory is, the mirror is what it was.
    unsafe fn keep_changes(&mut self, live: Live) -> Result<()> {
        let Some(newest) = self.snapshots.back() else {
            self.pages.insert_range(0, live.used_pages);
            return Ok(());
        };
        let kept = live.used_pages.min(newest.used_pages as usize);
        let log = self.take_log()?;
        let undo = &mut self.logs[log as usize];
        // SAFETY: the caller's contract; the mirror's pages are the store's.
        let moved =
            unsafe { undo.exchange_all(&self.pages, kept, live, &self.mirror, &mut self.store) };
        let cut = self.mirror.len() - live.used_pages;
        if let Err(error) = moved.and_then(|()| undo.reserve_cut(cut)) {
            // SAFETY: as above; the log holds what it took from this mirror.
            unsafe { undo.put_back(&self.mirror, |_, _, _| {}) };
            self.give_log(log);
            return Err(error);
        }
        undo.cut(&mut self.mirror, live.used_pages);
        self.pages.clear();
        undo.changed_pages().for_each(|page| self.pages.insert(page.get()));
        self.pages.insert_range(kept, live.used_pages);
        if undo.is_empty() {
            self.give_log(log);
        } else if let Some(newest) = self.snapshots.back_mut() {
            newest.log = log;
        }
        Ok(())
    }

    /// Puts back the n-th newest snapshot, drops the newer ones, keeps this one.
    ///
    /// After an error nothing has changed.
    ///
    /// # Safety
    /// Nothing else touches the region during the call, and every page below any held snapshot's
    /// `used_pages` is committed.
    pub unsafe fn restore(
        &mut self,
        live: Live,
        tracker: &mut dyn Tracker,
        n: usize,
    ) -> Result<()> {
        let held = self.snapshots.len();
        if n == 0 || n > held {
            return Err(Error::NoSuchSnapshot { wanted: n, held, max: self.max_snapshots });
        }
        let target = held - n;
        let restored = Live { used_pages: self.snapshots[target].used_pages as usize, ..live };
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
        let looked_at = live.used_pages.min(restored.used_pages);
        // SAFETY: the caller's contract.
        unsafe { tracker.find(Live { used_pages: looked_at, ..live }, &mut self.pages)? };
        self.pages.insert_range(looked_at, restored.used_pages);
        let logs = self.snapshots.range(target..).filter_map(|s| self.logs.get(s.log as usize));
        for page in logs.flat_map(Undo::changed_pages) {
            self.undone.insert(page.get());
        }
        // SAFETY: the caller's contract.
        unsafe {
            tracker.expect_writes(restored, &self.undone);
            for _ in 1..n {
                self.drop_newest(restored);
            }
            for page in self.pages.iter().take_while(|page| page.get() < restored.used_pages) {
                lines::put_back(self.mirror[page.get()], live.page(page.get()));
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
        let History { store, mirror, snapshots, pages, logs, .. } = self;
        snapshots.pop_back();
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
                unsafe { lines::copy_line(line, restored.page(index).add(offset)) };
            }
        };
        // SAFETY: the log holds what the dropped snapshot took from this mirror.
        unsafe { undo.put_back(mirror, write) };
        self.give_log(log);
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.snapshots.pop_front() {
            self.give_log(oldest.log);
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

    /// Verifies S1 and S2. It does not verify S3: that takes a copy made at the capture.
    pub fn check(&self) -> std::result::Result<(), String> {
        let newest_pages = self.snapshots.back().map_or(0, |newest| newest.used_pages as usize);
        if self.mirror.len() != newest_pages {
            return Err("S1: the mirror's length is not the newest snapshot's".into());
        }
        let mut pages = Vec::new();
        let free = self.store.free_pages();
        let total = self.store.used_pages() + free.len();
        let no_memory = |_| "not known: no memory for the check".to_owned();
        pages.try_reserve(total).map_err(no_memory)?;
        let logs = self.snapshots.iter().filter(|snapshot| snapshot.log != NO_LOG);
        if logs.clone().count() + self.spare.len() != self.logs.len() {
            return Err("S2: a log is in two places or nowhere".into());
        }
        for snapshot in logs {
            let undo = &self.logs[snapshot.log as usize];
            undo.check(snapshot.used_pages as usize)?;
            if pages.len() + undo.pages().count() > total {
                return Err("S2: a page is in two places".into());
            }
            pages.extend(undo.pages());
        }
        if pages.len() + self.mirror.len() + free.len() != total {
            return Err("S2: a page is in two places or nowhere".into());
        }
        pages.extend(self.mirror.iter().chain(free));
        pages.sort_unstable();
        if pages.windows(2).any(|pair| pair[0] == pair[1]) || pages.contains(&ptr::null_mut()) {
            return Err("S2: a page is in two places".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::lines::LINE_BYTES;
    use super::*;
    use crate::tracker::Compare;

    #[repr(C, align(4096))]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Page([u8; PAGE_SIZE]);

    const ZERO: Page = Page([0; PAGE_SIZE]);

    fn capture(history: &mut History, pages: &mut [Page], frame: i64) -> Result<()> {
        let live = Live { base: pages.as_mut_ptr().cast(), used_pages: pages.len() };
        // SAFETY: the pages are the test's, which does nothing meanwhile.
        unsafe { history.capture(live, &mut Compare, Frame(frame)) }
    }

    fn restore(history: &mut History, pages: &mut [Page], n: usize) {
        let live = Live { base: pages.as_mut_ptr().cast(), used_pages: pages.len() };
        // SAFETY: as above; there are as many pages as in any snapshot.
        unsafe { history.restore(live, &mut Compare, n) }.unwrap();
    }

    #[test]
    fn without_memory_a_capture_changes_nothing() {
        const USED: usize = 40;
        let mut pages = vec![ZERO; USED];
        let mut history = History::new(8);
        capture(&mut history, &mut pages[..USED - 1], 0).unwrap();
        let first = pages.clone();
        // Each capture finds less memory than it needs, at another place, until there is enough.
        for limit in 0.. {
            for (at, page) in pages.iter_mut().enumerate() {
                page.0[at * LINE_BYTES..][..1500].fill(9);
            }
            let second = pages.clone();
            history.store.limit_pages = Some(history.store.used_pages() + limit);
            let captured = capture(&mut history, &mut pages, 1).is_ok();
            history.check().unwrap();
            assert_eq!(pages, second, "limit {limit}");
            assert_eq!(history.count(), if captured { 2 } else { 1 }, "limit {limit}");
            restore(&mut history, &mut pages, if captured { 2 } else { 1 });
            assert_eq!(pages[..USED - 1], first[..USED - 1], "limit {limit}");
            history.check().unwrap();
            if captured {
                assert!(limit > 10, "a log of {limit} pages: too few to be refused often");
                break;
            }
        }
    }

    #[test]
    fn a_log_keeps_lines_not_pages() {
        let mut pages = vec![ZERO; 100];
        let mut history = History::new(20);
        for frame in 0..20 {
            pages.iter_mut().for_each(|page| page.0[frame * 100] += 1);
            capture(&mut history, &mut pages, frame as i64).unwrap();
        }
        // One line of each page: 100 lines a capture, in two pages.
        assert_eq!(history.held_bytes(), (100 + 19 * 2) * PAGE_SIZE);
        restore(&mut history, &mut pages, 20);
        let sum = |page: &Page| page.0.iter().map(|&byte| usize::from(byte)).sum::<usize>();
        assert!(pages.iter().all(|page| sum(page) == 1));
        assert_eq!(history.held_bytes(), 100 * PAGE_SIZE);
    }
}
