//! What the library can be built for.

/// An operating system that `src/sys` has a folder for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    Linux,
    Windows,
    MacOs,
}

/// A target, in the words of cargo's `CARGO_CFG_TARGET_*`.
pub struct Target<'a> {
    pub name: &'a str,
    pub os: &'a str,
    pub env: &'a str,
    pub pointer_width: &'a str,
    pub endian: &'a str,
}

impl Target<'_> {
    /// Its system, or a sentence that tells what it lacks.
    pub fn system(&self) -> Result<System, String> {
        let lacks = |what: &str| Err(format!("librlua cannot be built for {}: {what}", self.name));
        if self.pointer_width != "64" {
            return lacks("it needs 64-bit addresses, since a VM lies at a multiple of 4 GiB");
        }
        if self.endian != "little" {
            return lacks(
                "saved states are read and written as they lie in memory, which is \
                          little-endian everywhere else",
            );
        }
        match (self.os, self.env) {
            ("linux", _) => Ok(System::Linux),
            ("macos", _) => Ok(System::MacOs),
            ("windows", "msvc") => lacks(
                "its C compiler does not know GNU C; build for x86_64-pc-windows-gnu, whose \
                       rlua.dll programs of MSVC can use (docs/WINDOWS.md)",
            ),
            ("windows", _) => Ok(System::Windows),
            (os, _) => lacks(&format!("src/sys has no folder for {os:?} (docs/WINDOWS.md)")),
        }
    }
}
