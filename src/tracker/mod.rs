//! Tracker: tells which pages were written since it was last asked.
//!
//! # Invariants
//! - T1 *no false negatives*: a page below both the used pages and the baseline's that was written
//!   since the last take is reported. Extras are allowed.
//! - T2 *one step*: reporting and starting the next interval leave no gap a write could fall into.
//!
//! # Not here
//! What is done with a written page ([`crate::snapshot`]).

mod auto;
mod compare;
mod copy;
mod uffd;

pub use auto::Auto;
pub use compare::Compare;
pub use copy::Copy;
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
pub trait Tracker: Send {
    /// Adds every page written since the last take to `dirty`, and starts the next interval.
    ///
    /// Only pages below both `live.used_pages` and `baseline.len()` are looked at; the baseline
    /// is the newest snapshot, one pointer a page.
    ///
    /// # Safety
    /// Nothing writes to the region during the call; the baseline's pages can be read.
    unsafe fn take(&mut self, live: Live, baseline: &[PagePtr], dirty: &mut PageSet) -> Result<()>;

    /// Reports as `take` does, before a restore, which ends with `restart`: nothing runs between, so
    /// the next interval need not start here.
    ///
    /// # Safety
    /// As for `take`.
    unsafe fn peek(&mut self, live: Live, baseline: &[PagePtr], dirty: &mut PageSet) -> Result<()> {
        // SAFETY: the caller's contract.
        unsafe { self.take(live, baseline, dirty) }
    }

    /// Told before a restore writes `pages` pages that were not reported as written, all below
    /// `live.used_pages`. What it does is for speed alone.
    ///
    /// # Safety
    /// Nothing writes to the region during the call.
    unsafe fn expect_writes(&mut self, _live: Live, _pages: usize) {}

    /// Whether certainly none of the pages that were used when the interval began was written
    /// since. The region is not looked at.
    fn is_untouched(&mut self) -> bool {
        false
    }

    /// Starts the next interval where the live pages equal the baseline: after a restore.
    ///
    /// # Safety
    /// As for `take`.
    unsafe fn restart(&mut self, live: Live) -> Result<()>;

    /// The backend's number in the C API (`rlua_Tracker`).
    fn id(&self) -> i32;
}

/// One backend, held by value: a VM that is not in the cache has one place less to be read from.
#[allow(missing_docs)] // named as their modules
pub enum Backend {
    Auto(Auto),
    Compare(Compare),
    Copy(Copy),
    Uffd(Uffd),
}

impl Backend {
    /// The backend, whichever it is.
    #[inline]
    pub fn get(&mut self) -> &mut dyn Tracker {
        match self {
            Backend::Auto(auto) => auto,
            Backend::Compare(compare) => compare,
            Backend::Copy(copy) => copy,
            Backend::Uffd(uffd) => uffd,
        }
    }

    /// The backend's number in the C API.
    pub fn id(&self) -> i32 {
        match self {
            Backend::Auto(auto) => auto.id(),
            Backend::Compare(compare) => compare.id(),
            Backend::Copy(copy) => copy.id(),
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
            copy::ID => Ok(Backend::Copy(Copy)),
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
        Some("copy") => Ok(copy::ID),
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

    /// Adds `first .. end`.
    pub fn insert_range(&mut self, first: usize, end: usize) {
        for index in first..end {
            self.insert(index);
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
