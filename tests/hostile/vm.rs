//! What this test does with VMs. Not here: what is loaded.

use super::mutants::{KEY, Mutant, Reading};
use rlua::ffi::deltas::rlua_save_delta;
use rlua::ffi::determinism::rlua_register;
use rlua::ffi::images::{
    lua_CFunction, rlua_Checksum, rlua_Writer, rlua_checksum, rlua_clone, rlua_load,
    rlua_load_buffer, rlua_save_buffer,
};
use rlua::ffi::life::{lua_close, rlua_Config, rlua_Trust, rlua_check, rlua_open};
use rlua::ffi::objects::{rlua_Name, rlua_ObjectType};
use rlua::ffi::resources::{rlua_Method, rlua_ResourceType, rlua_pushresource};
use rlua::ffi::snapshots::rlua_snap_frame;
use rlua::ffi::status::rlua_last_error;
use rlua::lua::lua_State;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::{mem, ptr};

unsafe extern "C" {
    fn luaL_openlibs(L: *mut lua_State);
    fn luaL_loadstring(L: *mut lua_State, text: *const c_char) -> c_int;
    fn lua_pcallk(
        L: *mut lua_State,
        arguments: c_int,
        results: c_int,
        handler: c_int,
        context: isize,
        k: *const c_void,
    ) -> c_int;
    fn lua_gc(L: *mut lua_State, what: c_int, ...) -> c_int;
    fn lua_createtable(L: *mut lua_State, array: c_int, hash: c_int);
    fn lua_rawsetp(L: *mut lua_State, index: c_int, key: *const c_void);
    fn lua_rawseti(L: *mut lua_State, index: c_int, n: i64);
    fn lua_pushnil(L: *mut lua_State);
    fn lua_pushvalue(L: *mut lua_State, index: c_int);
    fn lua_next(L: *mut lua_State, index: c_int) -> c_int;
    fn lua_type(L: *mut lua_State, index: c_int) -> c_int;
    fn lua_settop(L: *mut lua_State, index: c_int);
    fn lua_gettop(L: *mut lua_State) -> c_int;
    fn lua_checkstack(L: *mut lua_State, slots: c_int) -> c_int;
    fn lua_newuserdatauv(L: *mut lua_State, size: usize, values: c_int) -> *mut c_void;
    fn luaL_newmetatable(L: *mut lua_State, name: *const c_char) -> c_int;
    fn lua_touserdata(L: *mut lua_State, index: c_int) -> *mut c_void;
    fn lua_pushcclosure(L: *mut lua_State, function: lua_CFunction, upvalues: c_int);
    fn lua_setfield(L: *mut lua_State, index: c_int, name: *const c_char);
    fn lua_setmetatable(L: *mut lua_State, index: c_int) -> c_int;
    fn lua_setglobal(L: *mut lua_State, name: *const c_char);
    fn lua_tothread(L: *mut lua_State, index: c_int) -> *mut lua_State;
}
const LUA_REGISTRYINDEX: c_int = -1_001_000;
const LUA_TTABLE: c_int = 5;
const LUA_TTHREAD: c_int = 8;
const LUA_GCGEN: c_int = 10;
const LUA_GCINC: c_int = 11;
const LUA_GCCOLLECT: c_int = 2;
const LUA_GCSTEP: c_int = 5;

thread_local! {
    /// How much of what lies outside was made, and has not ended.
    static LIVING: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    LIVING.set(LIVING.get() + change);
}

/// How much lies outside.
pub fn living() -> isize {
    LIVING.get()
}

unsafe extern "C" fn release(_: *mut lua_State, _: *mut c_void, _: *mut c_void) {
    count(-1);
}

unsafe extern "C" fn width(_: *mut lua_State, _: *mut c_void) -> c_int {
    0
}

static METHODS: Lists<[rlua_Method; 2]> = Lists([
    rlua_Method { name: c"width".as_ptr(), function: Some(width) },
    rlua_Method { name: ptr::null(), function: None },
]);
const TEXTURE: rlua_ResourceType = rlua_ResourceType {
    size: size_of::<rlua_ResourceType>(),
    name: c"Texture".as_ptr(),
    release: Some(release),
    ud: ptr::null_mut(),
    methods: &raw const METHODS.0[0],
};

/// Without a look at the registry, which a mutant may have replaced.
unsafe extern "C" fn meter_gc(main: *mut lua_State) -> c_int {
    // SAFETY: an argument of Lua's.
    let meter = unsafe { lua_touserdata(main, 1) };
    // SAFETY: NULL, or the block of a meter, of 16 bytes.
    if !meter.is_null() && unsafe { meter.cast::<u64>().read_unaligned() } == 7 {
        count(-1);
    }
    0
}

unsafe extern "C" fn save_object(
    _: *const c_void,
    _: usize,
    writer: rlua_Writer,
    to: *mut c_void,
    _: *mut c_void,
) -> c_int {
    // SAFETY: the writer of the save that runs.
    unsafe { writer.unwrap()(to, c"seven".as_ptr().cast(), 5) }
}

unsafe extern "C" fn load_object(
    bytes: *const c_void,
    length: usize,
    object: *mut c_void,
    size: usize,
    _: *mut c_void,
) -> c_int {
    // SAFETY: so many bytes; the place has so many.
    unsafe {
        if std::slice::from_raw_parts(bytes.cast::<u8>(), length) != b"seven" || size < 8 {
            return 1;
        }
        let memory = std::slice::from_raw_parts(object.cast::<u8>(), size);
        assert!(size == 8 || memory.iter().all(|&byte| byte == 0));
        object.cast::<u64>().write_unaligned(7);
    }
    count(1);
    0
}

const fn kind(name: &'static CStr, resource: *const rlua_ResourceType) -> rlua_ObjectType {
    let (size, ud) = (size_of::<rlua_ObjectType>(), ptr::null_mut());
    let (save, load) = (Some(save_object as _), Some(load_object as _));
    rlua_ObjectType { size, name: name.as_ptr(), resource, save, load, ud }
}

/// Pointers that no thread changes.
struct Lists<T>(T);
// SAFETY: as said.
unsafe impl<T> Sync for Lists<T> {}

static RESOURCE: Lists<rlua_ResourceType> = Lists(TEXTURE);
static KINDS: Lists<[rlua_ObjectType; 2]> =
    Lists([kind(c"Texture", &raw const RESOURCE.0), kind(c"Meter", ptr::null())]);
static TYPES: Lists<[*const rlua_ObjectType; 3]> =
    Lists([&raw const KINDS.0[0], &raw const KINDS.0[1], ptr::null()]);
const fn named(name: &'static CStr, function: lua_CFunction) -> rlua_Name {
    rlua_Name { name: name.as_ptr(), function, host: None, pointer: ptr::null_mut() }
}

static NAMES: Lists<[rlua_Name; 4]> = Lists([
    named(c"meter_gc", Some(meter_gc)),
    named(c"new_meter", Some(new_meter)),
    named(c"new_texture", Some(new_texture)),
    rlua_Name { name: ptr::null(), function: None, host: None, pointer: ptr::null_mut() },
]);

/// Seven is an object that nobody reads.
unsafe extern "C" fn new_texture(main: *mut lua_State) -> c_int {
    count(1);
    // SAFETY: a thread of a VM of this test's own.
    unsafe { assert_eq!(rlua_pushresource(main, 7 as *mut c_void, &RESOURCE.0), 0) };
    1
}

unsafe extern "C" fn new_meter(main: *mut lua_State) -> c_int {
    count(1);
    // SAFETY: a thread of a VM of this test's own.
    unsafe {
        lua_newuserdatauv(main, 16, 1).cast::<u64>().write(7);
        if luaL_newmetatable(main, c"Meter".as_ptr()) != 0 {
            lua_pushcclosure(main, Some(meter_gc), 0);
            lua_setfield(main, -2, c"__gc".as_ptr());
        }
        lua_setmetatable(main, -2);
    }
    1
}

/// Puts some into globals, and the function that makes them.
///
/// # Safety
/// A VM of this test's own.
unsafe fn push_makers(
    main: *mut lua_State,
    maker: &CStr,
    make: unsafe extern "C" fn(*mut lua_State) -> c_int,
    globals: &[&CStr],
) {
    // SAFETY: the contract above.
    unsafe {
        assert_eq!(rlua_register(main, maker.as_ptr(), Some(make)), 0);
        lua_pushcclosure(main, Some(make), 0);
        lua_setglobal(main, maker.as_ptr());
        for name in globals {
            make(main);
            lua_setglobal(main, name.as_ptr());
        }
    }
}

/// Puts some of what lies outside into globals.
///
/// # Safety
/// A VM of this test's own.
unsafe fn push_objects(main: *mut lua_State) {
    // SAFETY: the contract above.
    unsafe {
        assert_eq!(rlua_register(main, c"meter_gc".as_ptr(), Some(meter_gc)), 0);
        for name in [c"t", c"u", c"v"] {
            new_texture(main);
            lua_setglobal(main, name.as_ptr());
        }
        for name in [c"m", c"n", c"o"] {
            new_meter(main);
            lua_setglobal(main, name.as_ptr());
        }
    }
}

/// Whatever came of a load: what was made for it has ended.
fn all_has_ended() {
    assert_eq!(living(), 0, "objects outside that were made, and have not ended");
}

/// How a load ended. The numbers are places in the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// With a sentence.
    Refused = 0,
    /// The VM was used, as far as no code of it runs, and closed.
    Sound = 1,
}

/// The config for each VM of this test. Whoever changes what a load trusts changes it here.
fn config(memory_size: usize, keyed: bool) -> rlua_Config {
    // SAFETY: zero is every field's default.
    let mut config: rlua_Config = unsafe { mem::zeroed() };
    config.size = size_of::<rlua_Config>();
    config.memory_size = memory_size;
    config.max_snapshots = 2;
    if keyed {
        config.image_key = KEY.as_ptr();
    }
    (config.names, config.types) = (&raw const NAMES.0[0], &raw const TYPES.0[0]);
    config.trust = rlua_Trust::Proved as i32;
    config
}

/// A VM that has run `code`, and some small steps of its collector. 64: keyed. 128: stock. 256: its
/// images are compressed. 512: it has what lies outside. 1024: it has textures of that, 2048:
/// meters.
pub fn open(code: &str, memory_size: usize, steps: usize) -> *mut lua_State {
    let mut config = config(memory_size, steps & 64 != 0);
    config.profile = i32::from(steps & 128 != 0);
    config.compress = i32::from(steps & 256 != 0);
    let code = CString::new(code).unwrap();
    let mut main = ptr::null_mut();
    // SAFETY: a VM of this test's own.
    unsafe {
        assert_eq!(rlua_open(&config, &mut main), 0);
        luaL_openlibs(main);
        assert_eq!(luaL_loadstring(main, code.as_ptr()), 0);
        assert_eq!(lua_pcallk(main, 0, 0, 0, 0, ptr::null()), 0);
        if steps & 512 != 0 {
            push_objects(main);
        }
        if steps & 1024 != 0 {
            push_makers(main, c"new_texture", new_texture, &[c"t", c"u", c"v"]);
        }
        if steps & 2048 != 0 {
            assert_eq!(rlua_register(main, c"meter_gc".as_ptr(), Some(meter_gc)), 0);
            push_makers(main, c"new_meter", new_meter, &[c"m", c"n", c"o"]);
        }
        for _ in 0..steps & 63 {
            lua_gc(main, LUA_GCSTEP, 1);
        }
    }
    main
}

/// Its image.
pub fn bytes_of(main: *mut lua_State) -> Vec<u8> {
    let mut length = 0;
    // SAFETY: a VM of this test's own; the buffer has so much room.
    unsafe {
        rlua_save_buffer(main, ptr::null_mut(), 0, &mut length);
        let mut bytes = vec![0u8; length];
        assert_eq!(rlua_save_buffer(main, bytes.as_mut_ptr().cast(), length, &mut length), 0);
        bytes
    }
}

/// A VM from an image that nobody changed, whose deltas are trusted, too.
pub fn load_own(image: &[u8]) -> *mut lua_State {
    let config = rlua_Config { trust: rlua_Trust::Own as i32, ..config(1 << 20, false) };
    let mut main = ptr::null_mut();
    // SAFETY: bytes of this test; the VM is its own.
    unsafe {
        let (start, length) = (image.as_ptr().cast(), image.len());
        assert_eq!(rlua_load_buffer(&config, start, length, &mut main), 0);
    }
    main
}

/// Its image; it is closed.
pub fn save(main: *mut lua_State) -> Vec<u8> {
    let bytes = bytes_of(main);
    // SAFETY: a VM of this test's own.
    unsafe { lua_close(main) }
    bytes
}

unsafe extern "C" fn append(ud: *mut c_void, start: *const c_void, length: usize) -> c_int {
    // SAFETY: the bytes of the save that runs; the writer's contract.
    unsafe {
        let part = std::slice::from_raw_parts(start.cast(), length);
        (*ud.cast::<Vec<u8>>()).extend_from_slice(part);
    }
    0
}

/// Its image, that behind `change`, and the delta between the two; it is closed.
pub fn save_delta(main: *mut lua_State, change: &str) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let change = CString::new(change).unwrap();
    let mut delta = Vec::<u8>::new();
    // SAFETY: a VM of this test's own.
    unsafe {
        assert_eq!(rlua_snap_frame(main, 0), 0);
        let from = bytes_of(main);
        assert_eq!(luaL_loadstring(main, change.as_ptr()), 0);
        assert_eq!(lua_pcallk(main, 0, 0, 0, 0, ptr::null()), 0);
        assert_eq!(rlua_snap_frame(main, 1), 0);
        let to = bytes_of(main);
        assert_eq!(rlua_save_delta(main, 0, 1, Some(append), (&raw mut delta).cast()), 0);
        lua_close(main);
        (from, to, delta)
    }
}

/// How far a reader is.
pub struct Feed<'a> {
    mutant: &'a Mutant,
    at: usize,
    calls: usize,
}

impl Feed<'_> {
    pub fn ud(&mut self) -> *mut c_void {
        ptr::from_mut(self).cast()
    }
}

pub fn feed_of(mutant: &Mutant) -> Feed<'_> {
    Feed { mutant, at: 0, calls: 0 }
}

/// # Safety
/// `ud` is a [`Feed`]'s; there is room for `length` bytes.
pub unsafe extern "C" fn feed(ud: *mut c_void, into: *mut c_void, length: usize) -> usize {
    // SAFETY: the feed of the load that runs.
    let feed = unsafe { &mut *ud.cast::<Feed<'_>>() };
    let image = &feed.mutant.bytes;
    let rest = image.len() - feed.at;
    feed.calls += 1;
    let (give, say) = match feed.mutant.reading {
        Reading::Pieces(size) => (length.min(size + feed.calls % 7), None),
        Reading::TooMuch(more) if feed.calls == 3 => (length, Some(length.saturating_add(more))),
        Reading::Half => (length.min(image.len() / 2 - feed.at), None),
        Reading::Twice if feed.calls == 3 => {
            feed.at -= feed.at.min(length);
            (length, None)
        }
        _ => (length, None),
    };
    let give = give.min(rest);
    // SAFETY: the reader's contract: room for `length` bytes.
    unsafe {
        ptr::copy_nonoverlapping(image.as_ptr().add(feed.at), into.cast(), give);
        feed.at += give;
        if feed.mutant.endless && give < length {
            into.cast::<u8>().add(give).write_bytes(0x2a, length - give);
            return length;
        }
    }
    say.unwrap_or(give)
}

/// Loads it, and uses what came of it.
pub fn load(mutant: &Mutant) -> Loaded {
    let main = attempt(mutant);
    if main.is_null() {
        all_has_ended();
        return Loaded::Refused;
    }
    // SAFETY: a VM of this test's own.
    unsafe {
        use_vm(main);
        lua_close(main);
    }
    all_has_ended();
    Loaded::Sound
}

/// Whether it is refused; a VM is closed, and nothing else.
pub fn is_refused(mutant: &Mutant) -> bool {
    let main = attempt(mutant);
    if !main.is_null() {
        // SAFETY: a VM of this test's own.
        unsafe { lua_close(main) }
    }
    main.is_null()
}

/// NULL, and a sentence.
pub fn attempt(mutant: &Mutant) -> *mut lua_State {
    let config = config(mutant.memory_size, mutant.keyed);
    let mut main = ptr::null_mut();
    // SAFETY: bytes of this test; the VM is its own.
    unsafe {
        let status = if mutant.is_whole() {
            let (start, length) = (mutant.bytes.as_ptr().cast(), mutant.bytes.len());
            rlua_load_buffer(&config, start, length, &mut main)
        } else {
            rlua_load(&config, Some(feed), feed_of(mutant).ud(), &mut main)
        };
        if status != 0 {
            assert!(main.is_null());
            let sentence = CStr::from_ptr(rlua_last_error(ptr::null_mut()));
            assert!(sentence.to_bytes().len() > 20, "{status}: {sentence:?}");
        }
    }
    main
}

/// # Safety
/// A VM of this test's own.
pub unsafe fn use_vm(main: *mut lua_State) {
    // SAFETY: the contract above.
    unsafe {
        let sound = |when: &str| {
            let status = rlua_check(main);
            assert_eq!(status, 0, "{when}: {:?}", CStr::from_ptr(rlua_last_error(main)));
        };
        sound("loaded");
        let (mut sum, mut length) = (rlua_Checksum { bytes: [0; 16] }, 0);
        assert_eq!(rlua_checksum(main, &mut sum), 0);
        rlua_save_buffer(main, ptr::null_mut(), 0, &mut length);
        let mut clone = ptr::null_mut();
        if sum.bytes[0] % 4 == 0 && rlua_clone(main, &mut clone) == 0 {
            lua_close(clone);
        }
        if sum.bytes[1] % 8 == 0 {
            return; // closed as it came
        }
        let mut left = 40;
        for step in 0..50 {
            lua_gc(main, LUA_GCSTEP, 1);
            if step % 10 == 0 && sum.bytes[2] % 2 == 0 {
                touch(main, LUA_REGISTRYINDEX, 4, &mut left);
                sound("behind writes");
            }
        }
        sound("behind steps");
        match sum.bytes[3] % 4 {
            0 => lua_gc(main, LUA_GCGEN, 0, 0),
            1 => lua_gc(main, LUA_GCINC, 0, 0, 0),
            _ => 0,
        };
        lua_gc(main, LUA_GCCOLLECT);
        sound("collected");
    }
}

/// New objects go where hosts and scripts would put them: into tables, on the stacks of coroutines.
///
/// # Safety
/// `main` is a VM of this test's own, with a table there.
unsafe fn touch(main: *mut lua_State, table: c_int, depth: usize, left: &mut usize) {
    // SAFETY: the contract above; whatever is pushed is taken off.
    unsafe {
        let top = lua_gettop(main);
        if depth == 0 || *left == 0 || lua_checkstack(main, 8) == 0 {
            return;
        }
        *left -= 1;
        lua_pushvalue(main, table);
        lua_pushnil(main);
        let (mut pairs, mut found) = (0, 0);
        while lua_next(main, top + 1) != 0 {
            pairs += 1;
            assert!(pairs < 100_000, "the keys of a table have no end");
            if lua_type(main, -1) == LUA_TTABLE && found < 6 {
                found += 1;
                touch(main, -1, depth - 1, left);
            } else if lua_type(main, -1) == LUA_TTHREAD && found < 6 {
                found += 1;
                let thread = lua_tothread(main, -1);
                if thread != main && lua_checkstack(thread, 1) != 0 {
                    lua_createtable(thread, 1, 1);
                }
            }
            lua_settop(main, -2);
        }
        // Keys in both parts, which may make them grow.
        for n in 0..3 {
            lua_createtable(main, 0, 0);
            lua_rawsetp(main, top + 1, (8 * n + *left) as *const c_void);
            lua_createtable(main, 0, 0);
            lua_rawseti(main, top + 1, 1000 + n as i64);
        }
        lua_settop(main, top);
    }
}
