//! Lines: what two versions of a page differ in, 64 bytes at a time.
//!
//! A frame that touches a few of a world's entities writes to many more of its pages than of its
//! lines. So a page is compared where it was written, and only the lines that differ are kept.
//!
//! # Not here
//! Copying ([`super::undo`]).

use crate::units::{LINE_BYTES, PAGE_SIZE};

/// Lines of a page: one bit of a [`Mask`] each.
pub const LINES_PER_PAGE: usize = PAGE_SIZE / LINE_BYTES;

/// A set of a page's lines.
pub type Mask = u64;

const LINE_WORDS: usize = LINE_BYTES / 8;
type Line = [u64; LINE_WORDS];

/// The lines that two pages differ in.
///
/// # Safety
/// Both are whole pages, aligned as pages are, that nothing writes to during the call.
#[inline]
pub unsafe fn differing(one: *const u8, other: *const u8) -> Mask {
    #[cfg(miri)]
    if true {
        // SAFETY: the caller's contract.
        return unsafe { differing_quickly_in_miri(one, other) };
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has it; the caller's contract.
        return unsafe { differing_avx2(one, other) };
    }
    // SAFETY: the caller's contract.
    unsafe { differing_anywhere(one, other) }
}

/// Those of some lines that two pages differ in.
///
/// # Safety
/// As for [`differing`].
#[inline(always)]
pub unsafe fn differing_in(lines: Mask, one: *const u8, other: *const u8) -> Mask {
    if lines.count_ones() > LINES_PER_PAGE as u32 / 2 {
        // SAFETY: the caller's contract.
        return unsafe { differing(one, other) } & lines;
    }
    let (one, other) = (one.cast::<Line>(), other.cast::<Line>());
    let mut mask = 0;
    for line in each(lines) {
        // SAFETY: inside the two pages. Raw reads (R3).
        let (one, other) = unsafe { (one.add(line).read(), other.add(line).read()) };
        let mut difference = [0; LINE_WORDS];
        for word in 0..LINE_WORDS {
            difference[word] = one[word] ^ other[word];
        }
        mask |= Mask::from(!is_zero(difference)) << line;
    }
    mask
}

/// Miri compares two arrays in one step, and a thousand words in as many thousands. The tests below
/// show it the code that is used elsewhere.
#[cfg(miri)]
unsafe fn differing_quickly_in_miri(one: *const u8, other: *const u8) -> Mask {
    // SAFETY: two pages.
    let equal =
        unsafe { one.cast::<[u8; PAGE_SIZE]>().read() == other.cast::<[u8; PAGE_SIZE]>().read() };
    if equal {
        return 0;
    }
    let (one, other) = (one.cast::<[u8; LINE_BYTES]>(), other.cast::<[u8; LINE_BYTES]>());
    // SAFETY: inside the two pages.
    let differs = |line: usize| unsafe { one.add(line).read() != other.add(line).read() };
    (0..LINES_PER_PAGE).map(|line| Mask::from(differs(line)) << line).sum()
}

/// The same code, compiled for registers twice as wide.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn differing_avx2(one: *const u8, other: *const u8) -> Mask {
    // SAFETY: the caller's contract.
    unsafe { differing_anywhere(one, other) }
}

/// Four lines at a time: most are equal, and one branch for four is cheaper than four.
#[inline(always)]
unsafe fn differing_anywhere(one: *const u8, other: *const u8) -> Mask {
    const GROUP: usize = 4;
    let (one, other) = (one.cast::<[Line; GROUP]>(), other.cast::<[Line; GROUP]>());
    let mut mask = 0;
    for group in 0..LINES_PER_PAGE / GROUP {
        // Raw reads, no reference: Lua aliases the region (R3).
        // SAFETY: inside the two pages.
        let (one, other) = unsafe { (one.add(group).read(), other.add(group).read()) };
        // Loops that the compiler turns into wide registers; closures it would call.
        let mut differences = [[0; LINE_WORDS]; GROUP];
        let mut any = [0; LINE_WORDS];
        for line in 0..GROUP {
            for word in 0..LINE_WORDS {
                differences[line][word] = one[line][word] ^ other[line][word];
                any[word] |= differences[line][word];
            }
        }
        if is_zero(any) {
            continue;
        }
        for (line, &difference) in differences.iter().enumerate() {
            mask |= Mask::from(!is_zero(difference)) << (group * GROUP + line);
        }
    }
    mask
}

#[inline(always)]
fn is_zero(words: Line) -> bool {
    let mut all = 0;
    for word in words {
        all |= word;
    }
    all == 0
}

/// Asks for the first of some lines of a page that is compared next: the processor's own fetching
/// ahead ends with the page before, and its address may not be in the TLB.
#[inline(always)]
pub fn prefetch(lines: Mask, page: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for line in each(lines).take(8) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, at any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(page.wrapping_add(line * LINE_BYTES).cast()) }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (lines, page);
}

/// Whether two lines are the same.
///
/// # Safety
/// Both are whole lines, aligned as such, that nothing writes to during the call.
#[inline]
pub unsafe fn is_same(one: *const u8, other: *const u8) -> bool {
    // SAFETY: the caller's contract.
    unsafe { one.cast::<Line>().read() == other.cast::<Line>().read() }
}

/// The lines of a set, rising.
pub fn each(mask: Mask) -> impl Iterator<Item = usize> {
    let mut rest = mask;
    std::iter::from_fn(move || {
        let line = rest.trailing_zeros() as usize;
        rest &= rest.wrapping_sub(1);
        (line < LINES_PER_PAGE).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(4096))]
    struct Page([u8; PAGE_SIZE]);

    #[test]
    fn a_byte_of_any_line_is_found_by_either_code() {
        let one = Page([7; PAGE_SIZE]);
        for byte in [0, 1, 63, 64, 255, 256, 2047, 4032, 4095] {
            let mut other = Page([7; PAGE_SIZE]);
            other.0[byte] ^= 0x80;
            let expected = 1 << (byte / LINE_BYTES);
            let (one, other) = (one.0.as_ptr(), other.0.as_ptr());
            // SAFETY: two pages of ours.
            unsafe {
                assert_eq!(differing(one, other), expected, "byte {byte}");
                assert_eq!(differing_anywhere(one, other), expected, "byte {byte}");
                assert_eq!(differing(one, one), 0);
            }
        }
    }

    #[test]
    fn all_sets_of_four_lines_are_told_apart() {
        let one = Page([0; PAGE_SIZE]);
        for set in 0..16u64 {
            let mut other = Page([0; PAGE_SIZE]);
            let expected = set << 8 | set << 60;
            each(expected).for_each(|line| other.0[line * LINE_BYTES + 5] = 1);
            assert_eq!(each(expected).count(), expected.count_ones() as usize);
            // SAFETY: two pages of ours, which differ in these lines.
            unsafe {
                assert_eq!(differing(one.0.as_ptr(), other.0.as_ptr()), expected);
                assert_eq!(differing_anywhere(one.0.as_ptr(), other.0.as_ptr()), expected);
                for some in [0, 1 << 8, expected | 1 << 20, 0xffff_ffff_ffff, u64::MAX] {
                    let (one, other) = (one.0.as_ptr(), other.0.as_ptr());
                    assert_eq!(differing_in(some, one, other), expected & some);
                }
            }
        }
    }
}
