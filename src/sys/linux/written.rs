//! Written pages, from the kernel: userfaultfd write protection and PAGEMAP_SCAN.
//!
//! A registered range is write-protected page by page. The first write to a page faults, and with
//! `UFFD_FEATURE_WP_ASYNC` the kernel itself lifts the protection and lets the write go on: no
//! handler, no signal, no second thread, and `read()` into the range works. `PAGEMAP_SCAN` then
//! answers which pages are unprotected, and protects them again. Both are in Linux 6.7 and later, and may be refused in containers, so they are
//! probed by doing it once.
//!
//! One pair of descriptors serves the process, whatever the number of VMs. A forked child has our
//! descriptors but neither registration nor protection, and its pagemap descriptor still shows the
//! parent's memory: a page that the kernel wipes on fork tells the child, which must not ask.
//!
//! Numbers and structs are those of linux/userfaultfd.h and linux/fs.h, which libc does not have.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Why there is no [`Kernel`], as the end of a sentence.
type Refusal = &'static str;

static KERNEL: OnceLock<Result<Kernel, Refusal>> = OnceLock::new();

fn kernel() -> Result<&'static Kernel, Refusal> {
    let kernel = KERNEL.get_or_init(open).as_ref().map_err(|refusal| *refusal)?;
    if kernel.owned.load(Ordering::Relaxed) == 0 {
        return Err("the process was forked after the library first used it");
    }
    Ok(kernel)
}

/// Whether the kernel can do it, tried once. The error is the end of a sentence.
pub fn probe() -> Result<(), Refusal> {
    kernel().map(|_| ())
}

fn open() -> Result<Kernel, Refusal> {
    if super::memory::system_page_bytes() != PAGE_BYTES {
        return Err("the system's pages are not 4 KiB");
    }
    let kernel = Kernel {
        uffd: open_userfaultfd().ok_or("userfaultfd is refused (seccomp or permissions)")?,
        pagemap: open_pagemap().ok_or("/proc/self/pagemap cannot be opened")?,
        owned: fork_mark().ok_or("MADV_WIPEONFORK is refused")?,
    };
    let mut api = UffdioApi { api: UFFD_API, features: UFFD_FEATURE_WP_ASYNC, ioctls: 0 };
    // SAFETY: the struct is what this request takes.
    unsafe { ioctl(&kernel.uffd, UFFDIO_API, &mut api) }
        .map_err(|_| "userfaultfd has no asynchronous write protection (Linux 6.7)")?;
    try_out(&kernel).ok_or("PAGEMAP_SCAN does not report writes (Linux 6.7)")?;
    Ok(kernel)
}

fn open_userfaultfd() -> Option<OwnedFd> {
    // Faults of the kernel's own writes are resolved without us, so the restricted kind will do;
    // it is all that an unprivileged process gets by default.
    for flags in [UFFD_USER_MODE_ONLY, 0] {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | flags;
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        if fd >= 0 {
            // SAFETY: a new descriptor that nothing else owns.
            return Some(unsafe { OwnedFd::from_raw_fd(fd as i32) });
        }
    }
    None
}

fn open_pagemap() -> Option<OwnedFd> {
    // SAFETY: the path is a C string.
    let fd =
        unsafe { libc::open(c"/proc/self/pagemap".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    // SAFETY: a new descriptor that nothing else owns.
    (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
}

fn anonymous_pages(pages: usize) -> Option<*mut u8> {
    let (prot, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at no fixed address.
    let start = unsafe { libc::mmap(ptr::null_mut(), pages * PAGE_BYTES, prot, flags, -1, 0) };
    (start != libc::MAP_FAILED).then_some(start.cast())
}

/// A word that is 1 here and 0 in every forked child; the kernel sees to it, however it forks.
fn fork_mark() -> Option<&'static AtomicU64> {
    let page = anonymous_pages(1)?;
    // SAFETY: the page is ours for ever, zero, and aligned.
    unsafe {
        if libc::madvise(page.cast(), PAGE_BYTES, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page.cast(), PAGE_BYTES);
            return None;
        }
        let mark = &*page.cast::<AtomicU64>();
        mark.store(1, Ordering::Relaxed);
        Some(mark)
    }
}

/// Writes to one page of three, twice, and expects to be told.
fn try_out(kernel: &Kernel) -> Option<()> {
    const PAGES: usize = 3;
    let start = anonymous_pages(PAGES)?;
    let written = |page: usize| {
        // SAFETY: inside the three pages.
        unsafe { start.add(page * PAGE_BYTES).write_volatile(1) };
        let mut written = Vec::new();
        let mut report = |first, end| written.push((first, end));
        let mut found = [PageRegion::default(); PAGES];
        // SAFETY: the three pages are registered by then.
        unsafe {
            scan_with(kernel, 0, start, PAGES, &mut found, &mut report).ok()?;
            scan_with(kernel, PM_SCAN_WP_MATCHING, start, PAGES, &mut [], &mut |_, _| {}).ok()?;
        }
        Some(written)
    };
    // SAFETY: the pages are ours, and unmapped last.
    let works = unsafe {
        ptr::write_bytes(start, 1, PAGES * PAGE_BYTES);
        register_with(kernel, start, PAGES * PAGE_BYTES).is_ok()
            && written(0).is_some_and(|found| found == [(0, 3)])
            && written(1).is_some_and(|found| found == [(1, 2)])
            && written(2).is_some_and(|found| found == [(2, 3)])
    };
    // SAFETY: mapped above.
    unsafe { libc::munmap(start.cast(), PAGES * PAGE_BYTES) };
    works.then_some(())
}

/// # Safety
/// `argument` is what the request takes.
unsafe fn ioctl<T>(fd: &OwnedFd, request: u64, argument: &mut T) -> io::Result<i32> {
    // SAFETY: the caller's contract.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, ptr::from_mut(argument)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

unsafe fn register_with(kernel: &Kernel, start: *mut u8, bytes: usize) -> io::Result<()> {
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
    unsafe { ioctl(&kernel.uffd, UFFDIO_REGISTER, &mut register) }.map(|_| ())
}

/// Registers a range, committed or not; again does no harm. Unmapping ends it.
///
/// # Safety
/// The range is a mapping of the caller's, aligned to pages.
pub unsafe fn register(start: *mut u8, bytes: usize) -> io::Result<()> {
    let kernel = kernel().map_err(io::Error::other)?;
    // SAFETY: the caller's contract.
    unsafe { register_with(kernel, start, bytes) }
}

/// Reports the pages that are not protected as ranges of page indexes, first and end: those that
/// were written since they were protected, and those that never were. Not those that were never
/// touched.
///
/// # Safety
/// The range is registered.
pub unsafe fn scan(
    start: *mut u8,
    pages: usize,
    report: &mut dyn FnMut(usize, usize),
) -> io::Result<()> {
    let kernel = kernel().map_err(io::Error::other)?;
    let mut found = [PageRegion::default(); RANGES];
    // SAFETY: the caller's contract.
    unsafe { scan_with(kernel, 0, start, pages, &mut found, report) }
}

/// Protects pages: those that are written from now on are reported.
///
/// # Safety
/// The range is registered.
pub unsafe fn protect(start: *mut u8, pages: usize) -> io::Result<()> {
    let kernel = kernel().map_err(io::Error::other)?;
    // SAFETY: the caller's contract.
    unsafe { scan_with(kernel, PM_SCAN_WP_MATCHING, start, pages, &mut [], &mut |_, _| {}) }
}

/// Lifts the protection of pages that are about to be written, at once instead of by a fault each.
/// They count as written.
///
/// # Safety
/// The range is registered.
pub unsafe fn unprotect(start: *mut u8, pages: usize) -> io::Result<()> {
    let kernel = kernel().map_err(io::Error::other)?;
    let len = (pages * PAGE_BYTES) as u64;
    let mut argument = UffdioWriteprotect { start: start as u64, len, mode: 0 };
    // SAFETY: the struct is what this request takes; it changes no bytes of the range.
    unsafe { ioctl(&kernel.uffd, UFFDIO_WRITEPROTECT, &mut argument) }.map(|_| ())
}

/// Page faults of this process so far, of all its threads. A protected page cannot be written
/// without one, so where the number has not moved, no page has been written. Not counted are
/// writes from outside the process (a debugger); a scan sees these.
pub fn faults() -> u64 {
    // SAFETY: zero is a valid rusage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is what this call fills.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    (usage.ru_minflt + usage.ru_majflt) as u64
}

/// Ranges that one call of a scan reports at most.
const RANGES: usize = 256;

/// Scans, or protects with [`PM_SCAN_WP_MATCHING`]; `found` may be empty where nobody asks.
unsafe fn scan_with(
    kernel: &Kernel,
    flags: u64,
    start: *mut u8,
    pages: usize,
    found: &mut [PageRegion],
    report: &mut dyn FnMut(usize, usize),
) -> io::Result<()> {
    let mut argument = PmScanArg {
        size: size_of::<PmScanArg>() as u64,
        flags: flags | PM_SCAN_CHECK_WPASYNC,
        start: start as u64,
        end: start as u64 + (pages * PAGE_BYTES) as u64,
        vec: if found.is_empty() { 0 } else { found.as_mut_ptr() as u64 },
        vec_len: found.len() as u64,
        category_mask: PAGE_IS_WRITTEN,
        return_mask: PAGE_IS_WRITTEN,
        ..Default::default()
    };
    while argument.start < argument.end {
        // SAFETY: the struct is what this request takes, and `found` has the length it says.
        let count = unsafe { ioctl(&kernel.pagemap, PAGEMAP_SCAN, &mut argument)? };
        for region in found.iter().take(count as usize) {
            let index = |address: u64| (address - start as u64) as usize / PAGE_BYTES;
            report(index(region.start), index(region.end));
        }
        if argument.walk_end <= argument.start {
            return Err(io::Error::other("PAGEMAP_SCAN did not advance"));
        }
        argument.start = argument.walk_end;
    }
    Ok(())
}
