//! Snapshots: byte-exact checkpoints of the used pages, costing what was written between them.
//!
//! The newest snapshot is kept whole: the *mirror* names a page for each used page. An older one
//! keeps only what the next newer one replaced:
//!
//! ```text
//!  oldest                          newest
//!  undo {3,7}  <-  undo {7}  <-  mirror [0 1 2 3 4 5 6 7]      live region
//!  (pages as they were before the next capture overwrote them)
//! ```
//!
//! A capture copies each written page once, into a fresh page, and hands the page it replaces to
//! the snapshot before. A restore walks from the newest to the target, puts the replaced pages
//! back into the mirror, and copies into the region only pages that were touched on the way. The
//! history is a line, so no page is ever shared and nothing has to be counted.
//!
//! # Invariants
//! - S1 *total*: the mirror names a page for every index below the newest snapshot's `used_pages`.
//! - S2 *owned*: a page of the store is in exactly one place: the mirror, one undo list, or free.
//! - S3 *frozen*: a page's bytes do not change while it is in an undo list, nor in the mirror
//!   while its snapshot is the newest.
//!
//! # Not here
//! Blocks and Lua objects. Idleness (V1) is checked by `crate::vm`.

mod store;

use crate::error::{Error, Result};
use crate::tracker::{Live, PagePtr, PageSet, Tracker};
use crate::units::{Frame, PAGE_SIZE};
use std::collections::VecDeque;
use std::ptr;
use store::PageStore;

/// A page as it was, and its index.
struct Undo {
    index: u32,
    page: PagePtr,
}

struct Snapshot {
    frame: Frame,
    used_pages: usize,
    /// What the next newer snapshot replaced. Empty in the newest.
    undo: Vec<Undo>,
}

/// Snapshots that a history has room for from its first capture on.
const SNAPSHOTS_AHEAD: usize = 32;

/// The held snapshots, oldest first.
pub struct History {
    store: PageStore,
    mirror: Vec<PagePtr>,
    snapshots: VecDeque<Snapshot>,
    max_snapshots: usize,
    /// Pages to copy. Kept when a capture fails, since the tracker reports each write once.
    dirty: PageSet,
    dirty_pages: usize,
    /// Whether the tracker has reported pages that no snapshot has yet: a capture failed.
    behind: bool,
    /// Emptied undo lists, so that a steady state allocates nothing.
    spare_undo: Vec<Vec<Undo>>,
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
            dirty: PageSet::default(),
            dirty_pages: 0,
            behind: false,
            spare_undo: Vec::new(),
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

    /// Pages that the last capture copied.
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
        self.behind = true;
        self.dirty.resize(live.used_pages.max(self.mirror.len()))?;
        // SAFETY: the caller's contract; the mirror's pages are the store's.
        unsafe { tracker.take(live, &self.mirror, &mut self.dirty)? };
        self.reserve_for_capture(live)?;
        let full = self.snapshots.len() == self.max_snapshots;
        if full && self.max_snapshots > 1 {
            self.discard_oldest();
        }
        // SAFETY: as above; what the capture needs is reserved.
        unsafe {
            if full && self.max_snapshots == 1 {
                self.snapshots.clear();
                self.overwrite_mirror(live);
            } else {
                self.replace_in_mirror(live);
            }
        }
        let undo = self.spare_undo.pop().unwrap_or_default();
        self.snapshots.push_back(Snapshot { frame, used_pages: live.used_pages, undo });
        self.dirty.clear();
        self.behind = false;
        Ok(())
    }

    /// Captures a region that is what the newest snapshot holds, under a label above it: none of
    /// its pages and none of ours is looked at. Answers whether it could; if not, nothing has
    /// changed.
    ///
    /// pre: nothing was written since the tracker's interval began.
    pub fn repeat(&mut self, frame: Frame) -> Result<bool> {
        let Some(newest) = self.snapshots.back() else { return Ok(false) };
        if self.behind {
            return Ok(false);
        }
        let used_pages = newest.used_pages;
        let undo = if self.snapshots.len() == self.max_snapshots {
            self.take_oldest()
        } else {
            self.reserve_snapshot()?;
            self.spare_undo.pop().unwrap_or_default()
        };
        self.snapshots.push_back(Snapshot { frame, used_pages, undo });
        self.dirty_pages = 0;
        Ok(true)
    }

    /// Everything in a capture that can fail.
    fn reserve_for_capture(&mut self, live: Live) -> Result<()> {
        let out_of_memory = |wanted_pages| move |_| Error::NoMemoryForPages { wanted_pages };
        let grown = live.used_pages.saturating_sub(self.mirror.len());
        let shrunk = self.mirror.len().saturating_sub(live.used_pages);
        let replaced = self.dirty.count();
        let full = self.snapshots.len() == self.max_snapshots;
        let mut wanted = grown;
        if !(full && self.max_snapshots == 1) {
            wanted += replaced;
        }
        if full {
            wanted = wanted.saturating_sub(self.snapshots.front().map_or(0, |s| s.undo.len()));
        }
        self.store.reserve(wanted)?;
        self.mirror.try_reserve(grown).map_err(out_of_memory(grown))?;
        if self.snapshots.is_empty() {
            // At once, so that the captures that follow allocate nothing.
            let ahead = self.max_snapshots.min(SNAPSHOTS_AHEAD);
            self.snapshots.try_reserve(ahead).map_err(out_of_memory(1))?;
            self.spare_undo.try_reserve(ahead).map_err(out_of_memory(1))?;
        }
        self.reserve_snapshot()?;
        if let Some(newest) = self.snapshots.back_mut() {
            let undo = replaced + shrunk;
            newest.undo.try_reserve(undo).map_err(out_of_memory(undo))?;
        }
        Ok(())
    }

    fn reserve_snapshot(&mut self) -> Result<()> {
        let out_of_memory = |_| Error::NoMemoryForPages { wanted_pages: 1 };
        self.snapshots.try_reserve(1).map_err(out_of_memory)?;
        self.spare_undo.try_reserve(self.snapshots.len() + 1).map_err(out_of_memory)
    }

    /// The newest snapshot becomes the one before: it keeps the pages that are replaced.
    unsafe fn replace_in_mirror(&mut self, live: Live) {
        let History { store, mirror, snapshots, dirty, .. } = self;
        let kept = live.used_pages.min(mirror.len());
        self.dirty_pages = 0;
        for page in dirty.iter() {
            let index = page.get();
            if index >= kept {
                continue;
            }
            let copy = store.take();
            // SAFETY: the caller's contract; the copy is a page of the store.
            unsafe { copy_page(live.page(index), copy) };
            let newest = snapshots.back_mut().expect("a mirror has a snapshot");
            newest.undo.push(Undo { index: page.0, page: mirror[index] });
            mirror[index] = copy;
            self.dirty_pages += 1;
        }
        for (index, page) in (kept..).zip(mirror.drain(kept..)) {
            let newest = snapshots.back_mut().expect("a mirror has a snapshot");
            newest.undo.push(Undo { index: index as u32, page });
        }
        // SAFETY: the caller's contract.
        unsafe { self.extend_mirror(live) };
    }

    /// With room for one snapshot the pages are overwritten: nobody needs the old ones.
    unsafe fn overwrite_mirror(&mut self, live: Live) {
        let kept = live.used_pages.min(self.mirror.len());
        self.dirty_pages = 0;
        for page in self.dirty.iter().filter(|page| page.get() < kept) {
            // SAFETY: the caller's contract; the mirror's pages are the store's.
            unsafe { copy_page(live.page(page.get()), self.mirror[page.get()]) };
            self.dirty_pages += 1;
        }
        for page in self.mirror.drain(kept..) {
            self.store.give(page);
        }
        // SAFETY: the caller's contract.
        unsafe { self.extend_mirror(live) };
    }

    /// Copies the pages that the mirror does not have yet.
    unsafe fn extend_mirror(&mut self, live: Live) {
        for index in self.mirror.len()..live.used_pages {
            let copy = self.store.take();
            // SAFETY: the caller's contract; the copy is a page of the store.
            unsafe { copy_page(live.page(index), copy) };
            self.mirror.push(copy);
            self.dirty_pages += 1;
        }
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
        if n == 0 || n > self.snapshots.len() {
            return Err(Error::NoSuchSnapshot {
                wanted: n,
                held: self.snapshots.len(),
                max: self.max_snapshots,
            });
        }
        let widest = self.snapshots.iter().map(|s| s.used_pages).max().unwrap_or(0);
        self.mirror
            .try_reserve(widest.saturating_sub(self.mirror.len()))
            .map_err(|_| Error::NoMemoryForPages { wanted_pages: widest })?;
        self.dirty.resize(widest.max(live.used_pages))?;
        // SAFETY: the caller's contract; the mirror's pages are the store's.
        unsafe { tracker.peek(live, &self.mirror, &mut self.dirty)? };
        let written = self.dirty.count();
        for _ in 1..n {
            self.drop_newest();
        }
        let used_pages = self.mirror.len();
        // The live part may have shrunk since: what is above it was not looked at.
        self.dirty.insert_range(live.used_pages.min(used_pages), used_pages);
        let restored = Live { used_pages, ..live };
        // SAFETY: the caller's contract.
        unsafe { tracker.expect_writes(restored, self.dirty.count() - written) };
        for page in self.dirty.iter().filter(|page| page.get() < used_pages) {
            // SAFETY: the caller's contract.
            unsafe { copy_page(self.mirror[page.get()], live.page(page.get())) };
        }
        self.dirty.clear();
        self.behind = false;
        // SAFETY: the caller's contract.
        unsafe { tracker.restart(restored) }
    }

    /// Makes the mirror what the second newest snapshot was; notes the pages that changed.
    fn drop_newest(&mut self) {
        self.recycle_newest();
        let Some(target) = self.snapshots.back_mut() else { return };
        while self.mirror.len() > target.used_pages {
            self.store.give(self.mirror.pop().expect("longer than the target"));
        }
        self.mirror.resize(target.used_pages, ptr::null_mut());
        for Undo { index, page } in target.undo.drain(..) {
            let place = &mut self.mirror[index as usize];
            if !place.is_null() {
                self.store.give(*place);
            }
            *place = page;
            self.dirty.insert(index as usize);
        }
    }

    fn recycle_newest(&mut self) {
        if let Some(dropped) = self.snapshots.pop_back() {
            self.spare_undo.push(dropped.undo);
        }
    }

    fn discard_oldest(&mut self) {
        let undo = self.take_oldest();
        if self.snapshots.is_empty() {
            for page in self.mirror.drain(..) {
                self.store.give(page);
            }
            self.spare_undo.clear();
            self.store.release_if_unused();
        } else {
            self.spare_undo.push(undo);
        }
    }

    /// Takes the oldest snapshot out; its emptied undo list is for the next one.
    fn take_oldest(&mut self) -> Vec<Undo> {
        let mut undo = self.snapshots.pop_front().map(|oldest| oldest.undo).unwrap_or_default();
        for Undo { page, .. } in undo.drain(..) {
            self.store.give(page);
        }
        undo
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
        let newest_pages = self.snapshots.back().map_or(0, |newest| newest.used_pages);
        if self.mirror.len() != newest_pages {
            return Err("S1: the mirror's length is not the newest snapshot's".into());
        }
        let mut pages = Vec::new();
        let free = self.store.free_pages();
        let total = self.store.used_pages() + free.len();
        let no_memory = |_| "not known: no memory for the check".to_owned();
        pages.try_reserve(total).map_err(no_memory)?;
        for snapshot in &self.snapshots {
            for undo in &snapshot.undo {
                if undo.index as usize >= snapshot.used_pages || pages.len() == total {
                    return Err(format!("S2: undo of page {} is misplaced", undo.index));
                }
                pages.push(undo.page);
            }
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
