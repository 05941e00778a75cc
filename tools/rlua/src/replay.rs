//! `rlua replay`: frames over recorded inputs, with a checksum for each.

use crate::output::{FIRST, Output, SECOND, styled};
use crate::run::FRAME;
use crate::vm::Vm;
use crate::{End, Making, Outcome};
use clap::Args;
use serde_json::json;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct Replay {
    script: PathBuf,
    /// A line for each frame
    inputs: PathBuf,
    #[command(flatten)]
    making: Making,
    /// Write the checksum after each frame
    #[arg(long, value_name = "SUMS", conflicts_with = "check")]
    record: Option<PathBuf>,
    /// Compare the checksum after each frame
    #[arg(long, value_name = "SUMS")]
    check: Option<PathBuf>,
    /// End after this frame
    #[arg(long, value_name = "FRAME")]
    until: Option<usize>,
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| trouble(path, &error))
}

fn trouble(path: &Path, error: &dyn std::fmt::Display) -> End {
    End::Trouble(format!("{}: {error}", path.display()))
}

impl Replay {
    pub fn run(&self, output: &Output) -> Outcome {
        let inputs = read(&self.inputs)?;
        let expected = self.check.as_deref().map(read).transpose()?;
        let mut expected = expected.as_deref().map(str::lines);
        let mut record = match &self.record {
            Some(path) => {
                let file = File::create(path).map_err(|error| trouble(path, &error))?;
                Some((path, BufWriter::new(file)))
            }
            None => None,
        };
        let vm = Vm::open(&self.making, 0)?;
        vm.run_file(&self.script, &[])?;
        vm.see_function(FRAME)?;
        let (mut frames, mut differs) = (0, None);
        for (number, input) in (1..).zip(inputs.lines()) {
            vm.run_frame(FRAME, number, Some(input))?;
            frames = number;
            let wanted = expected.as_mut().map(Iterator::next);
            if wanted.is_some() || record.is_some() {
                let line = format!("{number} {}", vm.checksum()?);
                if let Some((path, file)) = &mut record {
                    writeln!(file, "{line}").map_err(|error| trouble(path, &error))?;
                }
                match wanted {
                    Some(None) => {
                        let path = self.check.as_deref().unwrap_or(Path::new(""));
                        return Err(trouble(path, &format_args!("it has no frame {number}")));
                    }
                    Some(Some(wanted)) if wanted != line => {
                        differs = Some((wanted.to_owned(), line));
                        break;
                    }
                    _ => {}
                }
            }
            if self.until == Some(number as usize) {
                break;
            }
        }
        if let Some((path, mut file)) = record {
            file.flush().map_err(|error| trouble(path, &error))?;
        }
        if let Some(path) = &self.making.save {
            vm.save(path)?;
        }
        let sum = vm.checksum()?;
        if output.is_json() {
            let frame = differs.is_some().then_some(frames);
            output.json(&json!({"frames": frames, "checksum": sum, "differs": frame}));
        }
        match differs {
            None => {
                output.line(format_args!("{frames} frames, checksum {sum}"));
                Ok(())
            }
            Some((wanted, found)) => {
                output.line(format_args!(
                    "frame {frames} differs: {} -> {}",
                    styled(FIRST, wanted),
                    styled(SECOND, found)
                ));
                Err(End::No)
            }
        }
    }
}
