//! Compare: suspects every page, so that the history compares each with the newest snapshot.
//!
//! Works everywhere and needs no help from the system. Costs a read of both copies of the used
//! pages, whatever was written; several times as much out of the cache as in it, which
//! docs/BENCHMARKS.md measures.
//!
//! T1 holds since nothing is left out, T2 since an interval that has no state has no gap.

use super::Tracker;
use crate::error::Result;
use crate::pages::{Live, PageSet};

/// The comparing backend; it keeps no state.
pub struct Compare;

/// `RLUA_TRACKER_COMPARE`.
pub const ID: i32 = 1;

impl Tracker for Compare {
    unsafe fn find(&mut self, live: Live, suspects: &mut PageSet) -> Result<()> {
        suspects.insert_range(0, live.used_pages);
        Ok(())
    }

    unsafe fn captured(&mut self, _live: Live, _changed: &PageSet) {}

    unsafe fn restored(&mut self, _live: Live) {}

    fn id(&self) -> i32 {
        ID
    }
}
