//! `query`: hits, in every format.

use super::dir;
use crate::util::{Dir, difference, ids_bytes, le_bytes, npy_f32, values};

#[test]
fn one_raw_vector_is_a_query() {
    let dir = dir();
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2");
    let all = values(1, 300, 8);
    dir.write("query.f32", le_bytes(&all[8 * 77..8 * 78]));
    let hits = dir.hits("-i o.hnsw -q query.f32 -k 3");
    assert_eq!(hits.len(), 1);
    assert_eq!(hits[0].len(), 3);
    assert_eq!(hits[0][0], (77, 0.0));
    // Squared Euclidean distances, worked out the slow way.
    for &(id, distance) in &hits[0] {
        let row = &all[id as usize * 8..][..8];
        let expected: f64 =
            row.iter().zip(&all[8 * 77..]).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        assert!((expected - distance).abs() < 1e-5, "{expected} {distance}");
    }
    dir.write("noext", le_bytes(&all[..8]));
    assert_eq!(dir.run("query -i o.hnsw -q noext").code, Some(2), "its format is not guessed");
    assert_eq!(dir.hits("-i o.hnsw -q noext --query-format raw_f32 -k 1")[0][0].0, 0);
}

#[test]
fn hits_come_in_four_formats() {
    let dir = dir();
    dir.write("ids.bin", ids_bytes(&(0..300).map(|row| (1 << 63) + row * 3).collect::<Vec<_>>()));
    dir.ok("build-index -i a.npy -o o.hnsw --ids ids.bin --metric l2");
    dir.write("q.npy", npy_f32(8, &values(1, 4, 8)));
    let hits = dir.hits("-i o.hnsw -q q.npy -k 2");
    assert_eq!(hits.len(), 4);
    for (query, hits) in hits.iter().enumerate() {
        assert_eq!(hits[0], ((1 << 63) + 3 * query as u64, 0.0));
        assert!(hits[1].1 > 0.0);
    }

    let tsv = dir.ok("query -i o.hnsw -q q.npy -k 2 --format tsv");
    let rows: Vec<Vec<&str>> = tsv.text().lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0], ["query", "rank", "id", "distance"]);
    assert_eq!(rows.len(), 9);
    let table = dir.ok("query -i o.hnsw -q q.npy -k 2 --format table");
    let table: Vec<Vec<&str>> = table.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(table.len(), 9);
    for (at, row) in rows[1..].iter().enumerate() {
        let (id, distance) = hits[at / 2][at % 2];
        assert_eq!(row[..3], [(at / 2).to_string(), (at % 2 + 1).to_string(), id.to_string()]);
        assert!((row[3].parse::<f64>().unwrap() - distance).abs() < 1e-6);
        assert_eq!(table[at + 1][..3], row[..3]);
        assert!((table[at + 1][3].parse::<f64>().unwrap() - distance).abs() < 1e-6);
        assert!(!row[3].starts_with('-') && !table[at + 1][3].starts_with('-'));
    }

    let bytes = dir.ok("query -i o.hnsw -q q.npy -k 2 --format npy").stdout;
    let header = "{'descr': [('id', '<u8'), ('distance', '<f4')], 'fortran_order': False, 'shape': (4, 2), }";
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!(data % 64, 0);
    assert_eq!(std::str::from_utf8(&bytes[10..data]).unwrap().trim_end(), header);
    assert_eq!(bytes.len(), data + 8 * 12);
    for (at, record) in bytes[data..].chunks_exact(12).enumerate() {
        let (id, distance) = record.split_at(8);
        let (expected_id, expected) = hits[at / 2][at % 2];
        assert_eq!(u64::from_le_bytes(id.try_into().unwrap()), expected_id);
        assert!((f64::from(f32::from_le_bytes(distance.try_into().unwrap())) - expected).abs() < 1e-6);
    }
    // To a file: the same, and nothing on stdout.
    assert_eq!(dir.ok("query -i o.hnsw -q q.npy -k 2 --format npy -o hits.npy").text(), "");
    assert_eq!(difference(&dir.read("hits.npy"), &bytes), None);
}

#[test]
fn k_and_ef_are_honoured() {
    let dir = Dir::new();
    // No structure: an index of it answers well only if it searches far.
    dir.write("a.npy", npy_f32(32, &values(3, 3000, 32)));
    dir.write("q.npy", npy_f32(32, &values(4, 60, 32)));
    dir.ok("build-index -i a.npy -o o.hnsw --metric l2 -m 6 -e 20");
    let total = |ef: usize| -> f64 {
        let hits = dir.hits(&format!("-i o.hnsw -q q.npy -k 10 --ef {ef}"));
        assert_eq!(hits.len(), 60);
        for hits in &hits {
            assert_eq!(hits.len(), 10);
            assert!(hits.is_sorted_by(|a, b| a.1 <= b.1), "nearest first");
        }
        hits.iter().flatten().map(|hit| hit.1).sum()
    };
    let totals = [1, 30, 100, 1000].map(total);
    assert!(totals.is_sorted_by(|low, high| low >= high), "{totals:?}");
    assert!(totals[0] > totals[3], "{totals:?}");
    for (k, expected) in [(1, 1), (10, 10), (3000, 3000), (5000, 3000), (u32::MAX as usize, 3000)] {
        let hits = dir.hits(&format!("-i o.hnsw -q q.npy -k {k}"));
        assert!(hits.iter().all(|hits| hits.len() == expected), "k {k}");
    }
}

#[test]
fn queries_of_another_dimension_are_refused() {
    let dir = dir();
    dir.ok("build-index -i a.npy -o o.hnsw");
    dir.write("q.npy", npy_f32(9, &values(1, 4, 9)));
    dir.write("q.f32", le_bytes(&values(1, 1, 9)));
    let npy = dir.run("query -i o.hnsw -q q.npy");
    assert_eq!((npy.code, npy.text()), (Some(2), ""));
    for part in ["q.npy", "expected queries of dimension 8", "found 9", "o.hnsw", "help:"] {
        assert!(npy.stderr.contains(part), "{part}: {}", npy.stderr);
    }
    let raw = dir.run("query -i o.hnsw -q q.f32");
    assert_ne!(raw.code, Some(0));
    for part in ["q.f32", "rows of 8 f32 values", "found 36", "help:"] {
        assert!(raw.stderr.contains(part), "{part}: {}", raw.stderr);
    }
}
