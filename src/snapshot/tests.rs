//! Histories over pages of the test's, without a region.

use super::*;
use crate::tracker::Compare;
use crate::units::LINE_BYTES;

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
    unsafe { history.restore(live, &mut Compare, n, &mut |_| {}) }.unwrap();
}

#[test]
fn without_memory_a_capture_changes_nothing() {
    const USED: usize = 40;
    let mut pages = vec![ZERO; USED];
    let mut history = History::new(8);
    capture(&mut history, &mut pages[..USED - 1], 0).unwrap();
    let first = pages.clone();
    // Each capture finds less memory than it needs, at another place, until there is enough.
    for limit in (0..).step_by(if cfg!(miri) { 7 } else { 1 }) {
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
    let mut pages = vec![ZERO; if cfg!(miri) { 10 } else { 100 }];
    let count = pages.len();
    let mut history = History::new(20);
    for frame in 0..20 {
        pages.iter_mut().for_each(|page| page.0[frame * 100] += 1);
        capture(&mut history, &mut pages, frame as i64).unwrap();
    }
    // One line of each page a capture, 64 lines to a page of the log.
    assert_eq!(history.held_bytes(), (count + 19 * count.div_ceil(64)) * PAGE_SIZE);
    restore(&mut history, &mut pages, 20);
    let sum = |page: &Page| page.0.iter().map(|&byte| usize::from(byte)).sum::<usize>();
    assert!(pages.iter().all(|page| sum(page) == 1));
    assert_eq!(history.held_bytes(), count * PAGE_SIZE);
}

/// Writes lines of some pages; which ones and what depends on the seed.
fn scribble(pages: &mut [Page], seed: usize) {
    for (at, page) in pages.iter_mut().enumerate() {
        if (at * 7 + seed).is_multiple_of(3) {
            page.0[(at * 5 + seed * 11) % 60 * LINE_BYTES..][..1 + seed * 37 % 200]
                .fill(seed as u8);
        }
    }
}

#[test]
fn a_capture_under_the_newest_label_replaces_that_snapshot_alone() {
    // Used pages of the older snapshot, of the newest, and of what replaces it; 0: no older one.
    let sizes = if cfg!(miri) { [2, 3, 5] } else { [3, 8, 20] };
    for older in [0].into_iter().chain(sizes) {
        for (newest, replacing) in sizes.iter().flat_map(|&n| sizes.iter().map(move |&r| (n, r))) {
            let mut pages = vec![ZERO; sizes[2]];
            let mut history = History::new(4);
            scribble(&mut pages, 1);
            if older > 0 {
                capture(&mut history, &mut pages[..older], 5).unwrap();
            }
            let first = pages.clone();
            scribble(&mut pages, 2);
            capture(&mut history, &mut pages[..newest], 6).unwrap();
            for seed in 3..if cfg!(miri) { 5 } else { 6 } {
                scribble(&mut pages, seed);
                let captured = capture(&mut history, &mut pages[..replacing], 6).unwrap();
                assert_eq!(captured, Captured::Replaced);
                history.check().unwrap();
            }
            let last = pages.clone();
            scribble(&mut pages, 7);
            restore(&mut history, &mut pages, 1);
            assert_eq!(pages[..replacing], last[..replacing], "{older} {newest} {replacing}");
            if older > 0 {
                restore(&mut history, &mut pages, 2);
                assert_eq!(pages[..older], first[..older], "{older} {newest} {replacing}");
            }
            assert_eq!(history.count(), 1);
            assert_eq!(history.highest_frame(), Some(Frame(6)));
            history.check().unwrap();
        }
    }
}

#[test]
fn without_memory_a_replacement_changes_nothing() {
    let sizes: &[_] = if cfg!(miri) {
        &[(6, 4, 6), (3, 6, 5)]
    } else {
        &[(40, 40, 40), (30, 40, 35), (40, 30, 40), (20, 30, 40)]
    };
    for &(older, newest, replacing) in sizes {
        let mut refused = 0;
        for limit in 0.. {
            let mut pages = vec![ZERO; older.max(newest).max(replacing)];
            let mut history = History::new(4);
            scribble(&mut pages, 1);
            capture(&mut history, &mut pages[..older], 0).unwrap();
            let first = pages.clone();
            scribble(&mut pages, 2);
            capture(&mut history, &mut pages[..newest], 1).unwrap();
            let second = pages.clone();
            pages.iter_mut().for_each(|page| page.0.fill(9));
            let live = pages.clone();
            history.store.limit_pages = Some(history.store.used_pages() + limit);
            let replaced = capture(&mut history, &mut pages[..replacing], 1).is_ok();
            history.check().unwrap();
            assert_eq!(pages, live);
            pages.iter_mut().for_each(|page| page.0[77] = 1);
            restore(&mut history, &mut pages, 1);
            let expected = if replaced { &live[..replacing] } else { &second[..newest] };
            assert_eq!(&pages[..expected.len()], expected, "limit {limit}");
            restore(&mut history, &mut pages, 2);
            assert_eq!(pages[..older], first[..older], "limit {limit}");
            history.check().unwrap();
            if replaced {
                break;
            }
            refused += 1;
        }
        assert!(cfg!(miri) || refused > 10, "memory was refused {refused} times");
    }
}

#[test]
fn labels_rise_or_repeat_the_newest() {
    let mut pages = vec![ZERO; 2];
    let mut history = History::new(2);
    assert_eq!(history.label(None), Ok(Frame(0)));
    assert_eq!(history.label(Some(Frame(-7))), Ok(Frame(-7)));
    capture(&mut history, &mut pages, 10).unwrap();
    assert_eq!(history.label(None), Ok(Frame(11)));
    assert_eq!(history.label(Some(Frame(10))), Ok(Frame(10)));
    let lower = Err(Error::BadFrame { wanted: 9, newest: 10 });
    assert_eq!(history.label(Some(Frame(9))), lower);
    assert!(capture(&mut history, &mut pages, 9).is_err());
    capture(&mut history, &mut pages, i64::MAX).unwrap();
    assert_eq!(history.label(None), Err(Error::NoMoreFrames));
    restore(&mut history, &mut pages, 2);
    assert_eq!(history.label(None), Ok(Frame(11)));
    assert_eq!(history.highest_frame(), Some(Frame(i64::MAX)));
    history.set_max_snapshots(0);
    assert_eq!(history.label(None), Err(Error::Disabled));
}

#[test]
fn an_untouched_region_is_not_looked_at() {
    let mut pages = vec![ZERO; 2];
    let mut history = History::new(4);
    let live = Live { base: pages.as_mut_ptr().cast(), used_pages: 2 };
    // SAFETY: the pages are the test's.
    unsafe {
        // Without a snapshot there is nothing to repeat.
        history.capture(|| live, true, &mut Compare, Frame(1)).unwrap();
        assert_eq!(history.dirty_pages(), 2);
        for (frame, captured) in [(2, Captured::Added), (2, Captured::Replaced)] {
            let answer = history.capture(|| unreachable!(), true, &mut Compare, Frame(frame));
            assert_eq!((answer, history.dirty_pages()), (Ok(captured), 0));
        }
    }
    assert_eq!(history.count(), 2);
    history.check().unwrap();
}

/// A tracker that has no memory for its answer.
struct Speechless;

impl Tracker for Speechless {
    unsafe fn find(&mut self, _live: Live, _suspects: &mut PageSet) -> Result<()> {
        Err(Error::NoMemoryForPages { wanted_pages: 1 })
    }
    unsafe fn captured(&mut self, _live: Live, _changed: &PageSet) {}
    unsafe fn restored(&mut self, _live: Live) {}
    fn id(&self) -> i32 {
        0
    }
}

#[test]
fn a_restore_needs_no_answer_of_the_tracker() {
    let mut pages = vec![ZERO; 20];
    let mut history = History::new(8);
    let mut states = Vec::new();
    for frame in 0..6 {
        for page in pages.iter_mut().skip(frame).step_by(3) {
            page.0[frame * 70..][..200].fill(frame as u8 + 1);
        }
        capture(&mut history, &mut pages, frame as i64).unwrap();
        states.push(pages.clone());
    }
    for n in [1, 3, 2] {
        pages.iter_mut().for_each(|page| page.0[1000..1100].fill(0xEE));
        let live = Live { base: pages.as_mut_ptr().cast(), used_pages: pages.len() };
        // SAFETY: as for `restore`.
        unsafe { history.restore(live, &mut Speechless, n, &mut |_| {}) }.unwrap();
        states.truncate(states.len() + 1 - n);
        assert_eq!(&pages, states.last().unwrap());
        history.check().unwrap();
    }
}

/// The bytes of a copy, a page each.
fn bytes(copy: &Copy, pages: usize) -> &[[u8; PAGE_SIZE]] {
    // SAFETY: a copy has its snapshot's pages.
    unsafe { std::slice::from_raw_parts(copy.start().cast(), pages) }
}

#[test]
fn a_copy_goes_from_any_snapshot_to_any_and_knows_when_its_own_is_gone() {
    let most = if cfg!(miri) { 3 } else { 12 };
    let (mut moved, mut lost) = (0, 0);
    for seed in 1..if cfg!(miri) { 3 } else { 40 } {
        let mut random = seed * 7919;
        let mut below = |bound: usize| {
            random = (random * 48271 + 11) % 2_147_483_647;
            random / 64 % bound
        };
        let mut pages = vec![ZERO; most];
        let mut history = History::new(5);
        let mut states: Vec<(i64, Vec<Page>)> = Vec::new();
        // A copy, and the label and the state that it was made of.
        let mut kept: Option<(Copy, (i64, Vec<Page>))> = None;
        for frame in 0..if cfg!(miri) { 12 } else { 60 } {
            scribble(&mut pages, below(1000));
            let used = 1 + below(most);
            match below(6) {
                0 if !states.is_empty() => {
                    let n = 1 + below(states.len());
                    restore(&mut history, &mut pages, n);
                    states.truncate(states.len() + 1 - n);
                }
                1 if !states.is_empty() => {
                    let last = states.last_mut().unwrap();
                    capture(&mut history, &mut pages[..used], last.0).unwrap();
                    last.1 = pages[..used].to_vec();
                }
                2 if !states.is_empty() => {
                    let oldest = states[below(states.len())].0;
                    history.discard_before(Frame(oldest));
                    states.retain(|state| state.0 >= oldest);
                }
                _ => {
                    let label = states.last().map_or(frame, |last| last.0 + 1);
                    capture(&mut history, &mut pages[..used], label).unwrap();
                    states.push((label, pages[..used].to_vec()));
                    if states.len() > 5 {
                        states.remove(0);
                    }
                }
            }
            let to = 1 + below(states.len());
            let wanted = states[states.len() - to].clone();
            kept = match kept.take().zip(history.noted()) {
                Some(((mut copy, had), from)) => {
                    assert_eq!(states[states.len() - from], had, "seed {seed}, frame {frame}");
                    let mut told = vec![0; wanted.1.len()];
                    history
                        .move_copy(&mut copy, (from, to), |page, lines| told[page] = lines)
                        .unwrap();
                    for (page, &told) in told.iter().enumerate() {
                        let before = had.1.get(page).map_or(u64::MAX, |before| {
                            // SAFETY: two pages of the test's.
                            unsafe {
                                lines::differing(before.0.as_ptr(), wanted.1[page].0.as_ptr())
                            }
                        });
                        assert_eq!(before & !told, 0, "seed {seed}, frame {frame}");
                    }
                    moved += 1;
                    Some((copy, wanted))
                }
                None => {
                    lost += 1;
                    Some((history.copy_of(to).unwrap(), wanted))
                }
            };
            history.note(to);
            let (copy, (_, wanted)) = kept.as_ref().unwrap();
            let same = bytes(copy, wanted.len()).iter().zip(wanted).all(|(a, b)| *a == b.0);
            assert!(same, "seed {seed}, frame {frame}");
            history.check().unwrap();
        }
    }
    assert!(moved > lost && lost > 2, "{moved} moved, {lost} lost");
}
