//! One shard: a tar of `<id>.cls`, `<id>.json` and `<id>.png` per sample, as WebDataset reads it.
//!
//! Nothing of the machine or the moment gets in (owner 0, mode 0644, time 0, names in order), so equal samples are equal
//! bytes.

use std::collections::BTreeMap;
use std::fmt::Display;

use tar::{Archive, Builder, EntryType, Header};

use super::sample::{Image, Provenance, Sample};
use crate::{Error, Result};

const BLOCK: u64 = 512;

/// The parts of a sample in name order.
const PARTS: [&str; 3] = ["cls", "json", "png"];

/// The bytes of a shard. Fails on no samples, on two of one id and on an image that has no PNG form.
pub(super) fn encode(samples: &[Sample]) -> Result<Vec<u8>> {
    let by_id = samples.iter().map(|sample| (sample.id, sample)).collect::<BTreeMap<_, _>>();
    if by_id.is_empty() || by_id.len() < samples.len() {
        return Err(Error::failed("a shard needs samples, each with its own id"));
    }
    let mut tar = Builder::new(Vec::new());
    for (id, sample) in by_id {
        let provenance = serde_json::to_vec(&sample.provenance).map_err(|error| Error::failed(error.to_string()))?;
        let parts = [sample.class.to_string().into_bytes(), provenance, sample.image.to_png()?];
        for (extension, bytes) in PARTS.iter().zip(parts) {
            append(&mut tar, &format!("{id:09}.{extension}"), &bytes)?;
        }
    }
    Ok(tar.into_inner()?)
}

fn append(tar: &mut Builder<Vec<u8>>, name: &str, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(tar.append(&header, bytes)?)
}

/// Reads a shard of `expected` samples; `shown` names it in errors, which give the byte, the sample and the remedy.
pub(super) fn decode(shown: &str, bytes: &[u8], expected: usize) -> Result<Vec<Sample>> {
    let files = files(shown, bytes)?;
    if files.len() != expected.saturating_mul(PARTS.len()) {
        let reason =
            format!("{} files, where {expected} samples have {}", files.len(), expected.saturating_mul(PARTS.len()));
        return Err(damaged(shown, bytes.len() as u64, reason));
    }
    files.chunks_exact(PARTS.len()).map(|parts| sample(parts).map_err(|(at, why)| damaged(shown, at, why))).collect()
}

/// One file in a shard: where it starts, what it is called and what it holds.
struct File<'a> {
    at: u64,
    name: String,
    bytes: &'a [u8],
}

fn files<'a>(shown: &str, bytes: &'a [u8]) -> Result<Vec<File<'a>>> {
    let mut archive = Archive::new(bytes);
    let mut files = Vec::new();
    let mut end = 0;
    for entry in archive.entries().map_err(|error| damaged(shown, 0, error))?.raw(true) {
        let entry = entry.map_err(|error| damaged(shown, end, error))?;
        let at = entry.raw_file_position();
        let size = entry.header().entry_size().map_err(|error| damaged(shown, end, error))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let content = at.checked_add(size).and_then(|stop| bytes.get(at as usize..stop as usize));
        let content = content.ok_or_else(|| {
            damaged(
                shown,
                at,
                format!("`{name}` takes {size} bytes, but {} are left", (bytes.len() as u64).saturating_sub(at)),
            )
        })?;
        end = (at + size).next_multiple_of(BLOCK);
        files.push(File { at, name, bytes: content });
    }
    let closed =
        bytes.get(end as usize..).is_some_and(|rest| rest.len() as u64 == 2 * BLOCK && rest.iter().all(|&b| b == 0));
    if !closed {
        return Err(damaged(shown, end, "the two empty blocks that close a tar are not here"));
    }
    Ok(files)
}

/// A sample from its three files, or where and why not.
fn sample(parts: &[File<'_>]) -> std::result::Result<Sample, (u64, String)> {
    let [cls, json, png] = parts else { return Err((0, "a sample is three files".into())) };
    let stem = cls.name.strip_suffix(".cls").unwrap_or(&cls.name);
    for (file, extension) in parts.iter().zip(PARTS) {
        let wanted = format!("{stem}.{extension}");
        if file.name != wanted {
            return Err((file.at, format!("`{}` is here instead of `{wanted}`", file.name)));
        }
    }
    let id = stem.parse::<u64>().ok().filter(|id| format!("{id:09}") == stem);
    let id = id.ok_or_else(|| (cls.at, format!("`{stem}` is not the id of a sample")))?;
    let class = std::str::from_utf8(cls.bytes).ok().and_then(|text| text.trim_end().parse().ok());
    let class: u32 = class.ok_or_else(|| (cls.at, format!("sample {id}: its class is not a number")))?;
    let provenance: Provenance = serde_json::from_slice(json.bytes)
        .map_err(|error| (json.at, format!("sample {id}: its provenance can't be read: {error}")))?;
    if provenance.class != class {
        let reason = format!("sample {id}: `.cls` says class {class}, the provenance says {}", provenance.class);
        return Err((json.at, reason));
    }
    let image = Image::from_png(png.bytes).map_err(|reason| (png.at, format!("sample {id}: its image {reason}")))?;
    Ok(Sample { id, class, image, provenance })
}

fn damaged(shown: &str, at: u64, reason: impl Display) -> Error {
    Error::input(format!(
        "`{shown}`, byte {at}: {reason}: the shard is damaged: delete it and run again, it will be drawn again"
    ))
}
