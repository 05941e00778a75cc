//! Errors: the inner enum carries what is needed for a sentence, the C enum is ABI.
//!
//! Nothing here allocates: an error may say that there is no memory.

mod flaw;
mod host;
mod image;
mod sentence;
mod status;
mod text;

pub use flaw::Flaw;
pub use host::HostError;
pub use image::ImageError;
pub use sentence::Sentence;
pub use status::Status;
use std::fmt;
pub use text::Text;

/// A name in a sentence.
pub type Name = Text<64>;

/// Why a VM cannot be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Lua is running in it.
    Running,
    /// A call that needs an idle VM has called the host back.
    Working,
    /// The host's function saves or loads something for it.
    Sealed,
    /// Another OS thread is inside.
    OtherThread,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Busy::Running => {
                "Lua is running in this VM (a callback, a coroutine, a finalizer, a hook); call \
                 again when it has returned"
            }
            Busy::Working => {
                "a call on this VM has called the host back (a release, a participant); call again \
                 when it has returned"
            }
            Busy::Sealed => {
                "the VM is being saved, or a delta applied: what writes, reads, saves or loads for \
                 it cannot use it"
            }
            Busy::OtherThread => {
                "another OS thread is inside this VM; a VM is used by one thread at a time"
            }
        })
    }
}

/// A failure, with what its sentence needs: what was tried, what was found, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the Display below says what each carries
pub enum Error {
    NullArg { name: &'static str },
    NotRollback,
    Busy(Busy),
    BusyClose(Busy),
    Poisoned,
    Disabled,
    NoSuchSnapshot { wanted: usize, held: usize, max: usize },
    NoSuchFrame { wanted: i64, range: Option<(i64, i64)> },
    NoSnapshot,
    BadFrame { wanted: i64, newest: i64 },
    NoMoreFrames,
    NoAddressSpace { wanted_bytes: usize },
    NoMemoryForVm { limit_bytes: usize },
    NoMemoryForHandle,
    NoMemoryForPages { wanted_pages: usize },
    NoMemoryForCheck,
    Commit { wanted_bytes: usize },
    StackFull,
    LimitTooLarge { wanted_bytes: usize, max_bytes: usize },
    TooManySnapshots { wanted: usize, max: usize },
    BadSize { name: &'static str, found: usize, max: usize },
    UnknownFields { name: &'static str, known_bytes: usize },
    Reserved { name: &'static str },
    UnknownTracker { value: i32 },
    OutOfRange { field: &'static str, value: i32, max: i32 },
    UnknownTrackerName { name: Text<32> },
    TrackerUnavailable { name: &'static str, why: &'static str },
    Corrupt { what: Text<{ Flaw::BYTES }> },
    BadArg { function: &'static str, why: &'static str },
    Lua { function: &'static str, status: Status, text: Text<160> },
    Host(HostError),
    Image(ImageError),
}

impl Error {
    /// The status that goes with this error.
    pub fn status(&self) -> Status {
        match self {
            Error::NullArg { .. } => Status::NullArg,
            Error::NotRollback => Status::NotRollback,
            Error::Busy(_) | Error::BusyClose(_) => Status::Busy,
            Error::Poisoned => Status::Poisoned,
            Error::Disabled => Status::Disabled,
            Error::NoSuchSnapshot { .. } | Error::NoSuchFrame { .. } | Error::NoSnapshot => {
                Status::NoSnapshot
            }
            Error::BadFrame { .. } | Error::NoMoreFrames => Status::BadFrame,
            Error::NoAddressSpace { .. }
            | Error::NoMemoryForVm { .. }
            | Error::NoMemoryForHandle
            | Error::NoMemoryForPages { .. }
            | Error::NoMemoryForCheck
            | Error::Commit { .. }
            | Error::StackFull => Status::NoMemory,
            Error::LimitTooLarge { .. }
            | Error::TooManySnapshots { .. }
            | Error::BadSize { .. }
            | Error::UnknownFields { .. }
            | Error::Reserved { .. }
            | Error::UnknownTracker { .. }
            | Error::OutOfRange { .. }
            | Error::UnknownTrackerName { .. } => Status::BadConfig,
            Error::TrackerUnavailable { .. } => Status::Unsupported,
            Error::Corrupt { .. } => Status::Corrupt,
            Error::BadArg { .. } => Status::BadArg,
            Error::Lua { status, .. } => *status,
            Error::Host(error) => error.status(),
            Error::Image(error) => error.status(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NullArg { name } => write!(f, "{name} is NULL"),
            Error::NotRollback => f.write_str(
                "not a live rollback VM: the state is foreign, already closed, or no state at all",
            ),
            Error::Busy(busy) => busy.fmt(f),
            Error::BusyClose(busy) => write!(
                f,
                "lua_close: the VM stays open, since it is in use: {busy}; after an exception or \
                 the end of a thread inside it, rlua_recover makes it idle"
            ),
            Error::Poisoned => f.write_str(
                "an internal error was caught in an earlier call on this VM; its state cannot be \
                 trusted, close it",
            ),
            Error::Disabled => f.write_str(
                "this VM keeps no snapshots (max_snapshots = 0); call rlua_set_max_snapshots",
            ),
            Error::NoSuchSnapshot { wanted, held, max } => {
                let are = if *held == 1 { "snapshot is" } else { "snapshots are" };
                write!(
                    f,
                    "rollback({wanted}): {held} {are} held (max_snapshots = {max}); 1 is the newest"
                )
            }
            Error::NoSuchFrame { wanted, range: None } => {
                write!(f, "frame {wanted}: no snapshot is held")
            }
            Error::NoSuchFrame { wanted, range: Some((oldest, newest)) } => write!(
                f,
                "frame {wanted}: no snapshot has that label; the held ones go from {oldest} to \
                 {newest}"
            ),
            Error::NoSnapshot => f.write_str("no snapshot is held"),
            Error::BadFrame { wanted, newest } => write!(
                f,
                "snap(frame {wanted}): labels never fall, and the newest snapshot is frame \
                 {newest}; roll back first, or use that label again to replace it"
            ),
            Error::NoMoreFrames => f.write_str(
                "snap: the newest snapshot has the highest label there is; use \
                 rlua_snap_frame with labels of your own",
            ),
            Error::NoAddressSpace { wanted_bytes } => write!(
                f,
                "cannot reserve {wanted_bytes} bytes of address space; close other VMs, raise the \
                 process's limit (ulimit -v, vm.max_map_count), or ask for a smaller memory_size"
            ),
            Error::NoMemoryForVm { limit_bytes } => write!(
                f,
                "a limit of {limit_bytes} bytes is too small for a VM; use at least {} bytes",
                crate::units::MIN_SENSIBLE_BYTES
            ),
            Error::NoMemoryForHandle => {
                f.write_str("the system has no memory for what the library keeps of a VM")
            }
            Error::NoMemoryForPages { wanted_pages } => write!(
                f,
                "no memory for {wanted_pages} snapshot pages; keep fewer snapshots or free memory"
            ),
            Error::NoMemoryForCheck => {
                f.write_str("no memory for the check; nothing is known about the state")
            }
            Error::Commit { wanted_bytes } => {
                write!(f, "the system refused {wanted_bytes} bytes of memory")
            }
            Error::StackFull => f.write_str(
                "the Lua stack cannot grow; pop what is no longer needed or raise the memory limit",
            ),
            Error::LimitTooLarge { wanted_bytes, max_bytes } => write!(
                f,
                "memory_size = {wanted_bytes} is above the maximum of {max_bytes} bytes; 0 asks \
                 for the maximum"
            ),
            Error::TooManySnapshots { wanted, max } => {
                write!(f, "max_snapshots = {wanted} is above the maximum of {max}")
            }
            Error::BadSize { name, found, max } => write!(
                f,
                "{name}->size = {found}: set it to sizeof of the struct (a multiple of {}, at most \
                 {max})",
                size_of::<usize>()
            ),
            Error::UnknownFields { name, known_bytes } => write!(
                f,
                "{name} has fields beyond byte {known_bytes} that are set, and that this library, \
                 older than the header, does not know; leave them zero"
            ),
            Error::Reserved { name } => {
                write!(f, "{name}->reserved is not 0: fill the struct with zeros first")
            }
            Error::UnknownTracker { value } => {
                write!(f, "tracker = {value} is no rlua_Tracker")
            }
            Error::OutOfRange { field, value, max } => {
                write!(f, "{field} = {value}: it can be 1 to {max}, or 0 for the default")
            }
            Error::UnknownTrackerName { name } => {
                write!(f, "RLUA_TRACKER={name} in the environment: it can be auto, compare or uffd")
            }
            Error::TrackerUnavailable { name, why } => {
                write!(f, "the tracker '{name}' cannot be used here: {why}; use auto or compare")
            }
            Error::Corrupt { what } => write!(f, "the state is damaged: {what}"),
            Error::BadArg { function, why } => write!(f, "{function}: {why}; nothing was done"),
            Error::Lua { function, text, .. } => write!(f, "{function}: {text}"),
            Error::Host(error) => error.fmt(f),
            Error::Image(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Error {
        match flaw {
            Flaw::Damaged(what) => Error::Corrupt { what },
            Flaw::NoMemory => Error::NoMemoryForCheck,
        }
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Error {
        Error::Host(error)
    }
}

impl From<ImageError> for Error {
    fn from(error: ImageError) -> Error {
        Error::Image(error)
    }
}

/// The result of everything that can fail inside the library.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_say_what_was_asked_and_what_was_found() {
        let error = Error::NoSuchSnapshot { wanted: 5, held: 3, max: 8 };
        let sentence = error.to_string();
        assert_eq!(error.status(), Status::NoSnapshot);
        for part in ["rollback(5)", "3 snapshots are", "max_snapshots = 8"] {
            assert!(sentence.contains(part), "{sentence}");
        }
        let one = Error::NoSuchSnapshot { wanted: 5, held: 1, max: 8 };
        assert!(one.to_string().contains("1 snapshot is held"), "{one}");
    }
}
