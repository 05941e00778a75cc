//! Copy: reports every page. The baseline that the others are measured against, and the right
//! answer where nearly all pages change in every frame.

use super::{Live, PagePtr, PageSet, Tracker};
use crate::error::Result;

/// The backend that searches nothing; it keeps no state.
pub struct Copy;

/// `RLUA_TRACKER_COPY`.
pub const ID: i32 = 4;

impl Tracker for Copy {
    unsafe fn take(&mut self, live: Live, baseline: &[PagePtr], dirty: &mut PageSet) -> Result<()> {
        dirty.insert_range(0, live.used_pages.min(baseline.len()));
        Ok(())
    }

    unsafe fn restart(&mut self, _live: Live) -> Result<()> {
        Ok(())
    }

    fn id(&self) -> i32 {
        ID
    }
}
