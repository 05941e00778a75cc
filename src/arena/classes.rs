//! Size classes: which small sizes share a slab, and how long a slab is.
//!
//! Steps of 8 bytes to 128, of 16 to 256, of 32 to 512. Above that a block is a run of its own.
//! Steps of 8 fit Lua well: a table is 56 bytes, a closure of one upvalue 40, an upvalue 40. The
//! first slabs of a class are short, so that a VM of 100 KiB is not half empty slabs.

use super::layout::{CLASSES, GRAIN, HEAD, SLAB_KINDS, UNIT};

/// The largest small block.
pub const MAX_SMALL: usize = 512;

/// Units of the longest slab.
pub const MAX_UNITS: usize = 4;

/// Short slabs of a class, before its slabs get their full length.
const SHORT_SLABS: u32 = 4;

/// A slab's size class and length. As a number: the class, 32 times the units less one, and 128
/// where it is opaque.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Bytes of a block.
    pub size: u16,
    /// Offset in the slab where the last block ends.
    pub end: u16,
    /// Offset in the slab where the first block begins.
    pub first: u16,
    /// Divides by the size: see [`Shape::index`].
    pub reciprocal: u16,
}

impl Shape {
    /// Which of a slab's blocks begins at `place`.
    #[inline(always)]
    pub fn index(self, place: usize) -> usize {
        (place.wrapping_sub(self.first as usize) * self.reciprocal as usize) >> 16
    }

    /// How many blocks the slab has.
    pub fn blocks(self) -> usize {
        (self.end - self.first) as usize / self.size as usize
    }
}

/// How many shapes there are.
pub const SHAPES: usize = CLASSES * MAX_UNITS;
/// Shapes by number.
static SHAPE: [Shape; SHAPES] = shapes();

/// Block sizes of the classes.
const SIZE: [u16; CLASSES] = sizes();

/// Class of a size, by eighths. Longer than needed, so that the masks below bound the
/// indexes and no bounds check, let alone a panic, is left in the allocation function.
static CLASS_OF: [u8; 2 * MAX_SMALL / 8] = class_of();

/// The class for a block of `size` bytes, at most [`MAX_SMALL`].
#[inline(always)]
pub fn class_for(size: usize) -> usize {
    debug_assert!(size <= MAX_SMALL);
    let eighths = size.div_ceil(8);
    CLASS_OF[eighths & (CLASS_OF.len() - 1)] as usize & (CLASSES - 1)
}

/// The shape of that number.
#[inline(always)]
pub fn shape(number: u16) -> Shape {
    SHAPE[number as usize & (SHAPES - 1)]
}

/// The list of a shape's slabs: its class, and [`CLASSES`] more where it is opaque.
#[inline(always)]
pub fn list_of_shape(number: u16) -> usize {
    (number as usize & (CLASSES - 1)) | ((number as usize & SHAPES) / MAX_UNITS)
}

/// The units of a shape.
#[inline(always)]
pub fn units_of_shape(number: u16) -> usize {
    (number as usize & (SHAPES - 1)) / CLASSES + 1
}

/// The shape of the next slab of a list that has `slabs` already.
pub fn next_shape(list: usize, slabs: u32) -> u16 {
    let (class, opaque) = (list & (CLASSES - 1), list & CLASSES);
    let size = SIZE[class & (CLASSES - 1)] as usize;
    let short = if 2 * size + SLAB_KINDS + GRAIN + HEAD <= UNIT { 1 } else { 2 };
    let full = if size <= 64 {
        1
    } else if size <= 128 {
        2
    } else {
        MAX_UNITS
    };
    let units = if slabs < SHORT_SLABS { short } else { full };
    (class + (units - 1) * CLASSES + opaque * MAX_UNITS) as u16
}

const fn sizes() -> [u16; CLASSES] {
    let mut sizes = [0; CLASSES];
    let (mut class, mut size) = (0, 0);
    while class < CLASSES {
        size += if size < 128 {
            8
        } else if size < 256 {
            16
        } else {
            32
        };
        sizes[class] = size;
        class += 1;
    }
    assert!(size as usize == MAX_SMALL);
    sizes
}

/// Bytes of the kinds of so many blocks.
const fn kinds_bytes(blocks: usize) -> usize {
    blocks.div_ceil(2).next_multiple_of(GRAIN)
}

const fn shapes() -> [Shape; SHAPES] {
    let mut shapes = [Shape { size: 0, end: 0, first: 0, reciprocal: 0 }; SHAPES];
    let mut number = 0;
    while number < SHAPES {
        let size = SIZE[number % CLASSES];
        // The last bytes of a slab's stride are the head of the run behind it.
        let room = (number / CLASSES + 1) * UNIT - HEAD - SLAB_KINDS;
        let mut blocks = room / size as usize;
        while blocks * size as usize + kinds_bytes(blocks) > room {
            blocks -= 1;
        }
        let first = (SLAB_KINDS + kinds_bytes(blocks)) as u16;
        let end = first + blocks as u16 * size;
        let reciprocal = (1u32 << 16).div_ceil(size as u32) as u16;
        shapes[number] = Shape { size, end, first, reciprocal };
        number += 1;
    }
    shapes
}

const fn class_of() -> [u8; 2 * MAX_SMALL / 8] {
    let mut of = [0; 2 * MAX_SMALL / 8];
    let (mut eighths, mut class) = (1, 0);
    while eighths * 8 <= MAX_SMALL {
        if eighths * 8 > SIZE[class] as usize {
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
            assert!(SIZE[class] as usize >= size);
            assert!(class == 0 || (SIZE[class - 1] as usize) < size, "size {size}");
        }
    }

    #[test]
    fn slabs_hold_some_blocks_and_full_ones_waste_little() {
        for (class, &bytes) in SIZE.iter().enumerate() {
            for slabs in [0, 1, SHORT_SLABS, 1000] {
                let number = next_shape(class, slabs);
                let Shape { size, end, first, .. } = shape(number);
                assert_eq!((list_of_shape(number), size), (class, bytes));
                let opaque = next_shape(class + CLASSES, slabs);
                assert_eq!(list_of_shape(opaque), class + CLASSES);
                assert_eq!(shape(opaque).end, shape(number).end);
                assert_eq!(units_of_shape(opaque), units_of_shape(number));
                let places = (first..end).step_by(size as usize);
                for (index, place) in places.enumerate() {
                    assert_eq!(shape(number).index(place as usize), index);
                }
                assert!(first as usize >= SLAB_KINDS + shape(number).blocks().div_ceil(2));
                let bytes = units_of_shape(number) * UNIT;
                assert!(shape(number).blocks() >= 2, "class of {size}");
                assert!(end as usize <= bytes - HEAD);
                let least = if slabs >= SHORT_SLABS { 87 } else { 70 };
                assert!(end as usize * 100 >= bytes * least, "class of {size}, {slabs} slabs");
            }
        }
    }
}
