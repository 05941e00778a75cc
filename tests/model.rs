//! Snapshots against a model: random programs of script steps, collections, snaps, rollbacks,
//! discards and growth. The model keeps a full copy of the used pages for each snapshot; after
//! each rollback the arena must equal it, byte for byte. proptest prints the seed and the shrunk
//! program.

mod protected;

use proptest::prelude::*;
use protected::*;
use rlua::error::Status;
use rlua::ffi::life::*;
use rlua::ffi::snapshots::*;
use rlua::ffi::status::rlua_last_error;
use rlua::lua::lua_State;
use std::collections::VecDeque;
use std::ffi::{CStr, CString};

const PAGE_BYTES: usize = 4096;
const REGION_BYTES: usize = 1 << 32;

/// Scripts of one step each. `n` is a number from the program. They keep their state in globals.
const SCRIPTS: [&str; 12] = [
    "world = world or {}; for i = 1, n do world[#world + 1] = {x = i, y = {i}} end",
    "for i = 1, #(world or {}), 7 do world[i].x = world[i].x + n end",
    "world = nil",
    "text = (text or '') .. ('x'):rep(n); parts = {}; \
     for i = 1, n do parts[i] = text:sub(1, i) end",
    "big = {}; for i = 1, n * 40 do big[i] = i end",
    "big = nil; text = nil; parts = nil",
    "count = 0; function counter() count = count + 1; return count end; \
     for _ = 1, n do counter() end",
    "co = coroutine.wrap(function() \
     local sum = 0; while true do sum = sum + coroutine.yield(sum) end end); co()",
    "if co then for i = 1, n do total = co(i) end end",
    "fin = setmetatable({}, {__gc = function(t) dead = (dead or 0) + 1; world = {} end}); \
     fin = nil",
    "weak = setmetatable({}, {__mode = 'k'}); for i = 1, n do weak[{}] = {i} end",
    "keyed = keyed or {}; for i = 1, n do keyed['k' .. i] = i; keyed['k' .. (i // 2)] = nil end",
];

#[derive(Clone, Debug)]
enum Step {
    Run { script: usize, n: u16 },
    Collect,
    CollectSteps { steps: u8 },
    Generational,
    Incremental,
    Snap,
    SnapFrame { ahead: u8 },
    Rollback { n: usize },
    RollbackTo { which: usize },
    DiscardBefore { which: usize },
    SetMax { max: usize },
}

struct Kept {
    frame: i64,
    bytes: Vec<u8>,
}

/// A VM and full copies of what its snapshots must hold, oldest first.
struct Model {
    lua: *mut lua_State,
    kept: VecDeque<Kept>,
    max: usize,
}

impl Model {
    fn new(memory: usize, max: usize, tracker: i32) -> Model {
        let mut lua = std::ptr::null_mut();
        // SAFETY: zero is the default in every field.
        let mut config: rlua_Config = unsafe { std::mem::zeroed() };
        config.size = size_of::<rlua_Config>();
        config.memory_size = memory;
        config.max_snapshots = max;
        config.seed = 7;
        config.tracker = tracker;
        // SAFETY: both point to live places; the VM is this thread's.
        unsafe {
            assert_eq!(rlua_open(&config, &mut lua), 0, "{}", sentence(lua));
            assert_eq!(rlua_openlibs(lua, 0x3ff), 0, "{}", sentence(lua));
        }
        Model { lua, kept: VecDeque::new(), max }
    }

    fn info(&self) -> rlua_Info {
        // SAFETY: all fields are plain numbers.
        let mut info: rlua_Info = unsafe { std::mem::zeroed() };
        info.size = size_of::<rlua_Info>();
        // SAFETY: the VM is live.
        assert_eq!(unsafe { rlua_info(self.lua, &mut info) }, 0);
        info
    }

    /// A copy of the used pages.
    fn bytes(&self) -> Vec<u8> {
        let base = (self.lua as usize & !(REGION_BYTES - 1)) as *const u8;
        let length = self.info().used_bytes.next_multiple_of(PAGE_BYTES);
        let mut copy = vec![0; length];
        // SAFETY: the used pages can be read, and nothing writes them now.
        unsafe { base.copy_to_nonoverlapping(copy.as_mut_ptr(), length) };
        copy
    }

    fn run_script(&self, text: &str) {
        let chunk = CString::new(text).unwrap();
        // SAFETY: the VM is live. Running out of memory is part of the game.
        let status = unsafe { rlua_dostring(self.lua, chunk.as_ptr()) };
        let fine = status == 0 || status == Status::ErrMem as i32;
        assert!(fine, "{text}: {status} {}", sentence(self.lua));
        if status != 0 {
            // SAFETY: as above.
            unsafe { rlua_setglobal(self.lua, c"failure".as_ptr()) };
        }
    }

    fn expect_restored(&self, status: i32, at: usize) {
        assert_eq!(status, 0, "{}", sentence(self.lua));
        let (now, then) = (self.bytes(), &self.kept[at].bytes);
        assert_eq!(now.len(), then.len(), "used pages differ");
        if let Some(at) = (0..now.len()).find(|&at| now[at] != then[at]) {
            panic!("byte {at:#x} (page {}) was not restored", at / PAGE_BYTES);
        }
        self.run_script("assert(#_VERSION == 7)");
        // What the check above ran is undone, so that the copies stay what the snapshots hold.
        // SAFETY: the VM is live.
        assert_eq!(unsafe { rlua_rollback(self.lua, 1) }, 0);
    }

    fn keep(&mut self, status: i32, frame: i64) {
        if self.max == 0 {
            assert_eq!(status, Status::Disabled as i32);
            return;
        }
        assert_eq!(status, 0, "{}", sentence(self.lua));
        if self.kept.len() == self.max {
            self.kept.pop_front();
        }
        let bytes = self.bytes();
        self.kept.push_back(Kept { frame, bytes });
    }

    fn step(&mut self, step: &Step) {
        let newest = self.kept.back().map(|kept| kept.frame);
        // SAFETY: the VM is live and this thread's.
        unsafe {
            match *step {
                Step::Run { script, n } => {
                    let script = SCRIPTS[script % SCRIPTS.len()];
                    self.run_script(&format!("local n = {n}; {script}"));
                }
                Step::Collect => self.run_script("collectgarbage()"),
                Step::CollectSteps { steps } => {
                    self.run_script(&format!("for _ = 1, {steps} do collectgarbage('step') end"));
                }
                Step::Generational => self.run_script("collectgarbage('generational')"),
                Step::Incremental => self.run_script("collectgarbage('incremental')"),
                Step::Snap => {
                    let status = rlua_snap(self.lua);
                    self.keep(status, newest.map_or(0, |newest| newest + 1));
                }
                Step::SnapFrame { ahead } => {
                    let frame = newest.unwrap_or(-5) + i64::from(ahead);
                    let status = rlua_snap_frame(self.lua, frame);
                    if ahead == 0 && newest.is_some() && self.max > 0 {
                        // The newest label again: replaces that snapshot.
                        self.kept.pop_back();
                    }
                    self.keep(status, frame);
                }
                Step::Rollback { n } => {
                    let status = rlua_rollback(self.lua, n);
                    if n == 0 || n > self.kept.len() {
                        assert_eq!(status, Status::NoSnapshot as i32);
                        return;
                    }
                    self.kept.truncate(self.kept.len() - n + 1);
                    self.expect_restored(status, self.kept.len() - 1);
                }
                Step::RollbackTo { which } => {
                    if self.kept.is_empty() {
                        assert_eq!(rlua_rollback_to(self.lua, 0), Status::NoSnapshot as i32);
                        return;
                    }
                    let at = which % self.kept.len();
                    let status = rlua_rollback_to(self.lua, self.kept[at].frame);
                    self.kept.truncate(at + 1);
                    self.expect_restored(status, at);
                }
                Step::DiscardBefore { which } => {
                    if !self.kept.is_empty() {
                        let frame = self.kept[which % self.kept.len()].frame;
                        assert_eq!(rlua_discard_before(self.lua, frame), 0);
                        self.kept.retain(|kept| kept.frame >= frame);
                    }
                }
                Step::SetMax { max } => {
                    assert_eq!(rlua_set_max_snapshots(self.lua, max), 0);
                    self.max = max;
                    self.kept.drain(..self.kept.len().saturating_sub(max));
                }
            }
        }
    }

    fn check(&self) {
        // SAFETY: the VM is live.
        assert_eq!(unsafe { rlua_check(self.lua) }, 0, "{}", sentence(self.lua));
        let info = self.info();
        assert_eq!(info.snapshot_count, self.kept.len());
        assert!(info.used_bytes <= info.limit_bytes && info.peak_bytes >= info.used_bytes);
        if let (Some(oldest), Some(newest)) = (self.kept.front(), self.kept.back()) {
            assert_eq!((info.oldest_frame, info.newest_frame), (oldest.frame, newest.frame));
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: live, and closed once.
        unsafe { lua_close(self.lua) }
    }
}

fn sentence(lua: *mut lua_State) -> String {
    // SAFETY: NULL or live; the sentence is copied at once.
    unsafe { CStr::from_ptr(rlua_last_error(lua)).to_string_lossy().into_owned() }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..SCRIPTS.len(), 1..400u16).prop_map(|(script, n)| Step::Run { script, n }),
        1 => Just(Step::Collect),
        2 => (1..30u8).prop_map(|steps| Step::CollectSteps { steps }),
        1 => Just(Step::Generational),
        1 => Just(Step::Incremental),
        5 => Just(Step::Snap),
        1 => (0..4u8).prop_map(|ahead| Step::SnapFrame { ahead }),
        4 => (0..6usize).prop_map(|n| Step::Rollback { n }),
        1 => (0..9usize).prop_map(|which| Step::RollbackTo { which }),
        1 => (0..9usize).prop_map(|which| Step::DiscardBefore { which }),
        1 => (0..8usize).prop_map(|max| Step::SetMax { max }),
    ]
}

fn run(memory: usize, max: usize, tracker: i32, steps: &[Step]) {
    let mut model = Model::new(memory, max, tracker);
    for step in steps {
        model.step(step);
        model.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn rollback_restores_every_byte(
        memory in prop_oneof![Just(128 << 10), Just(512 << 10), Just(8 << 20)],
        max in 0..6usize,
        tracker in prop::sample::select(trackers()),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(memory, max, tracker, &steps);
    }
}

/// What a frame of a game does: scripts and the collector, with captures between.
fn input() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..SCRIPTS.len(), 1..400u16).prop_map(|(script, n)| Step::Run { script, n }),
        1 => Just(Step::Collect),
        2 => (1..30u8).prop_map(|steps| Step::CollectSteps { steps }),
        1 => Just(Step::Generational),
        1 => Just(Step::Incremental),
        3 => Just(Step::Snap),
    ]
}

/// Words of the same place that differ. Pointers out of the region do not, within one process.
fn differing_words(one: &[u8], other: &[u8]) -> Vec<(usize, u64, u64)> {
    assert_eq!(one.len(), other.len(), "used pages differ");
    let word = |bytes: &[u8], at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    (0..one.len())
        .step_by(8)
        .map(|at| (at, word(one, at), word(other, at)))
        .filter(|&(_, one, other)| one != other)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..Default::default()
    })]

    /// The same inputs from the same snapshot give the same bytes: stale memory, uninitialised
    /// fields and padding among them.
    #[test]
    fn a_replay_after_a_rollback_is_byte_exact(
        memory in prop_oneof![Just(512 << 10), Just(8 << 20)],
        tracker in prop::sample::select(trackers()),
        before in prop::collection::vec(step(), 1..30),
        inputs in prop::collection::vec(input(), 1..30),
    ) {
        let mut model = Model::new(memory, 64, tracker);
        before.iter().for_each(|step| model.step(step));
        model.step(&Step::SetMax { max: 64 });
        model.step(&Step::Snap);
        let frame = model.kept.back().unwrap().frame;
        inputs.iter().for_each(|step| model.step(step));
        let first = model.bytes();
        for _ in 0..2 {
            // SAFETY: the VM is live.
            assert_eq!(unsafe { rlua_rollback_to(model.lua, frame) }, 0);
            model.kept.retain(|kept| kept.frame <= frame);
            inputs.iter().for_each(|step| model.step(step));
            let differing = differing_words(&first, &model.bytes());
            prop_assert!(differing.is_empty(), "{:x?}", differing);
        }
    }
}

/// The backends of this machine: auto, compare, cards, and uffd where the kernel has it.
fn trackers() -> Vec<i32> {
    let mut trackers = vec![0, 1, 3];
    match rlua::sys::written::probe() {
        Ok(()) => trackers.push(2),
        Err(why) => {
            eprintln!("NOT TESTED: the uffd tracker: {why}");
            assert!(std::env::var_os("RLUA_REQUIRE_ALL").is_none(), "uffd: {why}");
        }
    }
    trackers
}

#[test]
fn the_model_sees_a_byte_that_was_not_restored() {
    let mut model = Model::new(1 << 20, 2, 1);
    model.step(&Step::Snap);
    let last = model.kept[0].bytes.len() - 1;
    model.kept[0].bytes[last] ^= 1;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        model.step(&Step::Rollback { n: 1 });
    }));
    assert!(outcome.is_err());
}

#[test]
fn an_untouched_vm_copies_nothing() {
    for tracker in trackers() {
        let mut model = Model::new(1 << 20, 4, tracker);
        model.step(&Step::Snap);
        assert!(model.info().dirty_pages > 5);
        let held = model.info().snapshot_bytes;
        for _ in 0..10 {
            model.step(&Step::Snap);
            assert_eq!(model.info().dirty_pages, 0, "tracker {tracker}");
            assert_eq!(model.info().snapshot_bytes, held);
        }
    }
}
