//! Resources against a model: random programs of creations, losses, early closes, collections,
//! snaps, rollbacks, discards and closes, over thousands of resources. The model keeps, for the
//! live state and for each held snapshot, which resources it reaches, and which lost handles may
//! still lie in it uncollected: a snapshot holds garbage as well. After every step nothing that
//! anything reaches was released; after a full collection everything else was, once. proptest
//! prints the seed and the shrunk program.
//!
//! Not here: the order of releases and callbacks (`c-tests/resources.c`).

mod protected;

use proptest::prelude::*;
use protected::*;
use rlua::ffi::life::*;
use rlua::ffi::resources::*;
use rlua::ffi::snapshots::*;
use rlua::ffi::status::rlua_last_error;
use rlua::lua::lua_State;
use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

const COLLECT: c_int = 2; // LUA_GCCOLLECT
const STEP: c_int = 5; // LUA_GCSTEP
const INCREMENTAL: c_int = 11; // LUA_GCINC
const GENERATIONAL: c_int = 10; // LUA_GCGEN

#[derive(Clone, Debug)]
enum Step {
    Create { count: u8 },
    Lose { count: u8, from: u16 },
    Close { which: u16 },
    Collect,
    CollectSome { size: u8 },
    Mode { generational: bool },
    Snap,
    SnapAgain,
    Rollback { n: u8 },
    DiscardBefore { keep: u8 },
    SetMax { max: u8 },
}

/// The object behind a handle: how often it was released.
struct Object {
    released: Cell<u32>,
}

unsafe extern "C" fn release(_: *mut lua_State, object: *mut c_void, _: *mut c_void) {
    // SAFETY: an object of the model, which outlives the VM.
    let object = unsafe { &*object.cast::<Object>() };
    object.released.set(object.released.get() + 1);
}

fn kind() -> rlua_ResourceType {
    rlua_ResourceType {
        size: size_of::<rlua_ResourceType>(),
        name: c"Thing".as_ptr(),
        release: Some(release),
        ud: ptr::null_mut(),
        methods: ptr::null(),
    }
}

/// Resources of one state, by number.
#[derive(Clone, Default)]
struct Reached {
    /// Those that the script can reach.
    live: BTreeSet<usize>,
    /// Those whose handle was lost, and perhaps not collected yet.
    lost: BTreeSet<usize>,
}

/// A VM with a global table `t` of handles, and what it must be like.
struct Model {
    lua: *mut lua_State,
    #[allow(clippy::vec_box)] // the VM holds their addresses
    objects: Vec<Box<Object>>,
    now: Reached,
    held: VecDeque<Reached>,
    max: usize,
    next_frame: i64,
}

impl Model {
    fn new(max: usize) -> Model {
        // SAFETY: a new VM, of this thread.
        let lua = rlua_new_rollback(64 << 20, max);
        assert!(!lua.is_null());
        let mut model = Model {
            lua,
            objects: Vec::new(),
            now: Reached::default(),
            held: VecDeque::new(),
            max,
            next_frame: 0,
        };
        // SAFETY: the VM is live.
        unsafe {
            model.ok(rlua_createtable(lua, 0, 0));
            model.ok(rlua_setglobal(lua, c"t".as_ptr()));
        }
        model
    }

    fn ok(&mut self, status: c_int) {
        // SAFETY: the VM is live.
        let sentence = unsafe { CStr::from_ptr(rlua_last_error(self.lua)) };
        assert_eq!(status, 0, "{}", sentence.to_string_lossy());
    }

    fn create(&mut self) {
        let number = self.objects.len();
        self.objects.push(Box::new(Object { released: Cell::new(0) }));
        let object: *const Object = &*self.objects[number];
        // SAFETY: the VM is live, the object outlives it.
        unsafe {
            self.ok(rlua_getglobal(self.lua, c"t".as_ptr()));
            self.ok(rlua_pushresource(self.lua, object.cast_mut().cast(), &kind()));
            self.ok(rlua_seti(self.lua, -2, number as i64));
            self.pop();
        }
        self.now.live.insert(number);
    }

    fn pop(&mut self) {
        // SAFETY: the VM is live; the stack holds what these calls left.
        unsafe { self.ok(rlua_settop(self.lua, 0)) }
    }

    fn pick(&self, which: u16) -> Option<usize> {
        let live = &self.now.live;
        live.iter().nth(which as usize % live.len().max(1)).copied()
    }

    fn lose(&mut self, number: usize) {
        // SAFETY: the VM is live.
        unsafe {
            self.ok(rlua_getglobal(self.lua, c"t".as_ptr()));
            self.ok(rlua_pushnil(self.lua));
            self.ok(rlua_seti(self.lua, -2, number as i64));
            self.pop();
        }
        self.now.live.remove(&number);
        self.now.lost.insert(number);
    }

    /// Closes early; the handle stays in the table, dead.
    fn close_one(&mut self, number: usize) {
        // SAFETY: the VM is live.
        unsafe {
            self.ok(rlua_getglobal(self.lua, c"t".as_ptr()));
            self.ok(rlua_geti(self.lua, -1, number as i64));
            self.ok(rlua_closeresource(self.lua, -1, &kind()));
            self.pop();
        }
        self.now.live.remove(&number);
    }

    fn drop_oldest_to(&mut self, count: usize) {
        while self.held.len() > count {
            self.held.pop_front();
        }
    }

    fn snap(&mut self) {
        // SAFETY: the VM is live.
        let status = unsafe { rlua_snap_frame(self.lua, self.next_frame) };
        if self.max == 0 {
            assert_eq!(status, 5);
            return;
        }
        self.ok(status);
        self.next_frame += 1;
        self.held.push_back(self.now.clone());
        self.drop_oldest_to(self.max);
    }

    /// Under the newest label, which replaces that snapshot.
    fn snap_again(&mut self) {
        if let Some(newest) = self.held.back_mut() {
            newest.clone_from(&self.now);
            // SAFETY: the VM is live.
            let status = unsafe { rlua_snap_frame(self.lua, self.next_frame - 1) };
            self.ok(status);
        }
    }

    fn rollback(&mut self, n: usize) {
        if self.held.is_empty() {
            return;
        }
        let n = 1 + n % self.held.len();
        // SAFETY: the VM is live.
        let status = unsafe { rlua_rollback(self.lua, n) };
        self.ok(status);
        self.held.truncate(self.held.len() + 1 - n);
        self.next_frame -= n as i64 - 1;
        self.now = self.held.back().cloned().unwrap_or_default();
    }

    fn discard(&mut self, keep: usize) {
        let keep = keep % (self.held.len() + 1);
        // SAFETY: the VM is live.
        let status = unsafe { rlua_discard_before(self.lua, self.next_frame - keep as i64) };
        self.ok(status);
        self.drop_oldest_to(keep);
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Create { count } => (0..count).for_each(|_| self.create()),
            Step::Lose { count, from } => {
                for _ in 0..count {
                    if let Some(number) = self.pick(from) {
                        self.lose(number);
                    }
                }
            }
            Step::Close { which } => {
                if let Some(number) = self.pick(which) {
                    self.close_one(number);
                }
            }
            Step::Collect => self.gc(COLLECT, 0),
            Step::CollectSome { size } => self.gc(STEP, size.into()),
            Step::Mode { generational: true } => self.gc(GENERATIONAL, 0),
            Step::Mode { generational: false } => self.gc(INCREMENTAL, 0),
            Step::Snap => self.snap(),
            Step::SnapAgain => self.snap_again(),
            Step::Rollback { n } => self.rollback(n.into()),
            Step::DiscardBefore { keep } => self.discard(keep.into()),
            Step::SetMax { max } => {
                // SAFETY: the VM is live.
                let status = unsafe { rlua_set_max_snapshots(self.lua, max.into()) };
                self.ok(status);
                self.max = max.into();
                self.drop_oldest_to(self.max);
            }
        }
        self.check(matches!(step, Step::Collect));
    }

    fn gc(&mut self, what: c_int, data: c_int) {
        // SAFETY: the VM is live.
        let status = unsafe { rlua_gc(self.lua, what, data) };
        self.ok(status);
        if what == COLLECT {
            self.now.lost.clear();
        }
    }

    /// Nothing reachable is released; after a collection, everything else is, once.
    fn check(&self, collected: bool) {
        let states = || self.held.iter().chain([&self.now]);
        let live: BTreeSet<_> = states().flat_map(|state| &state.live).collect();
        let lost: BTreeSet<_> = states().flat_map(|state| &state.lost).collect();
        for (number, object) in self.objects.iter().enumerate() {
            let released = object.released.get();
            if live.contains(&number) {
                assert_eq!(released, 0, "resource {number} is reachable");
            } else if collected && !lost.contains(&number) {
                assert_eq!(released, 1, "resource {number} is not reachable");
            } else {
                assert!(released <= 1, "resource {number}");
            }
        }
    }

    fn end(mut self, with_check: bool) {
        if with_check {
            // SAFETY: the VM is live.
            let status = unsafe { rlua_check(self.lua) };
            self.ok(status);
        }
        // SAFETY: nothing uses the VM any more.
        unsafe { lua_close(self.lua) };
        for (number, object) in self.objects.iter().enumerate() {
            assert_eq!(object.released.get(), 1, "resource {number} after lua_close");
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u8..40).prop_map(|count| Step::Create { count }),
        4 => (1u8..40, any::<u16>()).prop_map(|(count, from)| Step::Lose { count, from }),
        2 => any::<u16>().prop_map(|which| Step::Close { which }),
        3 => Just(Step::Collect),
        2 => any::<u8>().prop_map(|size| Step::CollectSome { size }),
        1 => any::<bool>().prop_map(|generational| Step::Mode { generational }),
        6 => Just(Step::Snap),
        3 => Just(Step::SnapAgain),
        4 => (0u8..12).prop_map(|n| Step::Rollback { n }),
        1 => (0u8..12).prop_map(|keep| Step::DiscardBefore { keep }),
        1 => (0u8..9).prop_map(|max| Step::SetMax { max }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_resource_is_released_once_and_never_while_reachable(
        max in 0usize..8,
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut model = Model::new(max);
        steps.iter().for_each(|step| model.run(step));
        model.end(true);
    }
}

#[test]
fn a_model_that_forgets_a_snapshot_is_caught() {
    let mut model = Model::new(4);
    model.create();
    model.run(&Step::Snap);
    model.lose(0);
    model.gc(COLLECT, 0);
    model.held.clear();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| model.check(true)));
    assert!(caught.is_err());
    model.end(true);
}

#[test]
fn ten_thousand_resources_come_and_go() {
    let mut model = Model::new(4);
    for round in 0..10 {
        (0..1000).for_each(|_| model.create());
        model.run(&Step::Snap);
        (0..500).for_each(|n| model.lose(round * 1000 + n));
        model.gc(COLLECT, 0);
        if round % 3 == 2 {
            model.run(&Step::Rollback { n: 1 });
        }
        if let Some(number) = model.pick(7) {
            model.close_one(number);
        }
    }
    model.gc(COLLECT, 0);
    model.check(true);
    model.end(true);
}
