//! Streams: files and processes of the io library, which end when nothing has them open.
//!
//! They are resources without a type of the host: a stream is born when it is opened, and dies when
//! the state closes or collects its handle.
//!
//! # Not here
//! The handles, and how a stream ends (`src/lua/files.c`).

use super::guard::hooked;
use super::resources::end;
use crate::lua::{self, lua_State};
use crate::resource::Released;
use std::ffi::{c_int, c_void};

/// The kind of a stream in the table, far above those of the host's types.
const FIRST_KIND: u32 = 0xFFFF_0000;

/// Ends a stream, if it is one.
///
/// # Safety
/// Nothing has its handle open.
pub(super) unsafe fn release(released: Released) {
    if released.kind >= FIRST_KIND {
        let kind = (released.kind - FIRST_KIND) as c_int;
        // SAFETY: the contract above; the object is as C gave it.
        unsafe { lua::rlua_c_close_stream(released.object, kind) }
    }
}

/// The io library opened something (a hook of C).
///
/// # Safety
/// Lua is running in the VM, on this OS thread; `id` is a place for one.
pub unsafe extern "C" fn opened(
    thread: *mut lua_State,
    handle: *mut c_void,
    object: *mut c_void,
    kind: c_int,
    id: *mut u64,
) -> c_int {
    // SAFETY: the contract above; the references end at once.
    unsafe {
        hooked(thread, 0, |vm| {
            let table = &mut (*vm).outside.table;
            let Ok(born) = table.create(object, FIRST_KIND + kind as u32) else { return 0 };
            table.name(born, handle);
            *id = born;
            1
        })
    }
}

/// The state has closed a handle (a hook of C).
///
/// # Safety
/// As for [`opened`].
pub unsafe extern "C" fn closed(thread: *mut lua_State, handle: *mut c_void, id: u64) -> c_int {
    // SAFETY: the contract above; the reference ends at once.
    unsafe { hooked(thread, lua::END_PAST, |vm| end(&mut (*vm).outside.table, id, handle)) }
}
