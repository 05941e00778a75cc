//! Blocks: the arena's blocks are the same bytes whether C hands them out or Rust.
//!
//! Method: a program runs twice from one snapshot. The second time the allocation function is one
//! that hands every request on to the arena's, which is the way through Rust. Afterwards the whole
//! used part of the arena is compared, byte by byte; the programs make objects of every kind and
//! size in random order, with and without a limit that they run into.

#![allow(non_snake_case)] // L is Lua's name for it

mod protected;

use protected::*;
use rlua::ffi::life::*;
use rlua::ffi::snapshots::*;
use rlua::lua::{lua_Alloc, lua_State};
use rlua::vm::Vm;
use std::ffi::{CString, c_int, c_void};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const PROGRAM: &str = "
local seed, count, limited = seed, count, limited
local function random(n)
  seed = (seed * 1103515245 + 12345) & 0x7fffffff
  return (seed >> 8) % n + 1
end
local kept = {}
local make = {
  function() return nil end,
  function(n) return string.rep('x', n * 3) .. n end,
  function(n) local m = n return function() m = m + n return m end end,
  function(n) local t = {} for i = 1, n do t[i] = i end return t end,
  function(n) local t = {} for i = 1, n do t['k' .. i] = i end return t end,
  function(n) return coroutine.wrap(function() coroutine.yield(n) end) end,
  function(n) return load('local a = ' .. n .. ' return function() return a end') end,
  function(n) return userdata(n) end,
  function(n) return setmetatable({n}, {__gc = function() end, __mode = 'k'}) end,
  function(n) return table.pack(table.unpack({}, 1, n)) end,
  function(n) return {n, {n}, {n = n}} end,
}
local function step()
  local slot = random(limited and 4000 or 600)
  local old, value = kept[slot], make[random(#make)](random(240))
  if type(old) == 'table' and random(2) == 1 then
    rawset(old, #old + 1, value)
  else
    kept[slot] = value
  end
  if random(300) == 1 then collectgarbage() end
  if random(200) == 1 then for j = 1, #kept do kept[j] = nil end end
end
refused = 0
for i = 1, count do
  if not pcall(step) then
    refused = refused + 1
    if random(4) == 1 then for j = 1, 4000 do kept[j] = nil end end
  end
end
";

type Function = unsafe extern "C" fn(L: *mut lua_State) -> c_int;

unsafe extern "C" {
    fn lua_getallocf(L: *mut lua_State, ud: *mut *mut c_void) -> lua_Alloc;
    fn lua_setallocf(L: *mut lua_State, function: lua_Alloc, ud: *mut c_void);
    fn lua_tointegerx(L: *mut lua_State, index: c_int, is_number: *mut c_int) -> i64;
    fn rlua_pushcclosure(L: *mut lua_State, function: Function, upvalues: c_int) -> c_int;
    fn rlua_newuserdata(
        L: *mut lua_State,
        size: usize,
        values: c_int,
        block: *mut *mut c_void,
    ) -> c_int;
}

/// Steps of the program.
const COUNT: usize = 12_000;

/// One test at a time: what the allocation function counts is the process's.
static TURN: Mutex<()> = Mutex::new(());
static MADE: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);
static RESIZED: AtomicUsize = AtomicUsize::new(0);
static REFUSED: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn counting(
    ud: *mut c_void,
    block: *mut c_void,
    old_size: usize,
    new_size: usize,
) -> *mut c_void {
    // SAFETY: Lua's request, handed on.
    let answer = unsafe { (Vm::ALLOCATE)(ud, block, old_size, new_size) };
    let counter = match (new_size, block.is_null()) {
        (0, _) => &FREED,
        (_, true) => &MADE,
        (_, false) => &RESIZED,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    if new_size != 0 && answer.is_null() {
        REFUSED.fetch_add(1, Ordering::Relaxed);
    }
    answer
}

unsafe extern "C" fn new_userdata(L: *mut lua_State) -> c_int {
    // SAFETY: called by Lua with a number. What it answers, an error's text too, is on the stack.
    unsafe {
        let size = lua_tointegerx(L, 1, ptr::null_mut());
        let mut block = ptr::null_mut();
        if rlua_newuserdata(L, size as usize, (size % 3) as c_int, &mut block) == 0 {
            block.cast::<u8>().write_bytes(0x55, size as usize);
        }
    }
    1
}

unsafe extern "C" fn swap(L: *mut lua_State) -> c_int {
    // SAFETY: called by Lua with a number.
    unsafe {
        let counts = lua_tointegerx(L, 1, ptr::null_mut()) != 0;
        let mut ud = ptr::null_mut();
        lua_getallocf(L, &mut ud);
        lua_setallocf(L, if counts { counting } else { Vm::ALLOCATE }, ud);
    }
    0
}

struct Vms {
    lua: *mut lua_State,
}

impl Vms {
    fn open(memory: usize) -> Vms {
        let lua = rlua_new_rollback(memory, 2);
        let vm = Vms { lua };
        // SAFETY: the VM is this thread's.
        unsafe {
            assert_eq!(rlua_openlibs(lua, 0x3ff), 0);
            for (name, function) in [(c"userdata", new_userdata as Function), (c"swap", swap)] {
                assert_eq!(rlua_pushcclosure(lua, function, 0), 0);
                assert_eq!(rlua_setglobal(lua, name.as_ptr()), 0);
            }
        }
        vm
    }

    fn run(&self, text: &str) {
        let text = CString::new(text).unwrap();
        // SAFETY: the VM is this thread's.
        unsafe {
            assert_eq!(rlua_dostring(self.lua, text.as_ptr()), 0);
            assert_eq!(rlua_check(self.lua), 0);
        }
    }

    /// What Lua gets its blocks from, from here on.
    fn allocate_by(&self, function: lua_Alloc) {
        let mut ud = ptr::null_mut();
        // SAFETY: the VM is this thread's; the functions do the same.
        unsafe {
            lua_getallocf(self.lua, &mut ud);
            lua_setallocf(self.lua, function, ud);
        }
    }

    /// Runs the program with blocks from this function; answers how many of its steps ran out of
    /// memory, and the arena's bytes.
    fn play(&self, function: lua_Alloc, seed: u32, limited: bool) -> (i64, Vec<u8>) {
        self.run(&format!("seed, count, limited = {seed}, {COUNT}, {limited}"));
        self.allocate_by(function);
        self.run(PROGRAM);
        self.allocate_by(Vm::ALLOCATE);
        // SAFETY: the VM is this thread's; its used bytes can be read, and nothing writes them.
        unsafe {
            assert_eq!(rlua_getglobal(self.lua, c"refused".as_ptr()), 0);
            let refused = lua_tointegerx(self.lua, -1, ptr::null_mut());
            assert_eq!(rlua_settop(self.lua, 0), 0);
            let mut info: rlua_Info = std::mem::zeroed();
            info.size = size_of::<rlua_Info>();
            assert_eq!(rlua_info(self.lua, &mut info), 0);
            let base = self.lua.map_addr(|addr| addr >> 32 << 32).cast::<u8>();
            (refused, std::slice::from_raw_parts(base, info.used_bytes).to_vec())
        }
    }
}

impl Drop for Vms {
    fn drop(&mut self) {
        // SAFETY: the VM is this thread's.
        unsafe { lua_close(self.lua) }
    }
}

fn compare(memory: usize, limited: bool) {
    let _turn = TURN.lock().unwrap();
    for seed in 1..=6 {
        let vm = Vms::open(memory);
        let made = MADE.load(Ordering::Relaxed);
        // SAFETY: the VM is this thread's.
        assert_eq!(unsafe { rlua_snap(vm.lua) }, 0);
        let (refused, by_c) = vm.play(Vm::ALLOCATE, seed, limited);
        assert_eq!(MADE.load(Ordering::Relaxed), made);
        // SAFETY: as above.
        assert_eq!(unsafe { rlua_rollback(vm.lua, 1) }, 0);
        let before = [&FREED, &RESIZED, &REFUSED].map(|counter| counter.load(Ordering::Relaxed));
        let (refused_again, by_rust) = vm.play(counting, seed, limited);
        let after = [&FREED, &RESIZED, &REFUSED].map(|counter| counter.load(Ordering::Relaxed));
        assert!(MADE.load(Ordering::Relaxed) > made + COUNT);
        assert!(after[0] > before[0] && after[1] > before[1]);
        assert_eq!((refused > 0, after[2] > before[2]), (limited, limited), "seed {seed}");
        assert_eq!((refused, by_c.len()), (refused_again, by_rust.len()), "seed {seed}");
        let differing = (0..by_c.len()).find(|&at| by_c[at] != by_rust[at]);
        assert_eq!(differing, None, "seed {seed}");
    }
}

#[test]
fn both_ways_leave_the_same_bytes() {
    compare(64 << 20, false);
}

#[test]
fn both_ways_leave_the_same_bytes_at_the_limit() {
    compare(300 << 10, true);
}

/// A host may change its mind in the middle: the ways mix block by block.
#[test]
fn both_ways_may_take_turns() {
    let _turn = TURN.lock().unwrap();
    let vm = Vms::open(64 << 20);
    vm.run(
        "local kept = {}
        for i = 1, 20000 do
          if i % 7 == 0 then swap(i % 2) end
          kept[i % 500] = i % 3 == 0 and {i} or ('x'):rep(i % 600) .. i
          if i % 1000 == 0 then collectgarbage() end
        end
        swap(0)",
    );
}
