//! What C and Rust know of each other: `internal.h`, in Rust. `tests/bindings.rs` compares the two.

// Lua's names; internal.h tells what each is.
#![allow(non_camel_case_types, non_snake_case, missing_docs)]

use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::AtomicUsize;

/// A thread of a VM. Never looked into from Rust.
#[repr(C)]
pub struct lua_State {
    _opaque: [u8; 0],
}

pub type lua_Integer = i64;
pub type lua_Number = f64;
pub type lua_Alloc = unsafe extern "C" fn(*mut c_void, *mut c_void, usize, usize) -> *mut c_void;
/// As `rlua_HostFunction` in the header.
pub type HostFunction = unsafe extern "C" fn(*mut lua_State, *mut c_void) -> c_int;

/// As `rlua_Method` in the header: a list of them ends with a NULL name.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Method {
    pub name: *const c_char,
    pub function: Option<HostFunction>,
}

/// As `rlua_Hold`: the word to clear when a protected call ends, or NULL.
#[repr(C)]
pub struct Hold {
    pub word: *const AtomicUsize,
}

/// As `rlua_Birth`: what a config says of a state before it runs.
#[repr(C)]
pub struct Birth {
    pub seed: u64,
    pub region_bytes: u64,
    pub string_seed: u32,
    pub deterministic: c_int,
}

/// As `rlua_Hooks`: the ways from C into Rust.
#[repr(C)]
pub struct Hooks {
    pub allocate: lua_Alloc,
    pub allocate_for_host: lua_Alloc,
    pub enter: unsafe extern "C" fn(L: *mut lua_State, hold: *mut Hold) -> c_int,
    pub seize: unsafe extern "C" fn(L: *mut lua_State, hold: *mut Hold) -> c_int,
    pub same: unsafe extern "C" fn(L: *mut lua_State, other: *mut lua_State) -> c_int,
    pub null: unsafe extern "C" fn(
        L: *mut lua_State,
        function: *const c_char,
        argument: *const c_char,
    ) -> c_int,
    pub refuse: unsafe extern "C" fn(
        L: *mut lua_State,
        function: *const c_char,
        why: *const c_char,
    ) -> c_int,
    pub full: unsafe extern "C" fn(L: *mut lua_State, function: *const c_char) -> c_int,
    pub failed:
        unsafe extern "C" fn(L: *mut lua_State, function: *const c_char, status: c_int) -> c_int,
    pub collected: unsafe extern "C" fn(L: *mut lua_State, handle: *mut c_void, id: u64),
    pub guard: unsafe extern "C" fn(
        L: *mut lua_State,
        object: *mut c_void,
        bytes: u32,
        place: *mut u32,
    ) -> c_int,
    pub given_up: unsafe extern "C" fn(L: *mut lua_State, object: *mut c_void, place: u32) -> c_int,
    pub kept: unsafe extern "C" fn(main: *mut lua_State, cursor: *mut u64) -> *mut c_void,
    pub opened: unsafe extern "C" fn(
        L: *mut lua_State,
        handle: *mut c_void,
        object: *mut c_void,
        kind: c_int,
        id: *mut u64,
    ) -> c_int,
    pub closed: unsafe extern "C" fn(L: *mut lua_State, handle: *mut c_void, id: u64) -> c_int,
    pub exiting: unsafe extern "C" fn(main: *mut lua_State, finalized: c_int),
    pub scientific:
        unsafe extern "C" fn(value: f64, precision: c_int, text: *mut c_char, room: usize) -> usize,
    pub fixed:
        unsafe extern "C" fn(value: f64, precision: c_int, text: *mut c_char, room: usize) -> usize,
    pub nearest: unsafe extern "C" fn(numeral: *const c_char, length: usize) -> f64,
}

/// As `rlua_Outward`: a name in an image, and what it stands for in this process.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Outward {
    pub address: *const c_void,
    pub ud: *const c_void,
    pub word: u64,
    pub kind: u64,
}

/// As `rlua_Note`.
pub type Note = unsafe extern "C" fn(
    vm: *mut c_void,
    object: *mut c_void,
    bytes: u32,
    place: *mut u32,
) -> c_int;

/// As `rlua_Part`.
pub type Part = unsafe extern "C" fn(ud: *mut c_void, offset: usize, bytes: usize);

/// As `rlua_Met`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Met {
    pub kind: *const c_char,
    pub kind_length: usize,
    pub offset: usize,
    pub memory: usize,
    pub size: usize,
    pub id: u64,
    pub is_resource: u32,
    pub is_pending: u32,
    pub has_finalizer: u64,
}

/// As `rlua_Meet`.
pub type Meet = unsafe extern "C" fn(ud: *mut c_void, met: *const Met) -> *const c_char;

/// As `rlua_BlockBytes`.
pub type BlockBytes =
    unsafe extern "C" fn(ud: *mut c_void, address: *const c_void, kind: *mut u32) -> usize;

/// [`rlua_c_ref`] before it does anything: no value on the stack.
pub const REFUSED_ARGUMENT: c_int = -1;
/// [`rlua_c_pushresource`] before it does anything: no room on the stack.
pub const REFUSED_STACK: c_int = -2;

/// In place of a place: the object's finalizer has run while Lua counts it as pending.
pub const SPENT: u32 = u32::MAX;
/// In place of a place: the object is guarded, and not noted.
pub const UNNOTED: u32 = u32::MAX - 1;

/// [`Hooks::guard`]: the userdata is noted.
pub const GUARD_YES: c_int = 0;
/// [`Hooks::guard`]: no such userdata may be made in this VM.
pub const GUARD_REFUSED: c_int = 1;
/// [`Hooks::guard`]: no more may be made before the rollback.
pub const GUARD_TOO_MANY: c_int = 2;
/// [`Hooks::guard`]: no memory to note it.
pub const GUARD_NO_MEMORY: c_int = 3;

/// A snapshot has it still.
pub const END_LATER: c_int = 0;
/// Nothing has it: the asker ends it.
pub const END_NOW: c_int = 1;
/// It has ended before.
pub const END_PAST: c_int = 2;

/// [`rlua_c_register`]: the pointer has the name.
pub const REGISTER_OK: c_int = 0;
/// [`rlua_c_register`]: the name is none.
pub const REGISTER_BAD_NAME: c_int = 1;
/// [`rlua_c_register`]: the pointer needs no name.
pub const REGISTER_BAD_POINTER: c_int = 2;
/// [`rlua_c_register`]: the pointer has another name.
pub const REGISTER_NAMED: c_int = 3;
/// [`rlua_c_register`]: another pointer has the name.
pub const REGISTER_TAKEN: c_int = 4;
/// [`rlua_c_register`]: there is no memory for it.
pub const REGISTER_NO_MEMORY: c_int = 5;

/// A `FILE` of the io library.
pub const STREAM_FILE: c_int = 1;
/// A process of the io library, and the pipe to it.
pub const STREAM_PIPE: c_int = 2;

/// [`rlua_c_check`]: nothing is wrong.
pub const CHECK_OK: c_int = 0;
/// [`rlua_c_check`]: the heap is damaged, and `why` says where.
pub const CHECK_CORRUPT: c_int = 1;
/// [`rlua_c_check`]: there was no memory to find out.
pub const CHECK_NO_MEMORY: c_int = 2;
/// [`rlua_c_diff_found`]: a value.
pub const DIFF_VALUE: c_int = 1;
/// [`rlua_c_diff_found`]: the type of a value.
pub const DIFF_TYPE: c_int = 2;
/// [`rlua_c_diff_found`]: one side has nothing.
pub const DIFF_MISSING: c_int = 3;
/// [`rlua_c_diff_found`]: a metatable.
pub const DIFF_METATABLE: c_int = 4;
/// [`rlua_c_diff_found`]: the order of a table.
pub const DIFF_ORDER: c_int = 5;
/// [`rlua_c_diff_found`]: which object it is.
pub const DIFF_IDENTITY: c_int = 6;
/// [`rlua_c_diff_found`]: which function it is.
pub const DIFF_FUNCTION: c_int = 7;
/// [`rlua_c_diff_found`]: where a coroutine is.
pub const DIFF_COROUTINE: c_int = 8;
/// [`rlua_c_diff_found`]: memory.
pub const DIFF_BYTES: c_int = 9;
/// [`rlua_c_diff_found`]: as missing, where a collection may take it.
pub const DIFF_WEAK: c_int = 10;
/// [`rlua_c_diff_found`]: a generator of random numbers.
pub const DIFF_RANDOM: c_int = 11;
/// [`rlua_c_diff_found`]: the clock.
pub const DIFF_CLOCK: c_int = 12;
/// [`rlua_c_diff_found`]: the budget.
pub const DIFF_BUDGET: c_int = 13;
/// Bytes of the path that [`rlua_c_canon_path`] can write.
pub const PATH_ROOM: usize = 96;
/// Bytes of the sentence that [`rlua_c_check`] can write.
pub const CHECK_ROOM: usize = 160;

unsafe extern "C" {
    pub fn rlua_c_set_hooks(hooks: *const Hooks);

    pub fn rlua_c_open(
        arena: *mut c_void,
        birth: *const Birth,
        cards: *mut c_void,
        count: usize,
        base: *const c_void,
    ) -> *mut lua_State;
    pub fn rlua_c_suspect(main: *mut lua_State);
    pub fn rlua_c_forget_cards(base: *const c_void);
    pub fn rlua_c_pace(
        main: *mut lua_State,
        pause: c_int,
        step_multiplier: c_int,
        step_size: c_int,
        sweep_divisor: u32,
    );
    pub fn rlua_c_is_idle(main: *mut lua_State) -> c_int;
    pub fn rlua_c_is_deterministic(main: *mut lua_State) -> c_int;
    pub fn rlua_c_finalize(main: *mut lua_State);
    pub fn rlua_c_close_stock(L: *mut lua_State);
    pub fn rlua_c_math(copy: c_int, function: c_int, x: f64, y: f64, result: *mut f64) -> c_int;
    pub fn rlua_c_fma(a: f64, b: f64, c: f64) -> f64;
    pub fn rlua_c_error_text(L: *mut lua_State, length: *mut usize) -> *const c_char;
    pub fn rlua_c_set_time(L: *mut lua_State, seconds: i64, nanoseconds: u32);
    pub fn rlua_c_register(
        L: *mut lua_State,
        name: *const c_char,
        address: *const c_void,
        is_function: c_int,
    ) -> c_int;
    pub fn rlua_c_recover(main: *mut lua_State);
    pub fn rlua_c_check(
        main: *mut lua_State,
        used_bytes: usize,
        block_bytes: Option<BlockBytes>,
        ud: *mut c_void,
        why: *mut c_char,
    ) -> c_int;

    pub fn rlua_c_name_word(kind: u32, name: *const c_char, length: usize) -> u64;
    pub fn rlua_c_canon_begin(
        from: *const c_void,
        base: u64,
        main: usize,
        mode: c_int,
        to: u64,
    ) -> *mut c_void;
    pub fn rlua_c_canon_run(
        canon: *mut c_void,
        offset: usize,
        bytes: usize,
        kind: u32,
        from: usize,
        end: usize,
        out: *mut c_char,
    ) -> *const c_char;
    pub fn rlua_c_canon_slab(
        canon: *mut c_void,
        at: usize,
        from: usize,
        end: usize,
        out: *mut c_char,
    ) -> *const c_char;
    pub fn rlua_c_canon_named(canon: *const c_void) -> u32;
    pub fn rlua_c_canon_names_met(canon: *const c_void) -> u32;
    pub fn rlua_c_canon_names(
        canon: *const c_void,
        bytes: *mut usize,
        count: *mut u32,
    ) -> *const c_char;
    pub fn rlua_c_canon_path(canon: *const c_void, text: *mut c_char) -> usize;
    pub fn rlua_c_canon_known(canon: *const c_void, known: *mut Outward) -> c_int;
    pub fn rlua_c_canon_meet(canon: *mut c_void, meet: Meet, ud: *mut c_void);
    pub fn rlua_c_canon_end(canon: *mut c_void);
    pub fn rlua_c_canon_thread_parts(
        canon: *const c_void,
        thread: usize,
        found: Part,
        ud: *mut c_void,
    );

    pub fn rlua_c_load_begin(
        base: *mut c_void,
        used: usize,
        main: usize,
        cards: *mut c_void,
        count: usize,
        names: *const Outward,
        name_count: u32,
        block_bytes: Option<BlockBytes>,
        ud: *mut c_void,
    ) -> *mut c_void;
    pub fn rlua_c_element_bytes(kind: u32) -> u32;
    pub fn rlua_c_stack_of(block: *const c_void) -> usize;
    pub fn rlua_c_load_block(
        loader: *mut c_void,
        offset: usize,
        bytes: usize,
        kind: u32,
        opaque: c_int,
    ) -> *const c_char;
    pub fn rlua_c_load_finish(loader: *mut c_void) -> *const c_char;
    pub fn rlua_c_load_end(loader: *mut c_void);
    pub fn rlua_c_adopt(
        block: *mut c_void,
        arena: *mut c_void,
        region_bytes: u64,
        before: *const c_void,
    ) -> *mut lua_State;
    pub fn rlua_c_set_cards(base: *const c_void, cards: *mut c_void, count: usize, used: usize);
    pub fn rlua_c_set_thread_cards(block: *mut c_void, cards: *mut c_void, is_main: c_int);
    pub fn rlua_c_library_function(word: u64) -> *const c_void;

    pub fn rlua_c_claim(
        main: *mut lua_State,
        block: *mut c_void,
        bytes: usize,
        kind: *const c_char,
        what: c_int,
        memory: *mut *mut c_void,
        size: *mut usize,
    ) -> *const c_char;
    pub fn rlua_c_handle_block(handle: *mut c_void) -> *mut c_void;
    pub fn rlua_c_take_resource(main: *mut lua_State, handle: *mut c_void);
    pub fn rlua_c_give_resource(main: *mut lua_State, memory: *mut c_void, id: u64);
    pub fn rlua_c_has_unclaimed(main: *mut lua_State) -> c_int;
    pub fn rlua_c_meet_guarded(main: *mut lua_State, object: *mut c_void, met: *mut Met);
    pub fn rlua_c_guard_again(
        main: *mut lua_State,
        block: *mut c_void,
        bytes: usize,
        was: *const Met,
    ) -> *const c_char;
    pub fn rlua_c_guarded_bytes(object: *const c_void) -> u32;
    pub fn rlua_c_place_guarded(main: *mut lua_State, object: *mut c_void, place: u32);
    pub fn rlua_c_take_guarded(main: *mut lua_State, object: *mut c_void);

    pub fn rlua_c_diff(a: *mut lua_State, b: *mut lua_State, most: usize) -> *mut c_void;
    pub fn rlua_c_diff_block(
        diff: *mut c_void,
        offset: usize,
        a_bytes: usize,
        b_bytes: usize,
    ) -> c_int;
    pub fn rlua_c_diff_found(
        diff: *const c_void,
        index: usize,
        path: *mut *const c_char,
        a: *mut *const c_char,
        b: *mut *const c_char,
    ) -> c_int;
    pub fn rlua_c_diff_failed(diff: *const c_void) -> c_int;
    pub fn rlua_c_diff_end(diff: *mut c_void);

    pub fn rlua_c_alloc(L: *mut lua_State, size: usize) -> *mut c_void;
    pub fn rlua_c_is_block(memory: *mut c_void) -> c_int;
    pub fn rlua_c_realloc(L: *mut lua_State, memory: *mut c_void, size: usize) -> *mut c_void;
    pub fn rlua_c_free(L: *mut lua_State, memory: *mut c_void);
    pub fn rlua_c_ref(L: *mut lua_State, serial: u32, reference: *mut u64) -> c_int;
    pub fn rlua_c_getref(L: *mut lua_State, reference: u64) -> c_int;
    pub fn rlua_c_unref(L: *mut lua_State, reference: u64) -> c_int;
    pub fn rlua_c_was_of_type(L: *mut lua_State, index: c_int, name: *const c_char) -> c_int;
    pub fn rlua_c_forget_resource(L: *mut lua_State, handle: *mut c_void);
    pub fn rlua_c_handle(L: *mut lua_State, index: c_int, id: *mut u64) -> *mut c_void;
    pub fn rlua_c_pushresource(
        L: *mut lua_State,
        name: *const c_char,
        methods: *const Method,
        ud: *mut c_void,
        id: u64,
        handle: *mut *mut c_void,
    ) -> c_int;

    pub fn rlua_c_turn_guard(
        main: *mut lua_State,
        marks: c_int,
        note: Option<Note>,
        vm: *mut c_void,
    ) -> c_int;
    pub fn rlua_c_end_guarded(main: *mut lua_State, object: *mut c_void);
    pub fn rlua_c_save_guarded(
        main: *mut lua_State,
        object: *mut c_void,
        copy: *mut c_void,
    ) -> usize;
    pub fn rlua_c_put_back_guarded(
        object: *mut c_void,
        copy: *const c_void,
        ended_at: u32,
    ) -> usize;
    pub fn rlua_c_is_guarded_object(object: *const c_void, bytes: u32) -> c_int;
    pub fn rlua_c_close_stream(object: *mut c_void, kind: c_int);
}
