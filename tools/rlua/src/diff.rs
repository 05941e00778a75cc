//! `rlua diff`.

use crate::image::{Image, Names};
use crate::output::{FAINT, FIRST, NAME, Output, SECOND, styled};
use crate::vm::last_error;
use crate::{End, Opening, Outcome};
use clap::Args;
use rlua::ffi::diff::{rlua_Difference, rlua_diff_vms};
use serde_json::{Value, json};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr;

#[derive(Args)]
pub struct Diff {
    a: PathBuf,
    b: PathBuf,
    #[command(flatten)]
    opening: Opening,
    /// Differences after which it ends
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    most: u32,
}

/// One difference, as text.
pub struct Found {
    pub kind: &'static str,
    pub path: String,
    pub a: String,
    pub b: String,
}

impl Found {
    pub fn line(&self) -> String {
        format!(
            "{}: {} -> {}  {}",
            styled(NAME, &self.path),
            styled(FIRST, &self.a),
            styled(SECOND, &self.b),
            styled(FAINT, self.kind)
        )
    }

    pub fn json(&self) -> Value {
        json!({"kind": self.kind, "path": self.path, "a": self.a, "b": self.b})
    }
}

/// What an rlua_DiffKind is called.
pub fn kind_name(kind: c_int) -> &'static str {
    const NAMES: [&str; 14] = [
        "none",
        "value",
        "type",
        "missing",
        "metatable",
        "order",
        "identity",
        "function",
        "coroutine",
        "bytes",
        "weak",
        "random",
        "clock",
        "budget",
    ];
    usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)).unwrap_or(&"other")
}

/// A text of the library's.
///
/// # Safety
/// It is a string.
pub unsafe fn text(text: *const c_char) -> String {
    // SAFETY: by the contract above.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

unsafe extern "C" fn note(ud: *mut c_void, difference: *const rlua_Difference) -> c_int {
    // SAFETY: the list of the call below, and a difference with its texts.
    unsafe {
        let rlua_Difference { kind, path, a, b, .. } = *difference;
        let found = Found { kind: kind_name(kind), path: text(path), a: text(a), b: text(b) };
        (*ud.cast::<Vec<Found>>()).push(found);
    }
    0
}

impl Diff {
    pub fn run(&self, output: &Output) -> Outcome {
        let (a, b) = (Image::read(&self.a)?, Image::read(&self.b)?);
        let names = Names::of(&[&a, &b], self.opening.key.as_deref())?;
        let (first, second) = (names.open(&self.a, &a)?, names.open(&self.b, &b)?);
        let mut found: Vec<Found> = Vec::new();
        // SAFETY: two VMs of our own, and a list that outlives the call.
        let status = unsafe {
            let list = (&raw mut found).cast();
            rlua_diff_vms(first.0, second.0, self.most as usize, Some(note), list)
        };
        if status != 0 {
            return Err(End::Trouble(last_error(ptr::null_mut())));
        }
        if output.is_json() {
            let all: Vec<_> = found.iter().map(Found::json).collect();
            output.json(&json!({"same": found.is_empty(), "differences": all}));
        }
        found.iter().for_each(|one| output.line(one.line()));
        if found.len() == self.most as usize {
            output.line(styled(FAINT, "(there may be more: --most)"));
        }
        if found.is_empty() { Ok(()) } else { Err(End::No) }
    }
}
