//! A plugin's table, checked before its first use: version, size, required functions, manifest.

use libloading::os::unix::Library;
use limbeck_backend::abi::{self, QueryFn};
use limbeck_backend::{Description, Manifest};

use crate::{Error, Result};

/// The functions of version 1.0, all there, and what the plugin says about itself.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) abi_minor: u32,
    pub(super) manifest: Manifest,
    pub(super) create: abi::CreateFn,
    pub(super) destroy: abi::DestroyFn,
    pub(super) describe: abi::DescribeFn,
    pub(super) shapes: abi::ShapesFn,
    pub(super) run: abi::RunFn,
    pub(super) last_error: abi::LastErrorFn,
}

/// The function that gives a library's table. `shown` names the plugin in errors.
pub(super) fn query_function(library: &Library, shown: &str) -> Result<QueryFn> {
    // SAFETY: a symbol of this name has this type by the header; what else could be checked of a symbol?
    if let Ok(query) = unsafe { library.get::<QueryFn>(abi::QUERY_SYMBOL) } {
        return Ok(*query);
    }
    let other = (0..10).filter(|&major| major != abi::MAJOR).find(|major| {
        // SAFETY: only looked up, never called.
        unsafe { library.get::<QueryFn>(format!("limbeck_backend_query_v{major}")) }.is_ok()
    });
    Err(Error::input(match other {
        Some(major) => format!(
            "plugin `{shown}` speaks ABI {major}, this host speaks {0}: rebuild it with limbeck-backend {0}.x",
            abi::MAJOR
        ),
        None => format!(
            "`{shown}` is a shared library but no Limbeck plugin: it does not export `{}` \
             (in Rust, end the crate with `export_backend!`)",
            abi::QUERY_SYMBOL
        ),
    }))
}

impl Table {
    /// Asks for the table and checks it.
    ///
    /// # Safety
    /// `query` is the query function of a plugin, opened or linked in.
    pub(super) unsafe fn negotiate(query: QueryFn, shown: &str) -> Result<Self> {
        let bad = |why: String| Error::input(format!("plugin `{shown}`: {why}"));
        let mut raw: *const abi::Backend = std::ptr::null();
        // SAFETY: the function is a plugin's by the caller's promise, and `raw` is writable.
        let code = unsafe { query(abi::MINOR, &mut raw) };
        if code == abi::UNSUPPORTED {
            let this = format!("{}.{}", abi::MAJOR, abi::MINOR);
            return Err(bad(format!("it needs a newer host than ABI {this}: update Limbeck or use an older plugin")));
        }
        if code != abi::OK {
            return Err(bad(format!("its query function failed with code {code}")));
        }
        // SAFETY: what a query function gives lives as long as the process.
        unsafe { Self::check(raw, shown) }
    }

    /// Checks a table.
    ///
    /// # Safety
    /// `raw` is NULL or leads to a table, of whatever size its first field says, that lives as long as the process.
    pub(super) unsafe fn check(raw: *const abi::Backend, shown: &str) -> Result<Self> {
        let bad = |why: String| Error::input(format!("plugin `{shown}`: {why}"));
        if raw.is_null() || !raw.is_aligned() {
            return Err(bad("its query function said OK but gave no table".into()));
        }
        // SAFETY: not NULL and aligned; every table begins with its size.
        let size = unsafe { (*raw).struct_size } as usize;
        if size < size_of::<abi::Backend>() {
            return Err(bad(format!(
                "its table has {size} bytes, ABI 1.0 has {}: was `struct_size` set to sizeof(limbeck_backend)?",
                size_of::<abi::Backend>()
            )));
        }
        // SAFETY: the size says that every field of version 1.0 is there. Fields of newer minors stay unread.
        let raw = unsafe { *raw };
        let missing = |name: &str| bad(format!("its table has NULL for `{name}`, which ABI 1.0 requires"));
        Ok(Self {
            abi_minor: raw.abi_minor,
            manifest: manifest(raw.manifest_json).map_err(bad)?,
            create: raw.create.ok_or_else(|| missing("create"))?,
            destroy: raw.destroy.ok_or_else(|| missing("destroy"))?,
            describe: raw.describe.ok_or_else(|| missing("describe"))?,
            shapes: raw.shapes.ok_or_else(|| missing("shapes"))?,
            run: raw.run.ok_or_else(|| missing("run"))?,
            last_error: raw.last_error.ok_or_else(|| missing("last_error"))?,
        })
    }
}

fn manifest(json: abi::Str) -> std::result::Result<Manifest, String> {
    // SAFETY: the header promises a string that lives as long as the process.
    let bytes = unsafe { json.bytes() }.ok_or("its manifest is NULL")?;
    let text = std::str::from_utf8(bytes).map_err(|_| "its manifest is not UTF-8")?;
    let manifest: Manifest = serde_json::from_str(text).map_err(|why| format!("its manifest: {why}"))?;
    if manifest.name.is_empty() || manifest.operations.is_empty() || manifest.devices.is_empty() {
        return Err("its manifest must have a `name`, and at least one of `operations` and of `devices`".into());
    }
    Ok(manifest)
}

/// Reads an instance's description and holds it against the manifest.
pub(super) fn description(json: &[u8], manifest: &Manifest) -> std::result::Result<Description, String> {
    /// Far above any classifier, far below what overflows.
    const MOST: usize = 1 << 24;
    let text = std::str::from_utf8(json).map_err(|_| "its description is not UTF-8")?;
    let found: Description = serde_json::from_str(text).map_err(|why| format!("its description: {why}"))?;
    let size = found.input;
    let sizes = [found.classes, size.channels, size.height, size.width, found.features.unwrap_or(1)];
    let pixels = sizes[1..4].iter().try_fold(1usize, |all, &dim| all.checked_mul(dim));
    if sizes.iter().any(|&number| !(1..=MOST).contains(&number)) || pixels.is_none_or(|pixels| pixels > MOST) {
        return Err(format!("its description has a size of zero or beyond reason: {text}"));
    }
    let differs = manifest.classes.is_some_and(|classes| classes != found.classes)
        || manifest.input.is_some_and(|input| input != found.input)
        || manifest.features.is_some_and(|features| Some(features) != found.features);
    if differs {
        return Err(format!("its description contradicts its manifest: {text}"));
    }
    Ok(found)
}
