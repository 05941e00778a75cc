//! Tracker: tells which pages were written since it was last asked.
//!
//! # Invariants
//! - T1 *no false negatives*: a page that was written in an interval is reported. Extras are
//!   allowed: the history compares what is reported.
//! - T2 *no gap*: each interval begins where the last one ended. Both ends lie inside a capture or
//!   a restore, where nothing runs.
//!
//! # Not here
//! What is done with a written page ([`crate::snapshot`]).

mod auto;
mod compare;
mod uffd;

pub use auto::Auto;
pub use compare::Compare;
pub use uffd::Uffd;

use crate::error::{Error, Result};
use crate::units::{PAGE_SIZE, PageIndex};

/// A page's bytes, outside the region.
pub type PagePtr = *mut u8;

/// The used part of a region, while Lua is not running.
#[derive(Clone, Copy)]
pub struct Live {
    /// First byte, aligned to a page.
    pub base: *mut u8,
    /// Pages from the base that hold state.
    pub used_pages: usize,
}

impl Live {
    /// First byte of a page.
    ///
    /// pre: the page is committed.
    #[inline]
    pub fn page(&self, index: usize) -> *mut u8 {
        self.base.wrapping_add(index * PAGE_SIZE)
    }
}

/// A backend.
///
/// An interval begins where the live pages equal the newest snapshot: after a capture, after a
/// restore. Before the first one everything counts as written.
pub trait Tracker: Send {
    /// Adds every page below `live.used_pages` that may have been written in this interval.
    ///
    /// # Safety
    /// Nothing writes to the region during the call.
    unsafe fn find(&mut self, live: Live, suspects: &mut PageSet) -> Result<()>;

    /// Begins the next interval, after a capture that found these pages changed, of those that
    /// were suspected, or new.
    ///
    /// # Safety
    /// Nothing has written to the region since the `find` that the capture began with.
    unsafe fn captured(&mut self, live: Live, changed: &PageSet);

    /// Told before a restore writes to pages, beside those that were suspected. For speed alone.
    ///
    /// # Safety
    /// Nothing writes to the region during the call; it is all committed below the pages.
    unsafe fn expect_writes(&mut self, _live: Live, _pages: &PageSet) {}

    /// Begins the next interval, after a restore.
    ///
    /// # Safety
    /// Only the restore has written to the region since the `find` that it began with.
    unsafe fn restored(&mut self, live: Live);

    /// Whether certainly no page was written in this interval. The region is not looked at, and an
    /// interval that has not begun is not untouched.
    fn is_untouched(&mut self) -> bool {
        false
    }

    /// The backend's number in the C API (`rlua_Tracker`).
    fn id(&self) -> i32;
}

/// One backend, held by value: a VM that is not in the cache has one place less to be read from.
#[allow(missing_docs)] // named as their modules
pub enum Backend {
    Auto(Auto),
    Compare(Compare),
    Uffd(Uffd),
}

impl Backend {
    /// The backend, whichever it is.
    #[inline]
    pub fn get(&mut self) -> &mut dyn Tracker {
        match self {
            Backend::Auto(auto) => auto,
            Backend::Compare(compare) => compare,
            Backend::Uffd(uffd) => uffd,
        }
    }

    /// The backend's number in the C API.
    pub fn id(&self) -> i32 {
        match self {
            Backend::Auto(auto) => auto.id(),
            Backend::Compare(compare) => compare.id(),
            Backend::Uffd(uffd) => uffd.id(),
        }
    }
}

/// Opens the backend of that number (`rlua_Tracker`); 0 asks the environment variable
/// `RLUA_TRACKER`, and chooses by itself where that is not set.
///
/// # Safety
/// The range is one reservation, which outlives the tracker.
pub unsafe fn open(id: i32, base: *mut u8, reserved_bytes: usize) -> Result<Backend> {
    let id = if id == 0 { from_environment()? } else { id };
    // SAFETY: the caller's contract.
    unsafe {
        match id {
            0 => Ok(Backend::Auto(Auto::new(base, reserved_bytes))),
            compare::ID => Ok(Backend::Compare(Compare)),
            uffd::ID => Ok(Backend::Uffd(Uffd::watch(base, reserved_bytes)?)),
            3 => Err(Error::TrackerUnavailable { name: "write_watch", why: "it is of Windows" }),
            value => Err(Error::UnknownTracker { value }),
        }
    }
}

fn from_environment() -> Result<i32> {
    let Some(name) = std::env::var_os("RLUA_TRACKER") else { return Ok(0) };
    match name.to_str() {
        Some("" | "auto") => Ok(0),
        Some("compare") => Ok(compare::ID),
        Some("uffd") => Ok(uffd::ID),
        _ => Err(Error::UnknownTrackerName { name: name.to_string_lossy().into_owned() }),
    }
}

/// A set of pages, one bit each.
#[derive(Default)]
pub struct PageSet {
    words: Vec<u64>,
}

impl PageSet {
    /// Makes room for `pages` pages. The only call that allocates.
    pub fn resize(&mut self, pages: usize) -> Result<()> {
        let words = pages.div_ceil(64);
        if words > self.words.len() {
            self.words
                .try_reserve(words - self.words.len())
                .map_err(|_| Error::NoMemoryForPages { wanted_pages: pages })?;
            self.words.resize(words, 0);
        }
        Ok(())
    }

    /// Adds a page.
    ///
    /// pre: the set was resized to hold it.
    #[inline]
    pub fn insert(&mut self, index: usize) {
        self.words[index / 64] |= 1 << (index % 64);
    }

    /// Whether a page is in the set.
    #[inline]
    pub fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 != 0)
    }

    /// Whether any of `first .. end` is in the set.
    pub fn contains_any(&self, first: usize, end: usize) -> bool {
        (first..end).any(|page| self.contains(page))
    }

    /// Adds `first .. end`.
    pub fn insert_range(&mut self, first: usize, end: usize) {
        for index in first..end {
            self.insert(index);
        }
    }

    /// Adds the pages of another set, below `end`.
    pub fn insert_all(&mut self, other: &PageSet, end: usize) {
        other.iter().take_while(|page| page.get() < end).for_each(|page| self.insert(page.get()));
    }

    /// Takes out the pages that are not to stay.
    pub fn retain(&mut self, mut stays: impl FnMut(usize) -> bool) {
        for (at, word) in self.words.iter_mut().enumerate() {
            let mut rest = *word;
            while rest != 0 {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                if !stays(at * 64 + bit as usize) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// Takes every page out.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Pages in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The pages, rising.
    pub fn iter(&self) -> impl Iterator<Item = PageIndex> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                Some(PageIndex(at as u32 * 64 + bit))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_lists_each_page_once_and_rising() {
        let mut set = PageSet::default();
        set.resize(300).unwrap();
        for page in [299, 0, 64, 63, 64, 128] {
            set.insert(page);
        }
        let pages: Vec<u32> = set.iter().map(|page| page.0).collect();
        assert_eq!(pages, [0, 63, 64, 128, 299]);
        assert_eq!(set.count(), 5);
        set.clear();
        assert_eq!(set.iter().count(), 0);
    }
}
