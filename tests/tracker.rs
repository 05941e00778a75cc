//! One suite for every tracker backend: T1 and T2, growth, shrinking, restore, many regions, many
//! threads, a forked child, and writes that the kernel makes.
//!
//! Method: a history over a bare region, without Lua, all of it opaque: nobody announces a write.
//! The test writes, captures and restores, and keeps full copies; a page that a tracker missed is a
//! byte that differs. Now and then the region is opaque in part only, and the rest is announced. A
//! tracker that is wrong on purpose, and one that changes its backend at random, go through the
//! same programs.

use proptest::prelude::*;
use rlua::cards::{Cards, Marks};
use rlua::error::Result;
use rlua::pages::{Live, Opaque, PageSet};
use rlua::region::Region;
use rlua::snapshot::{Captured, History};
use rlua::tracker::{self, Backend, Tracker};
use rlua::units::{Frame, LINE_BYTES, PAGE_SIZE};

const PAGES: usize = if cfg!(miri) { 12 } else { 80 };

/// Backends by number; 100 and above are made here.
const SWITCHING: i32 = 100;
const WRONG: i32 = 101;

fn backends() -> Vec<i32> {
    let mut backends = vec![0, 1, 3, SWITCHING];
    match rlua::sys::written::probe() {
        Ok(()) => backends.push(2),
        Err(why) => {
            eprintln!("NOT TESTED: the uffd tracker: {why}");
            assert!(std::env::var_os("RLUA_REQUIRE_ALL").is_none(), "uffd: {why}");
        }
    }
    backends
}

/// Turns to another backend before every take, with what each needs to take over.
struct Switching {
    backends: Vec<Box<dyn Tracker>>,
    random: u32,
}

impl Tracker for Switching {
    fn ask(&mut self, used_pages: usize) -> Option<&mut Opaque> {
        self.backends[0].ask(used_pages)
    }

    unsafe fn find(&mut self, live: Live, suspects: &mut PageSet) -> Result<()> {
        // Each backend has intervals of its own, so all are asked and one is believed.
        self.random = self.random.wrapping_mul(1664525).wrapping_add(1013904223);
        let believed = self.random as usize >> 8;
        let count = self.backends.len();
        for (at, backend) in self.backends.iter_mut().enumerate() {
            let mut unused = PageSet::default();
            unused.resize(live.used_pages)?;
            let target = if at == believed % count { &mut *suspects } else { &mut unused };
            // SAFETY: the caller's contract.
            unsafe { backend.find(live, target)? };
        }
        Ok(())
    }

    unsafe fn captured(&mut self, live: Live, changed: &PageSet) {
        // SAFETY: the caller's contract.
        self.backends.iter_mut().for_each(|backend| unsafe { backend.captured(live, changed) });
    }

    unsafe fn expect_writes(&mut self, live: Live, pages: &PageSet) {
        // SAFETY: the caller's contract.
        self.backends.iter_mut().for_each(|backend| unsafe { backend.expect_writes(live, pages) });
    }

    unsafe fn restored(&mut self, live: Live) {
        // SAFETY: the caller's contract.
        self.backends.iter_mut().for_each(|backend| unsafe { backend.restored(live) });
    }

    fn id(&self) -> i32 {
        SWITCHING
    }
}

/// Never suspects the page that it forgets.
struct Wrong(Box<dyn Tracker>);

const FORGOTTEN: usize = 3;

impl Tracker for Wrong {
    unsafe fn find(&mut self, live: Live, suspects: &mut PageSet) -> Result<()> {
        // SAFETY: the caller's contract.
        unsafe { self.0.find(live, suspects)? };
        suspects.retain(|page| page != FORGOTTEN);
        Ok(())
    }

    unsafe fn captured(&mut self, live: Live, changed: &PageSet) {
        // SAFETY: the caller's contract.
        unsafe { self.0.captured(live, changed) }
    }

    unsafe fn restored(&mut self, live: Live) {
        // SAFETY: the caller's contract.
        unsafe { self.0.restored(live) }
    }

    fn id(&self) -> i32 {
        WRONG
    }
}

fn boxed(backend: Backend) -> Box<dyn Tracker> {
    match backend {
        Backend::Cards(cards) => Box::new(cards),
        Backend::Compare(compare) => Box::new(compare),
    }
}

fn open(id: i32, region: &Region, marks: Marks) -> Box<dyn Tracker> {
    let (base, bytes) = (region.base().as_ptr(), region.reserved_bytes());
    // SAFETY: the rig keeps the region and the cards longer than the tracker.
    let real = |id| boxed(unsafe { tracker::open(id, base, bytes, (marks, 4)) }.unwrap());
    match id {
        // One reader of cards a region: two would take each other's.
        SWITCHING => Box::new(Switching { backends: vec![real(0), real(1)], random: 1 }),
        WRONG => Box::new(Wrong(real(1))),
        id => real(id),
    }
}

/// A region with a history, and full copies of what the snapshots must hold, oldest first.
struct Rig {
    history: History,
    tracker: Box<dyn Tracker>,
    kept: Vec<Kept>,
    used: usize,
    announced: Announced,
    frame: i64,
    max: usize,
    region: Region,
    cards: Cards,
}

/// Which pages are not opaque: each fifth from here on, or none.
type Announced = Option<usize>;

fn is_announced(which: Announced, page: usize) -> bool {
    which.is_some_and(|first| page % 5 == first)
}

#[derive(PartialEq)]
struct Kept {
    bytes: Vec<u8>,
    announced: Announced,
}

impl Rig {
    fn new(id: i32, max: usize) -> Rig {
        let mut region = Region::reserve(PAGES * PAGE_SIZE).unwrap();
        region.commit_to(PAGES * PAGE_SIZE).unwrap();
        let mut cards = Cards::new(region.reserved_bytes()).unwrap();
        cards.cover(region.committed_bytes()).unwrap();
        let tracker = open(id, &region, cards.marks());
        let history = History::new(max);
        let kept = Vec::new();
        Rig { history, tracker, kept, used: 8, announced: None, frame: 0, max, region, cards }
    }

    fn mark(&self, page: usize) {
        // SAFETY: inside the region.
        unsafe { self.cards.marks().mark_range(page * PAGE_SIZE, PAGE_SIZE) };
    }

    /// As an allocator does: what changes hands is marked.
    fn announce(&mut self, which: Announced) {
        let was = std::mem::replace(&mut self.announced, which);
        let changed = |page: &usize| is_announced(was, *page) != is_announced(which, *page);
        (0..PAGES).filter(changed).for_each(|page| self.mark(page));
    }

    /// As an arena does before a capture or a restore.
    fn tell(&mut self) {
        let mut unnoted = Vec::new();
        let Some(opaque) = self.tracker.ask(self.used) else { return };
        opaque.lines.give_up();
        opaque.whole_pages = 0;
        for page in (0..self.used).filter(|&page| !is_announced(self.announced, page)) {
            opaque.whole_pages += 1;
            if opaque.noted {
                opaque.pages.insert(page);
            } else {
                unnoted.push(page);
            }
        }
        unnoted.into_iter().for_each(|page| self.mark(page));
    }

    fn live(&self) -> Live {
        Live { base: self.region.base().as_ptr(), used_pages: self.used }
    }

    fn write(&mut self, page: usize, byte: usize, value: u8) {
        let (page, byte) = (page % self.used, byte % PAGE_SIZE);
        let offset = page * PAGE_SIZE + byte;
        if is_announced(self.announced, page) {
            // SAFETY: inside the region.
            unsafe { self.cards.marks().mark(offset) };
        }
        // SAFETY: committed, and nothing else uses the region.
        unsafe { self.region.base().as_ptr().add(offset).write_volatile(value) };
    }

    fn state(&self) -> Kept {
        Kept { bytes: self.bytes(), announced: self.announced }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut copy = vec![0; self.used * PAGE_SIZE];
        // SAFETY: as above.
        unsafe { self.region.base().as_ptr().copy_to(copy.as_mut_ptr(), copy.len()) };
        copy
    }

    fn capture(&mut self) {
        self.frame += 1;
        assert_eq!(self.capture_anyhow(), Captured::Added);
        if self.kept.len() == self.max {
            self.kept.remove(0);
        }
        self.kept.push(self.state());
    }

    /// Captures under the newest label again.
    fn replace(&mut self) {
        if self.kept.pop().is_some() {
            assert_eq!(self.capture_anyhow(), Captured::Replaced);
            self.kept.push(self.state());
        }
    }

    fn capture_anyhow(&mut self) -> Captured {
        let (live, frame) = (self.live(), Frame(self.frame));
        self.tell();
        // SAFETY: nothing writes during the call.
        let captured = unsafe { self.history.capture(|| live, false, &mut *self.tracker, frame) };
        self.history.check().unwrap();
        captured.unwrap()
    }

    /// Restores, and answers whether every byte is what it was.
    fn restore(&mut self, n: usize) -> bool {
        let live = self.live();
        self.tell();
        // SAFETY: nothing touches the region during the call; all of it is committed.
        unsafe { self.history.restore(live, &mut *self.tracker, n, &mut |_| {}).unwrap() };
        self.kept.truncate(self.kept.len() + 1 - n);
        let kept = self.kept.last().unwrap();
        (self.used, self.announced) = (kept.bytes.len() / PAGE_SIZE, kept.announced);
        self.frame = self.history.frames().unwrap().1.0;
        self.history.check().unwrap();
        self.kept.last().unwrap() == &self.state()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Write {
        page: usize,
        byte: usize,
        value: u8,
    },
    WriteMany {
        pages: usize,
        lines: usize,
        value: u8,
    },
    Resize {
        used: usize,
    },
    Announce {
        which: Announced,
    },
    Capture,
    /// Captures under the newest label again.
    Replace,
    /// Captures in a row, each after the same pages were written, as games do.
    Frames {
        count: u8,
        page: usize,
        pages: usize,
    },
    Restore {
        n: usize,
    },
    Discard {
        which: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..PAGES, 0..PAGE_SIZE, any::<u8>())
            .prop_map(|(page, byte, value)| Step::Write { page, byte, value }),
        1 => (0..PAGES, 1..=64usize, any::<u8>())
            .prop_map(|(pages, lines, value)| Step::WriteMany { pages, lines, value }),
        2 => (1..=PAGES).prop_map(|used| Step::Resize { used }),
        1 => prop_oneof![Just(None), (0..5usize).prop_map(Some)]
            .prop_map(|which| Step::Announce { which }),
        5 => Just(Step::Capture),
        2 => Just(Step::Replace),
        2 => (1..9u8, 0..PAGES, 0..6usize)
            .prop_map(|(count, page, pages)| Step::Frames { count, page, pages }),
        3 => (1..6usize).prop_map(|n| Step::Restore { n }),
        1 => (0..6i64).prop_map(|which| Step::Discard { which }),
    ]
}

/// False when a restore put back a wrong byte.
fn survives(id: i32, max: usize, steps: &[Step]) -> bool {
    let mut rig = Rig::new(id, max);
    for step in steps {
        match *step {
            Step::Write { page, byte, value } => rig.write(page, byte, value),
            Step::WriteMany { pages, lines, value } => (0..pages).for_each(|page| {
                (0..lines).for_each(|line| rig.write(page, line * LINE_BYTES + page, value));
            }),
            Step::Resize { used } => rig.used = used,
            Step::Announce { which } => rig.announce(which),
            Step::Capture => rig.capture(),
            Step::Replace => rig.replace(),
            Step::Frames { count, page, pages } => {
                for value in 0..count {
                    (page..page + pages).for_each(|page| rig.write(page, page * 99, value));
                    rig.capture();
                }
            }
            Step::Restore { n } if n <= rig.kept.len() => {
                if !rig.restore(n) {
                    return false;
                }
            }
            Step::Discard { which } => {
                rig.history.discard_before(Frame(rig.frame - which));
                let held = rig.history.count();
                rig.kept.drain(..rig.kept.len() - held);
            }
            Step::Restore { .. } => {}
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 400 },
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn no_backend_misses_a_write(
        id in prop::sample::select(backends()),
        max in 1..7usize,
        steps in prop::collection::vec(step(), 1..if cfg!(miri) { 30 } else { 120 }),
    ) {
        prop_assert!(survives(id, max, &steps));
    }
}

#[test]
fn a_tracker_that_misses_a_page_is_caught() {
    let steps = [
        Step::Capture,
        Step::Write { page: FORGOTTEN, byte: 5, value: 7 },
        Step::Capture,
        Step::Write { page: FORGOTTEN, byte: 5, value: 8 },
        Step::Restore { n: 1 },
    ];
    assert!(survives(1, 2, &steps));
    assert!(!survives(WRONG, 2, &steps));
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn the_choice_follows_the_frames() {
    let mut rig = Rig::new(0, 4);
    rig.used = PAGES;
    let mut value = 0u8;
    let mut run = |rig: &mut Rig, pages: usize| {
        for _ in 0..100 {
            value = value.wrapping_add(1);
            (0..pages).for_each(|page| rig.write(page, 7, value));
            rig.capture();
        }
        rig.tracker.id()
    };
    let few = if backends().contains(&2) { 2 } else { 3 };
    assert_eq!(run(&mut rig, 1), few, "few pages: the watch");
    assert_eq!(run(&mut rig, PAGES), 3, "all pages: comparing");
    assert_eq!(run(&mut rig, 0), few, "no pages: the watch again");
}

#[test]
#[cfg_attr(miri, ignore = "no /proc")]
fn writes_of_the_kernel_are_seen() {
    for id in backends() {
        let mut rig = Rig::new(id, 2);
        rig.capture();
        rig.capture();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        use std::os::fd::AsRawFd;
        // SAFETY: into the committed region, which nothing else uses.
        let read = unsafe {
            let target = rig.region.base().as_ptr().add(2 * PAGE_SIZE - 10);
            libc::read(file.as_raw_fd(), target.cast(), PAGE_SIZE + 20)
        };
        assert_eq!(read as usize, PAGE_SIZE + 20, "backend {id}");
        let written = rig.bytes();
        rig.capture();
        (0..8).for_each(|page| rig.write(page, 1, 99));
        assert!(rig.restore(1) && rig.bytes() == written, "backend {id}");
        assert!(rig.restore(2), "backend {id}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn many_regions_do_not_disturb_each_other() {
    for id in backends() {
        let mut rigs: Vec<Rig> = (0..50).map(|_| Rig::new(id, 2)).collect();
        for round in 1..5u8 {
            for (at, rig) in rigs.iter_mut().enumerate() {
                rig.write(at, at, round);
                rig.capture();
            }
        }
        for (at, rig) in rigs.iter_mut().enumerate() {
            rig.write(at + 1, at, 200);
            assert!(rig.restore(1 + at % 2), "backend {id}, region {at}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "slow")]
fn regions_of_many_threads_do_not_disturb_each_other() {
    std::thread::scope(|scope| {
        for id in backends() {
            for seed in 0..3usize {
                scope.spawn(move || {
                    let mut rig = Rig::new(id, 5);
                    for round in 0..200usize {
                        rig.write(round * 7 + seed, round, round as u8);
                        rig.used = 1 + (round * 13 + seed) % PAGES;
                        rig.capture();
                        rig.write(round, round, 0xee);
                        if round % 3 == 0 {
                            assert!(rig.restore(1 + round % rig.kept.len()), "backend {id}");
                        }
                    }
                });
            }
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "no fork")]
fn a_forked_child_loses_no_write() {
    for id in backends() {
        let mut rig = Rig::new(id, 4);
        for round in 0..6 {
            rig.write(round, 3, 1);
            rig.capture();
        }
        // SAFETY: the child only computes and leaves with _exit; it takes no lock that another
        // thread may have held.
        let child = unsafe { libc::fork() };
        if child == 0 {
            rig.write(5, 3, 2);
            rig.capture();
            rig.write(6, 3, 3);
            let fine = rig.restore(1) && rig.restore(2);
            // SAFETY: ends the child without running the parent's handlers.
            unsafe { libc::_exit(if fine { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "backend {id}: the child");
        rig.write(7, 3, 4);
        rig.capture();
        rig.write(6, 3, 5);
        assert!(rig.restore(1) && rig.restore(3), "backend {id}: the parent, afterwards");
    }
}
