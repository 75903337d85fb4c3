//! Folders and shards, whole and damaged.

use std::path::{Path, PathBuf};

use limbeck_images::{Channels, Source};
use tempfile::TempDir;

fn golden(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/images").join(file)).unwrap()
}

fn shard(dir: &TempDir, files: &[(&str, &[u8])]) -> PathBuf {
    let path = dir.path().join("000000.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.finish().unwrap();
    path
}

#[test]
fn shards_and_folders_give_the_same_images() {
    let (jpeg, png, webp) = (golden("photo.jpg"), golden("photo.png"), golden("photo.webp"));
    let dir = TempDir::new().unwrap();
    let files: [(&str, &[u8]); 8] = [
        ("train/b.jpg", &jpeg),
        ("train/b.cls", b"1"),
        ("train/b.json", b"{}"),
        ("train/a.cls", b"0\n"),
        ("train/a.png", &png),
        ("c.x.WEBP", &webp),
        ("c.webp", &webp),
        ("c.cls", b"1"),
    ];
    let shards = Source::shards(&[shard(&dir, &files)], 2).unwrap();
    assert_eq!(shards.classes(), [1, 0, 1]);
    for (class, name, bytes) in [("0", "a.png", &png), ("1", "b.JPEG", &jpeg), ("1", "c.webp", &webp)] {
        let folder = dir.path().join("folder").join(class);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
        std::fs::write(folder.join("notes.txt"), "no image").unwrap();
    }
    std::fs::write(dir.path().join("folder/1/.hidden"), "no image").unwrap();
    let folder = Source::folder(&dir.path().join("folder"), 2).unwrap();
    assert_eq!((folder.len(), folder.classes()), (3, vec![0, 1, 1]));
    for channels in [Channels::Rgb, Channels::Grey] {
        for (row, same) in [(0, 1), (1, 0), (2, 2)] {
            assert_eq!(shards.image(row, channels).unwrap(), folder.image(same, channels).unwrap());
        }
    }
}

#[test]
fn what_is_passed_over_is_told() {
    let dir = TempDir::new().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join("folder").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let folder = || Source::folder(&dir.path().join("folder"), 2);
    put("cat/a.png", &golden("photo.png"));
    put("cat/.b.bmp", b"hidden");
    put("dog/a.jpg", &golden("photo.jpg"));
    put("README", b"beside the classes");
    assert_eq!(folder().unwrap().passed_over(), None);
    put("dog/b.bmp", b"BM");
    let shown = dir.path().join("folder/dog/b.bmp").display().to_string();
    let rest = "images end in .jpg, .jpeg, .png or .webp";
    assert_eq!(
        folder().unwrap().passed_over().unwrap(),
        format!("`{shown}` is no image, so it is passed over: {rest}")
    );
    put("dog/c/d.jpg", b"too deep");
    let several = format!("2 files are no images, so they are passed over, the first is `{shown}`: {rest}");
    assert_eq!(folder().unwrap().subset(&[0]).passed_over().unwrap(), several);
    std::fs::remove_file(dir.path().join("folder/dog/a.jpg")).unwrap();
    let empty = folder().unwrap_err().to_string();
    assert!(empty.ends_with("folder/dog`: no image in it; images end in .jpg, .jpeg, .png or .webp"), "{empty}");
    let (jpeg, bmp): (_, &[u8]) = (golden("photo.jpg"), b"BM");
    let shard = shard(&dir, &[("a.jpg", &jpeg), ("a.cls", b"0"), ("b.bmp", bmp), ("b.cls", b"1"), ("c.json", b"{}")]);
    let shards = Source::shards(&[shard], 2).unwrap();
    assert!(
        shards.passed_over().unwrap().contains("000000.tar`, sample `b` has a class but no image, so it is passed")
    );
}

/// A look at both ends finds what is no image or was cut off, and takes whole images for whole.
#[test]
fn damage_is_found_without_decoding() {
    let dir = TempDir::new().unwrap();
    let check = |name: &str, bytes: &[u8]| {
        let source = Source::shards(&[shard(&dir, &[(name, bytes), ("a.cls", b"0")])], 1).unwrap();
        (source.check(0, Channels::Rgb), source.image(0, Channels::Rgb))
    };
    for name in ["photo.jpg", "progressive.jpg", "grey.jpg", "full-colour.jpg", "photo.png", "photo.webp"] {
        let (bytes, name_here) = (golden(name), format!("a.{}", name.split_once('.').unwrap().1));
        assert!(check(&name_here, &bytes).0.is_ok(), "{name}");
        let behind = [bytes.as_slice(), b"and more"].concat();
        let (checked, image) = check(&name_here, &behind);
        assert_eq!(checked.is_ok(), image.is_ok(), "{name} with something behind it");
        for cut in [0, 1, 20, bytes.len() / 2, bytes.len() - 1] {
            let (checked, image) = check(&name_here, &bytes[..cut]);
            assert_eq!(checked.is_ok(), image.is_ok(), "{name} cut to {cut} bytes");
        }
        let text = check(&name_here, b"<html>not found</html>").0.unwrap_err().to_string();
        assert!(text.ends_with("image `a`: it is neither JPEG nor PNG nor WebP: replace it or take it out"), "{text}");
    }
    // It is a look, not more: a PNG that is damaged in the middle.
    let mut bytes = golden("photo.png");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let (checked, image) = check("a.png", &bytes);
    assert!(checked.is_ok() && image.is_err());
}

/// Memory is taken by the size that an image is said to have.
#[test]
fn a_size_beyond_the_end_of_a_shard_is_refused_before_it_is_believed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("000000.tar");
    let mut header = tar::Header::new_ustar();
    header.set_path("a.jpg").unwrap();
    header.set_size(200 << 20);
    header.set_cksum();
    let class = shard(&dir, &[("a.cls", b"0")]);
    let bytes = [&std::fs::read(class).unwrap()[..1024], header.as_bytes(), &golden("photo.jpg")].concat();
    std::fs::write(&path, bytes).unwrap();
    let found = Source::shards(&[path], 1).unwrap_err().to_string();
    assert!(found.contains("`a.jpg` claims 209715200 bytes and reaches beyond the end of the file: repair"), "{found}");
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_remedy() {
    let jpeg = golden("photo.jpg");
    let dir = TempDir::new().unwrap();
    let message = |files: &[(&str, &[u8])]| Source::shards(&[shard(&dir, files)], 2).unwrap_err().to_string();
    let found = message(&[("a.jpg", &jpeg), ("a.cls", b"7")]);
    assert!(
        found.contains("000000.tar`, sample `a`: `a.cls` holds `7`, not a class below 2: repair the shard"),
        "{found}"
    );
    let found = message(&[("a.jpg", &jpeg)]);
    assert!(found.contains("it has an image but no `a.cls`"), "{found}");
    assert!(message(&[("a.jpg", &jpeg), ("a.png", &jpeg), ("a.cls", b"1")]).contains("two images"));
    assert!(message(&[("a.txt", b"text")]).contains("no image in it"));
    let files: [(&str, &[u8]); 6] = [
        ("cut.jpg", &jpeg[..jpeg.len() / 2]),
        ("cut.cls", b"0"),
        ("text.jpg", b"no image"),
        ("text.cls", b"0"),
        ("empty.png", b""),
        ("empty.cls", b"0"),
    ];
    let source = Source::shards(&[shard(&dir, &files)], 1).unwrap();
    for (row, part) in [(0, "is a damaged JPEG"), (1, "is neither JPEG nor PNG nor WebP"), (2, "is neither JPEG")] {
        let found = source.image(row, Channels::Rgb).unwrap_err().to_string();
        assert!(found.contains("000000.tar`, image `") && found.contains(part), "{found}");
        assert!(found.ends_with(": replace it or take it out") && !found.contains('\n'), "{found}");
    }
    let classes = || Source::folder(dir.path(), 3).unwrap_err().to_string();
    assert!(classes().contains("0 subfolders (none), but there are 3 classes"), "{}", classes());
    (0..6).for_each(|class| std::fs::create_dir(dir.path().join(format!("c{class}"))).unwrap());
    assert!(classes().contains("6 subfolders (c0, c1, c2, c3, c4, …), but"), "{}", classes());
    assert!(Source::folder(&dir.path().join("nowhere"), 3).unwrap_err().to_string().contains("can't be read"));
}
