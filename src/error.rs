//! Errors: the inner enum carries what is needed for a sentence, the C enum is ABI.

mod host;

pub use host::HostError;
use std::ffi::c_char;
use std::fmt;

/// What a function of this library answers.
///
/// The values are ABI: append only, never renumber, never reuse. Codes below 64 come from this
/// library and have changed nothing. Codes from 64 on are Lua's own answer to a protected call;
/// the error value is then on the stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// A pointer that must not be NULL is NULL.
    NullArg = 1,
    /// The state is not one of ours: foreign, closed, or no state at all.
    NotRollback = 2,
    /// Lua is running somewhere in this VM.
    Busy = 3,
    /// An internal error was caught earlier; only lua_close is left.
    Poisoned = 4,
    /// The VM keeps no snapshots (max_snapshots is 0).
    Disabled = 5,
    /// The snapshot asked for is not held.
    NoSnapshot = 6,
    /// The frame's label is not above the newest one.
    BadFrame = 7,
    /// Memory or address space ran out.
    NoMemory = 8,
    /// The configuration asks for something impossible.
    BadConfig = 9,
    /// This system cannot do what was asked for.
    Unsupported = 10,
    /// A check found the state damaged.
    Corrupt = 11,
    /// An argument has no meaning here.
    BadArg = 12,
    /// What a reference or a handle names is gone.
    Stale = 13,
    /// A participant could not capture its state.
    Participant = 14,
    /// Lua: a runtime error.
    ErrRun = 64,
    /// Lua: a syntax error.
    ErrSyntax = 65,
    /// Lua: the memory limit was reached.
    ErrMem = 66,
    /// Lua: an error in the message handler.
    ErrErr = 67,
    /// Lua: a file could not be read.
    ErrFile = 68,
    /// Lua: the coroutine yielded. Not an error.
    Yield = 69,
}

impl Status {
    /// The status of that number.
    pub fn from_code(code: i32) -> Option<Status> {
        use Status::*;
        let all = [
            Ok,
            NullArg,
            NotRollback,
            Busy,
            Poisoned,
            Disabled,
            NoSnapshot,
            BadFrame,
            NoMemory,
            BadConfig,
            Unsupported,
            Corrupt,
            BadArg,
            Stale,
            Participant,
            ErrRun,
            ErrSyntax,
            ErrMem,
            ErrErr,
            ErrFile,
            Yield,
        ];
        all.into_iter().find(|status| *status as i32 == code)
    }

    /// The general sentence, for `rlua_strerror`.
    pub fn sentence(self) -> &'static std::ffi::CStr {
        match self {
            Status::Ok => c"done",
            Status::NullArg => c"a pointer that must not be NULL is NULL",
            Status::NotRollback => c"not a live rollback VM: foreign, closed, or no state at all",
            Status::Busy => c"Lua is running in this VM; call again when it has returned",
            Status::Poisoned => c"an internal error was caught earlier; only lua_close is left",
            Status::Disabled => c"this VM keeps no snapshots; rlua_set_max_snapshots turns them on",
            Status::NoSnapshot => c"the snapshot asked for is not held",
            Status::BadFrame => c"the frame's label is not above the newest snapshot's",
            Status::NoMemory => c"out of memory or address space",
            Status::BadConfig => c"the configuration asks for something impossible",
            Status::Unsupported => c"this system cannot do what was asked for",
            Status::Corrupt => c"the state is damaged",
            Status::BadArg => c"an argument has no meaning here",
            Status::Stale => c"what the reference or the handle names is gone",
            Status::Participant => c"a participant could not capture its state; nothing changed",
            Status::ErrRun => c"Lua error; the error value is on the stack",
            Status::ErrSyntax => c"Lua syntax error; the message is on the stack",
            Status::ErrMem => c"Lua reached the memory limit; the message is on the stack",
            Status::ErrErr => c"error in the message handler; the error value is on the stack",
            Status::ErrFile => c"a file could not be read; the message is on the stack",
            Status::Yield => c"the coroutine yielded",
        }
    }
}

/// A failure, with what its sentence needs: what was tried, what was found, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the Display below says what each carries
pub enum Error {
    NullArg { name: &'static str },
    NotRollback,
    Busy,
    BusyClose,
    Poisoned,
    Disabled,
    NoSuchSnapshot { wanted: usize, held: usize, max: usize },
    NoSuchFrame { wanted: i64, range: Option<(i64, i64)> },
    BadFrame { wanted: i64, newest: i64 },
    NoMoreFrames,
    NoAddressSpace { wanted_bytes: usize },
    NoMemoryForVm { limit_bytes: usize },
    NoMemoryForPages { wanted_pages: usize },
    Commit { wanted_bytes: usize },
    StackFull,
    LimitTooLarge { wanted_bytes: usize, max_bytes: usize },
    TooManySnapshots { wanted: usize, max: usize },
    BadConfigSize { found: usize, expected: usize },
    UnknownTracker { value: i32 },
    OutOfRange { field: &'static str, value: i32, max: i32 },
    UnknownTrackerName { name: String },
    TrackerUnavailable { name: &'static str, why: &'static str },
    Corrupt { what: String },
    BadArg { function: &'static str },
    Host(HostError),
}

impl Error {
    /// The status that goes with this error.
    pub fn status(&self) -> Status {
        match self {
            Error::NullArg { .. } => Status::NullArg,
            Error::NotRollback => Status::NotRollback,
            Error::Busy | Error::BusyClose => Status::Busy,
            Error::Poisoned => Status::Poisoned,
            Error::Disabled => Status::Disabled,
            Error::NoSuchSnapshot { .. } | Error::NoSuchFrame { .. } => Status::NoSnapshot,
            Error::BadFrame { .. } | Error::NoMoreFrames => Status::BadFrame,
            Error::NoAddressSpace { .. }
            | Error::NoMemoryForVm { .. }
            | Error::NoMemoryForPages { .. }
            | Error::Commit { .. }
            | Error::StackFull => Status::NoMemory,
            Error::LimitTooLarge { .. }
            | Error::TooManySnapshots { .. }
            | Error::BadConfigSize { .. }
            | Error::UnknownTracker { .. }
            | Error::OutOfRange { .. }
            | Error::UnknownTrackerName { .. } => Status::BadConfig,
            Error::TrackerUnavailable { .. } => Status::Unsupported,
            Error::Corrupt { .. } => Status::Corrupt,
            Error::BadArg { .. } => Status::BadArg,
            Error::Host(error) => error.status(),
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
            Error::Busy => f.write_str(
                "Lua is running in this VM (a callback, a coroutine, a finalizer, a hook, or \
                 another thread); call again when it has returned",
            ),
            Error::BusyClose => f.write_str(
                "lua_close was called while Lua is running in this VM; the VM stays open, close \
                 it when the outermost call has returned",
            ),
            Error::Poisoned => f.write_str(
                "an internal error was caught in an earlier call on this VM; its state cannot be \
                 trusted, close it",
            ),
            Error::Disabled => f.write_str(
                "this VM keeps no snapshots (max_snapshots = 0); call rlua_set_max_snapshots",
            ),
            Error::NoSuchSnapshot { wanted, held, max } => write!(
                f,
                "rollback({wanted}): {held} snapshots are held (max_snapshots = {max}); 1 is the \
                 newest"
            ),
            Error::NoSuchFrame { wanted, range: None } => {
                write!(f, "rollback_to(frame {wanted}): no snapshot is held")
            }
            Error::NoSuchFrame { wanted, range: Some((oldest, newest)) } => write!(
                f,
                "rollback_to(frame {wanted}): no snapshot has that label; the held ones go from \
                 {oldest} to {newest}"
            ),
            Error::BadFrame { wanted, newest } => write!(
                f,
                "snap(frame {wanted}): labels must rise, and the newest snapshot is frame \
                 {newest}; roll back or use a higher label"
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
            Error::NoMemoryForPages { wanted_pages } => write!(
                f,
                "no memory for {wanted_pages} snapshot pages; keep fewer snapshots or free memory"
            ),
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
            Error::BadConfigSize { found, expected } => write!(
                f,
                "the struct's size field is {found}, expected {expected}: set it to sizeof of the \
                 struct"
            ),
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
            Error::BadArg { function } => write!(
                f,
                "{function}: an index, a count or a type has no meaning on this stack; nothing \
                 was done"
            ),
            Error::Host(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

/// A sentence in a place of its own, ended by a zero: noting a failure must not allocate, since
/// the failure may be that there is no memory. Longer sentences are cut.
pub struct Sentence {
    bytes: [u8; Sentence::ROOM],
    length: usize,
}

impl Sentence {
    const ROOM: usize = 512;

    /// The empty sentence.
    pub const fn new() -> Sentence {
        Sentence { bytes: [0; Sentence::ROOM], length: 0 }
    }

    /// Replaces the sentence.
    pub fn set(&mut self, text: fmt::Arguments<'_>) {
        self.length = 0;
        // Cutting answers an error, which is no reason to say nothing.
        let _ = fmt::Write::write_fmt(self, text);
        self.bytes[self.length] = 0;
    }

    /// The sentence as a C string, as long as it is not replaced.
    pub fn as_ptr(&self) -> *const c_char {
        self.bytes.as_ptr().cast()
    }
}

impl Default for Sentence {
    fn default() -> Sentence {
        Sentence::new()
    }
}

impl fmt::Write for Sentence {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Sentence::ROOM - 1 - self.length;
        let mut taken = text.len().min(room);
        while !text.is_char_boundary(taken) {
            taken -= 1;
        }
        for (place, byte) in self.bytes[self.length..].iter_mut().zip(&text.as_bytes()[..taken]) {
            // A zero would end the sentence early.
            *place = if *byte == 0 { b'?' } else { *byte };
        }
        self.length += taken;
        if taken == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Error {
        Error::Host(error)
    }
}

/// The result of everything that can fail inside the library.
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_status() {
        let known: Vec<i32> = (-5..100).filter(|&code| Status::from_code(code).is_some()).collect();
        assert_eq!(known, (0..=14).chain(64..=69).collect::<Vec<_>>());
    }

    #[test]
    fn a_long_sentence_is_cut_between_characters() {
        let mut sentence = Sentence::new();
        sentence.set(format_args!("{}", "\u{e9}\0".repeat(1000)));
        // SAFETY: ended by a zero.
        let text = unsafe { std::ffi::CStr::from_ptr(sentence.as_ptr()) }.to_str().unwrap();
        assert!(text.len() >= Sentence::ROOM - 4 && text.starts_with("\u{e9}?\u{e9}?"));
        sentence.set(format_args!("short"));
        // SAFETY: as above.
        assert_eq!(unsafe { std::ffi::CStr::from_ptr(sentence.as_ptr()) }, c"short");
    }

    #[test]
    fn sentences_say_what_was_asked_and_what_was_found() {
        let error = Error::NoSuchSnapshot { wanted: 5, held: 3, max: 8 };
        let sentence = error.to_string();
        assert_eq!(error.status(), Status::NoSnapshot);
        for part in ["rollback(5)", "3 snapshots", "max_snapshots = 8"] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
