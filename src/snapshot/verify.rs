//! Verify: sees that a tracker missed nothing, by comparing what it does not suspect.
//!
//! In production a page now and then: what writes to Lua's memory and goes around Lua, as a C
//! module may, is found out in the end, and the VM is poisoned instead of wrong in silence. In
//! tests all of them, each time.

use super::lines::{self, LINES_PER_PAGE, Mask, each};
use crate::error::{Flaw, Result};
use crate::pages::{Live, PagePtr, PageSet};
use crate::tracker::Tracker;
use crate::units::{LINE_BYTES, PAGE_SIZE};

/// Compares lines that are not suspected, in the pages that the tracker wants to have audited.
///
/// # Safety
/// Nothing writes to the region during the call; the mirror is the newest snapshot.
pub unsafe fn verify(
    tracker: &mut dyn Tracker,
    live: Live,
    mirror: &[PagePtr],
    suspects: &PageSet,
) -> Result<()> {
    let both = live.used_pages.min(mirror.len());
    for page in tracker.audited(both) {
        let suspected = if suspects.contains(page) { tracker.lines(page) } else { 0 };
        // SAFETY: the caller's contract; both have the page.
        let missed = unsafe { lines::differing(live.page(page), mirror[page]) } & !suspected;
        if missed == 0 {
            continue;
        }
        if tracker.is_checked() {
            // SAFETY: as above.
            unsafe { report(missed, page, live.page(page), mirror[page]) };
            std::process::abort();
        }
        let offset = page * PAGE_SIZE + missed.trailing_zeros() as usize * LINE_BYTES;
        return Err(Flaw::damaged(format_args!(
            "C1: something wrote to the line at offset {offset:#x} and did not say so"
        ))
        .into());
    }
    Ok(())
}

/// Says what is different, for whoever looks for the missing mark.
///
/// # Safety
/// Two pages, which nothing writes to during the call.
unsafe fn report(missed: Mask, page: usize, live: *const u8, mirrored: *const u8) {
    debug_assert!(missed.count_ones() as usize <= LINES_PER_PAGE);
    for line in each(missed) {
        let at = line * LINE_BYTES;
        eprintln!("librlua: C1: the line at {:#x} was not marked", page * PAGE_SIZE + at);
        for word in (at..at + LINE_BYTES).step_by(8) {
            // SAFETY: inside the pages.
            let (now, was) = unsafe {
                (live.add(word).cast::<u64>().read(), mirrored.add(word).cast::<u64>().read())
            };
            if now != was {
                eprintln!("  {:#x}: {was:#018x} -> {now:#018x}", page * PAGE_SIZE + word);
            }
        }
    }
}
