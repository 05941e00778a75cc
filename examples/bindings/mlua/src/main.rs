//! mlua on a VM of librlua: owning userdata, snapshots, collections, rollbacks.
//!
//! mlua keeps some of its state in Rust, where no rollback reaches, and some in the VM, where one
//! does. What a host does so that the two agree is in [`Vm`], and nowhere else:
//!
//! 1. *Places for handles.* A handle is a place on the stack of a thread that mlua has in the
//!    registry; which places are free, and how many there are, stands in Rust. A place that was
//!    made after the snapshot is not there after the rollback, and mlua would write behind the end
//!    of the stack. So [`Vm::open`] takes as many handles as will ever live at once and drops them;
//!    [`Vm::snap`] sees that there were never more.
//! 2. *Metatables of types.* Their references in the registry, and their addresses, stand in Rust:
//!    `Vm::open` makes one object of each type.
//! 3. *The pool of errors.* mlua keeps userdata for the errors of callbacks in such places, and in
//!    Rust which places. An error takes one out, a later callback puts another one elsewhere: after
//!    the rollback the place holds nil, and the next error is written through a null pointer.
//!    [`Vm::rollback`] empties the pool first: each error takes out one.
//!
//! A handle (`Table`, `Function`, `AnyUserData`) that was taken after a snapshot names nothing
//! after the rollback to it: drop it before. docs/BINDINGS.md has the whole list.
//!
//! Not here: speed, and mlua's features `async` and `send`.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::{Error, Function, Lua, Result, Table, UserData, UserDataMethods, Value, ffi};

type State = *mut mlua::lua_State;

unsafe extern "C" {
    fn rlua_new_rollback(memory_size: usize, max_snapshots: usize) -> State;
    fn rlua_snap(state: State) -> c_int;
    fn rlua_rollback(state: State, n: usize) -> c_int;
    fn rlua_check(state: State) -> c_int;
    fn rlua_snapshot_count(state: State, count: *mut usize) -> c_int;
    fn rlua_last_error(state: State) -> *const c_char;
}

static MADE: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

/// What C++ calls an owning usertype: all of it but the pointer lies outside the VM.
struct Player {
    name: String,
    items: Vec<String>,
    world: Arc<AtomicUsize>,
}

impl Player {
    fn new(name: String, world: &Arc<AtomicUsize>) -> Self {
        MADE.fetch_add(1, Ordering::Relaxed);
        world.fetch_add(1, Ordering::Relaxed);
        let items = (0..10).map(|i| format!("{name}'s item {i}")).collect();
        Self { name, items, world: Arc::clone(world) }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // A second drop of the same block would free these twice.
        assert!(self.items.iter().all(|item| item.starts_with(&self.name)));
        self.world.fetch_sub(1, Ordering::Relaxed);
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

impl UserData for Player {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("name", |_, this, ()| Ok(this.name.clone()));
        methods.add_method("count", |_, this, ()| Ok(this.items.len()));
        methods.add_method_mut("give", |_, this, item: String| {
            this.items.push(format!("{} has {item}", this.name));
            Ok(())
        });
    }
}

/// As many handles as are alive at once, those inside of mlua's own functions included.
const HANDLES: usize = 1000;

/// Callbacks that are active at once when Lua calls Rust, which calls Lua, which calls Rust: the
/// pool of errors grows to as many. Lua stops at 200 (LUAI_MAXCCALLS), so this is always enough; a
/// host that knows its callbacks puts a smaller number here, for a cheaper rollback.
const NESTED: usize = 200;

/// A VM with mlua in it. mlua does not own it: `close` does.
struct Vm {
    state: State,
    lua: Lua,
    /// The thread whose stack holds what handles name.
    places: State,
    reserved: c_int,
    fail: Function,
    world: Arc<AtomicUsize>,
}

impl Vm {
    fn open(max_snapshots: usize) -> Self {
        let world = Arc::new(AtomicUsize::new(0));
        // SAFETY: a new VM, which only this function uses.
        let (state, lua, places) = unsafe {
            let state = rlua_new_rollback(16 << 20, max_snapshots);
            assert!(!state.is_null());
            ffi::luaL_openlibs(state);
            let lua = Lua::get_or_init_from_ptr(state).clone();
            (state, lua, places_of_handles(state))
        };
        let fail = lua.create_function(|_, ()| Err::<(), _>(Error::runtime("no more"))).unwrap();
        let player_world = Arc::clone(&world);
        let make = lua.create_function(move |_, name: String| Ok(Player::new(name, &player_world)));
        lua.globals().set("player", make.unwrap()).unwrap();
        lua.load("local p = player 'first' p:name() p:give 'nothing'").exec().unwrap();
        let handles: Result<Vec<Table>> = (0..HANDLES).map(|_| lua.create_table()).collect();
        drop(handles.unwrap());
        // SAFETY: the thread is in the registry.
        let reserved = unsafe { ffi::lua_gettop(places) };
        Self { state, lua, places, reserved, fail, world }
    }

    fn run(&self, chunk: &str) {
        self.lua.load(chunk).exec().unwrap_or_else(|error| panic!("{chunk}: {error}"));
    }

    fn eval(&self, chunk: &str) -> String {
        let text: Value = self.lua.load(chunk).eval().unwrap();
        text.to_string().unwrap()
    }

    fn snap(&self) {
        // SAFETY: the VM and the thread live.
        unsafe {
            let used = ffi::lua_gettop(self.places);
            assert!(used == self.reserved, "{used} handles at once: raise HANDLES");
            self.status("snap", rlua_snap(self.state));
        }
    }

    fn rollback(&self, n: usize) {
        for _ in 0..NESTED {
            assert!(self.fail.call::<()>(()).is_err());
        }
        // SAFETY: the VM lives, and no Lua runs in it.
        unsafe {
            self.status("rollback", rlua_rollback(self.state, n));
            self.status("check", rlua_check(self.state));
        }
    }

    fn snapshot_count(&self) -> usize {
        let mut count = 0;
        // SAFETY: the VM lives.
        self.status("count", unsafe { rlua_snapshot_count(self.state, &mut count) });
        count
    }

    fn status(&self, what: &str, status: c_int) {
        // SAFETY: the VM lives; the text is the library's.
        let why = unsafe { CStr::from_ptr(rlua_last_error(self.state)) };
        assert_eq!(status, 0, "{what}: {why:?}");
    }

    fn close(self) {
        let (state, world) = (self.state, Arc::clone(&self.world));
        drop(self);
        // SAFETY: no handle of the VM is left.
        unsafe { ffi::lua_close(state) };
        assert_eq!(world.load(Ordering::Relaxed), 0, "players that nobody dropped");
        let (made, dropped) = (MADE.swap(0, Ordering::Relaxed), DROPPED.swap(0, Ordering::Relaxed));
        assert_eq!(made, dropped, "each player is dropped once");
    }
}

/// mlua's thread for handles: the registry's first thread that is not the main one.
///
/// # Safety
/// mlua has just been put on the VM of `state`.
unsafe fn places_of_handles(state: State) -> State {
    // SAFETY: reads of the registry, with a slot of the stack that is free.
    unsafe {
        let all = ffi::lua_rawlen(state, ffi::LUA_REGISTRYINDEX) as ffi::lua_Integer;
        for place in 1..=all {
            ffi::lua_rawgeti(state, ffi::LUA_REGISTRYINDEX, place);
            let thread = ffi::lua_tothread(state, -1);
            ffi::lua_pop(state, 1);
            if !thread.is_null() && thread != state {
                return thread;
            }
        }
    }
    ptr::null_mut()
}

fn collected_and_rolled_back_to_is_alive() {
    let vm = Vm::open(8);
    vm.run("p = player 'kept'");
    vm.snap();
    for _ in 0..5 {
        vm.run("p:give 'a sword' p = nil collectgarbage() collectgarbage()");
        vm.rollback(1);
        assert_eq!(vm.eval("return p:name()"), "kept");
    }
    // What lies outside does not go back: five swords.
    assert_eq!(vm.eval("return p:count()"), "15");
    vm.close();
}

fn made_and_rolled_back_away_is_dropped() {
    let vm = Vm::open(8);
    vm.snap();
    let before = vm.world.load(Ordering::Relaxed);
    vm.run("for i = 1, 20 do q = player('new' .. i) end");
    vm.rollback(1);
    assert!(vm.world.load(Ordering::Relaxed) <= before);
    vm.close();
}

fn ten_frames_and_a_rollback_to_each() {
    let vm = Vm::open(12);
    vm.run("ps = {}");
    let frame = |n: usize| {
        vm.snap();
        vm.run(&format!(
            "for i = 1, 5 do ps[math.random(20)] = player('f{n}_' .. i) end \
             ps[{n}] = nil for _, p in pairs(ps) do p:give 'x' end \
             assert(not pcall(player)) if {n} % 3 == 0 then collectgarbage() end"
        ));
    };
    for n in 1..=10 {
        frame(n);
    }
    for back in 1..=10 {
        vm.rollback(back);
        vm.run("for _, p in pairs(ps) do p:name() end collectgarbage()");
        for n in 11 - back..=9 {
            frame(n);
        }
        while vm.snapshot_count() < 10 {
            frame(10);
        }
    }
    vm.close();
}

fn handles_taken_before_the_snapshot_stay_good() {
    let vm = Vm::open(4);
    let table: Table = vm.lua.load("t = {n = 1} return t").eval().unwrap();
    let bump: Function =
        vm.lua.load("return function() t.n = t.n + 1 return t.n end").eval().unwrap();
    vm.snap();
    for _ in 0..50 {
        assert_eq!(bump.call::<i64>(()).unwrap(), 2);
        let temporary: Table = vm.lua.create_table().unwrap();
        temporary.set("x", &table).unwrap();
        drop(temporary);
        vm.rollback(1);
        assert_eq!(table.get::<i64>("n").unwrap(), 1);
    }
    drop((table, bump));
    vm.close();
}

fn errors_cross_a_rollback() {
    let vm = Vm::open(4);
    vm.snap();
    for _ in 0..50 {
        let error = vm.lua.load("player()").exec().unwrap_err();
        assert!(error.to_string().contains("bad argument"), "{error}");
        drop(error);
        vm.rollback(1);
    }
    vm.close();
}

/// Each error takes a userdata out of mlua's pool, each callback that succeeds puts one back, into
/// whichever place is free: handles that are dropped in between move it about.
fn errors_and_handles_in_any_order_cross_a_rollback() {
    let vm = Vm::open(8);
    let deep = vm.lua.create_function(|lua, depth: usize| {
        if depth == 0 {
            return Err(Error::runtime("at the bottom"));
        }
        let again: Function = lua.globals().get("deep")?;
        let result: Result<()> = again.call(depth - 1);
        if depth.is_multiple_of(3) { Ok(()) } else { result }
    });
    vm.lua.globals().set("deep", deep.unwrap()).unwrap();
    let mut seed = 1_u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % below
    };
    vm.snap();
    for _ in 0..400 {
        match random(5) {
            0 => vm.snap(),
            1 if vm.snapshot_count() > 1 => {
                vm.rollback(1 + random(vm.snapshot_count() as u32 - 1) as usize);
            }
            2 => vm.run("for depth = 0, 150, 7 do pcall(deep, depth) end collectgarbage()"),
            3 => {
                let held: Vec<Table> = (0..random(300)).map(|_| vm.lua.globals()).collect();
                vm.run("pcall(player) pcall(deep, 2) p = player 'x'");
                drop(held);
            }
            _ => assert!(vm.lua.load("deep(1)").exec().is_err()),
        }
    }
    vm.close();
}

/// What a scope made ends with it, in the frame: no snapshot has it.
fn scopes_and_coroutines_in_a_frame() {
    let vm = Vm::open(4);
    vm.run("function co(f) for i = 1, 3 do coroutine.yield(f()) end end");
    vm.snap();
    for _ in 0..50 {
        let mut count = 0;
        vm.lua
            .scope(|scope| {
                let bump = scope.create_function_mut(|_, ()| {
                    count += 1;
                    Ok(count)
                })?;
                vm.lua.globals().set("bump", bump)?;
                vm.lua.load("c = coroutine.wrap(co) c(bump) c() c()").exec()
            })
            .unwrap();
        assert_eq!(count, 3);
        assert!(vm.lua.load("bump()").exec().is_err());
        vm.rollback(1);
    }
    vm.close();
}

fn main() {
    let tests: [(&str, fn()); 7] = [
        ("collected_and_rolled_back_to_is_alive", collected_and_rolled_back_to_is_alive),
        ("made_and_rolled_back_away_is_dropped", made_and_rolled_back_away_is_dropped),
        ("ten_frames_and_a_rollback_to_each", ten_frames_and_a_rollback_to_each),
        ("handles_taken_before_the_snapshot", handles_taken_before_the_snapshot_stay_good),
        ("errors_cross_a_rollback", errors_cross_a_rollback),
        ("errors_and_handles_in_any_order", errors_and_handles_in_any_order_cross_a_rollback),
        ("scopes_and_coroutines_in_a_frame", scopes_and_coroutines_in_a_frame),
    ];
    let mut failed = 0;
    for (name, test) in tests {
        match std::panic::catch_unwind(test) {
            Ok(()) => println!("ok   {name}"),
            Err(_) => {
                println!("FAIL {name}");
                failed += 1;
            }
        }
    }
    println!("{} passed, {failed} failed", tests.len() - failed);
    std::process::exit(i32::from(failed > 0));
}
