//! What each fuzz target does with its input. Nothing here needs a fuzzer, so that a plain test can replay a corpus.

use std::path::{Path, PathBuf};

use readers::formats::{ColumnOptions, Sidecar, TextIdFile, parse_npy_header, read_npy_ids};
use readers::internals::{ParquetReading, open_parquet};
use readers::{BufferPool, Dataset, Input, Io, Scan, format_called};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets. A folder `corpus/NAME` holds the inputs of each.
pub const TARGETS: &[Target] = &[
    ("npy_header", npy_header),
    ("npy_file", npy_file),
    ("text_ids_file", text_ids_file),
    ("raw_f32_sidecar", raw_f32_sidecar),
    ("fbin_file", fbin_file),
    ("vecs_file", vecs_file),
    ("safetensors_file", safetensors_file),
    ("npz_file", npz_file),
    ("parquet_file", parquet_file),
    ("parquet_pages", parquet_pages),
    ("arrow_file", arrow_file),
    ("arrow_stream", arrow_stream),
    ("jsonl_file", jsonl_file),
    ("csv_file", csv_file),
    ("glove_file", glove_file),
    ("word2vec_file", word2vec_file),
    ("packed_file", packed_file),
    #[cfg(feature = "hdf5")]
    ("hdf5_file", hdf5_file),
];

/// The header of an .npy file.
pub fn npy_header(data: &[u8]) {
    if let Ok(header) = parse_npy_header(data) {
        assert!(header.data_offset <= data.len() as u64);
    }
}

/// A file of text ids, mapped and read, all at once and row by row: as lines, and as an .npy file if it is one.
pub fn text_ids_file(data: &[u8]) {
    let path = written("txt", data);
    let all = |io| {
        let file = TextIdFile::open(&Input { io, ..Input::new(&path) }).ok()??;
        let rows = file.rows();
        let all = file.read(0..rows).ok();
        assert!(file.read(rows..rows.saturating_add(1)).is_err());
        if let Some(all) = &all {
            for row in (0..rows).step_by(97) {
                let at = usize::try_from(row).expect("they are in memory");
                assert_eq!(file.read(row..row + 1).expect("it was read").value(0), all.value(at));
            }
        }
        all
    };
    assert_eq!(all(Io::Mmap), all(Io::Read));
    remove(&path);
}

/// A whole .npy file, mapped and read, as vectors and as ids: both ways give the same.
pub fn npy_file(data: &[u8]) {
    both_ways("npy", data);
    let path = written("npy", data);
    let of = |io| Input { io, ..Input::new(&path) };
    assert_eq!(read_npy_ids(&of(Io::Mmap)).ok(), read_npy_ids(&of(Io::Read)).ok());
    remove(&path);
}

/// A whole file of the fbin family, by each of its names.
pub fn fbin_file(data: &[u8]) {
    for format in ["fbin", "f16bin", "u8bin", "i8bin", "ibin"] {
        both_ways(format, data);
    }
}

/// A whole file whose rows say their dimension, with each type of value.
pub fn vecs_file(data: &[u8]) {
    for format in ["fvecs", "bvecs", "ivecs"] {
        both_ways(format, data);
    }
}

/// A whole .safetensors file.
pub fn safetensors_file(data: &[u8]) {
    both_ways("safetensors", data);
}

/// A whole archive of arrays.
pub fn npz_file(data: &[u8]) {
    both_ways("npz", data);
}

/// The sidecar of a raw file: what is understood is the same when it is written and read again.
pub fn raw_f32_sidecar(data: &[u8]) {
    if let Ok(Some(sidecar)) = Sidecar::parse(data, "v.f32") {
        let again = Sidecar::parse(sidecar.to_json("v.f32").as_bytes(), "v.f32");
        assert_eq!(again.ok(), Some(Some(sidecar)));
    }
}

/// A whole Parquet file.
pub fn parquet_file(data: &[u8]) {
    both_ways("parquet", data);
}

/// A whole Parquet file: page by page, in parts of any size, it gives what the ordinary reader gives.
pub fn parquet_pages(data: &[u8]) {
    let path = written("parquet", data);
    let read = |by_pages, part_values| {
        let reading = ParquetReading { by_pages, part_values };
        let (dataset, _) = open_parquet(&Input::new(&path), &ColumnOptions::default(), reading).ok()?;
        values(&*dataset)
    };
    let ordinary = read(false, None);
    for part_values in [None, Some(1), Some(40)] {
        assert_eq!(read(true, part_values), ordinary, "parts of {part_values:?} values");
    }
    remove(&path);
}

/// A whole Arrow file, mapped and read: both ways give the same.
pub fn arrow_file(data: &[u8]) {
    both_ways("arrow", data);
}

/// A whole Arrow stream, mapped and read: both ways give the same.
pub fn arrow_stream(data: &[u8]) {
    both_ways("arrow_stream", data);
}

/// A file of JSON Lines, mapped and read.
pub fn jsonl_file(data: &[u8]) {
    both_ways("jsonl", data);
}

/// A file of CSV, mapped and read.
pub fn csv_file(data: &[u8]) {
    both_ways("csv", data);
}

/// A file of GloVe's text, mapped and read.
pub fn glove_file(data: &[u8]) {
    both_ways("glove", data);
}

/// A file of word2vec, text or binary, mapped and read.
pub fn word2vec_file(data: &[u8]) {
    both_ways("word2vec", data);
}

/// A whole HDF5 file, mapped and read.
#[cfg(feature = "hdf5")]
pub fn hdf5_file(data: &[u8]) {
    both_ways("hdf5", data);
}

/// A packed file: what it gives is no larger than it may be.
pub fn packed_file(data: &[u8]) {
    const MAX_BYTES: u64 = 1 << 20;
    let path = written("packed", data);
    if let Ok(input) = (Input { max_unpacked_bytes: MAX_BYTES, ..Input::new(&path) }).unpacked()
        && input.unpacked.is_some()
    {
        assert!(input.source().expect("what was unpacked can be opened").len_bytes() <= MAX_BYTES);
    }
    remove(&path);
}

/// Mapped and read, a file gives the same rows, or is refused.
fn both_ways(format: &str, data: &[u8]) {
    let path = written(format, data);
    let of = |io| Input { io, payload: true, ..Input::new(&path) };
    assert_eq!(rows(format, &of(Io::Mmap)), rows(format, &of(Io::Read)));
    let format_of_columns = format_called(format).and_then(|format| format.with_defaults().ok());
    let columns = format_of_columns.and_then(|format| format.open_columns(&of(Io::Auto)).ok());
    columns.and_then(|columns| values(&*columns));
    if let Ok(detected) = readers::detect(&of(Io::Auto)) {
        assert!(!detected.reason.is_empty());
    }
    remove(&path);
}

fn written(extension: &str, data: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("fuzz-{}.{extension}", std::process::id()));
    std::fs::write(&path, data).expect("a temporary file can be written");
    path
}

/// The values as bits, or nothing if they are refused.
fn rows(format: &str, input: &Input) -> Option<Vec<u32>> {
    let format = format_called(format).expect("it is built in").with_defaults().expect("it needs no option");
    values(&*format.open(input).ok()?)
}

fn values(dataset: &dyn Dataset) -> Option<Vec<u32>> {
    let (pool, scan) = (BufferPool::new(), Scan { rows: 0..dataset.info().rows.exact()?, batch_rows: 7 });
    let mut bits = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool).ok()? {
            bits.extend(batch.ok()?.values().iter().map(|value| value.to_bits()));
        }
    }
    Some(bits)
}

fn remove(path: &Path) {
    // A file that stays is overwritten by the next input.
    let _ = std::fs::remove_file(path);
}
