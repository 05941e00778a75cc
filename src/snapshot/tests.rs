//! Histories over pages of the test's, without a region.

use super::lines::LINE_BYTES;
use super::*;
use crate::tracker::Compare;

#[repr(C, align(4096))]
#[derive(Clone, Copy, PartialEq, Debug)]
struct Page([u8; PAGE_SIZE]);

const ZERO: Page = Page([0; PAGE_SIZE]);

fn capture(history: &mut History, pages: &mut [Page], frame: i64) -> Result<Captured> {
    let live = Live { base: pages.as_mut_ptr().cast(), used_pages: pages.len() };
    // SAFETY: the pages are the test's, which does nothing meanwhile.
    unsafe { history.capture(|| live, false, &mut Compare, Frame(frame)) }
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
