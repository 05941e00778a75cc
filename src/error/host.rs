//! Failures of what a host keeps with the VM: memory, references, resources, participants.

use super::{Name, Status, Text};
use std::fmt;

/// A failure, with what its sentence needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the Display below says what each carries
pub enum HostError {
    StaleRef { reference: u64 },
    NoMemory { wanted_bytes: usize },
    NotOurBlock { function: &'static str },
    NoRoom { what: &'static str },
    TypeDiffers { name: Name },
    NotThisResource { wanted: Name },
    DeadResource { name: Name },
    Participant { place: usize, answer: i32 },
    NoSuchParticipant,
    Refused,
    Unsupported { function: &'static str, why: &'static str },
    TooFewSnapshots { wanted: usize, max: usize },
    Desync { frame: u32, rolled_back: bool, what: Text<200> },
}

impl HostError {
    /// The status that goes with this error.
    pub fn status(&self) -> Status {
        match self {
            HostError::StaleRef { .. } | HostError::DeadResource { .. } => Status::Stale,
            HostError::NoMemory { .. } | HostError::NoRoom { .. } => Status::NoMemory,
            HostError::NotOurBlock { .. }
            | HostError::TypeDiffers { .. }
            | HostError::NotThisResource { .. }
            | HostError::NoSuchParticipant
            | HostError::Refused => Status::BadArg,
            HostError::Participant { .. } => Status::Participant,
            HostError::Unsupported { .. } => Status::Unsupported,
            HostError::TooFewSnapshots { .. } => Status::BadArg,
            HostError::Desync { .. } => Status::Desync,
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostError::StaleRef { reference } => write!(
                f,
                "the reference {reference:#x} is gone: it was released, or made after the snapshot \
                 that was restored"
            ),
            HostError::NoMemory { wanted_bytes } => write!(
                f,
                "{wanted_bytes} bytes do not fit under the VM's limit; free some or raise \
                 memory_size"
            ),
            HostError::NotOurBlock { function } => write!(
                f,
                "{function}: this is no live block of rlua_alloc in this VM: foreign, freed, or \
                 made after the snapshot that was restored"
            ),
            HostError::NoRoom { what } => write!(f, "no memory to note one more {what}"),
            HostError::TypeDiffers { name } => write!(
                f,
                "the type '{name}' is known in this VM with other functions or another ud; give \
                 each type a name of its own"
            ),
            HostError::NotThisResource { wanted } => {
                write!(f, "the value at that index is no resource of the type '{wanted}'")
            }
            HostError::DeadResource { name } => {
                write!(f, "the resource of the type '{name}' was closed or collected")
            }
            HostError::Participant { place, answer } => write!(
                f,
                "snap: participant {place} could not capture its state (it answered {answer}); \
                 nothing has changed"
            ),
            HostError::Unsupported { function, why } => write!(f, "{function}: {why}"),
            HostError::TooFewSnapshots { wanted, max } => write!(
                f,
                "rlua_synctest: check_distance needs {wanted} snapshots, one more than the frames \
                 that it rolls back, and this VM keeps {max} (rlua_set_max_snapshots)"
            ),
            HostError::Desync { frame, rolled_back: false, what } => {
                write!(f, "frame {frame}, run again, came to another state: {what}")
            }
            HostError::Desync { frame, rolled_back: true, what } => {
                write!(f, "the state before frame {frame} was not what it was: {what}")
            }
            HostError::Refused => f.write_str(
                "this VM refuses userdata with a finalizer in C (rlua_Config.guard), and has some, \
                 which were made while it kept no snapshots; drop them first, and collect",
            ),
            HostError::NoSuchParticipant => {
                f.write_str("no participant with these functions and this ud takes part")
            }
        }
    }
}
