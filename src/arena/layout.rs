//! Layout: where the allocator's own state lies, all of it inside the region (A1).
//!
//! ```text
//! 0          HEADER            FIRST                                        top        limit
//! |- Header -|- pad -|head| run |head| run ... |head| slab: 1-4 KiB |head|...|
//!                                               ^ payload at a multiple of 1 KiB
//! ```
//!
//! Between `FIRST` and `top` lie runs, each behind an 8-byte head. A run is a large block, a slab
//! of small blocks, or free. Positions are offsets from the base, 32 bits wide; 0 means none.

/// Slabs are whole units and start at a multiple of one.
pub const UNIT: usize = 1024;
/// Payloads of runs start at, and strides are, multiples of this.
pub const GRAIN: usize = 16;
/// Bytes of the head before every run's payload.
pub const HEAD: usize = 8;

/// First-level bins: one a power of two from 128 bytes to 2 GiB, and one for all below.
pub const LEVELS: usize = 26;
/// Bins that each level is cut into.
pub const CUTS: usize = 8;

/// Size classes of small blocks.
pub const CLASSES: usize = 32;

/// Lists of slabs: a size class has one for Lua's blocks, and one for opaque ones.
pub const LISTS: usize = 2 * CLASSES;

/// In a byte of the map: the unit holds opaque memory, which hosts write at any time.
pub const OPAQUE: u8 = 0x80;
/// Beside it: the host announces what it writes there.
pub const ANNOUNCED: u8 = 0x40;
/// The rest of the byte: 0, or 1 + the unit's place in its slab.
pub const PLACE: u8 = 0x3f;

/// What Lua passes as the old size of a new userdata: its tag (`LUA_TUSERDATA`).
pub const TAG_USERDATA: usize = 7;
/// The same of a new thread (`LUA_TTHREAD`): hosts write to its extra space. Lua allocates the main
/// thread and the global state as one large block of this tag, which is suspect by itself.
pub const TAG_THREAD: usize = 8;
/// The same of a new string (`LUA_TSTRING`), which is filled as soon as it is made.
pub const TAG_STRING: usize = 4;
/// This, and a kind ([`super::kinds`]): of what is no object.
pub const TAG_KIND: usize = 16;
/// Bytes of a host.
pub const TAG_HOST: usize = TAG_KIND + 3;

/// Reads as "rluaAR01".
pub const MAGIC: u64 = u64::from_le_bytes(*b"rluaAR01");

/// The allocator's state, at offset 0.
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u64,
    /// The arena never reaches beyond this offset.
    pub limit: u64,
    /// End of the used part: where the next run's payload would start.
    pub top: u64,
    /// The slab map, itself a run: one byte a unit, 0 or 1 + the unit's place in its slab, with
    /// [`OPAQUE`] where the slab, or the run, is opaque, and [`ANNOUNCED`] where a run is, too.
    pub map: u32,
    /// Units that the map covers. Units beyond hold no slab and nothing opaque.
    pub map_units: u32,
    /// For each level, whether any of its bins holds a run.
    pub level_bits: u32,
    /// Keeps the size a multiple of 8.
    pub unused: u32,
    /// For each level, which of its bins hold a run.
    pub cut_bits: [u8; 32],
    /// First free run of each bin.
    pub free_runs: [[u32; CUTS]; LEVELS],
    /// First slab with a free block, for each list.
    pub slabs: [u32; LISTS],
    /// Slabs of each list, those without a free block too.
    pub slab_counts: [u32; LISTS],
}

/// Offset of the first run's payload.
pub const FIRST: usize = (size_of::<Header>() + HEAD).next_multiple_of(GRAIN);

/// Before a run's payload. The head at `top - HEAD` has stride 0.
#[repr(C)]
pub struct Head {
    /// Bytes from this payload to the next, and the run's kind ([`super::kinds`]) in the low four
    /// bits.
    pub stride_kind: u32,
    /// Stride of the run before, 0 for the first.
    pub prev_stride: u32,
}

/// In the payload of a free run: its neighbours in the bin.
#[repr(C)]
pub struct FreeLinks {
    /// The next run of the bin.
    pub next: u32,
    /// The one before; 0 in the first.
    pub prev: u32,
}

/// At the start of a slab. Positions in it are offsets from the slab's start.
///
/// The order matters: written side by side, `fresh` and `used` would be merged into one wide store,
/// and the narrow load of the next call would wait for it (a sixth of the function's time).
#[repr(C)]
pub struct Slab {
    /// Where the part begins that was never handed out.
    pub fresh: u16,
    /// Size class and length: see `classes::Shape`.
    pub shape: u16,
    /// First block of the free list, 0 for none. A free block begins with the next one's offset.
    pub free: u16,
    /// Blocks handed out.
    pub used: u16,
    /// The next slab of the class that has a free block.
    pub next: u32,
    /// The one before; meaningless in the first.
    pub prev: u32,
}

/// Offset of the kinds of a slab's blocks: four bits each, behind its header. The first block lies
/// at the next multiple of a grain (`classes::Shape`).
pub const SLAB_KINDS: usize = size_of::<Slab>();

const _: () = assert!(size_of::<Head>() == HEAD && size_of::<FreeLinks>() <= GRAIN - HEAD);
const _: () = assert!(SLAB_KINDS.is_multiple_of(GRAIN) && size_of::<Header>().is_multiple_of(8));
