//! Failures of images: what cannot be saved, what cannot be loaded.

use super::{Name, Status, Text};
use std::fmt;

/// A failure, with what its sentence needs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the Display below says what each carries
pub enum ImageError {
    Unsavable { offset: usize, why: Text<120>, path: Text<96> },
    Writer { answer: i32 },
    Short { wanted: usize, found: usize },
    Bad { what: Text<120>, place: Option<usize> },
    Damaged,
    WrongKey,
    Untrusted,
    WrongBase,
    Needs { bytes: u64, limit: usize },
    UnknownName { name: Text<80> },
    UnknownType { name: Name },
    Object { what: &'static str, name: Name, answer: i32 },
    Room { wanted: usize, given: usize },
}

impl ImageError {
    /// What an image has that it must not have.
    pub fn bad(what: fmt::Arguments<'_>) -> ImageError {
        ImageError::Bad { what: what.into(), place: None }
    }

    /// The status that goes with this error.
    pub fn status(&self) -> Status {
        match self {
            ImageError::Unsavable { .. } => Status::Unsavable,
            ImageError::Writer { .. } | ImageError::Room { .. } => Status::Stream,
            ImageError::Needs { .. } => Status::BadConfig,
            ImageError::Untrusted => Status::Untrusted,
            ImageError::UnknownName { .. } | ImageError::UnknownType { .. } => Status::Unsavable,
            ImageError::Object { .. } => Status::Stream,
            ImageError::Short { .. }
            | ImageError::Bad { .. }
            | ImageError::Damaged
            | ImageError::WrongBase
            | ImageError::WrongKey => Status::BadImage,
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageError::Unsavable { offset, why, path } => {
                write!(f, "the state cannot be saved: {why}")?;
                match path.as_str().is_empty() {
                    true => write!(f, " (the object at {offset:#x})"),
                    false => write!(f, " (in {path}, the object at {offset:#x})"),
                }
            }
            ImageError::Writer { answer } => {
                write!(f, "the writer of the image answered {answer}, which is not 0")
            }
            ImageError::Short { wanted, found } => {
                write!(f, "the image ends early: {wanted} bytes were to come, and {found} came")
            }
            ImageError::Bad { what, place: None } => {
                write!(f, "the image cannot be loaded: {what}")
            }
            ImageError::Bad { what, place: Some(place) } => {
                write!(f, "the image cannot be loaded: {what} (in the block at {place:#x})")
            }
            ImageError::Damaged => f.write_str(
                "the image is damaged: its hash differs (or it was made with another key)",
            ),
            ImageError::WrongKey => f.write_str(
                "the image was made with a key and the config has none, or the other way round \
                 (rlua_Config.image_key)",
            ),
            ImageError::Untrusted => f.write_str(
                "an image without a key may have code in it that kills the process: set image_key, \
                 or say whom you trust (rlua_Config.trust)",
            ),
            ImageError::WrongBase => f.write_str(
                "the delta leads from another state than the VM's: apply it to the one that it was \
                 made from",
            ),
            ImageError::Needs { bytes, limit } => write!(
                f,
                "the image is of a VM with a limit of {bytes} bytes, and memory_size allows {limit}"
            ),
            ImageError::UnknownName { name } => write!(
                f,
                "the image needs '{name}', which neither the libraries nor rlua_Config.names have"
            ),
            ImageError::UnknownType { name } => write!(
                f,
                "the image has objects of the type '{name}', which rlua_Config.types does not know"
            ),
            ImageError::Object { what, name, answer } => write!(
                f,
                "an object of the type '{name}' is not to be had: its {what} function answered \
                 {answer}"
            ),
            ImageError::Room { wanted, given } => {
                write!(f, "the image has {wanted} bytes, and the buffer has room for {given}")
            }
        }
    }
}
