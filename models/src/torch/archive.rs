//! The zip format (PyTorch 1.6 and later): `NAME/data.pkl` and one uncompressed member `NAME/data/KEY` a storage.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{Cursor as IoCursor, Read};

use zip::{CompressionMethod, ZipArchive};

use super::cursor::Cursor;
use super::value::Heap;
use super::{Fault, Parsed, Storages, pickle};

pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

struct Archive<'a> {
    zip: RefCell<ZipArchive<IoCursor<&'a [u8]>>>,
    root: String,
    /// Bytes of the file.
    length: u64,
}

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed<'_>, Fault> {
    let zip = ZipArchive::new(IoCursor::new(bytes))
        .map_err(|error| format!("its zip archive is cut off or damaged: copy or download it again ({error})"))?;
    let names: Vec<String> = zip.file_names().flatten().map(Cow::into_owned).collect();
    let roots: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix("/data.pkl")).collect();
    let &[root] = roots.as_slice() else {
        return Err("it is a zip archive without a single `data.pkl`: no file of `torch.save`".into());
    };
    if names.iter().any(|name| name.strip_prefix(root) == Some("/constants.pkl")) {
        return Err("it is a TorchScript archive, a program: save the state dict instead, \
                    `torch.save(model.state_dict(), FILE)`"
            .into());
    }
    let archive = Archive { zip: RefCell::new(zip), root: root.to_owned(), length: bytes.len() as u64 };
    if names.iter().any(|name| name.strip_prefix(root) == Some("/byteorder"))
        && archive.member("byteorder")? != b"little"
    {
        return Err("its numbers are big-endian: save it again on an ordinary machine".into());
    }
    let program = archive.member("data.pkl")?;
    let mut heap = Heap::default();
    let root = pickle::load(&mut heap, &mut Cursor::new(&program))?;
    Ok(Parsed { heap, root, storages: Box::new(archive) })
}

impl Archive<'_> {
    /// The bytes of a member, its checksum verified. Members are never inflated, so none is longer than the file.
    fn member(&self, name: &str) -> Result<Vec<u8>, Fault> {
        let path = format!("{}/{name}", self.root);
        let shown = name.escape_default().to_string();
        let mut zip = self.zip.borrow_mut();
        let mut member = zip.by_name(&path).map_err(|error| format!("its member `{shown}` can't be read: {error}"))?;
        if member.compression() != CompressionMethod::Stored {
            return Err(format!(
                "its member `{shown}` is compressed, which PyTorch never does: unpack and save it again"
            ));
        }
        if member.size() > self.length {
            return Err(format!("its member `{shown}` claims {} bytes, more than the file has", member.size()));
        }
        let mut bytes = Vec::new();
        let read = (&mut member).take(self.length).read_to_end(&mut bytes);
        read.map_err(|error| format!("its member `{shown}` is damaged: {error}"))?;
        Ok(bytes)
    }
}

impl Storages for Archive<'_> {
    fn bytes(&self, key: &str) -> Result<Cow<'_, [u8]>, Fault> {
        self.member(&format!("data/{key}")).map(Cow::Owned)
    }
}
