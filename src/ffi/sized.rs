//! Structs that begin with their size, so that they can grow.
//!
//! The host's header may be older or newer than the library. What an older struct lacks is zero, or
//! is not written; what a newer one has beyond ours must be zero, or is left alone. (The rule of
//! Linux's copy_struct_from_user.)

use crate::error::{Error, Result};
use std::ptr;

/// The most that a size field can say: what was left uninitialised mostly says more.
const MAX_BYTES: usize = 4096;

/// A struct of the C ABI whose first field is its size, a `size_t`.
///
/// # Safety
/// It is `repr(C)`, and zero is a valid value of each field.
pub(super) unsafe trait Sized: Copy {}

/// How much of a struct is there.
unsafe fn size_of_struct<T: Sized>(name: &'static str, place: *const T) -> Result<usize> {
    if place.is_null() {
        return Err(Error::NullArg { name });
    }
    // SAFETY: not NULL; the size comes first in every version of the struct.
    match unsafe { place.cast::<usize>().read() } {
        // A size that C gives is a multiple of the alignment, so no field is cut in two.
        found
            if (size_of::<usize>()..=MAX_BYTES).contains(&found)
                && found.is_multiple_of(align_of::<T>()) =>
        {
            Ok(found)
        }
        found => Err(Error::BadSize { name, found, max: MAX_BYTES }),
    }
}

/// Copies a struct that a host filled.
///
/// # Safety
/// `place` is NULL or points to as many bytes as the size in it says.
pub(super) unsafe fn read<T: Sized>(name: &'static str, place: *const T) -> Result<T> {
    // SAFETY: by the contract above; zero is a valid T.
    unsafe {
        let (found, known_bytes) = (size_of_struct(name, place)?, size_of::<T>());
        let bytes = place.cast::<u8>();
        if (known_bytes..found).any(|at| bytes.add(at).read() != 0) {
            return Err(Error::UnknownFields { name, known_bytes });
        }
        let mut copy: T = std::mem::zeroed();
        ptr::copy_nonoverlapping(bytes, (&raw mut copy).cast(), found.min(known_bytes));
        Ok(copy)
    }
}

/// Fills a struct of a host's, but for its size.
///
/// # Safety
/// As for [`read`].
pub(super) unsafe fn write<T: Sized>(name: &'static str, place: *mut T, filled: T) -> Result<()> {
    // SAFETY: by the contract above.
    unsafe {
        let found = size_of_struct(name, place)?;
        let (first, end) = (size_of::<usize>(), found.min(size_of::<T>()));
        let (from, to) = ((&raw const filled).cast::<u8>(), place.cast::<u8>());
        ptr::copy_nonoverlapping(from.add(first), to.add(first), end - first);
        Ok(())
    }
}
