//! Packed files: what they give is what they hold, and damage has a place.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use readers::formats::npy_header;
use readers::{Error, Input, detect};
use tempfile::tempdir;

use super::{assert_refused, bits, le, read};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn vectors() -> Vec<f32> {
    (0u16..3000).map(|i| f32::from(i % 1013) * 0.37 - 5.0).collect()
}

fn npy() -> Vec<u8> {
    [npy_header("<f4", &[500, 6]), le(&vectors())].concat()
}

fn open(input: Input) -> Result<Vec<u32>, Error> {
    let dataset = readers::open(&input)?;
    dataset.check_unchanged()?;
    read(&*dataset, 7)
}

#[test]
fn packed_files_are_read_as_what_they_hold() {
    let dir = tempdir().unwrap();
    let whole = npy();
    let (first, second) = whole.split_at(1000);
    // A frame of four bytes that every decoder skips.
    let skipped = [0x53, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4].as_slice();
    for (name, packed) in [
        ("a.npy.gz", gzip(&whole)),
        ("b.npy.gz", [gzip(first), gzip(&[]), gzip(second)].concat()),
        ("a.npy.zst", zstd(&whole)),
        ("b.npy.zst", [skipped, &zstd(first), skipped, &zstd(second)].concat()),
        // The name says nothing, the bytes do.
        ("plain", gzip(&whole)),
        ("a.npy", zstd(&whole)),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, packed).unwrap();
        assert_eq!(open(Input::new(&path)).unwrap(), bits(&vectors()), "{name}");
        let input = Input::new(&path).unpacked().unwrap();
        assert_eq!(input.path, path);
        assert_eq!(input.note().unwrap(), "unpacked 0.0 MiB");
        assert_eq!(detect(&input).unwrap().format.name, "npy");
        assert_eq!(input.source().unwrap().path(), path);
    }
    // What is not packed is left alone.
    let path = dir.path().join("c.npy.gz");
    std::fs::write(&path, &whole).unwrap();
    let input = Input::new(&path).unpacked().unwrap();
    assert_eq!((input.unpacked.is_some(), input.note()), (false, None));
}

#[test]
fn files_beside_belong_to_the_inner_name() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32.gz");
    std::fs::write(&path, gzip(&le(&vectors()))).unwrap();
    std::fs::write(dir.path().join("v.json"), r#"{"n": 750, "dim": 4, "file": "v.f32"}"#).unwrap();
    let ids: Vec<u8> = (0..750u64).flat_map(|id| (id * 3).to_le_bytes()).collect();
    std::fs::write(dir.path().join("ids.u64"), ids).unwrap();
    let dataset = readers::open(&Input::new(&path)).unwrap();
    let info = dataset.info();
    assert_eq!((info.rows.exact(), info.dim, info.ids.is_some()), (Some(750), 4, true));
    let beside = ["v.f32.gz", "v.json", "ids.u64"].map(|name| dir.path().join(name));
    assert_eq!(info.files, beside);
}

#[test]
fn bare_values_that_begin_like_gzip_stay_values() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("v.f32");
    let values = [f32::from_le_bytes([0x1f, 0x8b, 0x08, 0x3f]), 1.0];
    std::fs::write(&path, le(&values)).unwrap();
    assert_eq!(open(Input { dim: Some(2), ..Input::new(&path) }).unwrap(), bits(&values));
}

#[test]
fn damage_is_told_with_its_place() {
    let dir = tempdir().unwrap();
    const HELP: &str = "the packed file was cut short or damaged: make it or copy it again";
    for (name, packed, kind) in [("a.npy.gz", gzip(&npy()), "gzip"), ("a.npy.zst", zstd(&npy()), "zstd")] {
        let path = dir.path().join(name);
        for len in (4..packed.len()).step_by(97).chain([packed.len() - 1]) {
            std::fs::write(&path, &packed[..len]).unwrap();
            let line = format!("{name}: byte {len}: expected more of the {kind} stream, found its end");
            assert_refused(Input::new(&path).unpacked(), dir.path(), &line, HELP);
        }
        let mut damaged = packed.clone();
        for byte in &mut damaged[packed.len() / 2..packed.len() / 2 + 40] {
            *byte ^= 0x5a;
        }
        for bytes in [damaged, [packed.as_slice(), b"no stream at all"].concat()] {
            std::fs::write(&path, bytes).unwrap();
            let error = Input::new(&path).unpacked().unwrap_err();
            let message = error.to_string();
            assert!(message.contains(&format!("more of the {kind} stream, found ")), "{message}");
            assert!(message.contains("byte "), "{message}");
            assert_eq!(error.help(), Some(HELP));
        }
    }
}

#[test]
fn limits_and_stops_are_heeded() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("bomb.gz");
    let packed = gzip(&vec![0; 5 << 20]);
    std::fs::write(&path, &packed).unwrap();
    let input = Input { max_unpacked_bytes: 1 << 20, ..Input::new(&path) };
    let error = input.unpacked().unwrap_err().to_string();
    assert!(error.contains("expected up to 1048576 unpacked bytes, found more"), "{error}");
    assert!(Input { max_unpacked_bytes: 5 << 20, ..Input::new(&path) }.unpacked().is_ok());
    let error = Input::new(&path).unpacked_unless(&|| true).unwrap_err();
    assert!(error.to_string().contains("cannot unpack: "), "{error}");
}

#[test]
fn a_packed_file_that_changes_is_noticed() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy.gz");
    std::fs::write(&path, gzip(&npy())).unwrap();
    let dataset = readers::open(&Input::new(&path)).unwrap();
    dataset.check_unchanged().unwrap();
    std::fs::write(&path, gzip(b"something else")).unwrap();
    let error = dataset.check_unchanged().unwrap_err().to_string();
    assert!(error.contains("a.npy.gz: its size went from "), "{error}");
}
