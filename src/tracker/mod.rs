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
mod cards;
mod compare;
mod uffd;

pub use auto::Auto;
pub use cards::AUDIT_SPAN;
pub use cards::ByCards;
pub use compare::Compare;
use uffd::Uffd;

use crate::cards::Marks;
use crate::error::{Error, Result, Text};
use crate::pages::{Live, Opaque, PageSet};
use crate::sys::environment;
use std::ops::Range;

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

    /// The lines of a page that `find` added which may have been written; all, where only pages are
    /// known.
    fn lines(&self, _page: usize) -> u64 {
        u64::MAX
    }

    /// Pages of the first `pages` that the history is to compare this time, to see that no line was
    /// written that is not suspected.
    fn audited(&mut self, _pages: usize) -> Range<usize> {
        0..0
    }

    /// Whether a line that was missed ends the process: a test is running.
    fn is_checked(&self) -> bool {
        false
    }

    /// Asked before each `find`, in a VM of so many pages: where there is a place to tell of opaque
    /// memory, the VM does so, and marks all that is suspect (C3).
    fn ask(&mut self, _used_pages: usize) -> Option<&mut Opaque> {
        None
    }

    /// Pages that were noted instead of marked when it was last asked.
    fn noted_pages(&self) -> Option<&PageSet> {
        None
    }

    /// Whether certainly nobody entered the VM in this interval, and it is idle still (V1).
    fn is_left_alone(&self) -> bool {
        false
    }

    /// The lines that alone may have been written in this interval, where these are few and known
    /// without a look at the region.
    fn suspects_alone(&self) -> Option<&[u32]> {
        None
    }

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

    /// The backend's number in the C API (`rlua_Tracker`).
    fn id(&self) -> i32;
}

/// One backend, held by value: a VM that is not in the cache has one place less to be read from.
#[allow(clippy::large_enum_variant)] // see above
#[allow(missing_docs)] // named as their modules
pub enum Backend {
    Cards(ByCards),
    Compare(Compare),
}

impl Backend {
    /// The backend, whichever it is.
    #[inline]
    pub fn get(&mut self) -> &mut dyn Tracker {
        match self {
            Backend::Cards(cards) => cards,
            Backend::Compare(compare) => compare,
        }
    }

    /// The backend's number in the C API.
    pub fn id(&self) -> i32 {
        match self {
            Backend::Cards(cards) => cards.id(),
            Backend::Compare(compare) => compare.id(),
        }
    }
}

/// Opens the backend of that number (`rlua_Tracker`); 0 asks the environment variable
/// `RLUA_TRACKER`, and chooses by itself where that is not set. With the cards comes how many pages
/// are audited in [`AUDIT_SPAN`] captures and restores.
///
/// # Safety
/// The range is one reservation, and the cards are its own; both outlive the tracker.
pub unsafe fn open(
    id: i32,
    base: *mut u8,
    reserved_bytes: usize,
    (marks, audit): (Marks, u32),
) -> Result<Backend> {
    let (id, checked) = if id == 0 { from_environment()? } else { (id, false) };
    // SAFETY: the caller's contract.
    let auto = unsafe {
        match id {
            0 => Auto::new(base, reserved_bytes),
            compare::ID => return Ok(Backend::Compare(Compare)),
            cards::ID => Auto::compare(),
            uffd::ID => Auto::watch(base, reserved_bytes)?,
            value => return Err(Error::UnknownTracker { value }),
        }
    };
    Ok(Backend::Cards(ByCards::new(marks, auto, audit, checked)))
}

/// The backend's number, and whether each capture and restore compares everything, for tests.
fn from_environment() -> Result<(i32, bool)> {
    environment::variable(c"RLUA_TRACKER", |name| match name {
        None | Some(b"" | b"auto") => Ok((0, false)),
        Some(b"checked") => Ok((0, true)),
        Some(b"cards") => Ok((cards::ID, false)),
        Some(b"compare") => Ok((compare::ID, false)),
        Some(b"uffd") => Ok((uffd::ID, false)),
        Some(b"uffd-checked") => Ok((uffd::ID, true)),
        Some(name) => Err(Error::UnknownTrackerName { name: Text::from_lossy(name) }),
    })
}
