//! The fuzz target `index_open` without a fuzzer: its corpus, and many small changes to good files.

use std::path::Path;

use index::{Matrix, Metric, Params, PartitionBuilder};
use rayon::prelude::*;

use crate::data::{METRICS, TempIndex, built, built_by, file_bytes, hash, whole};
use crate::raw::{HEADER, Raw};
use crate::target::index_open;

#[test]
fn inputs_of_the_fuzzer_are_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/index_open");
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    let file = TempIndex::new(&[]);
    for input in inputs {
        index_open(&std::fs::read(input).unwrap(), file.path());
    }
}

/// A few small files that have every section and several levels between them.
fn small_files() -> Vec<Vec<u8>> {
    let own: Vec<u64> = (0..40).map(|row| row * 3).collect();
    let mut files: Vec<Vec<u8>> = METRICS
        .into_iter()
        .map(|metric| {
            let mut values = whole(40, 40, 3);
            values.copy_within(0..12, 60);
            let rows = Matrix::new(&values, 3);
            let built = built(rows, &Params { m: 2, ef_construction: 8, ..Params::new(metric) });
            file_bytes(&built, rows, (metric == Metric::Cosine).then_some(&own), "a = 1\n")
        })
        .collect();
    // As many with codes.
    for metric in METRICS {
        let values = whole(41, 40, 3);
        let rows = Matrix::new(&values, 3);
        let built =
            built_by(&PartitionBuilder, rows, &Params { m: 2, ef_construction: 8, ..Params::new(metric) });
        files.push(file_bytes(&built, rows, None, ""));
    }
    let empty = Matrix::new(&[], 3);
    files.push(file_bytes(&built(empty, &Params::new(Metric::L2)), empty, None, ""));
    files
}

#[test]
fn small_changes_with_right_checksums_are_survived() {
    let files = small_files();
    (0..4_000u64).into_par_iter().for_each_init(
        || TempIndex::new(&[]),
        |file, i| {
            let mut raw = Raw(files[(i % files.len() as u64) as usize].clone());
            for change in 0..1 + hash(i, 0) % 3 {
                let draw = |what| hash(i, 10 * change + what);
                // Half of the changes meet a field of the header, the others anything that is no padding.
                let used: Vec<usize> = match draw(1) % 2 {
                    0 => (8..128).chain(320..336).chain(1024..1344).collect(),
                    _ => (HEADER..raw.0.len()).filter(|&at| raw.0[at] != 0).collect(),
                };
                let Some(&at) = used.get((draw(2) % used.len().max(1) as u64) as usize) else { continue };
                raw.0[at] = match draw(3) % 4 {
                    0 => raw.0[at].wrapping_add(1),
                    1 => raw.0[at].wrapping_sub(1),
                    2 => 0xff,
                    _ => draw(4) as u8,
                };
            }
            // The target computes all checksums but those of codes.
            if i % files.len() as u64 > 2 {
                raw.seal();
            }
            index_open(&raw.0, file.path());
        },
    );
}
