//! Codes beside the rows: they hasten a search, and change nothing else.

use std::sync::LazyLock;

use index::file::SectionKind;
use index::{Hit, Index, InsertBuilder, Matrix, Metric, Params, PartitionBuilder};
use rayon::prelude::*;

use crate::answers::{recall, truth};
use crate::damage::Patient;
use crate::data::{
    BUILDERS, METRICS, TempIndex, built, built_by, by_each, clustered, file_bytes, hash, ids, isotropic,
    opened, opened_by, small_params, written,
};
use crate::hostile::{drop_section, refuse_changed};
use crate::raw::{Raw, kind};

const ROWS: usize = 1_500;
const DIM: usize = 12;
/// Bytes of a row of codes.
const STRIDE: usize = 64;
/// Rows of a block of codes.
const BLOCK_ROWS: usize = 16;

static VALUES: LazyLock<Vec<f32>> = LazyLock::new(|| clustered(60, ROWS, DIM));

/// A file with blocks of 16 rows of codes and of 32 vectors.
static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let rows = Matrix::new(&VALUES, DIM);
    file_bytes(&built(rows, &small_params(Metric::Cosine)).with_codes(rows), rows, None, "")
});

fn f32s(raw: &Raw, kind: u32) -> Vec<f32> {
    raw.u32s(raw.section(kind)).into_iter().map(f32::from_bits).collect()
}

#[test]
fn sections_of_codes_hold_what_their_names_say() {
    for metric in METRICS {
        let rows = Matrix::new(&VALUES, DIM);
        let built = built(rows, &small_params(metric)).with_codes(rows);
        let raw = Raw(file_bytes(&built, rows, None, "a = 1\n"));
        let mut kinds = vec![kind::VECTORS, kind::VECTOR_CHECKSUMS, kind::LEVEL0, kind::UPPER];
        kinds.extend((metric == Metric::Cosine).then_some(kind::INVERSE_NORMS));
        kinds.extend([kind::QUANTIZER, kind::CODE_TERMS, kind::CODE_ERRORS]);
        kinds.extend([kind::CODES, kind::CODE_CHECKSUMS, kind::RECIPE]);
        assert_eq!(raw.kinds(), kinds);
        assert_eq!(raw.section(kind::CODE_CHECKSUMS).len(), ROWS.div_ceil(BLOCK_ROWS) * 8);
        let numbers = f32s(&raw, kind::QUANTIZER);
        let (scale, limit, centre) = (numbers[0], numbers[1], &numbers[2..]);
        assert_eq!((limit, centre.len()), (127.0, DIM));
        assert!(metric != Metric::Ip || centre.iter().all(|&mean| mean == 0.0));
        let norms = if metric == Metric::Cosine { f32s(&raw, kind::INVERSE_NORMS) } else { vec![1.0; ROWS] };
        let terms = raw.u32s(raw.section(kind::CODE_TERMS));
        let codes = &raw.0[raw.section(kind::CODES)];
        assert_eq!(codes.len(), ROWS * STRIDE);
        let mut extreme = 0;
        for (row, codes) in codes.chunks(STRIDE).enumerate() {
            let mut squares = 0;
            for ((&code, value), centre) in codes.iter().zip(rows.row(row as u32)).zip(centre) {
                let scaled = ((value * norms[row] - centre) * scale).clamp(-limit, limit);
                let signed = i32::from(code) - 128;
                assert_eq!(signed, scaled.round_ties_even() as i32, "{metric}, row {row}");
                squares += signed * signed;
                extreme += usize::from(signed.abs() == 127);
            }
            assert!(codes[DIM..].iter().all(|&code| code == 128), "{metric}, row {row}");
            let expected = if metric == Metric::Ip { 0 } else { squares };
            assert_eq!(terms[row].cast_signed(), expected, "{metric}, row {row}");
        }
        assert!((1..ROWS * DIM / 10).contains(&extreme), "{metric}: {extreme} codes are at the limit");
        // The helper that makes hostile files computes the checksums that the writer computed.
        let mut sealed = raw.clone();
        sealed.seal();
        assert!(sealed.0 == raw.0);
    }
}

#[test]
fn codes_change_no_other_section_and_depend_on_no_builder() {
    let rows = Matrix::new(&VALUES, DIM);
    let section = |raw: &Raw, kind| raw.0[raw.section(kind)].to_vec();
    for metric in METRICS {
        let mut of_builders = Vec::new();
        for builder in BUILDERS {
            let built = built_by(builder, rows, &small_params(metric)).with_codes(rows);
            let digest = built.graph_digest();
            let with = Raw(file_bytes(&built, rows, None, "a = 1\n"));
            let twice = built.with_codes(rows);
            assert!(file_bytes(&twice, rows, None, "a = 1\n") == with.0);
            let built = twice.without_codes();
            let without = Raw(file_bytes(&built, rows, None, "a = 1\n"));
            for kind in without.kinds() {
                assert!(section(&with, kind) == section(&without, kind), "{builder:?} {metric}, {kind}");
            }
            assert_eq!(without.kinds().len() + 5, with.kinds().len());
            assert_eq!(built.graph_digest(), digest);
            let again = built.with_codes(rows);
            assert!(file_bytes(&again, rows, None, "a = 1\n") == with.0, "{builder:?} {metric}");
            of_builders.push(
                [kind::QUANTIZER, kind::CODE_TERMS, kind::CODE_ERRORS, kind::CODES]
                    .map(|kind| section(&with, kind)),
            );
        }
        assert!(of_builders.iter().all(|codes| *codes == of_builders[0]), "{metric}");
    }
}

#[test]
fn builders_that_make_codes_write_them_and_insertion_does_not() {
    let rows = Matrix::new(&VALUES, DIM);
    for (builder, has_codes) in BUILDERS.into_iter().zip([false, true, true]) {
        let index = opened_by(builder, rows, &small_params(Metric::L2));
        for kind in
            [SectionKind::Quantizer, SectionKind::CodeTerms, SectionKind::Codes, SectionKind::CodeChecksums]
        {
            assert_eq!(index.header().section(kind).is_some(), has_codes, "{builder:?} {}", kind.name());
        }
    }
}

#[test]
fn no_rows_have_no_codes_and_can_be_searched() {
    for (builder, metric) in by_each(METRICS) {
        let rows = Matrix::new(&[], 7);
        let index = written(&built_by(builder, rows, &Params::new(metric)).with_codes(rows), rows);
        assert_eq!(index.header().section(SectionKind::Codes).unwrap().length_bytes, 0);
        assert_eq!(index.searcher().search(&[1.0; 7], 10, 10).unwrap(), []);
    }
}

fn bits(hits: &[Hit]) -> Vec<(u64, u32)> {
    hits.iter().map(|hit| (hit.id, hit.distance.to_bits())).collect()
}

#[test]
fn hits_by_codes_have_exact_distances_and_wide_beams_are_exact() {
    let rows = Matrix::new(&VALUES, DIM);
    for metric in METRICS {
        let built = built_by(&PartitionBuilder, rows, &small_params(metric));
        let with = written(&built, rows);
        let without = written(&built.without_codes(), rows);
        for query in clustered(61, 50, DIM).chunks(DIM) {
            let exact = without.searcher().search(query, ROWS, ROWS).unwrap();
            assert_eq!(exact.len(), ROWS);
            assert_eq!(bits(&with.searcher().search(query, ROWS, 1).unwrap()), bits(&exact), "{metric}");
            for k in [1, 10, 100] {
                let hits = with.searcher().search(query, k, ROWS).unwrap();
                assert_eq!(bits(&hits), bits(&exact[..k]), "{metric}");
            }
            let exact = bits(&exact);
            for (k, ef) in [(1, 1), (1, 3), (3, 3), (10, 40), (200, 200), (1_499, 1_499)] {
                let hits = bits(&with.searcher().search(query, k, ef).unwrap());
                assert_eq!(hits.len(), k);
                // In the order of the exact ones, and those themselves.
                let mut places = hits.iter().map(|hit| exact.iter().position(|exact| exact == hit));
                assert!(places.all(|place| place.is_some()), "{metric} k {k} ef {ef}: {hits:?}");
                let places = hits.iter().map(|hit| exact.iter().position(|exact| exact == hit));
                assert!(places.is_sorted(), "{metric} k {k} ef {ef}");
            }
        }
    }
}

#[test]
fn copies_come_with_the_row_they_equal() {
    let mut values = clustered(62, 2_000, DIM);
    values.copy_within(0..300 * DIM, 1_200 * DIM);
    let rows = Matrix::new(&values, DIM);
    for builder in BUILDERS {
        let index = written(&built_by(builder, rows, &small_params(Metric::L2)).with_codes(rows), rows);
        for row in 0..300 {
            let hits = index.searcher().search(rows.row(row), 2, 100).unwrap();
            assert_eq!(ids(&hits), [u64::from(row), u64::from(row) + 1_200], "{builder:?}");
            assert_eq!(hits[1].distance, 0.0);
        }
    }
}

/// The recall that codes cost, by every builder's graph.
fn check_recall(values: &[f32], queries: &[f32], dim: usize) {
    let (rows, queries) = (Matrix::new(values, dim), Matrix::new(queries, dim));
    for metric in METRICS {
        let truth = truth(metric, rows, queries);
        for builder in &BUILDERS[..2] {
            let built = built_by(*builder, rows, &Params::new(metric)).with_codes(rows);
            let with = written(&built, rows);
            let without = written(&built.without_codes(), rows);
            for ef in [20, 50, 200] {
                let [with, without] = [&with, &without].map(|index| recall(index, &truth, queries, ef).0);
                println!("{builder:?} {metric} ef {ef}: {with:.4} with codes, {without:.4} without");
                assert!(
                    with >= without - 0.01,
                    "{builder:?} {metric} ef {ef}: {with}, {without} without codes"
                );
            }
        }
    }
}

#[test]
fn codes_cost_a_hundredth_of_recall_at_most() {
    check_recall(&clustered(1, 5_000, 32), &clustered(2, 200, 32), 32);
    check_recall(&isotropic(1, 2_000, 48), &isotropic(2, 200, 48), 48);
}

#[test]
fn wide_rows_have_smaller_codes() {
    // Above 33,286 dimensions distances of larger codes would not fit.
    for (dim, limit) in [(33_286, 127.0), (33_287, 126.0), (65_536, 90.0)] {
        let values = isotropic(64, 20, dim);
        let rows = Matrix::new(&values, dim);
        for metric in METRICS {
            let built = built_by(&PartitionBuilder, rows, &Params { m: 2, ..Params::new(metric) });
            let raw = Raw(file_bytes(&built, rows, None, ""));
            assert_eq!(f32s(&raw, kind::QUANTIZER)[1], limit, "dim {dim}");
            let index = Index::open(TempIndex::new(&raw.0).path()).unwrap();
            // As far from each other as rows can be.
            for query in [vec![f32::MAX; dim], vec![-3.0; dim], rows.row(7).to_vec()] {
                assert_eq!(index.searcher().search(&query, 3, 15).unwrap().len(), 3);
            }
        }
    }
}

#[test]
fn a_changed_code_is_refused_by_the_search_that_touches_it() {
    let raw = Raw(FILE.clone());
    let codes = raw.section(kind::CODES);
    let rows = Matrix::new(&VALUES, DIM);
    let answers = |file: &TempIndex| {
        let index = Index::open(file.path()).unwrap();
        let mut searcher = index.searcher();
        (0..ROWS as u32).step_by(10).map(|row| searcher.search(rows.row(row), 3, 10)).collect::<Vec<_>>()
    };
    let expected = answers(&TempIndex::new(&FILE));
    let places: Vec<usize> = codes.clone().step_by(2_311).chain([codes.end - 1]).collect();
    places.par_chunks(4).for_each_init(
        || Patient::new(&FILE),
        |patient, places| {
            for &at in places {
                for change in [0xff, 0x01] {
                    let found = patient.with_byte(at, FILE[at] ^ change, answers);
                    let first = (at - codes.start) / (BLOCK_ROWS * STRIDE) * BLOCK_ROWS;
                    let block = format!("codes, rows {first} to {}", (first + BLOCK_ROWS).min(ROWS) - 1);
                    let mut refused = 0;
                    for (found, expected) in found.iter().zip(&expected) {
                        match found {
                            Ok(_) => assert_eq!(found, expected, "byte {at}"),
                            Err(corrupt) => {
                                assert_eq!(corrupt.part, block);
                                refused += 1;
                            }
                        }
                    }
                    assert!(refused > 0, "byte {at}");
                    // What compares all rows needs no codes.
                    patient.with_byte(at, FILE[at] ^ change, |file| {
                        let index = Index::open(file.path()).unwrap();
                        assert_eq!(index.searcher().search(rows.row(0), 1, ROWS).unwrap()[0].id, 0);
                    });
                }
            }
        },
    );
}

#[test]
fn a_changed_vector_is_refused_when_hits_are_compared_exactly() {
    let vectors = Raw(FILE.clone()).section(kind::VECTORS);
    let rows = Matrix::new(&VALUES, DIM);
    // Vectors of rows that cannot be hits are never touched.
    let at = vectors.end - 1;
    Patient::new(&FILE).with_byte(at, FILE[at] ^ 1, |file| {
        let index = Index::open(file.path()).unwrap();
        let refused = index.searcher().search(rows.row(ROWS as u32 - 1), 1, 10).unwrap_err();
        assert_eq!(refused.part, "vectors, rows 1472 to 1499");
    });
}

#[test]
fn every_changed_byte_about_codes_is_refused_at_once() {
    let raw = Raw(FILE.clone());
    let codes = raw.section(kind::CODES);
    let places: Vec<usize> =
        [kind::QUANTIZER, kind::CODE_TERMS, kind::CODE_ERRORS, kind::CODES, kind::CODE_CHECKSUMS]
            .into_iter()
            .flat_map(|kind| raw.entry_of(kind)..raw.entry_of(kind) + 32)
            // With the padding between them.
            .chain((raw.section(kind::QUANTIZER).start..codes.start).step_by(3))
            .chain(codes.end..FILE.len())
            .collect();
    places.par_chunks(200).for_each_init(
        || Patient::new(&FILE),
        |patient, places| {
            for &at in places {
                for change in [0xff, 0x01] {
                    let part =
                        patient.with_byte(at, FILE[at] ^ change, |file| match Index::open(file.path()) {
                            Err(index::file::OpenError::Corrupt(corrupt)) => corrupt.part,
                            other => panic!("byte {at} ^ {change:#x}: {other:?}"),
                        });
                    let sections = [
                        (kind::QUANTIZER, "quantizer"),
                        (kind::CODE_TERMS, "code terms"),
                        (kind::CODE_ERRORS, "code errors"),
                    ];
                    for (kind, name) in sections {
                        assert!(!raw.section(kind).contains(&at) || part == name, "byte {at}: {part}");
                    }
                }
            }
        },
    );
}

fn errors_alone(raw: &mut Raw) {
    for kind in [kind::QUANTIZER, kind::CODE_TERMS, kind::CODES, kind::CODE_CHECKSUMS] {
        drop_section(raw, kind);
    }
}

#[test]
fn codes_that_lack_a_part_are_refused() {
    refuse_changed(
        &FILE,
        &[
            ("no quantizer", |raw| drop_section(raw, kind::QUANTIZER), "header"),
            ("no terms", |raw| drop_section(raw, kind::CODE_TERMS), "header"),
            ("no block checksums", |raw| drop_section(raw, kind::CODE_CHECKSUMS), "header"),
            ("a shorter quantizer", |raw| lengthen(raw, kind::QUANTIZER, -4), "header, quantizer"),
            ("a longer quantizer", |raw| lengthen(raw, kind::QUANTIZER, 4), "header, quantizer"),
            ("fewer terms", |raw| lengthen(raw, kind::CODE_TERMS, -4), "header, code terms"),
            ("more terms", |raw| lengthen(raw, kind::CODE_TERMS, 4), "header, code terms"),
            ("fewer errors", |raw| lengthen(raw, kind::CODE_ERRORS, -4), "header, code errors"),
            ("more errors", |raw| lengthen(raw, kind::CODE_ERRORS, 4), "header, code errors"),
            ("errors of no codes", errors_alone, "header"),
            ("fewer codes", |raw| lengthen(raw, kind::CODES, -64), "header, codes"),
            ("a byte of codes less", |raw| lengthen(raw, kind::CODES, -1), "header, codes"),
            ("more codes", |raw| lengthen(raw, kind::CODES, 64), "header, codes"),
            ("no codes", |raw| lengthen(raw, kind::CODES, -((ROWS * STRIDE) as i64)), "header, codes"),
            (
                "fewer block checksums",
                |raw| lengthen(raw, kind::CODE_CHECKSUMS, -8),
                "header, code checksums",
            ),
            ("more block checksums", |raw| lengthen(raw, kind::CODE_CHECKSUMS, 8), "header, code checksums"),
            (
                "codes behind the end",
                |raw| {
                    let at = raw.entry_of(kind::CODES);
                    raw.put_u64(at + 8, 1 << 40);
                },
                "header, codes",
            ),
            (
                "two of a kind",
                |raw| {
                    let at = raw.entry_of(kind::CODE_TERMS);
                    raw.put_u32(at, kind::QUANTIZER);
                },
                "header",
            ),
        ],
        true,
    );
}

fn lengthen(raw: &mut Raw, kind: u32, bytes: i64) {
    let at = raw.entry_of(kind) + 16;
    let length = raw.u64(at).checked_add_signed(bytes).unwrap();
    raw.put_u64(at, length);
}

fn put_quantizer(raw: &mut Raw, place: usize, value: f32) {
    let at = raw.section(kind::QUANTIZER).start + place * 4;
    raw.put_u32(at, value.to_bits());
}

#[test]
fn quantizers_that_cannot_be_are_refused() {
    refuse_changed(
        &FILE,
        &[
            ("an infinite scale", |raw| put_quantizer(raw, 0, f32::INFINITY), "quantizer"),
            ("a scale that is NaN", |raw| put_quantizer(raw, 0, f32::NAN), "quantizer"),
            ("a negative scale", |raw| put_quantizer(raw, 0, -1.0), "quantizer"),
            ("a limit of 128", |raw| put_quantizer(raw, 1, 128.0), "quantizer"),
            ("a limit of 126", |raw| put_quantizer(raw, 1, 126.0), "quantizer"),
            ("a negative limit", |raw| put_quantizer(raw, 1, -127.0), "quantizer"),
            ("a limit that is NaN", |raw| put_quantizer(raw, 1, f32::NAN), "quantizer"),
            ("an infinite limit", |raw| put_quantizer(raw, 1, f32::INFINITY), "quantizer"),
            ("a first mean that is NaN", |raw| put_quantizer(raw, 2, f32::NAN), "quantizer"),
            (
                "a last mean that is infinite",
                |raw| put_quantizer(raw, 1 + DIM, f32::NEG_INFINITY),
                "quantizer",
            ),
        ],
        false,
    );
}

#[test]
fn any_codes_and_terms_are_searched_without_harm() {
    // Nothing says that codes fit their rows: hits may be poor, but they are as many as wanted.
    for (dim, count) in [(DIM, ROWS), (65_536, 12)] {
        let values = if dim == DIM { VALUES.clone() } else { isotropic(65, count, dim) };
        let rows = Matrix::new(&values, dim);
        for metric in METRICS {
            let built = built_by(&InsertBuilder, rows, &small_params(metric)).with_codes(rows);
            let good = Raw(file_bytes(&built, rows, None, ""));
            for fill in 0..4u8 {
                let mut raw = good.clone();
                for at in raw.section(kind::CODES) {
                    raw.0[at] = [0, 0xff, hash(1, at as u64) as u8, raw.0[at]][usize::from(fill)];
                }
                for at in raw.section(kind::CODE_TERMS).step_by(4) {
                    let term = [i32::MIN, i32::MAX, -1, hash(2, at as u64) as i32][usize::from(fill)];
                    raw.put_u32(at, term.cast_unsigned());
                }
                if fill > 1 {
                    put_quantizer(&mut raw, 0, [f32::MAX, 0.0][usize::from(fill - 2)]);
                    put_quantizer(&mut raw, 2, f32::MAX);
                }
                raw.seal();
                let index = Index::open(TempIndex::new(&raw.0).path()).unwrap();
                for query in [rows.row(0), &vec![f32::MAX; dim], &vec![-1e-40; dim]] {
                    for (k, ef) in [(1, 1), (5, 8), (count, 1)] {
                        let hits = index.searcher().search(query, k, ef).unwrap();
                        assert_eq!(hits.len(), k, "{metric}, dim {dim}, fill {fill}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_file_without_codes_is_searched_by_its_rows() {
    // As every file of the first version of the builder was.
    let rows = Matrix::new(&VALUES, DIM);
    let index = opened(rows, &small_params(Metric::L2));
    assert!(index.header().section(SectionKind::Codes).is_none());
    for row in (0..ROWS as u32).step_by(50) {
        assert_eq!(index.searcher().search(rows.row(row), 1, 20).unwrap()[0].id, u64::from(row));
    }
}
