//! What a host keeps with the VM: memory in the arena, references, resources, participants.
//!
//! docs/HOST.md tells when to use which. All of these may be called from host functions while Lua
//! is running; none raises.

use crate::error::{Error, HostError, Result, Status};
use crate::ffi::hooks::{note_failed, null, rlua_HostFunction};
use crate::ffi::{code, fail, find};
use crate::lua::{self, lua_State};
use crate::vm::host::{self, Participant, Push};
use crate::vm::{self, Vm};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

/// Bytes before a block of rlua_alloc: its header.
const BLOCK_HEAD: usize = 16;

/// Allocates memory of the host inside the VM. It rolls back with the VM: contents come back, a
/// block that was freed after the snapshot is there again, one that was made after it is gone.
/// Any pointer in it should lead into the same VM, or not be followed after a rollback.
///
/// The bytes count against the VM's limit and drive its collector, as Lua's own do; where they do
/// not fit, garbage is collected first. They are freed by rlua_free, or with the VM.
///
/// @param L     A thread of a VM of ours.
/// @param size  In bytes; 0 gives a block of no bytes.
/// @return      Memory aligned to 16 and filled with zeros. NULL after NULL_ARG, NOT_ROLLBACK,
///              BUSY (another OS thread), POISONED or NO_MEMORY; rlua_last_error says which.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_alloc(L: *mut lua_State, size: usize) -> *mut c_void {
    // SAFETY: by the contract above.
    unsafe { allocate(L, "rlua_alloc", ptr::null_mut(), size) }
}

/// Gives a block another size, in place where it can; else it moves. What it had is kept up to the
/// smaller size, what is new is zero. A shrink never fails.
///
/// @param L      A thread of a VM of ours.
/// @param block  From rlua_alloc or rlua_realloc in this VM. NULL allocates.
/// @param size   In bytes; 0 does not free.
/// @return       As rlua_alloc, and NULL after BAD_ARG (no live block). After NULL the old block is
///               as it was.
///
/// # Safety
/// As for rlua_alloc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_realloc(
    L: *mut lua_State,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    // SAFETY: by the contract above.
    unsafe { allocate(L, "rlua_realloc", block, size) }
}

/// Frees a block.
///
/// @param L      A thread of a VM of ours.
/// @param block  From rlua_alloc or rlua_realloc in this VM, or NULL, which is nothing to do.
/// @return       RLUA_OK, or NULL_ARG (L), NOT_ROLLBACK, BUSY (another OS thread), POISONED,
///               BAD_ARG: no live block of this VM, as far as its header tells.
///
/// # Safety
/// As for rlua_alloc.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_free(L: *mut lua_State, block: *mut c_void) -> c_int {
    // SAFETY: by the contract above; the block's header was checked.
    unsafe {
        with_mine(L, |vm| {
            if !block.is_null() {
                is_block(vm, "rlua_free", block)?;
                lua::rlua_c_free(L, block);
            }
            Ok(())
        })
    }
}

/// Runs what may also run while Lua does, on this OS thread.
unsafe fn with_mine(L: *mut lua_State, work: impl FnOnce(*mut Vm) -> Result<()>) -> c_int {
    match find(L) {
        // SAFETY: live, by the callers' contract.
        Ok(vm) => code(Some(vm), unsafe { vm::when_mine(vm, || work(vm)) }.and_then(|done| done)),
        Err(error) => fail(None, &error),
    }
}

unsafe fn allocate(
    L: *mut lua_State,
    function: &'static str,
    block: *mut c_void,
    size: usize,
) -> *mut c_void {
    let mut memory = ptr::null_mut();
    // SAFETY: by the callers' contract; the block's header was checked.
    unsafe {
        with_mine(L, |vm| {
            memory = if block.is_null() {
                lua::rlua_c_alloc(L, size)
            } else {
                is_block(vm, function, block)?;
                lua::rlua_c_realloc(L, block, size)
            };
            match memory.is_null() {
                true => Err(HostError::NoMemory { wanted_bytes: size }.into()),
                false => Ok(()),
            }
        });
    }
    memory
}

/// Sees that a pointer is a live block: it lies in the arena, and its header checks.
unsafe fn is_block(vm: *mut Vm, function: &'static str, block: *mut c_void) -> Result<()> {
    // SAFETY: the VM is live; the header is read only where the arena is committed.
    unsafe {
        let (base, used) = ((*vm).arena().base() as usize, (*vm).arena().used_bytes());
        let offset = (block as usize).wrapping_sub(base);
        let inside = offset >= BLOCK_HEAD && offset < used && offset % BLOCK_HEAD == 0;
        if inside && lua::rlua_c_is_block(block) != 0 {
            return Ok(());
        }
    }
    Err(HostError::NotOurBlock { function }.into())
}

/// A reference to a Lua value: a number that knows when it is stale. 0 is none.
pub type rlua_Ref = u64;

/// Pops the value on top and keeps it, until rlua_unref or a rollback to before this call.
///
/// References roll back with the VM: one that was released after the snapshot is there again after
/// the rollback; one that was made after it is stale, also when its place was given to another.
/// (A serial of 32 bits tells them apart: of 4,294,967,295 references made, two may look alike.)
///
/// Cost: constant, but for a table that doubles.
///
/// @param L  A thread of a VM of ours, with a value on top; nil too.
/// @return   The reference, or 0 after NULL_ARG, NOT_ROLLBACK, BUSY (another OS thread), POISONED,
///           BAD_ARG (no value) or NO_MEMORY, with the value still on the stack; rlua_last_error
///           says which.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_ref(L: *mut lua_State) -> rlua_Ref {
    let mut reference = 0;
    // SAFETY: by the contract above; the serial's reference ends before Lua may collect.
    unsafe {
        with_mine(L, |vm| {
            let serial = host::next_serial(vm);
            match lua::rlua_c_ref(L, serial, &mut reference) {
                0 => Ok(()),
                lua::REFUSED_ARGUMENT => Err(Error::BadArg { function: "rlua_ref" }),
                _ => Err(HostError::NoRoom { what: "reference under the VM's limit" }.into()),
            }
        });
    }
    reference
}

/// Pushes the value that a reference keeps.
///
/// Cost: constant; it allocates nothing.
///
/// @param L          A thread of a VM of ours.
/// @param reference  From rlua_ref in this VM.
/// @return           RLUA_OK, or STALE (nothing is pushed), NULL_ARG, NOT_ROLLBACK, BUSY (another
///                   OS thread), POISONED, NO_MEMORY (no room on the Lua stack).
///
/// # Safety
/// As for rlua_ref.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_getref(L: *mut lua_State, reference: rlua_Ref) -> c_int {
    // SAFETY: by the contract above. It allocates nothing and calls nothing, so it need not hold
    // the VM. What fails is a function of its own, so that this one saves no registers.
    unsafe {
        let mut answer = 0;
        if let Ok(vm) = find(L)
            && vm::look(vm).is_ok()
        {
            answer = lua::rlua_c_getref(L, reference);
            if answer == 1 {
                return Status::Ok as c_int;
            }
        }
        getref_failed(L, reference, answer)
    }
}

#[cold]
#[inline(never)]
unsafe fn getref_failed(L: *mut lua_State, reference: rlua_Ref, answer: c_int) -> c_int {
    // SAFETY: live where it was found.
    let looked = find(L).and_then(|vm| unsafe { vm::look(vm) });
    let error = match (looked, answer) {
        (Err(error), _) => error,
        (Ok(()), 0) => HostError::StaleRef { slot: reference as u32 }.into(),
        (Ok(()), _) => Error::StackFull,
    };
    fail(find(L).ok(), &error)
}

/// Releases a reference.
///
/// @param L          A thread of a VM of ours.
/// @param reference  From rlua_ref in this VM.
/// @return           RLUA_OK, or STALE (nothing has changed), NULL_ARG, NOT_ROLLBACK, BUSY (another
///                   OS thread), POISONED.
///
/// # Safety
/// As for rlua_ref.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_unref(L: *mut lua_State, reference: rlua_Ref) -> c_int {
    // SAFETY: by the contract above.
    unsafe {
        with_mine(L, |_| match lua::rlua_c_unref(L, reference) {
            0 => Err(HostError::StaleRef { slot: reference as u32 }.into()),
            _ => Ok(()),
        })
    }
}

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
    if object.is_null() {
        return null(L, "object");
    }
    let mut answer = 0;
    // SAFETY: by the contract above; the struct is read after its size was checked.
    let status = unsafe {
        with_mine(L, |vm| {
            let name = type_name(r#type)?;
            let missing = Error::NullArg { name: "type->release" };
            let release = (*r#type).release.ok_or(missing)?;
            let (ud, methods) = ((*r#type).ud, (*r#type).methods.cast());
            let push = Push { object, name, release, ud, methods };
            answer = host::push_resource(vm, L, &push)?;
            Ok(())
        })
    };
    if status != Status::Ok as c_int {
        return status;
    }
    match answer {
        0 => Status::Ok as c_int,
        lua::REFUSED_STACK => fail(find(L).ok(), &Error::StackFull),
        // SAFETY: `L` was found alive above, and has an error value on top.
        status => unsafe { note_failed(L, "rlua_pushresource", status) as c_int },
    }
}

/// The name of a type whose struct is whole.
unsafe fn type_name<'a>(r#type: *const rlua_ResourceType) -> Result<&'a CStr> {
    if r#type.is_null() {
        return Err(Error::NullArg { name: "type" });
    }
    // SAFETY: not NULL; the size comes first in every version of the struct.
    unsafe {
        let (found, expected) = ((*r#type).size, size_of::<rlua_ResourceType>());
        if found != expected {
            return Err(Error::BadConfigSize { found, expected });
        }
        if (*r#type).name.is_null() {
            return Err(Error::NullArg { name: "type->name" });
        }
        Ok(CStr::from_ptr((*r#type).name))
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
    if object.is_null() {
        return null(L, "object");
    }
    // SAFETY: by the contract above. It changes nothing, so it need not hold the VM.
    unsafe {
        object.write(ptr::null_mut());
        let vm = match find(L) {
            Ok(vm) => vm,
            Err(error) => return fail(None, &error),
        };
        let found = vm::look(vm)
            .and_then(|()| type_name(r#type))
            .and_then(|name| host::to_resource(vm, L, index, name));
        match found {
            Ok(found) => {
                object.write(found);
                Status::Ok as c_int
            }
            Err(error) => fail(Some(vm), &error),
        }
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
        with_mine(L, |vm| {
            let name = type_name(r#type)?;
            host::close_resource(vm, L, index, name)
        })
    }
}

/// State of the host outside the VM that follows its snapshots. Fill with zeros, set `size`, then
/// the rest.
///
/// All three are called with the VM between two states: protected calls on it work, what needs an
/// idle VM answers BUSY, and so do rlua_add_participant and rlua_remove_participant.
#[repr(C)]
pub struct rlua_Participant {
    /// sizeof(rlua_Participant).
    pub size: usize,
    /// Called by each snap, before the VM is copied. Keeps the state as it is now and writes
    /// something to find it by to `token` (which is NULL before). Answers 0; anything else fails
    /// the snap with PARTICIPANT, and nothing has changed.
    pub capture:
        Option<unsafe extern "C" fn(ud: *mut c_void, frame: i64, token: *mut *mut c_void) -> c_int>,
    /// Called by a rollback, when the VM's own state is back, once, with the target's token. The
    /// target may be restored again, so the token must stay good.
    pub restore: Option<unsafe extern "C" fn(ud: *mut c_void, token: *mut c_void)>,
    /// Called exactly once for each token, when its snapshot is gone. May be NULL.
    pub discard: Option<unsafe extern "C" fn(ud: *mut c_void, token: *mut c_void)>,
}

unsafe fn read_participant(
    participant: *const rlua_Participant,
    ud: *mut c_void,
) -> Result<Participant> {
    if participant.is_null() {
        return Err(Error::NullArg { name: "participant" });
    }
    // SAFETY: not NULL; the size comes first in every version of the struct.
    unsafe {
        let (found, expected) = ((*participant).size, size_of::<rlua_Participant>());
        if found != expected {
            return Err(Error::BadConfigSize { found, expected });
        }
        let missing = |name| Error::NullArg { name };
        Ok(Participant {
            capture: (*participant).capture.ok_or(missing("participant->capture"))?,
            restore: (*participant).restore.ok_or(missing("participant->restore"))?,
            discard: (*participant).discard,
            ud,
        })
    }
}

/// Makes host state take part in every snapshot from the next on. Snapshots that are already held
/// have no token of it: a rollback to one of them leaves its state as it is.
///
/// Captures and restores are made in the order in which participants were added. Tokens of dropped
/// snapshots are discarded the oldest snapshot first, after a restore; at lua_close after the
/// finalizers and before the resources are released.
///
/// @param L            A thread of a VM of ours.
/// @param participant  Copied.
/// @param ud           Handed to each call; must stay valid until lua_close or removal.
/// @return             RLUA_OK, or NULL_ARG, NOT_ROLLBACK, BUSY (in one of these functions, in a
///                     release, or another OS thread), POISONED, BAD_CONFIG (`size`), NO_MEMORY.
///
/// # Safety
/// `L` is NULL, foreign, or a thread of a VM that no other thread uses during the call;
/// `participant` is NULL or whole.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_add_participant(
    L: *mut lua_State,
    participant: *const rlua_Participant,
    ud: *mut c_void,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe { with_mine(L, |vm| host::add_participant(vm, read_participant(participant, ud)?)) }
}

/// Ends a participation; its tokens are discarded, the oldest first.
///
/// @param L            A thread of a VM of ours.
/// @param participant  As given to rlua_add_participant.
/// @param ud           As given to rlua_add_participant.
/// @return             As rlua_add_participant, and BAD_ARG when there is no such participant.
///
/// # Safety
/// As for rlua_add_participant.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_remove_participant(
    L: *mut lua_State,
    participant: *const rlua_Participant,
    ud: *mut c_void,
) -> c_int {
    // SAFETY: by the contract above.
    unsafe { with_mine(L, |vm| host::remove_participant(vm, read_participant(participant, ud)?)) }
}
