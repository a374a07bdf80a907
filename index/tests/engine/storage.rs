//! Vectors that are stored rounded, or stay where they are: what is found is what the stored ones say.

use std::io::Cursor;

use half::f16;
use index::file::{Contents, OpenError, SectionKind, VectorSource, Vectors, write};
use index::{
    AutoBuilder, Distance, Hit, Index, InsertBuilder, Matrix, Metric, Storage, check_storage, exact,
};

use crate::data::{METRICS, TempIndex, built_by, clustered, on_threads, small_params};
use crate::raw::{Raw, kind};

const ROWS: usize = 700;
const DIM: usize = 36;

fn values() -> Vec<f32> {
    clustered(21, ROWS, DIM)
}

fn bytes_of(vectors: Vectors<'_>, values: &[f32], metric: Metric, has_codes: bool) -> Vec<u8> {
    let rows = Matrix::new(values, DIM);
    let built = match has_codes {
        true => built_by(&AutoBuilder, rows, &small_params(metric)).with_codes(rows),
        false => built_by(&InsertBuilder, rows, &small_params(metric)).without_codes(),
    };
    let mut out = Cursor::new(Vec::new());
    let contents =
        Contents { built: &built, vectors, vector_checksums: None, ids: None, text_ids: None, recipe: "" };
    write(&mut out, &contents).unwrap();
    out.into_inner()
}

fn open(bytes: &[u8]) -> Index {
    Index::open(TempIndex::new(bytes).path()).unwrap()
}

/// What is stored, computed here.
fn rounded(values: &[f32], storage: Storage) -> Vec<f32> {
    match storage {
        Storage::F16 => values.iter().map(|&value| f16::from_f32(value).to_f32()).collect(),
        Storage::I8 => {
            let column = |j: usize| values.iter().skip(j).step_by(DIM).copied();
            let (middles, steps): (Vec<f32>, Vec<f32>) = (0..DIM)
                .map(|j| {
                    let (least, most) =
                        (column(j).reduce(f32::min).unwrap(), column(j).reduce(f32::max).unwrap());
                    (least / 2.0 + most / 2.0, (most / 2.0 - least / 2.0) / 127.0)
                })
                .unzip();
            let number = |value: f32, j: usize| ((value - middles[j]) / steps[j]).round_ties_even();
            values
                .iter()
                .enumerate()
                .map(|(i, &value)| middles[i % DIM] + number(value, i % DIM) * steps[i % DIM])
                .collect()
        }
        _ => values.to_vec(),
    }
}

#[test]
fn searches_answer_by_what_is_stored() {
    let values = values();
    let rows = Matrix::new(&values, DIM);
    for metric in METRICS {
        for storage in [Storage::F16, Storage::I8] {
            let stored = rounded(&values, storage);
            let expected = exact(Matrix::new(&stored, DIM), Matrix::new(&values[..20 * DIM], DIM), metric, 5);
            for has_codes in [true, false] {
                let bytes = bytes_of(Vectors::Narrowed(rows, storage), &values, metric, has_codes);
                let index = open(&bytes);
                let length = index.header().section(SectionKind::Vectors).unwrap().length_bytes;
                assert_eq!(length, (ROWS * DIM * storage.value_bytes()) as u64);
                assert_eq!(index.header().storage, storage);
                assert_eq!(index.vectors().unwrap().values(), stored, "{storage}");
                let mut buffer = Vec::new();
                for (first, last) in [(0, ROWS), (0, 1), (ROWS - 1, ROWS), (13, 13), (100, 333)] {
                    let part = index.vectors_of(first..last, &mut buffer).unwrap();
                    assert_eq!(part.values(), &stored[first * DIM..last * DIM]);
                }
                let mut searcher = index.searcher();
                let mut found = 0;
                for (query, expected) in (0..).zip(&expected) {
                    let query = rows.row(query);
                    let bits = |hits: Vec<Hit>| {
                        hits.into_iter().map(|hit| (hit.distance.to_bits(), hit.id)).collect::<Vec<_>>()
                    };
                    let all = bits(searcher.search(query, 5, ROWS).unwrap());
                    let expected: Vec<_> = expected
                        .iter()
                        .map(|&(distance, row)| (distance.to_bits(), u64::from(row)))
                        .collect();
                    assert_eq!(all, expected, "{metric} {storage}");
                    let walked = bits(searcher.search(query, 5, 60).unwrap());
                    found += walked.iter().filter(|hit| expected.contains(hit)).count();
                }
                assert!(found >= 95, "{metric} {storage}: {found} of 100");
                assert!(index.check_blocks().iter().all(|blocks| blocks.damaged_blocks == 0));
                assert!(index.recall_of_sample(5, 100, 60).unwrap() > 0.95);
                let among_all = index.recall_of_sample_in(rows, 5, 100, 60).unwrap();
                assert!(
                    among_all > if storage == Storage::F16 { 0.95 } else { 0.8 },
                    "{storage} {among_all}"
                );
            }
        }
    }
}

#[test]
fn the_same_bytes_at_any_number_of_threads() {
    let values = values();
    let rows = Matrix::new(&values, DIM);
    for storage in [Storage::F16, Storage::I8] {
        let of = |threads| {
            on_threads(threads, || bytes_of(Vectors::Narrowed(rows, storage), &values, Metric::Cosine, true))
        };
        let one = of(1);
        assert!(one == of(2) && one == of(5), "{storage}");
    }
}

#[test]
fn recall_against_the_originals_is_that_of_the_index_where_nothing_is_rounded() {
    let values = values();
    let rows = Matrix::new(&values, DIM);
    let index = open(&bytes_of(Vectors::Elsewhere(rows), &values, Metric::L2, true));
    let own = index.recall_of_sample(10, 50, 12).unwrap();
    assert_eq!(index.recall_of_sample_in(rows, 10, 50, 12).unwrap(), own);
    assert!(own < 1.0, "it says something");
}

#[test]
fn half_precision_ends_at_65504() {
    let mut values = vec![1.0; 3 * DIM];
    values[DIM + 2] = 65_519.0;
    assert!(check_storage(Matrix::new(&values, DIM), Storage::F16).is_ok());
    values[DIM + 2] = -65_520.0;
    let invalid = check_storage(Matrix::new(&values, DIM), Storage::F16).unwrap_err();
    assert_eq!(invalid.row, 1);
    assert!(check_storage(Matrix::new(&values, DIM), Storage::I8).is_ok());
    // A column of one value, and one as wide as any.
    let wide = [3.0, -6e18, 3.0, 6e18, 3.0, 0.0, 3.0, -0.0];
    let built = built_by(&InsertBuilder, Matrix::new(&wide, 2), &small_params(Metric::L2)).without_codes();
    let mut out = Cursor::new(Vec::new());
    let vectors = Vectors::Narrowed(Matrix::new(&wide, 2), Storage::I8);
    let contents =
        Contents { built: &built, vectors, vector_checksums: None, ids: None, text_ids: None, recipe: "" };
    write(&mut out, &contents).unwrap();
    let index = open(&out.into_inner());
    let stored = index.vectors().unwrap().values().to_vec();
    assert!(stored.iter().step_by(2).all(|&value| value == 3.0), "{stored:?}");
    assert!(stored.iter().zip(wide).all(|(stored, value)| (stored - value).abs() <= 6e18 / 127.0));
}

#[test]
fn vectors_may_stay_where_they_are() {
    let values = values();
    let rows = Matrix::new(&values, DIM);
    let dir = tempfile::tempdir().unwrap();
    let mut file = vec![7; 128];
    file.extend_from_slice(bytemuck::cast_slice(&values));
    file.extend_from_slice(&[9; 5]);
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    let (vectors, path) = (dir.path().join("v.bin"), dir.path().join("sub/o.hnsw"));
    std::fs::write(&vectors, &file).unwrap();
    let source = VectorSource { path: "../v.bin", offset_bytes: 128, file_length_bytes: file.len() as u64 };
    for has_codes in [true, false] {
        let bytes = bytes_of(Vectors::Source(rows, source), &values, Metric::Cosine, has_codes);
        assert!(bytes.len() < size_of_val(&*values) * 3);
        std::fs::write(&path, &bytes).unwrap();
        std::fs::write(&vectors, &file).unwrap();
        let index = Index::open(&path).unwrap();
        assert!(index.header().section(SectionKind::Vectors).is_none());
        assert_eq!(index.vectors().unwrap().values(), values);
        let own = open(&bytes_of(Vectors::Elsewhere(rows), &values, Metric::Cosine, has_codes));
        for query in values.chunks(DIM).take(30) {
            for ef in [10, ROWS] {
                assert_eq!(index.searcher().search(query, 7, ef), own.searcher().search(query, 7, ef));
            }
        }
        assert!(index.check_blocks()[0].blocks > 1);
        drop(index);
        let folder = path.parent().unwrap();
        assert!(Index::of_file_in(std::fs::File::open(&path).unwrap(), folder).is_ok());
        assert!(Index::of_file(std::fs::File::open(&path).unwrap()).is_err());
        // Another length, other vectors at both ends, none at all.
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut changed = file.clone();
            change(&mut changed);
            std::fs::write(&vectors, changed).unwrap();
            match Index::open(&path) {
                Err(OpenError::Source { path, problem }) => {
                    assert!(path.ends_with("v.bin"));
                    problem
                }
                other => panic!("{other:?}"),
            }
        };
        assert!(refused(&|file| file.push(1)).contains("expected"));
        assert!(refused(&|file| file.truncate(200)).contains("found 200"));
        assert!(refused(&|file| file[128] ^= 1).contains(", row"));
        let last = 128 + values.len() * 4 - 1;
        assert!(refused(&|file| file[last] ^= 1).contains(", row"));
        // In the middle: by the first search that comes there.
        let dim_bytes = DIM * 4;
        let mut changed = file.clone();
        changed[128 + 500 * dim_bytes] ^= 1;
        std::fs::write(&vectors, changed).unwrap();
        match Index::open(&path) {
            Ok(index) => {
                let corrupt = index.searcher().search(&values[..DIM], 3, ROWS).unwrap_err();
                assert!(corrupt.part.contains("v.bin"), "{corrupt}");
            }
            Err(other) => panic!("{other}"),
        }
        std::fs::remove_file(&vectors).unwrap();
        assert!(matches!(Index::open(&path), Err(OpenError::Source { .. })));
    }
}

#[test]
fn what_says_how_vectors_are_stored_is_checked() {
    let values = values();
    let rows = Matrix::new(&values, DIM);
    let refused = |bytes: &[u8], change: &dyn Fn(&mut Raw)| {
        let mut raw = Raw(bytes.to_vec());
        change(&mut raw);
        raw.seal();
        Index::open(TempIndex::new(&raw.0).path()).unwrap_err().to_string()
    };
    let i8s = bytes_of(Vectors::Narrowed(rows, Storage::I8), &values, Metric::L2, false);
    let at = Raw(i8s.clone()).section(kind::VALUE_STEPS).start;
    assert_eq!(Raw(i8s.clone()).u64(16), 10);
    for (place, value) in [(0, f32::NAN), (DIM, -1.0), (DIM + 1, f32::INFINITY), (1, f32::MAX)] {
        let problem = refused(&i8s, &|raw| {
            raw.put_u32(at + place * 4, value.to_bits());
            raw.put_u32(
                at + (DIM + 1) * 4,
                if place == 1 { f32::MAX.to_bits() } else { raw.u32(at + (DIM + 1) * 4) },
            );
        });
        assert!(problem.contains("value steps"), "{problem}");
    }
    // Other features than the sections fit.
    for features in [0, 1, 2, 4, 8, 9, 12] {
        assert!(refused(&i8s, &|raw| raw.put_u64(16, features)).contains("header"));
    }
    for features in [3, 5, 6, 11, 16, u64::MAX] {
        let problem = refused(&i8s, &|raw| raw.put_u64(16, features));
        assert!(problem.contains("written in format"), "{problem}");
    }
    let source = VectorSource { path: "v.bin", offset_bytes: 0, file_length_bytes: values.len() as u64 * 4 };
    let far = bytes_of(Vectors::Source(rows, source), &values, Metric::L2, false);
    let at = Raw(far.clone()).section(kind::SOURCE).start;
    for (place, value) in [(0, 2), (0, 1 << 63), (0, 4), (8, 0), (8, values.len() as u64 * 4 - 1)] {
        let problem = refused(&far, &|raw| raw.put_u64(at + place, value));
        assert!(problem.contains("source"), "{problem}");
    }
    assert!(refused(&far, &|raw| raw.0[at + 16] = 0xff).contains("UTF-8"));
    assert!(refused(&far, &|raw| raw.0[at + 16] = 0).contains("a path"));
}

#[test]
fn distances_of_rows_at_the_end_of_a_group() {
    // One, two, three rows over four: widened one by one, with the same bits.
    let values = values();
    let distance = Distance::new(Metric::L2);
    for rows in [1, 2, 3, 5, 6, 7] {
        let matrix = Matrix::new(&values[..rows * DIM], DIM);
        let stored = rounded(matrix.values(), Storage::F16);
        let built = built_by(&InsertBuilder, matrix, &small_params(Metric::L2)).without_codes();
        let mut out = Cursor::new(Vec::new());
        let vectors = Vectors::Narrowed(matrix, Storage::F16);
        let contents = Contents {
            built: &built,
            vectors,
            vector_checksums: None,
            ids: None,
            text_ids: None,
            recipe: "",
        };
        write(&mut out, &contents).unwrap();
        let query = &values[50 * DIM..51 * DIM];
        for hit in open(&out.into_inner()).searcher().search(query, rows, rows).unwrap() {
            let row = hit.id as usize;
            let expected = distance.between(query, 0.0, &stored[row * DIM..(row + 1) * DIM], 0.0);
            assert_eq!(hit.distance.to_bits(), expected.to_bits());
        }
    }
}
