//! Output: text with colour on the standard output, or one JSON value; failures on the standard
//! error.

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use std::fmt::Display;

/// What names something.
pub const NAME: Style = AnsiColor::Cyan.on_default();
/// What the first state has.
pub const FIRST: Style = AnsiColor::Red.on_default();
/// What the second state has.
pub const SECOND: Style = AnsiColor::Green.on_default();
/// What is less important.
pub const FAINT: Style = Style::new().dimmed();
/// A heading.
pub const BOLD: Style = Style::new().bold();

/// Where a command tells what it found.
pub struct Output {
    json: bool,
}

impl Output {
    /// For text, or for JSON.
    pub fn new(json: bool) -> Output {
        Output { json }
    }

    /// Whether the command answers in JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The one value.
    pub fn json(&self, value: &Value) {
        anstream::println!("{value:#}");
    }

    /// A line, where the answer is text.
    pub fn line(&self, line: impl Display) {
        if !self.json {
            anstream::println!("{line}");
        }
    }

    /// A sentence about what went wrong.
    pub fn fail(&self, sentence: &str) {
        let red = AnsiColor::Red.on_default().bold();
        anstream::eprintln!("{red}rlua:{red:#} {sentence}");
    }
}

/// A text in a style.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
