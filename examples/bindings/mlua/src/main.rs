//! mlua on a VM of librlua: owning userdata, snapshots, collections, rollbacks.
//!
//! mlua keeps its handles and spare error values on the stack of a thread of its own, and their
//! places in Rust, where no rollback reaches. So three things are the host's duty:
//!
//! - before the first snapshot, [`warm_up`]: room for handles, and the metatable of each type;
//! - at a snapshot no handle (`Table`, `Function`, `AnyUserData`) is alive but those from before
//!   the first one; one that was taken after a snapshot is dropped before the rollback to it;
//! - after each rollback, [`Places::mend`]: a spare error value in each place that is empty.
//!   Without it, the first error of a Rust function writes through NULL.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mlua::ffi;
use mlua::{Function, Lua, Result, Table, UserData, UserDataMethods, Value};

type State = *mut mlua::lua_State;

unsafe extern "C" {
    fn rlua_new_rollback(memory_size: usize, max_snapshots: usize) -> State;
    fn rlua_snap(state: State) -> c_int;
    fn rlua_rollback(state: State, n: usize) -> c_int;
    fn rlua_check(state: State) -> c_int;
    fn lua_close(state: State);
    fn luaL_openlibs(state: State);
    fn rlua_newuserdata(state: State, size: usize, values: c_int, block: *mut *mut c_void) -> c_int;
    fn rlua_last_error(state: State) -> *const std::ffi::c_char;
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

/// The thread on whose stack mlua has its handles.
struct Places(State);

impl Places {
    /// mlua anchors it in the registry, at an integer.
    ///
    /// # Safety
    /// mlua is on the VM; nothing else has put a thread there.
    unsafe fn of(state: State) -> Self {
        // SAFETY: by the contract above; six slots are there.
        unsafe {
            let registry = ffi::LUA_REGISTRYINDEX;
            let mut found = std::ptr::null_mut();
            for at in 1..=ffi::lua_rawlen(state, registry) as ffi::lua_Integer {
                let kind = ffi::lua_rawgeti(state, registry, at);
                if at != ffi::LUA_RIDX_MAINTHREAD && kind == ffi::LUA_TTHREAD {
                    found = ffi::lua_tothread(state, -1);
                }
                ffi::lua_pop(state, 1);
            }
            assert!(!found.is_null());
            Self(found)
        }
    }

    fn height(&self) -> c_int {
        // SAFETY: the thread lives as long as the VM.
        unsafe { ffi::lua_gettop(self.0) }
    }

    /// Makes the stack as high as it was before the rollback, and puts a block that mlua can write
    /// an error into where nothing is: mlua takes some of these places for its spares.
    fn mend(&self, height: c_int) -> c_int {
        // What mlua writes is an error, or a panic's box, behind a tag.
        let bytes = size_of::<mlua::Error>() + 2 * size_of::<usize>();
        // SAFETY: as above.
        unsafe {
            let height = height.max(self.height());
            assert!(ffi::lua_checkstack(self.0, height - self.height() + 8) != 0);
            ffi::lua_settop(self.0, height);
            for place in 1..=height {
                if ffi::lua_type(self.0, place) == ffi::LUA_TNIL {
                    let mut block = std::ptr::null_mut();
                    let status = rlua_newuserdata(self.0, bytes, 0, &mut block);
                    if status != 0 {
                        return status;
                    }
                    ffi::lua_replace(self.0, place);
                }
            }
        }
        0
    }
}

/// A VM with mlua in it. mlua does not own it: `close` does.
struct Vm {
    state: State,
    lua: Lua,
    places: Places,
    world: Arc<AtomicUsize>,
}

impl Vm {
    fn open(max_snapshots: usize) -> Self {
        // SAFETY: a new VM, which only this struct uses.
        let (state, lua) = unsafe {
            let state = rlua_new_rollback(16 << 20, max_snapshots);
            assert!(!state.is_null());
            luaL_openlibs(state);
            (state, Lua::get_or_init_from_ptr(state).clone())
        };
        // SAFETY: mlua was just put on it.
        let places = unsafe { Places::of(state) };
        let vm = Self { state, lua, places, world: Arc::new(AtomicUsize::new(0)) };
        let world = Arc::clone(&vm.world);
        let make = vm.lua.create_function(move |_, name: String| Ok(Player::new(name, &world)));
        vm.lua.globals().set("player", make.unwrap()).unwrap();
        warm_up(&vm.lua, 200).unwrap();
        vm
    }

    fn run(&self, chunk: &str) {
        self.lua.load(chunk).exec().unwrap_or_else(|error| panic!("{chunk}: {error}"));
    }

    fn eval(&self, chunk: &str) -> String {
        let text: Value = self.lua.load(chunk).eval().unwrap();
        text.to_string().unwrap()
    }

    fn snap(&self) {
        self.status("snap", unsafe { rlua_snap(self.state) });
    }

    fn rollback(&self, n: usize) {
        let height = self.places.height();
        self.status("rollback", unsafe { rlua_rollback(self.state, n) });
        self.status("mend", self.places.mend(height));
        self.status("check", unsafe { rlua_check(self.state) });
    }

    fn status(&self, what: &str, status: c_int) {
        // SAFETY: the VM lives; the text is the library's.
        let why = unsafe { std::ffi::CStr::from_ptr(rlua_last_error(self.state)) };
        assert_eq!(status, 0, "{what}: {why:?}");
    }

    fn close(self) {
        let (state, world) = (self.state, Arc::clone(&self.world));
        drop(self);
        // SAFETY: no handle of the VM is left.
        unsafe { lua_close(state) };
        assert_eq!(world.load(Ordering::Relaxed), 0, "players that nobody dropped");
        let (made, dropped) = (MADE.swap(0, Ordering::Relaxed), DROPPED.swap(0, Ordering::Relaxed));
        assert_eq!(made, dropped, "each player is dropped once");
    }
}

/// Reserves `handles` places for handles, and makes one of each thing that mlua remembers in Rust:
/// the metatable of each userdata type, and that of its errors.
fn warm_up(lua: &Lua, handles: usize) -> Result<()> {
    let places: Vec<Table> = (0..handles).map(|_| lua.create_table()).collect::<Result<_>>()?;
    drop(places);
    lua.load("local p = player 'first' p:name() p:give 'nothing'").exec()?;
    let fail: Function = lua.create_function(|_, ()| Err::<(), _>(mlua::Error::runtime("x")))?;
    assert!(fail.call::<()>(()).is_err());
    lua.load("assert(not pcall(...))").call(fail)
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
        while vm_count(&vm) < 10 {
            frame(10);
        }
    }
    vm.close();
}

fn vm_count(vm: &Vm) -> usize {
    unsafe extern "C" {
        fn rlua_snapshot_count(state: State, count: *mut usize) -> c_int;
    }
    let mut count = 0;
    vm.status("count", unsafe { rlua_snapshot_count(vm.state, &mut count) });
    count
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

/// What took mlua's spares apart before they were mended: errors at many depths, handles between.
fn errors_of_every_kind_in_every_frame() {
    let vm = Vm::open(20);
    let nested: Function = vm
        .lua
        .create_function(|lua, (depth, fail): (i64, bool)| match (depth, fail) {
            (0, true) => Err(mlua::Error::runtime("at the bottom")),
            (0, false) => Ok(0),
            _ => {
                let keep: Table = lua.create_table()?;
                let again: Function = lua.globals().get("nested")?;
                let n = again.call::<i64>((depth - 1, fail))?;
                keep.set(1, n)?;
                Ok(n + 1)
            }
        })
        .unwrap();
    vm.lua.globals().set("nested", nested).unwrap();
    vm.run("caught = 0 log = {}");
    let frame = || {
        vm.snap();
        vm.run(
            "for i = 1, 4 do
               local depth = math.random(0, 12)
               local ok, message = pcall(nested, depth, math.random() < 0.6)
               if not ok then caught = caught + 1 log[caught % 10] = message end
               pcall(player) pcall(player, {}) pcall(nested) pcall(nested, nil, nested)
             end
             if math.random() < 0.3 then collectgarbage() end",
        );
        if vm.lua.load("nested(3, true)").exec().is_ok() {
            panic!("no error");
        }
    };
    let mut chance = 1u64;
    for round in 0..300 {
        (0..12).for_each(|_| frame());
        chance = chance.wrapping_mul(6364136223846793005).wrapping_add(round);
        vm.rollback(1 + (chance >> 40) as usize % 12);
    }
    assert!(vm.eval("return caught > 0 and tostring(log[1])").contains("bottom"));
    vm.close();
}

fn main() {
    let tests: [(&str, fn()); 6] = [
        ("collected_and_rolled_back_to_is_alive", collected_and_rolled_back_to_is_alive),
        ("made_and_rolled_back_away_is_dropped", made_and_rolled_back_away_is_dropped),
        ("ten_frames_and_a_rollback_to_each", ten_frames_and_a_rollback_to_each),
        ("handles_taken_before_the_snapshot", handles_taken_before_the_snapshot_stay_good),
        ("errors_cross_a_rollback", errors_cross_a_rollback),
        ("errors_of_every_kind_in_every_frame", errors_of_every_kind_in_every_frame),
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
