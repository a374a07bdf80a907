//! Every file that other programs wrote, one after another, opened as `convert` would: each gives the vectors that are
//! expected, or is refused for the reason that is expected. A file that nobody expects fails.

use std::collections::BTreeMap;
use std::path::Path;

use readers::{Input, detect};

use super::testdata::{files, folder};
use super::{open_with, read};

/// What a file must do.
#[derive(Debug, Clone, Copy)]
enum Must {
    /// Give so many rows of so many values, the first and the last of them these.
    Give(&'static str, u64, usize, f32, f32),
    /// Be refused in these words.
    Refuse(&'static str),
    /// The same, since it is no file of vectors at all.
    Foreign(&'static str),
    /// Be refused in any words: what a fuzzer made has any fault.
    RefuseAnyhow,
}

use Must::{Foreign, Give, Refuse, RefuseAnyhow};

const SHAPE: Must = Refuse("shape: expected 2 dimensions, rows and values, found");
const PICKLE: Must = Refuse("found Python objects (a pickle)");
const TRUTHS: Must = Refuse("found truth values");
const COMPLEX: Must = Refuse("found complex numbers");
const NO_LISTS: Must = Refuse("expected a column of lists of numbers, found");
const BIG_ENDIAN: Must = Refuse("expected little-endian data, found big-endian");
const CUT_WORD: Must = Refuse("row 1: expected a word in UTF-8");

/// Files by the beginning and the end of their paths; the first that fits counts.
const EXPECTED: &[(&str, &str, Must)] = &[
    ("MANIFEST.md", "", Foreign("the format cannot be told from its content or its name")),
    ("arrow-testing/1.0.0-bigendian/", "", BIG_ENDIAN),
    ("arrow-testing/2.0.0-compression/", ".json.gz", Foreign("expected one JSON value a line")),
    ("arrow-testing/fuzz-ipc/", "", RefuseAnyhow),
    ("arrow-testing/fuzz-parquet/", "", RefuseAnyhow),
    ("arrow-testing/", "generated_nested.arrow_file", Refuse("found 2 columns that could be")),
    ("arrow-testing/", "generated_nested.stream", Refuse("found 2 columns that could be")),
    ("arrow-testing/", ".arrow_file", NO_LISTS),
    ("arrow-testing/", ".stream", NO_LISTS),
    ("finalfusion/analogy.bin", "", Give("word2vec", 43, 100, 0.879_560_6, 0.0)),
    ("finalfusion/similarity.bin", "", Give("word2vec", 41, 100, 1.472_428_7, 0.0)),
    ("finalfusion/similarity.nodims", "", Give("glove", 41, 100, 1.472_428_7, 0.0)),
    ("finalfusion/similarity.txt", "", Give("word2vec", 41, 100, 1.472_428_7, 0.0)),
    ("finalfusion/utf8-incomplete", "", CUT_WORD),
    ("finalfusion/fasttext.bin", "", Refuse("found a model of fastText")),
    ("finalfusion/", ".fifu", Refuse("found a file of finalfusion")),
    ("finalfusion/quantized_storage.bin", "", Refuse("expected a dimension, found none")),
    ("jvector-siftsmall/siftsmall_groundtruth.ivecs", "", Give("ivecs", 100, 100, 2176.0, 3631.0)),
    ("jvector-siftsmall/siftsmall_query.fvecs", "", Give("fvecs", 100, 128, 1.0, 8.0)),
    ("ndarray-npy/array.npy", "", Give("npy", 2, 3, 0.0, 5.0)),
    ("ndarray-npy/example_bool", "", TRUTHS),
    ("ndarray-npy/example_c64", "", COMPLEX),
    ("ndarray-npy/example_f64", "", SHAPE),
    ("npyz/ok.npy", "", Refuse("found strings")),
    ("npyz/pickle.npy", "", PICKLE),
    ("npyz/structured.npy", "", Refuse("found a structured type")),
    ("npyz/compressed.npz", "", Give("npz", 2, 1, 1.0, 2.0)),
    ("npyz/uncompressed.npz", "", Give("npz", 2, 1, 1.0, 2.0)),
    ("npyz/csr.npz", "", Refuse("found a sparse matrix of scipy")),
    ("npyz/", ".npy", SHAPE),
    ("numpy/", "", PICKLE),
    ("parquet-testing/list_columns.parquet", "", Refuse("row 1: expected a vector of 3 values")),
    (
        "parquet-testing/repeated_primitive_no_list.parquet",
        "",
        Refuse("row 1: expected a vector of 4 values, found 0"),
    ),
    ("parquet-testing/bad_data/", "", RefuseAnyhow),
    ("parquet-testing/", ".parquet", NO_LISTS),
    ("qdrant-vdbb/neighbours.jsonl", "", Give("jsonl", 10, 1, 0.0, 0.0)),
    ("qdrant-vdbb/queries.jsonl", "", Give("jsonl", 10, 100, 0.298_798_27, 0.0)),
    ("qdrant-vdbb/vectors.jsonl", "", Give("jsonl", 100, 100, 0.298_798_27, 0.0)),
    ("xtensor/bool", "", TRUTHS),
    ("xtensor/", "", SHAPE),
];

/// Format, rows, dimension, and the first and the last value of a file; or why it gives none.
type Outcome = Result<(&'static str, u64, usize, f32, f32), String>;

fn outcome(path: &Path) -> Outcome {
    let open = || {
        let input = Input::new(path).unpacked()?;
        let format = detect(&input)?.format;
        let dataset = open_with(format.name, "{}", &input).map_err(|error| error.in_file(path))?;
        let values = read(&*dataset, 7).map_err(|error| error.in_file(path))?;
        let info = dataset.info();
        let value = |at: Option<&u32>| at.map_or(f32::NAN, |&bits| f32::from_bits(bits));
        let rows = info.rows.exact().unwrap_or_default();
        Ok((format.name, rows, info.dim, value(values.first()), value(values.last())))
    };
    open().map_err(|error: readers::Error| error.to_string())
}

/// Why a file is not what it must be.
fn fault(must: Must, outcome: &Outcome, path: &Path) -> Option<String> {
    match (must, outcome) {
        (Give(format, rows, dim, first, last), Ok(found)) => {
            // Word vectors are known to seven digits, and those whose end is not known end in any value.
            let is = |expected: f32, found: f32| (expected - found).abs() <= 1e-6 * expected.abs();
            let fits = (format, rows, dim) == (found.0, found.1, found.2) && is(first, found.3);
            (!fits || last != 0.0 && !is(last, found.4)).then(|| format!("{found:?}"))
        }
        (Refuse(words) | Foreign(words), Err(message)) if !message.contains(words) => Some(message.clone()),
        (Refuse(_) | Foreign(_) | RefuseAnyhow, Err(message)) => {
            let is_one_line = message.starts_with(&path.display().to_string()) && !message.contains('\n');
            (!is_one_line).then(|| format!("not one line that names the file: {message}"))
        }
        (_, outcome) => Some(format!("{outcome:?}")),
    }
}

#[test]
fn every_file_does_what_it_must() {
    let Some(folder) = folder() else { return };
    let (mut counts, mut faults, mut seen) = (BTreeMap::new(), Vec::new(), vec![false; EXPECTED.len()]);
    for path in files(&folder) {
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let fits = |(begin, end, _): &(&str, &str, Must)| name.starts_with(begin) && name.ends_with(end);
        let Some(entry) = EXPECTED.iter().position(fits) else {
            faults.push(format!("{name}: nobody expects it"));
            continue;
        };
        seen[entry] = true;
        let (must, outcome) = (EXPECTED[entry].2, outcome(&path));
        if let Some(fault) = fault(must, &outcome, &path) {
            faults.push(format!("{name}: expected {must:?}, found {fault}"));
        }
        let label = match (&outcome, must) {
            (Ok(found), _) => format!("read as {}", found.0),
            (Err(_), Refuse(words)) => format!("refused: {words}"),
            (Err(_), Foreign(_)) => "no vectors, and refused".to_owned(),
            (Err(_), _) => "refused: damaged".to_owned(),
        };
        *counts.entry(label).or_insert(0) += 1;
    }
    for (label, count) in &counts {
        eprintln!("{count:4} {label}");
    }
    for (entry, _) in EXPECTED.iter().zip(seen).filter(|(_, seen)| !seen) {
        faults.push(format!("{}*{}: no such file", entry.0, entry.1));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
