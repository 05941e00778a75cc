//! Types of what lies outside, as the host tells them: how it is saved and loaded.

use super::resources::Release;
use super::{no_room, push};
use crate::error::{Error, HostError, Name, Result};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;

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

/// A method of resources, by its own name.
pub type Method<'a> = (&'a [u8], *const c_void);

#[derive(PartialEq)]
struct Type {
    /// Ends with a zero.
    name: Vec<u8>,
    way: Way,
    /// What images call each, and its function.
    methods: Vec<(Vec<u8>, *const c_void)>,
}

/// Of one VM, or of a config.
#[derive(Default)]
pub struct Types(Vec<Type>);

fn joined(parts: &[&[u8]]) -> Result<Vec<u8>> {
    let mut joined = Vec::new();
    let bytes = parts.iter().map(|part| part.len()).sum();
    joined.try_reserve_exact(bytes).map_err(no_room("type"))?;
    parts.iter().for_each(|part| joined.extend_from_slice(part));
    Ok(joined)
}

impl Types {
    /// Enters a type; again, if it is the same.
    pub fn enter(&mut self, name: &CStr, way: Way, methods: &[Method<'_>]) -> Result<()> {
        if !(1..=255).contains(&name.to_bytes().len()) {
            let function = "rlua_register_type";
            return Err(Error::BadArg { function, why: "a type's name has 1 to 255 bytes" });
        }
        let name_bytes = joined(&[name.to_bytes_with_nul()])?;
        let mut entered = Type { name: name_bytes, way, methods: Vec::new() };
        entered.methods.try_reserve_exact(methods.len()).map_err(no_room("type"))?;
        for &(method, function) in methods {
            let method = joined(&[name.to_bytes(), b".", method])?;
            entered.methods.push((method, function));
        }
        self.take(entered)
    }

    fn take(&mut self, entered: Type) -> Result<()> {
        let name = &entered.name[..entered.name.len() - 1];
        if let Some(known) = self.find(name, entered.way.resource.is_some()) {
            return match self.0[known] == entered {
                true => Ok(()),
                false => Err(HostError::TypeDiffers { name: Name::from_lossy(name) }.into()),
            };
        }
        push(&mut self.0, entered, no_room("type"))
    }

    /// The same ones.
    pub fn copy(&self) -> Result<Types> {
        let mut copy = Types::default();
        for Type { name, way, methods } in &self.0 {
            let (name, mut copied) = (joined(&[name])?, Vec::new());
            copied.try_reserve_exact(methods.len()).map_err(no_room("type"))?;
            for (method, function) in methods {
                copied.push((joined(&[method])?, *function));
            }
            copy.take(Type { name, way: *way, methods: copied })?;
        }
        Ok(copy)
    }

    /// The number of a type.
    pub fn find(&self, name: &[u8], is_resource: bool) -> Option<usize> {
        (0..self.0.len()).find(|&kind| {
            self.name(kind) == name && self.0[kind].way.resource.is_some() == is_resource
        })
    }

    /// What it is called.
    pub fn name(&self, kind: usize) -> &[u8] {
        let name = &self.0[kind].name;
        &name[..name.len() - 1]
    }

    /// How it is saved and loaded.
    pub fn way(&self, kind: usize) -> Way {
        self.0[kind].way
    }

    /// What images call a method of some type: its function, and the `ud` for that.
    pub fn method(&self, name: &[u8]) -> Option<(*const c_void, *const c_void)> {
        self.0.iter().find_map(|Type { way, methods, .. }| {
            let (_, function) = methods.iter().find(|(method, _)| method == name)?;
            Some((*function, way.resource.map_or(ptr::null(), |(_, ud)| ud.cast_const())))
        })
    }
}
