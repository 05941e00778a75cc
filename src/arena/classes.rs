//! Size classes: which small sizes share a slab.
//!
//! Steps of 8 bytes to 128, of 16 to 256, of 32 to 512. Above that a block is a run of its own.
//! Steps of 8 fit Lua well: a table is 56 bytes, a closure of one upvalue 40, an upvalue 40. Small
//! classes have small slabs, so that a VM of 100 KiB is not half empty slabs.

use super::layout::{CLASSES, HEAD, SLAB_FIRST, UNIT};

/// The largest small block.
pub const MAX_SMALL: usize = 512;

/// One size class.
#[derive(Clone, Copy)]
pub struct Class {
    /// Bytes of a block.
    pub size: u16,
    /// Offset in the slab where the last block ends.
    pub end: u16,
    /// Units of a slab.
    pub units: u16,
}

/// The classes, by size.
pub static CLASS: [Class; CLASSES] = classes();

/// Class of a size, by eighths. Longer than needed, so that the masks below bound the
/// indexes and no bounds check, let alone a panic, is left in the allocation function.
static CLASS_OF: [u8; 2 * MAX_SMALL / 8] = class_of();

/// The class for a block of `size` bytes.
///
/// pre: `size <= MAX_SMALL`.
#[inline(always)]
pub fn class_for(size: usize) -> usize {
    let eighths = size.div_ceil(8);
    CLASS_OF[eighths & (CLASS_OF.len() - 1)] as usize & (CLASSES - 1)
}

const fn classes() -> [Class; CLASSES] {
    let mut classes = [Class { size: 0, end: 0, units: 0 }; CLASSES];
    let (mut i, mut size) = (0, 0);
    while i < CLASSES {
        size += if size < 128 {
            8
        } else if size < 256 {
            16
        } else {
            32
        };
        let units = if size <= 64 {
            1
        } else if size <= 128 {
            2
        } else {
            4
        };
        // The last bytes of a slab's stride are the head of the run behind it.
        let blocks = (units * UNIT - HEAD - SLAB_FIRST) / size;
        let end = (SLAB_FIRST + blocks * size) as u16;
        classes[i] = Class { size: size as u16, end, units: units as u16 };
        i += 1;
    }
    assert!(size == MAX_SMALL);
    classes
}

const fn class_of() -> [u8; 2 * MAX_SMALL / 8] {
    let classes = classes();
    let mut of = [0; 2 * MAX_SMALL / 8];
    let (mut eighths, mut class) = (1, 0);
    while eighths * 8 <= MAX_SMALL {
        if eighths * 8 > classes[class].size as usize {
            class += 1;
        }
        of[eighths] = class as u8;
        eighths += 1;
    }
    of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for size in 1..=MAX_SMALL {
            let class = class_for(size);
            assert!(CLASS[class].size as usize >= size);
            assert!(class == 0 || (CLASS[class - 1].size as usize) < size, "size {size}");
        }
    }

    #[test]
    fn slabs_waste_little() {
        for class in CLASS {
            let bytes = class.units as usize * UNIT;
            assert!((class.end as usize) * 100 >= bytes * 87, "class of {}", class.size);
        }
    }
}
