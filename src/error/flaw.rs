//! Flaw: what a check of the invariants found.

use super::text::Text;
use std::fmt;

/// Why a check does not say that all is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// An invariant is broken: which one, and where.
    Damaged(Text<{ Flaw::BYTES }>),
    /// The check itself ran out of memory: nothing is known.
    NoMemory,
}

impl Flaw {
    /// The longest text.
    pub const BYTES: usize = 160;

    /// A broken invariant.
    pub fn damaged(what: fmt::Arguments<'_>) -> Flaw {
        Flaw::Damaged(what.into())
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Damaged(what) => what.fmt(f),
            Flaw::NoMemory => f.write_str("not known: no memory for the check"),
        }
    }
}
