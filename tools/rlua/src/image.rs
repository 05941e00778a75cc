//! A saved state as a VM in which nothing runs.
//!
//! The names in an image stand for functions of a game, which the tool does not have. Each gets an
//! address of its own, which is never called.

use crate::vm::last_error;
use crate::{End, Outcome};
use rlua::ffi::hooks::rlua_HostFunction;
use rlua::ffi::images::{load_unrun, lua_CFunction};
use rlua::ffi::life::{rlua_Config, rlua_Trust};
use rlua::ffi::objects::rlua_Name;
use rlua::image::{Form, HEADER_BYTES, Header, PART_BYTES, next_name};
use rlua::lua::lua_State;
use rlua::vm::diff::close_unrun;
use rlua::vm::load::{NAME_FUNCTION, NAME_HOST};
use std::ffi::{CString, c_void};
use std::path::Path;
use std::{fs, mem, ptr};

/// An image's bytes, and what its front and its end say.
pub struct Image {
    pub bytes: Vec<u8>,
    pub header: Header,
    /// Kind and text.
    pub names: Vec<(u8, Vec<u8>)>,
}

/// What is wrong where something is missing.
const EARLY: &str = "the image ends early";

impl Image {
    /// Reads a file. Nothing is verified yet but what it takes to find the names.
    pub fn read(path: &Path) -> Outcome<Image> {
        let bytes =
            fs::read(path).map_err(|error| End::Trouble(format!("{}: {error}", path.display())))?;
        let parsed = parse(&bytes);
        let (header, names) =
            parsed.map_err(|what| End::Because(format!("{}: {what}", path.display())))?;
        Ok(Image { bytes, header, names })
    }
}

type Parsed = (Header, Vec<(u8, Vec<u8>)>);

/// docs/FORMAT.md: header, body, names, hash.
fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let (head, mut rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or("it is shorter than the header of an image")?;
    let header = Header::decode(head, Form::Image).map_err(|error| error.to_string())?;
    let body = usize::try_from(header.body_bytes).map_err(|_| EARLY)?;
    if header.compressed {
        for _ in 0..body.div_ceil(PART_BYTES) {
            let length = word(&mut rest)?;
            take(&mut rest, length)?;
        }
    } else {
        take(&mut rest, body)?;
    }
    let (_count, length) = (word(&mut rest)?, word(&mut rest)?);
    let mut text = take(&mut rest, length)?;
    let mut names = Vec::new();
    while !text.is_empty() {
        let (kind, name) = next_name(&mut text).map_err(|error| error.to_string())?;
        names.push((kind, name.to_vec()));
    }
    Ok((header, names))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], &'static str> {
    let (taken, behind) = rest.split_at_checked(length).ok_or(EARLY)?;
    *rest = behind;
    Ok(taken)
}

fn word(rest: &mut &[u8]) -> Result<usize, &'static str> {
    let bytes = take(rest, 4)?;
    Ok(u32::from_le_bytes(bytes.try_into().expect("4 bytes")) as usize)
}

/// What the names of some images stand for here.
pub struct Names {
    texts: Vec<CString>,
    kinds: Vec<u8>,
    /// An address for each.
    addresses: Vec<u8>,
    key: Option<[u8; 32]>,
}

impl Names {
    /// Of all names that the images have.
    pub fn of(images: &[&Image], key: Option<&Path>) -> Outcome<Names> {
        let mut all: Vec<_> = images.iter().flat_map(|image| &image.names).collect();
        all.sort();
        all.dedup();
        let (mut texts, mut kinds) = (Vec::new(), Vec::new());
        for (kind, text) in all {
            // One that has a zero in it is refused when the image is loaded.
            if let Ok(text) = CString::new(text.clone()) {
                texts.push(text);
                kinds.push(*kind);
            }
        }
        let key = key.map(|path| match fs::read(path) {
            Ok(bytes) => <[u8; 32]>::try_from(bytes).map_err(|bytes| {
                End::Trouble(format!("{}: {} bytes are no key", path.display(), bytes.len()))
            }),
            Err(error) => Err(End::Trouble(format!("{}: {error}", path.display()))),
        });
        let addresses = vec![0; texts.len().max(1)];
        Ok(Names { texts, kinds, addresses, key: key.transpose()? })
    }

    fn entries(&self) -> Vec<rlua_Name> {
        let mut entries = Vec::new();
        for ((text, kind), address) in self.texts.iter().zip(&self.kinds).zip(&self.addresses) {
            let pointer = ptr::from_ref(address).cast_mut().cast::<c_void>();
            let mut name = rlua_Name { name: text.as_ptr(), function: None, host: None, pointer };
            // SAFETY: addresses that are not NULL, and that nobody calls: nothing runs in the VM.
            unsafe {
                match *kind {
                    NAME_FUNCTION => {
                        name.function = mem::transmute::<*mut c_void, lua_CFunction>(pointer)
                    }
                    NAME_HOST => {
                        name.host = mem::transmute::<*mut c_void, rlua_HostFunction>(pointer)
                    }
                    _ => {}
                }
            }
            entries.push(name);
        }
        let pointer = ptr::null_mut();
        entries.push(rlua_Name { name: ptr::null(), function: None, host: None, pointer });
        entries
    }

    /// Makes a VM of an image, which is verified first.
    pub fn open(&self, path: &Path, image: &Image) -> Outcome<Opened> {
        let entries = self.entries();
        let mut main = ptr::null_mut();
        // SAFETY: zero is a valid config; the names outlive the call.
        let status = unsafe {
            let mut config: rlua_Config = mem::zeroed();
            config.size = size_of::<rlua_Config>();
            config.names = entries.as_ptr();
            // No code of it runs.
            config.trust = rlua_Trust::Proved as i32;
            config.image_key = self.key.as_ref().map_or(ptr::null(), |key| key.as_ptr());
            let (start, length) = (image.bytes.as_ptr().cast(), image.bytes.len());
            load_unrun(&config, start, length, &mut main)
        };
        if status != 0 {
            let sentence = last_error(ptr::null_mut());
            return Err(End::Because(format!("{}: {sentence}", path.display())));
        }
        Ok(Opened(main))
    }
}

/// A VM that is only looked at.
pub struct Opened(pub *mut lua_State);

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: live, and nothing else uses it.
        unsafe { close_unrun(self.0) }
    }
}
