//! Diff: where two states differ.

use crate::error::{Error, Status};
use crate::ffi::images::load_unrun;
use crate::ffi::life::{rlua_Config, rlua_Trust};
use crate::ffi::sized;
use crate::lua::{self, lua_State};
use crate::vm::diff::{Differences, close_unrun};
use crate::vm::guard;
use std::ffi::{c_char, c_int, c_void};
use std::{mem, ptr};

/// What kind of difference it is.
#[repr(C)]
pub enum rlua_DiffKind {
    /// A value: a number, a string, a boolean, a light userdata. 1 and 1.0 differ, 0.0 and -0.0 do.
    Value = 1,
    /// Values of different types.
    Type = 2,
    /// One side has nothing there; its text is "nil".
    Missing = 3,
    /// One side has no metatable, or another one.
    Metatable = 4,
    /// `pairs` gives the same keys in another order, or would when new ones come, since the parts
    /// of the table have other sizes.
    Order = 5,
    /// The way leads to an object that lies elsewhere too, and in the other state elsewhere: the
    /// texts tell where. So two fields have one object here, and two there.
    Identity = 6,
    /// Another function, by its source and line or its name; or other code of the same name.
    Function = 7,
    /// A coroutine has another status, or stands at another place.
    Coroutine = 8,
    /// The memory of a userdata or of a block of rlua_alloc: the first bytes that differ.
    Bytes = 9,
    /// As missing, in a weak table: a collection may have taken it.
    Weak = 10,
    /// A generator of random numbers.
    Random = 11,
    /// The clock of rlua_set_time.
    Clock = 12,
    /// The budget of rlua_set_budget.
    Budget = 13,
}

const _: () = {
    use rlua_DiffKind::*;
    assert!(Value as c_int == lua::DIFF_VALUE && Type as c_int == lua::DIFF_TYPE);
    assert!(Missing as c_int == lua::DIFF_MISSING && Metatable as c_int == lua::DIFF_METATABLE);
    assert!(Order as c_int == lua::DIFF_ORDER && Identity as c_int == lua::DIFF_IDENTITY);
    assert!(Function as c_int == lua::DIFF_FUNCTION && Coroutine as c_int == lua::DIFF_COROUTINE);
    assert!(Bytes as c_int == lua::DIFF_BYTES && Weak as c_int == lua::DIFF_WEAK);
    assert!(Random as c_int == lua::DIFF_RANDOM && Clock as c_int == lua::DIFF_CLOCK);
    assert!(Budget as c_int == lua::DIFF_BUDGET);
};

/// One place where two states differ. The texts are UTF-8 without control characters, and live
/// until the function that gets them returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rlua_Difference {
    /// An rlua_DiffKind.
    pub kind: c_int,
    /// 0.
    pub reserved: c_int,
    /// The way to it, as Lua would write it: `_G.enemies[3].hp`. docs/DESYNC.md lists what else
    /// there is. At most 480 bytes; a longer one has "..." behind its first step.
    pub path: *const c_char,
    /// What the first state has there: short, strings quoted and cut, floats with 17 digits.
    pub a: *const c_char,
    /// What the second one has.
    pub b: *const c_char,
}

/// Gets a difference. The VMs are in no call meanwhile, so anything may be done with them.
///
/// @return  0 to go on; anything else ends it.
pub type rlua_DiffFn =
    Option<unsafe extern "C" fn(ud: *mut c_void, difference: *const rlua_Difference) -> c_int>;

/// Differences that are looked for where a host does not say how many.
const MOST: usize = 1000;

/// Where the states of two VMs differ, in everything that a script can ever see: values, the order
/// of tables, which objects are the same, functions and their upvalues, coroutines and their
/// locals, userdata and blocks, random numbers, the clock, the budget. What only the collector or
/// the allocator knows is not compared, nor what lies outside: blocks of guarded userdata, ids of
/// resources, pointers without a name. Nothing changes in either VM.
///
/// Both states should come from one: peers, a clone, an image. Objects are compared that the same
/// way leads to, so each is named by the shortest way. The order of what is found is the same
/// whenever the states are.
///
/// Cost: a few lookups for each object and field; some 100 bytes for each object during the call.
///
/// @param a     A thread of the first VM.
/// @param b     A thread of the second VM.
/// @param most  Differences after which it ends; 0 for 1000.
/// @param fn    Called for each difference, after both VMs have been compared. May be NULL.
/// @param ud    The function's.
/// @return      RLUA_OK, also where they differ, or NULL_ARG, NOT_ROLLBACK, BUSY, POISONED,
///              NO_MEMORY, BAD_ARG (both are one VM).
///
/// # Safety
/// `a` and `b` are NULL, foreign, or threads of VMs that no other thread uses during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_diff_vms(
    a: *mut lua_State,
    b: *mut lua_State,
    most: usize,
    r#fn: rlua_DiffFn,
    ud: *mut c_void,
) -> c_int {
    // SAFETY: by the contract above; the texts live as long as `found`.
    unsafe {
        match compare(a, b, most) {
            Ok(found) => tell(&found, r#fn, ud),
            Err(status) => return status,
        }
    }
    Status::Ok as c_int
}

/// The differences of two VMs, or a status whose sentence was noted.
///
/// # Safety
/// As for [`rlua_diff_vms`].
pub(super) unsafe fn compare(
    a: *mut lua_State,
    b: *mut lua_State,
    most: usize,
) -> Result<Differences, c_int> {
    let most = if most == 0 { MOST } else { most };
    let (mut found, mut inner) = (None, Status::Ok as c_int);
    // SAFETY: by the contract above: both are held while they are compared.
    let outer = unsafe {
        guard::work(a, |first| {
            if guard::find(b).is_ok_and(|second| second == first) {
                let why = "both are threads of one VM; compare with a clone of it";
                return Err(Error::BadArg { function: "rlua_diff_vms", why });
            }
            inner = guard::work(b, |second| {
                found = Some(Differences::of(first, second, most)?);
                Ok(())
            });
            Ok(())
        })
    };
    match found {
        Some(found) => Ok(found),
        None => Err(if outer != Status::Ok as c_int { outer } else { inner }),
    }
}

/// # Safety
/// The function is the host's.
unsafe fn tell(found: &Differences, function: rlua_DiffFn, ud: *mut c_void) {
    let Some(function) = function else { return };
    for one in found.iter() {
        let (path, a, b) = (one.path.as_ptr(), one.a.as_ptr(), one.b.as_ptr());
        let told = rlua_Difference { kind: one.kind, reserved: 0, path, a, b };
        // SAFETY: by the contract above.
        if unsafe { function(ud, &told) } != 0 {
            break;
        }
    }
}

/// Where the states of two images differ, as rlua_diff_vms tells it of VMs. No code of an image is
/// run, no finalizer either.
///
/// Cost: as two loads, and rlua_diff_vms.
///
/// @param config    As for rlua_load, for both; images without a key are compared also where
///                  `trust` is 0.
/// @param a         The first image.
/// @param a_length  Its bytes.
/// @param b         The second image.
/// @param b_length  Its bytes.
/// @param most      Differences after which it ends; 0 for 1000.
/// @param fn        Called for each difference. May be NULL.
/// @param ud        The function's.
/// @return          As rlua_load and rlua_diff_vms. rlua_last_error(NULL) gives the sentence.
///
/// # Safety
/// As for rlua_load_buffer, of both images.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rlua_diff(
    config: *const rlua_Config,
    a: *const c_void,
    a_length: usize,
    b: *const c_void,
    b_length: usize,
    most: usize,
    r#fn: rlua_DiffFn,
    ud: *mut c_void,
) -> c_int {
    let opened = [(a, a_length), (b, b_length)];
    let found = (|| {
        // SAFETY: by the contract above; what is opened here is closed here.
        unsafe {
            let first = Opened::of(config, opened[0])?;
            let second = Opened::of(config, opened[1])?;
            compare(first.0, second.0, most)
        }
    })();
    match found {
        // SAFETY: the host's function.
        Ok(found) => unsafe { tell(&found, r#fn, ud) },
        Err(status) => return status,
    }
    Status::Ok as c_int
}

/// An image as a VM, in which nothing runs.
struct Opened(*mut lua_State);

impl Opened {
    /// Whoever it comes from: no code of it runs, and all else is proved.
    ///
    /// # Safety
    /// As for [`load_unrun`].
    unsafe fn of(
        config: *const rlua_Config,
        (image, length): (*const c_void, usize),
    ) -> Result<Opened, c_int> {
        let mut main = ptr::null_mut();
        // SAFETY: by the contract above; zero is a valid config.
        let mut config = match unsafe { config.as_ref() } {
            // SAFETY: as above.
            Some(config) => unsafe { sized::read("config", config) },
            // SAFETY: as above.
            None => Ok(rlua_Config { size: size_of::<rlua_Config>(), ..unsafe { mem::zeroed() } }),
        }
        .map_err(|error| guard::fail(None, &error))?;
        config.size = size_of::<rlua_Config>();
        if config.trust == rlua_Trust::Key as c_int {
            config.trust = rlua_Trust::Proved as c_int;
        }
        if image.is_null() {
            return Err(guard::fail(None, &Error::NullArg { name: "image" }));
        }
        // SAFETY: as above.
        match unsafe { load_unrun(&config, image, length, &mut main) } {
            0 => Ok(Opened(main)),
            status => Err(status),
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: a VM of our own.
        unsafe { close_unrun(self.0) }
    }
}
