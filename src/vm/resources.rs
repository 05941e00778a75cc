//! Resources: what lies outside the VM, and the host's functions that release it.
//!
//! A release runs with the VM marked as working, whoever caused it: what needs V1 answers BUSY.
//!
//! # Not here
//! Which resources are unreachable (`crate::resource`); the handle's userdata (`host.c`).

use super::guard::{self, Mark};
use super::{Vm, no_room, streams, timeline};
use crate::error::{Error, HostError, Name, Result};
use crate::lua::{self, lua_State};
use crate::resource::{Released, Resources};
use std::ffi::{CStr, c_int, c_void};

/// As `rlua_ResourceType.release`.
pub type Release = unsafe extern "C" fn(*mut lua_State, *mut c_void, *mut c_void);

/// A type of resources.
struct Kind {
    /// With its zero.
    name: Vec<u8>,
    release: Release,
    ud: *mut c_void,
}

/// What lies outside one VM.
#[derive(Default)]
pub struct Outside {
    /// Who can reach what.
    pub(super) table: Resources,
    kinds: Vec<Kind>,
}

impl Outside {
    /// What a type is called; `None` for what has none, as files.
    pub(super) fn name_of(&self, kind: u32) -> Option<&CStr> {
        let kind = self.kinds.get(kind as usize)?;
        CStr::from_bytes_with_nul(&kind.name).ok()
    }

    /// The number of a type; a type of that name is entered when there is none.
    pub(super) fn kind(&mut self, name: &CStr, release: Release, ud: *mut c_void) -> Result<u32> {
        let bytes = name.to_bytes_with_nul();
        if let Some(at) = self.kinds.iter().position(|kind| kind.name == bytes) {
            let known = &self.kinds[at];
            if known.release as usize != release as usize || known.ud != ud {
                return Err(HostError::TypeDiffers { name: text(name) }.into());
            }
            return Ok(at as u32);
        }
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len()).map_err(no_room("resource type"))?;
        copy.extend_from_slice(bytes);
        self.kinds.try_reserve(1).map_err(no_room("resource type"))?;
        self.kinds.push(Kind { name: copy, release, ud });
        Ok(self.kinds.len() as u32 - 1)
    }
}

fn text(name: &CStr) -> Name {
    Name::from_lossy(name.to_bytes())
}

/// Releases what nobody can reach any more, in the order of creation.
///
/// # Safety
/// As for [`timeline::capture`]. So for all functions here.
pub unsafe fn settle(vm: *mut Vm) {
    // SAFETY: the contract above; the reference ends before the host's function runs.
    unsafe {
        while let Some(released) = (*vm).outside.table.next_released() {
            release(vm, (*vm).main, released);
        }
    }
}

unsafe fn release(vm: *mut Vm, thread: *mut lua_State, released: Released) {
    // SAFETY: the contract above; the reference ends before the host's function runs.
    unsafe {
        let kinds = &(*vm).outside.kinds;
        let kind = kinds.get(released.kind as usize).map(|kind| (kind.release, kind.ud));
        let Some((release, ud)) = kind else { return streams::release(released) };
        let _working = Mark::working(vm);
        release(thread, released.object, ud);
    }
}

/// Something outside ends, as far as the state goes: `END_NOW`, `END_LATER` or `END_PAST`.
pub(super) fn end(table: &mut Resources, id: u64, handle: *mut c_void) -> c_int {
    match table.get(id, handle) {
        Some((_, _, true)) => match table.die(id, handle) {
            Some(_) => lua::END_NOW,
            None => lua::END_LATER,
        },
        _ => lua::END_PAST,
    }
}

/// A handle was collected or closed (a hook of C).
///
/// # Safety
/// Lua is running in the VM, on this OS thread.
pub unsafe extern "C" fn collected(thread: *mut lua_State, handle: *mut c_void, id: u64) {
    // SAFETY: the contract above; the references end at once.
    unsafe {
        guard::hooked(thread, (), |vm| {
            if let Some(released) = (*vm).outside.table.die(id, handle) {
                release(vm, thread, released);
            }
        });
    }
}

/// os.exit(code, true) closes the VM from inside Lua (a hook of C); the process ends next.
///
/// # Safety
/// As for [`collected`].
pub unsafe extern "C" fn exiting(main: *mut lua_State, finalized: c_int) {
    // SAFETY: the contract above; Lua's frames below are never returned to.
    unsafe {
        guard::hooked(main, (), |vm| match finalized {
            0 => timeline::begin_close(vm),
            _ => timeline::close(vm),
        });
    }
}

/// What rlua_pushresource was asked for.
#[allow(missing_docs)] // the header tells
pub struct Push<'a> {
    pub object: *mut c_void,
    pub name: &'a CStr,
    pub release: Release,
    pub ud: *mut c_void,
    pub methods: *const lua::Method,
}

/// Pushes a handle of a new resource. After an error the object is the host's as before.
///
/// # Safety
/// As for [`settle`]; `thread` is of this VM; `methods` is NULL or ends with a NULL name.
pub unsafe fn push(vm: *mut Vm, thread: *mut lua_State, push: &Push) -> Result<()> {
    let mut handle = std::ptr::null_mut();
    // SAFETY: the contract above; the references end before Lua runs, which may collect handles.
    unsafe {
        let outside = &mut (*vm).outside;
        let kind = outside.kind(push.name, push.release, push.ud)?;
        let id = outside.table.create(push.object, kind)?;
        let name = push.name.as_ptr();
        let answer = lua::rlua_c_pushresource(thread, name, push.methods, push.ud, id, &mut handle);
        let table = &mut (*vm).outside.table;
        match answer {
            0 => table.name(id, handle),
            _ => table.forget(id),
        }
        guard::answered(thread, "rlua_pushresource", answer)
    }
}

/// A live resource, as its handle names it.
struct Found {
    id: u64,
    handle: *mut c_void,
    object: *mut c_void,
}

unsafe fn find(vm: *mut Vm, thread: *mut lua_State, index: c_int, name: &CStr) -> Result<Found> {
    let other = || Error::from(HostError::NotThisResource { wanted: text(name) });
    let gone = || Error::from(HostError::DeadResource { name: text(name) });
    let mut id = 0;
    // SAFETY: the contract above.
    unsafe {
        let handle = lua::rlua_c_handle(thread, index, &mut id);
        if handle.is_null() {
            return Err(other());
        }
        if id == 0 {
            let was = lua::rlua_c_was_of_type(thread, index, name.as_ptr()) != 0;
            return Err(if was { gone() } else { other() });
        }
        let outside = &(*vm).outside;
        let (object, kind, alive) = outside.table.get(id, handle).ok_or_else(gone)?;
        let kind = outside.kinds.get(kind as usize);
        if kind.is_none_or(|kind| kind.name != name.to_bytes_with_nul()) {
            return Err(other());
        }
        if alive { Ok(Found { id, handle, object }) } else { Err(gone()) }
    }
}

/// The object of the handle at an index, if it is of that type and alive.
///
/// # Safety
/// As for [`settle`]; `thread` is of this VM.
pub unsafe fn get(
    vm: *mut Vm,
    thread: *mut lua_State,
    index: c_int,
    name: &CStr,
) -> Result<*mut c_void> {
    // SAFETY: the contract above.
    unsafe { find(vm, thread, index, name).map(|found| found.object) }
}

/// Ends the life of a resource before its handle is collected.
///
/// # Safety
/// As for [`get`].
pub unsafe fn close(vm: *mut Vm, thread: *mut lua_State, index: c_int, name: &CStr) -> Result<()> {
    // SAFETY: the contract above; the reference ends before the host's function runs.
    unsafe {
        let Found { id, handle, .. } = find(vm, thread, index, name)?;
        lua::rlua_c_forget_resource(thread, handle);
        if let Some(released) = (*vm).outside.table.die(id, handle) {
            release(vm, thread, released);
        }
        Ok(())
    }
}
