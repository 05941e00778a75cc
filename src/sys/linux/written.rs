//! Written pages, from the kernel: userfaultfd write protection and PAGEMAP_SCAN.
//!
//! With `UFFD_FEATURE_WP_ASYNC` the kernel itself lifts a page's protection at the first write and
//! lets the write go on: no handler, no signal, no second thread, and `read()` into the range
//! works. `PAGEMAP_SCAN` then answers which pages are unprotected, and protects them again. Both
//! look at the page table, which is shared by all who share the memory: threads, and children of
//! `vfork` and `clone(CLONE_VM)`. Both are in Linux 6.7 and later, and may be refused in
//! containers, so they are probed by doing it once.
//!
//! One pair of descriptors serves the process, whatever the number of VMs. A forked child has our
//! descriptors but neither registration nor protection, and its pagemap descriptor still shows the
//! parent's memory: a page that the kernel wipes on fork tells the child, which must not ask.
//!
//! An answer is believed only where the kernel shows that it did the work (`walk_end`): a seccomp
//! filter may also make a call answer 0 that was never made.
//!
//! Numbers and structs are those of linux/userfaultfd.h and linux/fs.h, which libc does not have.

use super::last_error;
use crate::sys::Refused;
use crate::sys::written::Refusal;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

const PAGE_BYTES: usize = 4096;

const UFFD_USER_MODE_ONLY: i32 = 1;
const UFFD_API: u64 = 0xAA;
const UFFD_FEATURE_WP_ASYNC: u64 = 1 << 15;
const UFFDIO_REGISTER_MODE_WP: u64 = 1 << 1;
const UFFDIO_API: u64 = 0xC018_AA3F;
const UFFDIO_REGISTER: u64 = 0xC020_AA00;
const UFFDIO_WRITEPROTECT: u64 = 0xC018_AA06;

const PAGEMAP_SCAN: u64 = 0xC060_6610;
const PAGE_IS_WRITTEN: u64 = 1 << 1;
const PM_SCAN_WP_MATCHING: u64 = 1 << 0;
const PM_SCAN_CHECK_WPASYNC: u64 = 1 << 1;

#[repr(C)]
struct UffdioApi {
    api: u64,
    features: u64,
    ioctls: u64,
}

#[repr(C)]
struct UffdioRegister {
    start: u64,
    len: u64,
    mode: u64,
    ioctls: u64,
}

#[repr(C)]
struct UffdioWriteprotect {
    start: u64,
    len: u64,
    /// 0: lift the protection.
    mode: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct PageRegion {
    start: u64,
    end: u64,
    categories: u64,
}

#[repr(C)]
#[derive(Default)]
struct PmScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

struct Kernel {
    uffd: OwnedFd,
    pagemap: OwnedFd,
    /// 1 in the process that opened the descriptors, 0 in a forked child.
    owned: &'static AtomicU64,
}

static KERNEL: OnceLock<Kernel> = OnceLock::new();
/// Set once and for all where the refusal is not a passing one.
static REFUSAL: OnceLock<Refusal> = OnceLock::new();

const fn lasting(why: &'static str) -> Refusal {
    Refusal { why, passing: false }
}

/// What ran out, if that is the reason; else what the caller knows of it.
fn refusal(error: i32, otherwise: Refusal) -> Refusal {
    let why = match error {
        libc::EMFILE => "the process has no file descriptor left (ulimit -n)",
        libc::ENFILE => "the system has no file descriptor left",
        libc::ENOMEM | libc::EAGAIN => "the kernel has no memory for it",
        _ => return otherwise,
    };
    Refusal { why, passing: true }
}

fn kernel() -> Result<&'static Kernel, Refusal> {
    let kernel = match KERNEL.get() {
        Some(kernel) => kernel,
        None => first_use()?,
    };
    if kernel.owned.load(Ordering::Relaxed) == 0 {
        return Err(lasting("the process was forked after the library first used it"));
    }
    Ok(kernel)
}

#[cold]
fn first_use() -> Result<&'static Kernel, Refusal> {
    static OPENING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kernel) = KERNEL.get() {
        return Ok(kernel);
    }
    if let Some(refusal) = REFUSAL.get() {
        return Err(*refusal);
    }
    match open() {
        Ok(kernel) => Ok(KERNEL.get_or_init(|| kernel)),
        Err(refusal) if refusal.passing => Err(refusal),
        Err(refusal) => Err(*REFUSAL.get_or_init(|| refusal)),
    }
}

pub fn probe() -> Result<(), Refusal> {
    kernel().map(|_| ())
}

fn open() -> Result<Kernel, Refusal> {
    if super::memory::system_page_bytes() != PAGE_BYTES {
        return Err(lasting("the system's pages are not 4 KiB"));
    }
    let (uffd, pagemap) = (open_userfaultfd()?, open_pagemap()?);
    let mut api = UffdioApi { api: UFFD_API, features: UFFD_FEATURE_WP_ASYNC, ioctls: 0 };
    // SAFETY: the struct is what this request takes.
    unsafe { ioctl(&uffd, UFFDIO_API, &mut api) }.map_err(|error| match error {
        libc::EINVAL => {
            lasting("this kernel's userfaultfd has no asynchronous write protection (Linux 6.7)")
        }
        error => refusal(error, lasting("ioctl is refused on userfaultfd (seccomp)")),
    })?;
    try_out(&uffd, &pagemap)?;
    Ok(Kernel { uffd, pagemap, owned: fork_mark()? })
}

fn open_userfaultfd() -> Result<OwnedFd, Refusal> {
    // Faults of the kernel's own writes are resolved without us, so the restricted kind will do;
    // it is all that an unprivileged process gets by default. Kernels before 5.11 do not know it.
    let mut error = libc::EINVAL;
    for flags in [UFFD_USER_MODE_ONLY, 0] {
        if error != libc::EINVAL {
            break;
        }
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | flags;
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        if fd > 0 {
            // SAFETY: a new descriptor that nothing else owns.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) });
        }
        error = last_error();
    }
    Err(refusal(
        error,
        match error {
            libc::ENOSYS => lasting("this kernel has no userfaultfd (or a seccomp filter says so)"),
            _ => lasting("userfaultfd is refused (seccomp or permissions)"),
        },
    ))
}

fn open_pagemap() -> Result<OwnedFd, Refusal> {
    // SAFETY: the path is a C string.
    let fd =
        unsafe { libc::open(c"/proc/self/pagemap".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        let otherwise = lasting("/proc/self/pagemap cannot be opened (no /proc, or permissions)");
        return Err(refusal(last_error(), otherwise));
    }
    // SAFETY: a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn anonymous_pages(pages: usize) -> Result<*mut u8, Refusal> {
    let (prot, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at no fixed address.
    let start = unsafe { libc::mmap(ptr::null_mut(), pages * PAGE_BYTES, prot, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(refusal(last_error(), lasting("the system refuses memory for a trial")));
    }
    Ok(start.cast())
}

/// A word that is 1 here and 0 in every forked child; the kernel sees to it, however it forks. A
/// child that shares this memory shares the word, and may ask.
fn fork_mark() -> Result<&'static AtomicU64, Refusal> {
    let page = anonymous_pages(1)?;
    // SAFETY: the page is ours for ever, zero, and aligned.
    unsafe {
        if libc::madvise(page.cast(), PAGE_BYTES, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page.cast(), PAGE_BYTES);
            return Err(lasting("MADV_WIPEONFORK is refused"));
        }
        let mark = &*page.cast::<AtomicU64>();
        mark.store(1, Ordering::Relaxed);
        Ok(mark)
    }
}

/// Pages of the trial.
const TRIAL_PAGES: usize = 3;

/// Writes to one page of three, twice, and expects to be told.
fn try_out(uffd: &OwnedFd, pagemap: &OwnedFd) -> Result<(), Refusal> {
    let start = anonymous_pages(TRIAL_PAGES)?;
    // SAFETY: the pages are ours, and unmapped last.
    let works = unsafe {
        ptr::write_bytes(start, 1, TRIAL_PAGES * PAGE_BYTES);
        register_with(uffd, start, TRIAL_PAGES * PAGE_BYTES).is_ok()
            && reports(pagemap, start, 0, (0, 3))
            && reports(pagemap, start, 1, (1, 2))
            && reports(pagemap, start, 2, (2, 3))
    };
    // SAFETY: mapped above.
    unsafe { libc::munmap(start.cast(), TRIAL_PAGES * PAGE_BYTES) };
    if works { Ok(()) } else { Err(lasting("PAGEMAP_SCAN does not report writes (Linux 6.7)")) }
}

/// Writes to a page of the trial, and sees that exactly this range is reported, and nothing once it
/// is protected again.
///
/// # Safety
/// `start` is the trial's, registered.
unsafe fn reports(pagemap: &OwnedFd, start: *mut u8, page: usize, range: (usize, usize)) -> bool {
    let (mut found, mut ranges) = (None, 0);
    let mut report = |first, end| {
        found = Some((first, end));
        ranges += 1;
    };
    // SAFETY: inside the pages.
    unsafe {
        start.add(page * PAGE_BYTES).write_volatile(1);
        let mut room = [PageRegion::default(); TRIAL_PAGES];
        let scanned = scan_with(pagemap, 0, start, TRIAL_PAGES, &mut room, &mut report);
        let protected = protect_with(pagemap, start, TRIAL_PAGES);
        let mut left = 0;
        let after = scan_with(pagemap, 0, start, TRIAL_PAGES, &mut room, &mut |_, _| left += 1);
        let answers = (scanned, protected, after);
        answers == (Ok(()), Ok(()), Ok(())) && found == Some(range) && (ranges, left) == (1, 0)
    }
}

/// The error is the system's number.
///
/// # Safety
/// `argument` is what the request takes.
unsafe fn ioctl<T>(fd: &OwnedFd, request: u64, argument: &mut T) -> Result<i32, i32> {
    // SAFETY: the caller's contract.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, ptr::from_mut(argument)) };
    if answer < 0 { Err(last_error()) } else { Ok(answer) }
}

unsafe fn register_with(uffd: &OwnedFd, start: *mut u8, bytes: usize) -> Result<(), Refused> {
    // A huge page is protected as a whole, so one write would dirty 512 pages.
    // SAFETY: the caller owns the range. Kernels without huge pages refuse, and need it not.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_NOHUGEPAGE) };
    let mut register = UffdioRegister {
        start: start as u64,
        len: bytes as u64,
        mode: UFFDIO_REGISTER_MODE_WP,
        ioctls: 0,
    };
    // SAFETY: the struct is what this request takes; it changes no bytes of the range.
    unsafe { ioctl(uffd, UFFDIO_REGISTER, &mut register) }.map(|_| ()).map_err(|_| Refused)
}

pub unsafe fn register(start: *mut u8, bytes: usize) -> Result<(), Refused> {
    let kernel = kernel().map_err(|_| Refused)?;
    // SAFETY: the caller's contract.
    unsafe { register_with(&kernel.uffd, start, bytes) }
}

pub unsafe fn scan(
    start: *mut u8,
    pages: usize,
    report: &mut dyn FnMut(usize, usize),
) -> Result<(), Refused> {
    let kernel = kernel().map_err(|_| Refused)?;
    let mut found = [PageRegion::default(); RANGES];
    // SAFETY: the caller's contract.
    unsafe { scan_with(&kernel.pagemap, 0, start, pages, &mut found, report) }
}

pub unsafe fn protect(start: *mut u8, pages: usize) -> Result<(), Refused> {
    let kernel = kernel().map_err(|_| Refused)?;
    // SAFETY: the caller's contract.
    unsafe { protect_with(&kernel.pagemap, start, pages) }
}

pub unsafe fn unprotect(start: *mut u8, pages: usize) -> Result<(), Refused> {
    let kernel = kernel().map_err(|_| Refused)?;
    let len = (pages * PAGE_BYTES) as u64;
    let mut argument = UffdioWriteprotect { start: start as u64, len, mode: 0 };
    // SAFETY: the struct is what this request takes; it changes no bytes of the range.
    let done = unsafe { ioctl(&kernel.uffd, UFFDIO_WRITEPROTECT, &mut argument) };
    done.map(|_| ()).map_err(|_| Refused)
}

/// Ranges that one call of a scan reports at most.
const RANGES: usize = 256;

/// What a call asks for: the written pages of a range.
fn question(flags: u64, start: *mut u8, pages: usize, found: &mut [PageRegion]) -> PmScanArg {
    PmScanArg {
        size: size_of::<PmScanArg>() as u64,
        flags: flags | PM_SCAN_CHECK_WPASYNC,
        start: start as u64,
        end: start as u64 + (pages * PAGE_BYTES) as u64,
        vec: if found.is_empty() { 0 } else { found.as_mut_ptr() as u64 },
        vec_len: found.len() as u64,
        category_mask: PAGE_IS_WRITTEN,
        return_mask: PAGE_IS_WRITTEN,
        ..Default::default()
    }
}

/// Scans and reports, or protects with [`PM_SCAN_WP_MATCHING`]; `found` is then empty.
unsafe fn scan_with(
    pagemap: &OwnedFd,
    flags: u64,
    start: *mut u8,
    pages: usize,
    found: &mut [PageRegion],
    report: &mut dyn FnMut(usize, usize),
) -> Result<(), Refused> {
    let mut argument = question(flags, start, pages, found);
    while argument.start < argument.end {
        // SAFETY: the struct is what this request takes, and `found` has the length it says.
        let count = unsafe { ioctl(pagemap, PAGEMAP_SCAN, &mut argument) };
        let count = count.map_err(|_| Refused)?;
        for region in found.iter().take(count as usize) {
            let index = |address: u64| (address - start as u64) as usize / PAGE_BYTES;
            report(index(region.start), index(region.end));
        }
        if argument.walk_end <= argument.start {
            return Err(Refused);
        }
        argument.start = argument.walk_end;
    }
    Ok(())
}

unsafe fn protect_with(pagemap: &OwnedFd, start: *mut u8, pages: usize) -> Result<(), Refused> {
    // SAFETY: the caller's contract.
    unsafe { scan_with(pagemap, PM_SCAN_WP_MATCHING, start, pages, &mut [], &mut |_, _| {}) }
}
