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

use crate::error::{Error, Result, Text};
use crate::pages::{Live, PageSet};
use crate::sys::environment;

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
            value => Err(Error::UnknownTracker { value }),
        }
    }
}

fn from_environment() -> Result<i32> {
    environment::variable(c"RLUA_TRACKER", |name| match name {
        None | Some(b"" | b"auto") => Ok(0),
        Some(b"compare") => Ok(compare::ID),
        Some(b"uffd") => Ok(uffd::ID),
        Some(name) => Err(Error::UnknownTrackerName { name: Text::from_lossy(name) }),
    })
}
