//! Life of a VM: open, look at, check, close.

use crate::error::{Error, Result, Status};
use crate::ffi::objects::{read_names, read_types, rlua_Name, rlua_ObjectType};
use crate::ffi::sized::{self, Sized};
use crate::image::Key;
use crate::lua::{self, lua_State};
use crate::units::MIN_SENSIBLE_BYTES;
use crate::vm::config::{AUDIT, Config, Pacing, Profile, Trust};
use crate::vm::guarded::Mode;
use crate::vm::load::Outer;
use crate::vm::registry::{self, Owner};
use crate::vm::types::Types;
use crate::vm::{Vm, guard, timeline};
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Which way a VM finds what was written since the last snapshot. Lua and the library say which
/// lines of 64 bytes they write; the choice is about what hosts write at any time: userdata, blocks
/// of rlua_alloc and of lua_getallocf, extra spaces. It changes what a snapshot costs, never what
/// it keeps.
#[repr(C)]
pub enum rlua_Tracker {
    /// The environment variable RLUA_TRACKER (auto, compare, uffd, cards); where it is not set,
    /// what hosts write to is compared, or watched by the kernel where it is much and that is
    /// cheaper.
    Auto = 0,
    /// Compares every page of the VM with the newest snapshot, whoever wrote to it.
    Compare = 1,
    /// What hosts write to is watched by the kernel, by whole pages (Linux userfaultfd, 6.7 and
    /// later): a fault for each written page.
    Uffd = 2,
    /// What hosts write to is compared. Works everywhere, and asks nothing of the system.
    Cards = 3,
}

/// What a userdata means whose metatable has a C function as `__gc`: it belongs to a C module or a
/// binding, and stands for something outside. docs/HOST.md tells what each kind of userdata does.
#[repr(C)]
pub enum rlua_Guard {
    /// It is guarded: its `__gc` runs once, when neither the live state nor a held snapshot has the
    /// object, and its block does not roll back. A metatable with `__rollback = true` is excepted.
    On = 0,
    /// In a VM that keeps snapshots, setting such a metatable raises an error: for simulations that
    /// must be the same on every machine.
    Refuse = 1,
    /// Nothing: it rolls back as all userdata, and its `__gc` runs in each version of the state.
    Off = 2,
}

/// Whose rules scripts find. The profile is the VM's: what luaL_openlibs and luaL_requiref open
/// obeys it too. docs/DETERMINISM.md tells what differs.
#[repr(C)]
pub enum rlua_Profile {
    /// The same script with the same inputs computes the same state on every machine.
    Deterministic = 0,
    /// As lua.org's Lua behaves.
    Stock = 1,
}

/// Whose images rlua_load and rlua_apply_delta take. What is not verified in any of them is the
/// code of scripts, of which Lua has no verifier: an image of a stranger is a stranger's program.
#[repr(C)]
pub enum rlua_Trust {
    /// Of those who have the key (`image_key`): the hash cannot be made without it.
    Key = 0,
    /// With or without a key. All but code is proved, which takes as long as rlua_check.
    Proved = 1,
    /// With or without a key, those that this host saved itself, where nobody could change them:
    /// damage is found by the hash, and by a look at each word.
    Own = 2,
}

/// How a VM is made. Fill with zeros, set `size`, then what differs from the default.
///
/// All structs that begin with their size follow one rule: a smaller size, of an older header, is
/// accepted, and what it lacks counts as zero or is not written; of a larger one, what the library
/// does not know must be zero, or is left alone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlua_Config {
    /// sizeof(rlua_Config).
    pub size: usize,
    /// Bytes that the whole state can never exceed, rounded down to pages of 4096. A limit, not
    /// memory: small VMs cost little. 0 asks for the maximum of 4 GiB.
    pub memory_size: usize,
    /// Snapshots kept, up to 1048576. 0 keeps none.
    pub max_snapshots: usize,
    /// Seed of string hashes, of table.sort's pivot, and in the deterministic profile of
    /// math.random. Peers of one session use the same; a seed per session resists collisions that
    /// were crafted offline.
    pub seed: u64,
    /// An rlua_Tracker.
    pub tracker: i32,
    /// Collector: percent of the live bytes at which the next cycle starts, as LUA_GCINC's pause.
    /// Up to 1000. 0 is 200.
    pub gc_pause: i32,
    /// Collector: work per allocated byte in percent, as LUA_GCINC's step multiplier. Up to 1000.
    /// 0 is 4, which spreads a cycle over many frames; Lua's own is 100.
    pub gc_step_multiplier: i32,
    /// Collector: logarithm of the bytes allocated between two steps, as LUA_GCINC's step size.
    /// Up to 60. 0 is 12; Lua's own is 13.
    pub gc_step_size: i32,
    /// Collector: divides the work of a step while it sweeps, as far as sweeping stays faster than
    /// the script makes garbage. Up to 1000. 0 is 8; Lua's own is 1.
    pub gc_sweep_divisor: i32,
    /// Audit: how many pages of 4096 bytes that nobody announced writes to are compared in 16
    /// captures and rollbacks; a difference poisons the VM with a sentence. It finds C modules that
    /// write to Lua's own memory. 0 is 4, -1 none. No effect with RLUA_TRACKER_COMPARE.
    pub audit: i32,
    /// An rlua_Guard. 0 guards.
    pub guard: i32,
    /// An rlua_Profile. 0 is deterministic.
    pub profile: i32,
    /// 1: the host announces every write to blocks of rlua_alloc by rlua_touch, so that those of
    /// 512 bytes and more are neither compared nor watched for it. 0: it need not.
    pub announces: i32,
    /// An rlua_Trust: whose images are loaded. 0: only those with the key.
    pub trust: i32,
    /// 1: images are saved compressed (LZ4). 0: they are not.
    pub compress: i32,
    /// 0.
    pub reserved: i32,
    /// 32 bytes, a secret of those who exchange images, or NULL. Borrowed for the call. Images that
    /// the VM saves carry a hash that only who has the key can make, and only such are loaded.
    pub image_key: *const u8,
    /// What the names in images stand for, or NULL: the last has a NULL name. Borrowed for the
    /// call.
    pub names: *const rlua_Name,
    /// How objects outside the VM are saved and loaded, or NULL: a list whose last is NULL. As if
    /// each was told by rlua_register_type; the methods of resources have their names by it, too.
    /// Borrowed for the call.
    pub types: *const *const rlua_ObjectType,
}

/// What a VM holds. Set `size` before the call; the call fills the rest, as far as that reaches.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlua_Info {
    /// sizeof(rlua_Info).
    pub size: usize,
    /// Bytes of the arena that hold state: what a snapshot keeps.
    pub used_bytes: usize,
    /// Bytes that the system was asked for.
    pub committed_bytes: usize,
    /// The most that `used_bytes` has been; a rollback does not lower it.
    pub peak_bytes: usize,
    /// What `used_bytes` can never exceed.
    pub limit_bytes: usize,
    /// Snapshots held.
    pub snapshot_count: usize,
    /// Snapshots held at most.
    pub max_snapshots: usize,
    /// Bytes of memory that the snapshots hold.
    pub snapshot_bytes: usize,
    /// Label of the oldest snapshot; 0 when none is held.
    pub oldest_frame: i64,
    /// Label of the newest snapshot; 0 when none is held.
    pub newest_frame: i64,
    /// Pages of 4096 bytes that the last capture found changed or new.
    pub dirty_pages: usize,
    /// The rlua_Tracker in use.
    pub tracker: i32,
    /// 0.
    pub reserved: i32,
    /// The highest label that was ever captured; a rollback does not lower it. A frame up to it is
    /// re-simulated: ask before the frame's own snap. INT64_MIN before the first.
    pub highest_frame: i64,
    /// Guarded userdata: those that are alive, and those that only a snapshot has.
    pub guarded_count: usize,
}

/// Opens and enters a VM; a panic on the way is an error, not the host's end.
fn open(config: &Config, types: Types) -> Result<*mut lua_State> {
    let enter = |vm: *mut Vm| {
        // SAFETY: what is entered was just made.
        unsafe {
            *(*vm).types() = types;
            registry::enter(vm)
        }
    };
    let opened = catch_unwind(AssertUnwindSafe(|| Vm::open(config).and_then(enter)));
    opened.unwrap_or(Err(Error::Poisoned))
}

/// Makes a VM whose whole state can be rolled back. No libraries are open yet, as after
/// luaL_newstate; the panic function and the warning function are set as there.
///
/// Cost: three system calls and what the bare state takes, about 20 KiB.
///
/// @param memory_size    Bytes that the state can never exceed: a limit, not memory. At the limit
///                       Lua collects garbage, then raises LUA_ERRMEM. 0 asks for 4 GiB.
/// @param max_snapshots  Snapshots kept; the oldest goes when one more is taken. 0 keeps none.
/// @return               The main thread, to be closed with lua_close. NULL when it cannot be
///                       made; rlua_last_error(NULL) says why.
#[unsafe(no_mangle)]
pub extern "C" fn rlua_new_rollback(memory_size: usize, max_snapshots: usize) -> *mut lua_State {
    let config = Config { memory_bytes: memory_size, max_snapshots, ..Config::default() };
    open(&config, Types::default()).unwrap_or_else(|error| {
        guard::fail(None, &error);
        ptr::null_mut()
    })
}

/// Makes a VM as rlua_new_rollback does, with every option.
///
/// @param config  Borrowed for the call. `size` is sizeof(rlua_Config) of the host's header, which
///                may be older than the library.
/// @param out     Receives the main thread, or NULL after an error.
/// @return        RLUA_OK, or NULL_ARG, BAD_CONFIG, UNSUPPORTED (the tracker), NO_MEMORY.
///                rlua_last_error(NULL) gives the sentence.
///
/// # Safety
/// Both pointers are NULL or point to structs of their type.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_open(config: *const rlua_Config, out: *mut *mut lua_State) -> c_int {
    if out.is_null() {
        return guard::fail(None, &Error::NullArg { name: "out" });
    }
    // SAFETY: not NULL, so a place for one pointer, by the contract above.
    unsafe { out.write(ptr::null_mut()) };
    // SAFETY: NULL or whole, by the contract above.
    let read = unsafe { read_config(config).and_then(|read| Ok((read, read_outer(config)?))) };
    let opened = read.and_then(|(config, outer)| open(&config, outer.types));
    match opened {
        Ok(main) => {
            // SAFETY: as above.
            unsafe { out.write(main) };
            Status::Ok as c_int
        }
        Err(error) => guard::fail(None, &error),
    }
}

// SAFETY: repr(C); integers and pointers that may be NULL.
unsafe impl Sized for rlua_Config {}

/// # Safety
/// `config` is NULL or points to as many bytes as its size says.
pub(super) unsafe fn read_config(config: *const rlua_Config) -> Result<Config> {
    // SAFETY: by the contract above.
    let config = unsafe { sized::read("config", config)? };
    if config.reserved != 0 {
        return Err(Error::Reserved { name: "config" });
    }
    Ok(Config {
        memory_bytes: config.memory_size,
        max_snapshots: config.max_snapshots,
        seed: Some(config.seed),
        tracker: config.tracker,
        audit: match config.audit {
            0 => AUDIT,
            -1 => 0,
            pages @ 1.. => pages as u32,
            value => return Err(Error::OutOfRange { field: "audit", value, max: i32::MAX }),
        },
        announces: match config.announces {
            0 => false,
            1 => true,
            value => return Err(Error::OutOfRange { field: "announces", value, max: 1 }),
        },
        pacing: read_pacing(&config)?,
        guard: match config.guard {
            0 => Mode::On,
            1 => Mode::Refuse,
            2 => Mode::Off,
            value => return Err(Error::OutOfRange { field: "guard", value, max: 2 }),
        },
        profile: match config.profile {
            0 => Profile::Deterministic,
            1 => Profile::Stock,
            value => return Err(Error::OutOfRange { field: "profile", value, max: 1 }),
        },
        // SAFETY: NULL or 32 bytes, by the contract above.
        image_key: unsafe { config.image_key.cast::<Key>().as_ref() }.copied(),
        trust: match config.trust {
            0 => Trust::Key,
            1 => Trust::Proved,
            2 => Trust::Own,
            value => return Err(Error::OutOfRange { field: "trust", value, max: 2 }),
        },
        compress: match config.compress {
            0 => false,
            1 => true,
            value => return Err(Error::OutOfRange { field: "compress", value, max: 1 }),
        },
    })
}

/// What a config tells of what lies outside.
///
/// # Safety
/// As for [`read_config`].
pub(super) unsafe fn read_outer<'a>(config: *const rlua_Config) -> Result<Outer<'a>> {
    // SAFETY: by the contract above.
    unsafe {
        let config = sized::read("config", config)?;
        let (names, types) = (read_names(config.names)?, read_types(config.types)?);
        Ok(Outer { names, types, is_left: false })
    }
}

fn read_pacing(config: &rlua_Config) -> Result<Pacing> {
    let or_default = |field, value: i32, max, default| match value {
        0 => Ok(default),
        1.. if value <= max => Ok(value),
        _ => Err(Error::OutOfRange { field, value, max }),
    };
    let usual = Pacing::ROLLBACK;
    let divisor = usual.sweep_divisor as i32;
    Ok(Pacing {
        pause: or_default("gc_pause", config.gc_pause, 1000, usual.pause)?,
        step_multiplier: or_default(
            "gc_step_multiplier",
            config.gc_step_multiplier,
            1000,
            usual.step_multiplier,
        )?,
        step_size: or_default("gc_step_size", config.gc_step_size, 60, usual.step_size)?,
        sweep_divisor: or_default("gc_sweep_divisor", config.gc_sweep_divisor, 1000, divisor)?
            as u32,
    })
}

/// luaL_newstate: a VM in an arena, with no snapshots and a random seed, so that a program that
/// knows nothing of us finds what lua.org's Lua does. rlua_set_max_snapshots turns snapshots on.
///
/// @return  The main thread, or NULL.
#[unsafe(no_mangle)]
pub extern "C" fn luaL_newstate() -> *mut lua_State {
    // Stock Lua has no limit. Where the process may not reserve that much, take what there is.
    let mut memory_bytes = crate::region::MAX_BYTES;
    loop {
        let pacing = Pacing::STOCK;
        let config = Config {
            memory_bytes,
            seed: None,
            pacing,
            profile: Profile::Stock,
            ..Config::default()
        };
        match open(&config, Types::default()) {
            Ok(main) => return main,
            Err(Error::NoAddressSpace { .. }) if memory_bytes > MIN_SENSIBLE_BYTES => {
                memory_bytes /= 2;
            }
            Err(error) => {
                guard::fail(None, &error);
                return ptr::null_mut();
            }
        }
    }
}

/// lua_close: closes variables, runs finalizers, discards the participants' tokens, releases every
/// resource in the order of creation, then frees the arena and the snapshots. A state of
/// lua_newstate is closed as in stock Lua. Refused, with a sentence for rlua_last_error, while the
/// VM is in use (rlua_recover ends that where it is by mistake); ignored for NULL and for a VM that
/// is closed already.
///
/// @param L  A thread of the VM.
///
/// # Safety
/// `L` is NULL or a state; no other thread uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lua_close(L: *mut lua_State) {
    match registry::find(L) {
        // SAFETY: live, by the contract above.
        Owner::Live(vm) => unsafe { guard::close(vm) },
        Owner::Foreign if !L.is_null() => {
            // SAFETY: a state of another allocator, by the contract above.
            unsafe { lua::rlua_c_close_stock(L) }
        }
        Owner::Foreign | Owner::Closed => {
            guard::fail(None, &Error::NotRollback);
        }
    }
}

/// Tells what a VM holds. May be called while Lua is running.
///
/// Cost: a few loads.
///
/// @param L     A thread of the VM.
/// @param info  The caller's; `size` is its sizeof(rlua_Info), which may be another version's.
/// @return      RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), BAD_CONFIG (`size`).
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread closes during the call; `info`
/// is NULL or points to an rlua_Info.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_info(L: *mut lua_State, info: *mut rlua_Info) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::look(L, |vm| sized::write("info", info, describe(vm))) }
}

// SAFETY: repr(C); integers.
unsafe impl Sized for rlua_Info {}

fn describe(vm: &Vm) -> rlua_Info {
    let (arena, history) = (vm.arena(), vm.history());
    let frames = history.frames();
    rlua_Info {
        size: size_of::<rlua_Info>(),
        used_bytes: arena.used_bytes(),
        committed_bytes: arena.committed_bytes(),
        peak_bytes: arena.peak_bytes(),
        limit_bytes: arena.limit_bytes(),
        snapshot_count: history.count(),
        max_snapshots: history.max_snapshots(),
        snapshot_bytes: history.held_bytes(),
        oldest_frame: frames.map_or(0, |(oldest, _)| oldest.0),
        newest_frame: frames.map_or(0, |(_, newest)| newest.0),
        dirty_pages: history.dirty_pages(),
        tracker: vm.tracker_id(),
        reserved: 0,
        highest_frame: history.highest_frame().map_or(i64::MIN, |frame| frame.0),
        guarded_count: vm.guarded_count(),
    }
}

/// Walks the whole arena and the snapshots, and verifies that they are consistent: for tests, and
/// for a host that suspects its own code of writing where it should not.
///
/// Cost: O(used bytes), with temporary memory.
///
/// @param L  A thread of the VM.
/// @return   RLUA_OK, or CORRUPT with a sentence that names the broken invariant, or NULL_ARG,
///           NOT_ROLLBACK, BUSY, POISONED, NO_MEMORY (nothing is known then).
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_check(L: *mut lua_State) -> c_int {
    // SAFETY: by the contract above.
    unsafe { guard::work(L, |vm| timeline::check(vm)) }
}
