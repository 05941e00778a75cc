//! Status: what a function of this library answers, as a number of the C ABI.

/// What a function of this library answers.
///
/// The values are ABI: append only, never renumber, never reuse. Codes below 64 are this library's
/// own, and the call has changed nothing. Codes from 64 on are Lua's answer to a protected call;
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
    /// The VM is in use: Lua is running in it, a call of this library is, or another thread is.
    Busy = 3,
    /// An internal error was caught earlier; only lua_close is left.
    Poisoned = 4,
    /// The VM keeps no snapshots (max_snapshots is 0).
    Disabled = 5,
    /// The snapshot asked for is not held.
    NoSnapshot = 6,
    /// The frame's label is below the newest one.
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
    /// The image is damaged, or none, or of another version; or its key is another.
    BadImage = 15,
    /// The state has something that an image cannot have, or that this process has no name for.
    Unsavable = 16,
    /// The writer of an image refused, or there is no room.
    Stream = 17,
    /// The image comes from somebody whom the config does not trust.
    Untrusted = 18,
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
    /// The budget of rlua_set_budget is used up.
    Budget = 70,
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
            BadImage,
            Unsavable,
            Stream,
            Untrusted,
            ErrRun,
            ErrSyntax,
            ErrMem,
            ErrErr,
            ErrFile,
            Yield,
            Budget,
        ];
        all.into_iter().find(|status| *status as i32 == code)
    }

    /// The general sentence, for `rlua_strerror`.
    pub fn sentence(self) -> &'static std::ffi::CStr {
        match self {
            Status::Ok => c"done",
            Status::NullArg => c"a pointer that must not be NULL is NULL",
            Status::NotRollback => c"not a live rollback VM: foreign, closed, or no state at all",
            Status::Busy => c"the VM is in use; call again when what is running in it has returned",
            Status::Poisoned => c"an internal error was caught earlier; only lua_close is left",
            Status::Disabled => c"this VM keeps no snapshots; rlua_set_max_snapshots turns them on",
            Status::NoSnapshot => c"the snapshot asked for is not held",
            Status::BadFrame => c"the frame's label is below the newest snapshot's",
            Status::NoMemory => c"out of memory or address space",
            Status::BadConfig => c"the configuration asks for something impossible",
            Status::Unsupported => c"this system cannot do what was asked for",
            Status::Corrupt => c"the state is damaged",
            Status::BadArg => c"an argument has no meaning here",
            Status::Stale => c"what the reference or the handle names is gone",
            Status::Participant => c"a participant could not capture its state; nothing changed",
            Status::BadImage => c"the image is damaged, or none, or of another version or key",
            Status::Unsavable => c"something of the state has no name outside this process",
            Status::Stream => c"the writer of an image refused, or there is no room",
            Status::Untrusted => c"the image has no key, and the config trusts none without",
            Status::ErrRun => c"Lua error; the error value is on the stack",
            Status::ErrSyntax => c"Lua syntax error; the message is on the stack",
            Status::ErrMem => c"Lua reached the memory limit; the message is on the stack",
            Status::ErrErr => c"error in the message handler; the error value is on the stack",
            Status::ErrFile => c"a file could not be read; the message is on the stack",
            Status::Yield => c"the coroutine yielded",
            Status::Budget => c"the budget is used up; the message is on the stack",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_status() {
        let known: Vec<i32> = (-5..200).filter(|&code| Status::from_code(code).is_some()).collect();
        assert_eq!(known, (0..=18).chain(64..=70).collect::<Vec<_>>());
    }
}
