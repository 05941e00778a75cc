//! Resources: handles to what lies outside the VM.

use crate::error::{Error, Result};
use crate::ffi::hooks::rlua_HostFunction;
use crate::ffi::sized::{self, Sized};
use crate::lua::lua_State;
use crate::vm::guard;
use crate::vm::resources::{self, Push};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// A method of a resource type; a list of them ends with a NULL name.
#[repr(C)]
pub struct rlua_Method {
    /// Its name. One that begins with two underscores is a metamethod; `__gc` is the library's.
    pub name: *const c_char,
    /// Called as any host function, with the type's ud and the handle as first argument.
    pub function: rlua_HostFunction,
}

/// A kind of resource: texture, socket, sound. Fill with zeros, set `size`, then the rest.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlua_ResourceType {
    /// sizeof(rlua_ResourceType).
    pub size: usize,
    /// Names the type in this VM, and in error messages.
    pub name: *const c_char,
    /// Called exactly once for each resource, when neither the live state nor any held snapshot
    /// can reach it. `L` is a thread of the VM. Protected calls work in it; what needs an idle VM
    /// (snap, rollback, close) answers BUSY. It must not raise.
    pub release:
        Option<unsafe extern "C" fn(L: *mut lua_State, object: *mut c_void, ud: *mut c_void)>,
    /// Handed to `release` and to the methods; the host's.
    pub ud: *mut c_void,
    /// What scripts can call on a handle, as `texture:width()`; NULL for nothing.
    pub methods: *const rlua_Method,
}

/// Pushes a handle to an object that lies outside the VM, and owns the object from then on.
///
/// The handle is a userdata: it rolls back with the VM. Collected and rolled back to, it is alive
/// again, and the object has not been released; made and rolled back away, the object is released.
/// A handle also ends where a script marks it `<close>`, and by rlua_closeresource.
///
/// Releases run when the call that caused them is done (snap, rollback, discard, collection), in
/// the order of creation; at lua_close after the finalizers.
///
/// Cost: constant; a snap or a rollback costs what was made, ended, or dropped since, nothing for
/// resources that just live.
///
/// @param L       A thread of a VM of ours.
/// @param object  Not NULL; the host's until this answers RLUA_OK.
/// @param type    Borrowed for the call. The name, the release function and the ud are noted at the
///                first push of a type; the same name with others is BAD_ARG. The metatable is made
///                from `methods` where the VM has none of that name.
/// @return        RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED,
///                BAD_CONFIG (`size`), BAD_ARG, NO_MEMORY, ERR_MEM (the message is on the stack).
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call; `type` is
/// NULL or whole.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_pushresource(
    L: *mut lua_State,
    object: *mut c_void,
    r#type: *const rlua_ResourceType,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::call(L, |vm| {
            if object.is_null() {
                return Err(Error::NullArg { name: "object" });
            }
            let (given, name) = read_type(r#type)?;
            let release = given.release.ok_or(Error::NullArg { name: "type->release" })?;
            let (ud, methods) = (given.ud, given.methods.cast());
            resources::push(vm, L, &Push { object, name, release, ud, methods })
        })
    }
}

// SAFETY: repr(C); integers, pointers and an optional function.
unsafe impl Sized for rlua_ResourceType {}

/// A type that a host filled, and its name.
unsafe fn read_type<'a>(r#type: *const rlua_ResourceType) -> Result<(rlua_ResourceType, &'a CStr)> {
    // SAFETY: NULL or whole (the callers).
    unsafe {
        let given = sized::read("type", r#type)?;
        if given.name.is_null() {
            return Err(Error::NullArg { name: "type->name" });
        }
        Ok((given, CStr::from_ptr(given.name)))
    }
}

/// Reads the object behind a handle.
///
/// @param L       A thread of a VM of ours.
/// @param index   Position of any value.
/// @param type    The type it has to have.
/// @param object  Receives the object, or NULL after an error. Still the VM's: it is valid until
///                the resource is released.
/// @return        RLUA_OK, or BAD_ARG (no resource of that type), STALE (closed or collected),
///                NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED, BAD_CONFIG (`size`).
///
/// # Safety
/// As for rlua_pushresource; `object` is NULL or points to a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_toresource(
    L: *mut lua_State,
    index: c_int,
    r#type: *const rlua_ResourceType,
    object: *mut *mut c_void,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::call(L, |vm| {
            if object.is_null() {
                return Err(Error::NullArg { name: "object" });
            }
            object.write(ptr::null_mut());
            object.write(resources::get(vm, L, index, read_type(r#type)?.1)?);
            Ok(())
        })
    }
}

/// Ends a resource before its handle is collected. The object is released at once, or, where a held
/// snapshot can reach it, when that is dropped; after a rollback to such a snapshot it is alive.
///
/// @param L      A thread of a VM of ours.
/// @param index  Position of a handle.
/// @param type   The type it has to have.
/// @return       As rlua_toresource.
///
/// # Safety
/// As for rlua_pushresource.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_closeresource(
    L: *mut lua_State,
    index: c_int,
    r#type: *const rlua_ResourceType,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::call(L, |vm| {
            let (_, name) = read_type(r#type)?;
            resources::close(vm, L, index, name)
        })
    }
}
