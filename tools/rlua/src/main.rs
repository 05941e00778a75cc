//! `rlua`: runs scripts, and looks into saved states. `rlua help` is its manual.
//!
//! - [`vm`]: a VM, in calls that answer a sentence. [`image`]: a saved state as a VM in which
//!   nothing runs.
//! - [`run`], [`replay`], [`inspect`], [`diff`]: what the commands do.
//! - [`output`]: text with colour, or JSON.

mod diff;
mod image;
mod inspect;
mod output;
mod replay;
mod run;
mod vm;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use output::Output;
use std::path::PathBuf;
use std::process::ExitCode;

/// Why a command ends.
pub enum End {
    /// The answer is no: states differ, a script failed, an image is not sound.
    No,
    /// The same, with a sentence.
    Because(String),
    /// The question could not be asked: a file that cannot be read, no memory.
    Trouble(String),
}

/// Of a command.
pub type Outcome<T = ()> = Result<T, End>;

const CODES: &str = "\
Exit status:
  0  done; the states are the same; the image is sound
  1  a script failed, a frame differs, the states differ, or the image is damaged
  2  wrong arguments, or something that cannot be read or written

Colour is for terminals alone, and not where NO_COLOR is set.";

/// Runs scripts of rlua (Lua 5.4 whose whole state can go back in time), and looks into saved
/// states.
#[derive(Parser)]
#[command(name = "rlua", version, after_help = CODES, max_term_width = 100)]
struct Arguments {
    /// Answer in JSON: one value on the standard output
    #[arg(long, global = true)]
    json: bool,
    /// When to colour
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a script; then, with --frames, its function frame(number) so many times
    #[command(
        after_help = "`arg` has the script's arguments, as in stock Lua. With --synctest each \
        frame is rolled back and run again, and has to come to the same state."
    )]
    Run(run::Run),
    /// Tell what an image holds: sizes, names, blocks, globals
    Inspect(inspect::Inspect),
    /// Tell where the states of two images differ, as Lua paths
    #[command(after_help = "Exit status: 0 where nothing differs, 1 where something does.")]
    Diff(diff::Diff),
    /// Tell whether an image is sound, or what is wrong and where
    Verify(inspect::Verify),
    /// Run a script's function frame(number, input) over recorded inputs
    #[command(
        after_help = "INPUTS is a text file with a line for each frame; frame(1, line) gets \
        the first one. The clock of the script stands at the frame's number divided by 60. \
        --record writes a line for each frame, its number and the checksum of the state after it; \
        --check compares with such a file and ends at the first frame that differs. So to find \
        what differs on two machines: record on one, check on the other, save the state at that \
        frame on both (--save, --until), and compare the images by `rlua diff`."
    )]
    Replay(replay::Replay),
}

/// How a VM is made.
#[derive(Args)]
pub struct Making {
    /// Whose rules scripts find
    #[arg(long, value_enum, default_value = "deterministic")]
    pub profile: Profile,
    /// Bytes that the state can never exceed (K, M, G behind a number)
    #[arg(long, value_parser = bytes, default_value = "1G", value_name = "BYTES")]
    pub limit: usize,
    /// Seed of hashes and of math.random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Instructions that the script may run, all together
    #[arg(long, value_name = "UNITS")]
    pub budget: Option<u64>,
    /// Save the state to an image at the end
    #[arg(long, value_name = "IMAGE")]
    pub save: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Profile {
    /// The same script with the same inputs computes the same on every machine
    Deterministic,
    /// As lua.org's Lua
    Stock,
}

/// How images are opened.
#[derive(Args)]
pub struct Opening {
    /// A file with the 32 bytes of the key that the image was saved with
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

fn bytes(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let count: usize = digits.parse().map_err(|_| "a number of bytes, such as 64M".to_owned())?;
    count.checked_mul(1 << shift).ok_or_else(|| "more than there can be".to_owned())
}

fn main() -> ExitCode {
    // A reader that has seen enough ends the tool, as it does others; Rust ignores the signal.
    // SAFETY: no other thread runs yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let arguments = Arguments::parse();
    match arguments.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
    let output = Output::new(arguments.json);
    let outcome = match arguments.command {
        Command::Run(run) => run.run(&output),
        Command::Inspect(inspect) => inspect.run(&output),
        Command::Diff(diff) => diff.run(&output),
        Command::Verify(verify) => verify.run(&output),
        Command::Replay(replay) => replay.run(&output),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(End::No) => ExitCode::from(1),
        Err(End::Because(sentence)) => {
            output.fail(&sentence);
            ExitCode::from(1)
        }
        Err(End::Trouble(sentence)) => {
            output.fail(&sentence);
            ExitCode::from(2)
        }
    }
}
