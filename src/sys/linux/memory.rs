//! Address space at 4 GiB boundaries.
//!
//! The kernel aligns to pages only, so we ask for slots: addresses that are multiples of 4 GiB, in
//! a part of the address space where neither the program, nor its libraries, nor the heap lies.
//! `MAP_FIXED_NOREPLACE` answers EEXIST for a slot that is taken. Where the kernel refuses the
//! whole part (valgrind does), we reserve 4 GiB more than needed and trim.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Every reservation starts at a multiple of this.
pub const ALIGNMENT: usize = 1 << 32;

/// Slots to try: 37 to 93 TiB, below where programs and libraries are mapped and above the shadow
/// memory of the sanitizers.
const FIRST_SLOT: usize = 0x2400;
const SLOTS: usize = 0x3400;

/// The next slot to try. It only rises (and wraps), so that a closed VM's address is reused late:
/// a stale `lua_State *` is then still recognised as one.
static NEXT_SLOT: AtomicUsize = AtomicUsize::new(0);

/// The system's page size, probed when the library is loaded.
static SYSTEM_PAGE: AtomicUsize = AtomicUsize::new(4096);

#[ctor::ctor(unsafe)]
fn probe_page_size() {
    // SAFETY: sysconf has no preconditions, and libc is initialised before us.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if bytes > 0 {
        SYSTEM_PAGE.store(bytes as usize, Ordering::Relaxed);
    }
}

/// The system's page size in bytes: what reservations and commits are rounded to.
pub fn system_page_bytes() -> usize {
    SYSTEM_PAGE.load(Ordering::Relaxed)
}

/// Reserves `bytes` of address space that cannot be read or written yet.
///
/// pre: `bytes` is a multiple of the system page, at most 4 GiB.
pub fn reserve(bytes: usize) -> io::Result<NonNull<u8>> {
    for _ in 0..SLOTS {
        let slot = FIRST_SLOT + NEXT_SLOT.fetch_add(1, Ordering::Relaxed) % SLOTS;
        match map(slot * ALIGNMENT, bytes, libc::MAP_FIXED_NOREPLACE) {
            // A kernel older than 4.17 takes the address for a hint.
            Ok(base) if (base.as_ptr() as usize).is_multiple_of(ALIGNMENT) => return Ok(base),
            Ok(base) => unmap(base.as_ptr(), bytes),
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => break,
            Err(_) => break,
        }
    }
    reserve_by_trimming(bytes)
}

fn reserve_by_trimming(bytes: usize) -> io::Result<NonNull<u8>> {
    let whole_bytes = bytes + ALIGNMENT;
    let whole = map(0, whole_bytes, 0)?.as_ptr();
    let before_bytes = whole.align_offset(ALIGNMENT);
    // SAFETY: both stay inside the mapping made above, which is 4 GiB larger than `bytes`.
    let (base, end) = unsafe { (whole.add(before_bytes), whole.add(before_bytes + bytes)) };
    unmap(whole, before_bytes);
    unmap(end, ALIGNMENT - before_bytes);
    NonNull::new(base).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

fn map(address: usize, bytes: usize, flags: i32) -> io::Result<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | flags;
    // SAFETY: NOREPLACE or no fixed address: the call replaces no mapping.
    let base = unsafe {
        libc::mmap(ptr::without_provenance_mut(address), bytes, libc::PROT_NONE, flags, -1, 0)
    };
    match NonNull::new(base.cast::<u8>()) {
        Some(start) if base != libc::MAP_FAILED => Ok(start),
        _ => Err(io::Error::last_os_error()),
    }
}

fn unmap(base: *mut u8, bytes: usize) {
    if bytes > 0 {
        // SAFETY: callers pass ranges that they mapped and that nothing uses any more.
        unsafe { libc::munmap(base.cast(), bytes) };
    }
}

/// Makes `bytes` from `start` readable and writable. Fresh bytes are zero.
///
/// # Safety
/// The range lies in one reservation and is aligned to the system page.
pub unsafe fn commit(start: *mut u8, bytes: usize) -> io::Result<()> {
    // SAFETY: the caller owns the range; more rights on it invalidate nothing.
    match unsafe { libc::mprotect(start.cast(), bytes, libc::PROT_READ | libc::PROT_WRITE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives the memory of a committed range back; it stays committed and reads as zero.
///
/// # Safety
/// The range lies in one reservation, is aligned to the system page, and holds nothing needed.
pub unsafe fn discard(start: *mut u8, bytes: usize) -> io::Result<()> {
    // SAFETY: the caller's contract.
    match unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives a reservation back.
///
/// # Safety
/// `base` and `bytes` are what [`reserve`] was asked for, and nothing points into the range.
pub unsafe fn release(base: NonNull<u8>, bytes: usize) {
    unmap(base.as_ptr(), bytes);
}
