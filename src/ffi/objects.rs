//! What lies outside the VM: names in images, and types of objects that go along.

use crate::error::{Error, Result};
use crate::ffi::hooks::rlua_HostFunction;
use crate::ffi::images::{lua_CFunction, rlua_Writer};
use crate::ffi::resources::{rlua_Method, rlua_ResourceType};
use crate::ffi::sized::{self, Sized};
use crate::lua::lua_State;
use crate::vm::guard;
use crate::vm::load::{HostName, NAME_FUNCTION, NAME_HOST, NAME_POINTER};
use crate::vm::types::{Method, Types, Way};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// A name in images, and what it stands for in this process. One of three:
/// - `function`: a C function that the saving VM has by rlua_register;
/// - `host`, and `pointer`: a function of rlua_pushfunction, and its `ud`;
/// - `pointer` alone: an address that the saving VM has by rlua_register_pointer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlua_Name {
    /// NULL in the last of a list.
    pub name: *const c_char,
    /// A C function, or NULL.
    pub function: lua_CFunction,
    /// A host function, or NULL.
    pub host: rlua_HostFunction,
    /// An address, or what a host function gets as its `ud`.
    pub pointer: *mut c_void,
}

/// How objects outside the VM go with an image, a delta, or a clone: resources, or what the
/// userdata of a C module stand for. Fill with zeros, set `size`, then the rest.
///
/// Neither function may use the VM, whose calls answer BUSY meanwhile, or raise.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlua_ObjectType {
    /// sizeof(rlua_ObjectType).
    pub size: usize,
    /// Of a resource type its name; of userdata what their metatable has as `__name`, which
    /// luaL_newmetatable sets. Up to 255 bytes.
    pub name: *const c_char,
    /// The type of resources as rlua_pushresource gets it, with the same name. NULL for userdata
    /// with a finalizer in C.
    pub resource: *const rlua_ResourceType,
    /// Writes what `load` needs, by calls of `writer` with `to`. `object` is a resource's object,
    /// with a `size` of 0; or a userdata's block, of `size` bytes, as it is now, also where a held
    /// snapshot is saved. 0 for success.
    pub save: Option<
        unsafe extern "C" fn(
            object: *const c_void,
            size: usize,
            writer: rlua_Writer,
            to: *mut c_void,
            ud: *mut c_void,
        ) -> c_int,
    >,
    /// Makes an object from what `save` wrote, `length` bytes, which may be a stranger's, as `size`
    /// may be: look at both. `object` is a userdata's block, of `size` zero bytes, to be filled; or
    /// a `void *`, which receives the resource's object. 0 for success; after anything else nothing
    /// is left of it.
    pub load: Option<
        unsafe extern "C" fn(
            bytes: *const c_void,
            length: usize,
            object: *mut c_void,
            size: usize,
            ud: *mut c_void,
        ) -> c_int,
    >,
    /// Handed to both; the host's.
    pub ud: *mut c_void,
}

// SAFETY: repr(C); integers, pointers and optional functions.
unsafe impl Sized for rlua_ObjectType {}

/// Tells a VM how objects of a type are saved and loaded, so that a state that has such can leave
/// the VM: rlua_save, rlua_save_snapshot, rlua_clone, rlua_save_delta. A VM that is loaded needs
/// the same types in its config (rlua_Config.types), which tells a new one the same.
///
/// An image has of each object what `save` wrote, and no more. The one that is loaded is another
/// object: it is released, or its finalizer runs, when its own VM has no use for it.
///
/// Where loading fails, objects that were loaded end as they do in any VM: a resource is released,
/// the finalizer of a userdata runs.
///
/// @param L     A thread of a VM of ours.
/// @param type  Borrowed for the call; the name is copied. The same type again changes nothing.
/// @return      RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED, BAD_CONFIG
///              (`size`), BAD_ARG (the name is none, or is taken by a type with other functions),
///              NO_MEMORY.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call; `type` is
/// NULL or whole.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_register_type(
    L: *mut lua_State,
    r#type: *const rlua_ObjectType,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        guard::call(L, |vm| {
            let (name, way, methods) = read_type(r#type)?;
            (*vm).types().enter(name, way, &methods)
        })
    }
}

/// A type that a host filled: its name, its functions, and its methods.
///
/// # Safety
/// `type` is NULL or whole.
unsafe fn read_type<'a>(
    r#type: *const rlua_ObjectType,
) -> Result<(&'a CStr, Way, Vec<Method<'a>>)> {
    // SAFETY: the contract above.
    unsafe {
        let given = sized::read("type", r#type)?;
        if given.name.is_null() {
            return Err(Error::NullArg { name: "type->name" });
        }
        let save = given.save.ok_or(Error::NullArg { name: "type->save" })?;
        let load = given.load.ok_or(Error::NullArg { name: "type->load" })?;
        let (mut resource, mut methods) = (None, Vec::new());
        if !given.resource.is_null() {
            let known = sized::read("type->resource", given.resource)?;
            let release =
                known.release.ok_or(Error::NullArg { name: "type->resource->release" })?;
            resource = Some((release, known.ud));
            let mut method = known.methods;
            while !method.is_null() && !(*method).name.is_null() {
                let rlua_Method { name, function } = method.read();
                let function = function.ok_or(Error::NullArg { name: "a method's function" })?;
                methods.try_reserve(1).map_err(|_| Error::NoMemoryForHandle)?;
                methods.push((CStr::from_ptr(name).to_bytes(), function as *const c_void));
                method = method.add(1);
            }
        }
        Ok((CStr::from_ptr(given.name), Way { save, load, ud: given.ud, resource }, methods))
    }
}

/// # Safety
/// `name` is NULL or the first of a list, whose last has a NULL name.
pub(super) unsafe fn read_names<'a>(mut name: *const rlua_Name) -> Result<Vec<HostName<'a>>> {
    // SAFETY: by the contract above.
    unsafe {
        let mut names = Vec::new();
        while !name.is_null() && !(*name).name.is_null() {
            let rlua_Name { name: text, function, host, pointer } = name.read();
            let (kind, address, ud) = match (function, host) {
                (Some(function), _) => (NAME_FUNCTION, function as *const c_void, ptr::null_mut()),
                (None, Some(host)) => (NAME_HOST, host as *const c_void, pointer),
                (None, None) => (NAME_POINTER, pointer.cast_const(), ptr::null_mut()),
            };
            names.try_reserve(1).map_err(|_| Error::NoMemoryForHandle)?;
            let text = CStr::from_ptr(text).to_bytes();
            names.push(HostName { name: text, kind, address, ud });
            name = name.add(1);
        }
        Ok(names)
    }
}

/// A config's types, a list that ends with NULL.
///
/// # Safety
/// `types` is NULL or such a list.
pub(super) unsafe fn read_types(mut types: *const *const rlua_ObjectType) -> Result<Types> {
    let mut read = Types::default();
    // SAFETY: the contract above.
    unsafe {
        while !types.is_null() && !(*types).is_null() {
            let (name, way, methods) = read_type(*types)?;
            read.enter(name, way, &methods)?;
            types = types.add(1);
        }
    }
    Ok(read)
}
