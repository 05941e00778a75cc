//! `rlua run`.

use crate::diff::{Found, kind_name, text};
use crate::output::Output;
use crate::vm::{Vm, hex};
use crate::{End, Making, Outcome};
use clap::Args;
use rlua::error::Status;
use rlua::ffi::synctest::{rlua_SyncReport, rlua_synctest};
use rlua::lua::lua_State;
use serde_json::json;
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::mem;
use std::path::PathBuf;

/// What frames call.
pub const FRAME: &CStr = c"frame";
const DESYNC: c_int = Status::Desync as c_int;

#[derive(Args)]
pub struct Run {
    script: PathBuf,
    #[command(flatten)]
    making: Making,
    /// Call frame(1), frame(2), ... up to this afterwards
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    frames: u32,
    /// Roll back so many frames after each one, run them again, and compare
    #[arg(long, value_name = "DISTANCE", requires = "frames")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..1024))]
    synctest: Option<u32>,
    /// The script's arguments
    #[arg(last = true)]
    arguments: Vec<String>,
}

unsafe extern "C" fn frame(main: *mut lua_State, _: *mut c_void, frame: c_uint, _: c_int) -> c_int {
    Vm::frame(main, FRAME, u64::from(frame) + 1, None)
}

impl Run {
    pub fn run(&self, output: &Output) -> Outcome {
        let snapshots = self.synctest.map_or(0, |distance| distance as usize + 1);
        let vm = Vm::open(&self.making, snapshots)?;
        vm.run_file(&self.script, &self.arguments)?;
        if self.frames > 0 {
            vm.see_function(FRAME)?;
        }
        if let Some(distance) = self.synctest {
            sync_test(&vm, distance, self.frames, output)?;
        } else {
            (1..=u64::from(self.frames)).try_for_each(|at| vm.run_frame(FRAME, at, None))?;
            if output.is_json() {
                output.json(&json!({"frames": self.frames, "checksum": vm.checksum()?}));
            }
        }
        match &self.making.save {
            Some(path) => vm.save(path),
            None => Ok(()),
        }
    }
}

fn sync_test(vm: &Vm, distance: u32, frames: u32, output: &Output) -> Outcome {
    // SAFETY: zero is a valid report; a live VM.
    let (status, report) = unsafe {
        let mut report: rlua_SyncReport = mem::zeroed();
        report.size = size_of::<rlua_SyncReport>();
        let ud = std::ptr::null_mut();
        (rlua_synctest(vm.main(), Some(frame), ud, distance, frames, &mut report), report)
    };
    // SAFETY: the report's texts end with a zero.
    let found = unsafe {
        Found {
            kind: kind_name(report.kind),
            path: text(report.path.as_ptr()),
            a: text(report.a.as_ptr()),
            b: text(report.b.as_ptr()),
        }
    };
    if output.is_json() && (status == 0 || status == DESYNC) {
        output.json(&json!({
            "frames": report.frames,
            "reruns": report.reruns,
            "same": report.differs == 0,
            "frame": (report.differs != 0).then(|| report.frame + 1),
            "first": hex(&report.first.bytes),
            "second": hex(&report.second.bytes),
            "difference": (report.kind != 0).then(|| found.json()),
        }));
    }
    match status {
        0 => {
            let (frames, reruns) = (report.frames, report.reruns);
            output.line(format_args!(
                "{frames} frames, and {reruns} runs again, came to the same states"
            ));
            Ok(())
        }
        DESYNC => {
            output
                .line(format_args!("frame {}, run again, came to another state", report.frame + 1));
            if report.kind != 0 {
                output.line(found.line());
            }
            Err(End::No)
        }
        _ => vm.script(status),
    }
}
