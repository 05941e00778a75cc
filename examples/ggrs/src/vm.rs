//! A VM of librlua through its C ABI: what this package needs of it, and no more.
//!
//! Rust frames must not be jumped over, so everything that can raise is a protected call.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

/// `lua_State *`.
pub type State = *mut c_void;

/// `rlua_HostFunction`: `ud` is what was given to [`Vm::set_function`].
pub type HostFunction = unsafe extern "C" fn(State, *mut c_void) -> c_int;

/// `rlua_Info`, as far as it goes in version 0.1.
#[repr(C)]
#[derive(Default)]
pub struct Info {
    size: usize,
    pub used_bytes: usize,
    pub committed_bytes: usize,
    pub peak_bytes: usize,
    pub limit_bytes: usize,
    pub snapshot_count: usize,
    pub max_snapshots: usize,
    pub snapshot_bytes: usize,
    pub oldest_frame: i64,
    pub newest_frame: i64,
    pub dirty_pages: usize,
    tracker: i32,
    reserved: i32,
    pub highest_frame: i64,
    pub guarded_count: usize,
}

/// A secret of those who exchange images.
pub type Key = [u8; 32];

/// `rlua_Config`, as far as it goes in version 0.1.
#[repr(C)]
struct Config {
    size: usize,
    memory_size: usize,
    max_snapshots: usize,
    seed: u64,
    /// From tracker to reserved, all as by default: only images with the key are loaded.
    defaults: [i32; 12],
    image_key: *const u8,
    names: *const Name,
}

impl Config {
    fn new(memory_size: usize, max_snapshots: usize, key: Option<&Key>) -> Self {
        Self {
            size: size_of::<Self>(),
            memory_size,
            max_snapshots,
            seed: 0,
            defaults: [0; 12],
            image_key: key.map_or(ptr::null(), |key| key.as_ptr()),
            names: ptr::null(),
        }
    }
}

/// `rlua_Name`: what a name in an image stands for in this process.
#[repr(C)]
struct Name {
    name: *const c_char,
    function: *const c_void,
    host: Option<HostFunction>,
    pointer: *mut c_void,
}

#[link(name = "rlua")]
unsafe extern "C" {
    fn rlua_open(config: *const Config, out: *mut State) -> c_int;
    fn rlua_save_buffer(state: State, buffer: *mut u8, size: usize, length: *mut usize) -> c_int;
    fn rlua_load_buffer(
        config: *const Config,
        image: *const u8,
        length: usize,
        out: *mut State,
    ) -> c_int;
    fn rlua_checksum(state: State, out: *mut [u8; 16]) -> c_int;
    fn rlua_snap_frame(state: State, frame: i64) -> c_int;
    fn rlua_rollback_to(state: State, frame: i64) -> c_int;
    fn rlua_discard_before(state: State, frame: i64) -> c_int;
    fn rlua_set_time(state: State, seconds: i64, nanoseconds: u32) -> c_int;
    fn rlua_info(state: State, info: *mut Info) -> c_int;
    fn rlua_check(state: State) -> c_int;
    fn rlua_last_error(state: State) -> *const c_char;
    fn rlua_dostring(state: State, chunk: *const c_char) -> c_int;
    fn rlua_call(state: State, arguments: c_int, results: c_int, handler: c_int) -> c_int;
    fn rlua_getglobal(state: State, name: *const c_char) -> c_int;
    fn rlua_setglobal(state: State, name: *const c_char) -> c_int;
    fn rlua_pushinteger(state: State, value: i64) -> c_int;
    fn rlua_pushfunction(
        state: State,
        function: HostFunction,
        ud: *mut c_void,
        name: *const c_char,
    ) -> c_int;
    fn luaL_openlibs(state: State);
    fn lua_tointegerx(state: State, index: c_int, is_integer: *mut c_int) -> i64;
    fn lua_tolstring(state: State, index: c_int, length: *mut usize) -> *const c_char;
    fn lua_settop(state: State, index: c_int);
    fn lua_close(state: State);
}

/// From here on a status is Lua's, and the error value is on the stack.
const ERR_RUN: c_int = 64;

pub struct Vm(State);

impl Vm {
    /// A VM with all libraries. `max_snapshots`: how many frames can be loaded again. `key`: of the
    /// images that it saves.
    pub fn open(memory_size: usize, max_snapshots: usize, key: Option<&Key>) -> Self {
        let config = Config::new(memory_size, max_snapshots, key);
        let mut state = ptr::null_mut();
        // SAFETY: the config and the key are borrowed for the call; a new VM, which nothing else
        // uses.
        unsafe {
            let status = rlua_open(&config, &mut state);
            assert_eq!(status, 0, "{:?}", CStr::from_ptr(rlua_last_error(ptr::null_mut())));
            luaL_openlibs(state);
        }
        Self(state)
    }

    /// A VM from an image, with the image's limit. `function`: the one host function that its
    /// scripts know, by its name.
    ///
    /// # Safety
    /// As [`Vm::set_function`].
    pub unsafe fn load(
        image: &[u8],
        max_snapshots: usize,
        key: &Key,
        (name, host, ud): (&CStr, HostFunction, *mut c_void),
    ) -> Self {
        let none =
            Name { name: ptr::null(), function: ptr::null(), host: None, pointer: ptr::null_mut() };
        let names = [Name { name: name.as_ptr(), host: Some(host), pointer: ud, ..none }, none];
        let config = Config { names: names.as_ptr(), ..Config::new(0, max_snapshots, Some(key)) };
        let mut state = ptr::null_mut();
        // SAFETY: everything is borrowed for the call.
        unsafe {
            let status = rlua_load_buffer(&config, image.as_ptr(), image.len(), &mut state);
            assert_eq!(status, 0, "{:?}", CStr::from_ptr(rlua_last_error(ptr::null_mut())));
        }
        Self(state)
    }

    /// The whole VM in bytes that another process can load.
    pub fn save(&self) -> Vec<u8> {
        let mut length = 0;
        // SAFETY: the VM lives, and is idle. The first call only tells the length.
        unsafe { rlua_save_buffer(self.0, ptr::null_mut(), 0, &mut length) };
        let mut image = vec![0; length];
        // SAFETY: as above.
        let status =
            unsafe { rlua_save_buffer(self.0, image.as_mut_ptr(), image.len(), &mut length) };
        self.expect("image", status);
        image
    }

    /// Of everything in the VM, not of what a script chose to count.
    pub fn checksum(&self) -> u128 {
        let mut bytes = [0; 16];
        // SAFETY: the VM lives, and is idle.
        self.expect("checksum", unsafe { rlua_checksum(self.0, &mut bytes) });
        u128::from_be_bytes(bytes)
    }

    fn expect(&self, what: &str, status: c_int) {
        if status != 0 {
            // SAFETY: the VM lives. Both texts are valid until its next call.
            let why = unsafe {
                if status >= ERR_RUN {
                    CStr::from_ptr(lua_tolstring(self.0, -1, ptr::null_mut()))
                } else {
                    CStr::from_ptr(rlua_last_error(self.0))
                }
            };
            panic!("{what}: {}", why.to_string_lossy());
        }
    }

    pub fn run(&self, chunk: &str) {
        let chunk = CString::new(chunk).unwrap();
        // SAFETY: the VM lives.
        self.expect("run", unsafe { rlua_dostring(self.0, chunk.as_ptr()) });
        // SAFETY: drops what the chunk returned.
        unsafe { lua_settop(self.0, 0) };
    }

    /// Calls a global function and returns its result, which is an integer.
    pub fn call(&self, name: &CStr, arguments: &[i64]) -> i64 {
        // SAFETY: the VM lives; each call is protected.
        unsafe {
            self.expect("getglobal", rlua_getglobal(self.0, name.as_ptr()));
            for &value in arguments {
                self.expect("pushinteger", rlua_pushinteger(self.0, value));
            }
            let status = rlua_call(self.0, arguments.len() as c_int, 1, 0);
            self.expect(name.to_str().unwrap(), status);
            let result = lua_tointegerx(self.0, -1, ptr::null_mut());
            lua_settop(self.0, 0);
            result
        }
    }

    /// Gives scripts a global function of the host.
    ///
    /// # Safety
    /// `ud` is what `function` expects, and valid until the VM is closed.
    pub unsafe fn set_function(&self, name: &CStr, function: HostFunction, ud: *mut c_void) {
        // SAFETY: the VM lives; this function's contract.
        unsafe {
            self.expect("function", rlua_pushfunction(self.0, function, ud, name.as_ptr()));
            self.expect("setglobal", rlua_setglobal(self.0, name.as_ptr()));
        }
    }

    pub fn snap(&self, frame: i64) {
        // SAFETY: the VM lives, and is idle.
        self.expect("save", unsafe { rlua_snap_frame(self.0, frame) });
    }

    pub fn roll_back(&self, frame: i64) {
        // SAFETY: as above.
        self.expect("load", unsafe { rlua_rollback_to(self.0, frame) });
    }

    pub fn discard_before(&self, frame: i64) {
        // SAFETY: as above.
        self.expect("discard", unsafe { rlua_discard_before(self.0, frame) });
    }

    /// What os.time and os.clock read.
    pub fn set_time(&self, seconds: i64, nanoseconds: u32) {
        // SAFETY: as above.
        self.expect("time", unsafe { rlua_set_time(self.0, seconds, nanoseconds) });
    }

    pub fn info(&self) -> Info {
        let mut info = Info { size: size_of::<Info>(), ..Info::default() };
        // SAFETY: the VM lives, and `info` knows its size.
        self.expect("info", unsafe { rlua_info(self.0, &mut info) });
        info
    }

    /// Walks the whole arena and the snapshots.
    pub fn check(&self) {
        // SAFETY: the VM lives, and is idle.
        self.expect("check", unsafe { rlua_check(self.0) });
    }
}

/// An argument of a [`HostFunction`].
///
/// # Safety
/// `state` is the thread that calls it.
pub unsafe fn integer_argument(state: State, index: c_int) -> i64 {
    // SAFETY: reads a slot, or none.
    unsafe { lua_tointegerx(state, index, ptr::null_mut()) }
}

/// What a [`HostFunction`] returns whose only result is an integer.
///
/// # Safety
/// As [`integer_argument`].
pub unsafe fn return_integer(state: State, value: i64) -> c_int {
    // SAFETY: a host function has room for 20 values.
    unsafe { rlua_pushinteger(state, value) };
    1
}

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: the VM lives and is idle.
        unsafe { lua_close(self.0) }
    }
}
