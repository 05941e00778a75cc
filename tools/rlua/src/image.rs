//! A saved state as a VM in which nothing runs.
//!
//! The names in an image stand for functions of a game, which the tool does not have. Each gets an
//! address of its own, which is never called.

use crate::vm::last_error;
use crate::{End, Outcome};
use rlua::ffi::hooks::rlua_HostFunction;
use rlua::ffi::images::{lua_CFunction, rlua_Name, rlua_load_buffer};
use rlua::ffi::life::rlua_Config;
use rlua::image::{HEADER_BYTES, Header, next_name};
use rlua::lua::lua_State;
use rlua::vm::diff::close_unrun;
use rlua::vm::images::{NAME_FUNCTION, NAME_HOST};
use std::ffi::{CString, c_void};
use std::path::Path;
use std::{fs, mem, ptr};

/// An image's bytes, and what its front says.
pub struct Image {
    pub bytes: Vec<u8>,
    pub header: Header,
    pub keyed: bool,
    /// Kind and text.
    pub names: Vec<(u8, Vec<u8>)>,
}

impl Image {
    /// Reads a file and its front. Nothing is verified yet but what that says.
    pub fn read(path: &Path) -> Outcome<Image> {
        let bad = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        let bytes = fs::read(path).map_err(|error| End::Trouble(bad(&error)))?;
        let Some(head) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(End::Because(bad(&"it is shorter than the header of an image")));
        };
        let (header, keyed) = Header::decode(head).map_err(|error| End::Because(bad(&error)))?;
        let mut rest = usize::try_from(header.names_bytes)
            .ok()
            .and_then(|length| bytes[HEADER_BYTES..].get(..length))
            .ok_or_else(|| End::Because(bad(&"the image ends early: in its names")))?;
        let mut names = Vec::new();
        while !rest.is_empty() {
            let (kind, text) = next_name(&mut rest).map_err(|error| End::Because(bad(&error)))?;
            names.push((kind, text.to_vec()));
        }
        Ok(Image { bytes, header, keyed, names })
    }
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
            config.image_key = self.key.as_ref().map_or(ptr::null(), |key| key.as_ptr());
            let (start, length) = (image.bytes.as_ptr().cast(), image.bytes.len());
            rlua_load_buffer(&config, start, length, &mut main)
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
