//! Types of what lies outside, as the host tells them: how it is saved and loaded.

use super::no_room;
use super::resources::Release;
use crate::error::{Error, HostError, Name, Result};
use std::ffi::{CStr, c_int, c_void};

/// As `rlua_Writer`.
pub type Writer = unsafe extern "C" fn(*mut c_void, *const c_void, usize) -> c_int;

/// As `rlua_ObjectType.save`.
pub type Save =
    unsafe extern "C" fn(*const c_void, usize, Option<Writer>, *mut c_void, *mut c_void) -> c_int;

/// As `rlua_ObjectType.load`.
pub type Load =
    unsafe extern "C" fn(*const c_void, usize, *mut c_void, usize, *mut c_void) -> c_int;

/// A type of objects outside, and how they are saved and loaded.
#[derive(Clone, Copy)]
pub struct Way {
    /// Writes what `load` needs.
    pub save: Save,
    /// Makes another one.
    pub load: Load,
    /// The host's, for both.
    pub ud: *mut c_void,
    /// Of resources: how they are released, and the `ud` for that.
    pub resource: Option<(Release, *mut c_void)>,
}

impl PartialEq for Way {
    fn eq(&self, other: &Way) -> bool {
        let parts = |way: &Way| {
            let resource = way.resource.map(|(release, ud)| (release as usize, ud));
            (way.save as usize, way.load as usize, way.ud, resource)
        };
        parts(self) == parts(other)
    }
}

/// Of one VM, or of a config. Each with its name, which ends with a zero.
#[derive(Default)]
pub struct Types(Vec<(Vec<u8>, Way)>);

impl Types {
    /// Enters a type; again, if it is the same.
    pub fn enter(&mut self, name: &CStr, way: Way) -> Result<()> {
        let bytes = name.to_bytes_with_nul();
        if !(2..=256).contains(&bytes.len()) {
            let function = "rlua_register_type";
            return Err(Error::BadArg { function, why: "a type's name has 1 to 255 bytes" });
        }
        if let Some(known) = self.find(name.to_bytes(), way.resource.is_some()) {
            return match self.way(known) == way {
                true => Ok(()),
                false => {
                    Err(HostError::TypeDiffers { name: Name::from_lossy(name.to_bytes()) }.into())
                }
            };
        }
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len()).map_err(no_room("type"))?;
        copy.extend_from_slice(bytes);
        self.0.try_reserve(1).map_err(no_room("type"))?;
        self.0.push((copy, way));
        Ok(())
    }

    /// The same ones.
    pub fn copy(&self) -> Result<Types> {
        let mut copy = Types::default();
        for (name, way) in &self.0 {
            copy.enter(CStr::from_bytes_with_nul(name).expect("it was one"), *way)?;
        }
        Ok(copy)
    }

    /// The number of a type.
    pub fn find(&self, name: &[u8], is_resource: bool) -> Option<usize> {
        (0..self.0.len()).find(|&kind| {
            self.name(kind) == name && self.0[kind].1.resource.is_some() == is_resource
        })
    }

    /// What it is called.
    pub fn name(&self, kind: usize) -> &[u8] {
        let name = &self.0[kind].0;
        &name[..name.len() - 1]
    }

    /// How it is saved and loaded.
    pub fn way(&self, kind: usize) -> Way {
        self.0[kind].1
    }
}
