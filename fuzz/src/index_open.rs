//! The target `index_open`. It stands apart from `lib.rs`, so that the tests of the readers need no index engine.

use std::path::Path;

use index::{Index, Matrix};
use twox_hash::XxHash3_64;

/// An index file, opened and searched: as it is, and once more with right checksums, because no fuzzer finds those.
/// `path` is written over.
pub fn index_open(data: &[u8], path: &Path) {
    open_and_search(data, path);
    let mut sealed = data.to_vec();
    seal(&mut sealed);
    open_and_search(&sealed, path);
}

fn open_and_search(bytes: &[u8], path: &Path) {
    std::fs::write(path, bytes).expect("a temporary file can be written");
    let header = index::file::read_header(path);
    let Ok(index) = Index::open(path) else { return };
    if let Ok((header, _)) = header {
        assert_eq!(&header, index.header());
    }
    let mut searcher = index.searcher();
    let mut queries = vec![0.0f32; 2 * index.dim()];
    queries[index.dim()..].fill(1.5);
    for query in queries.chunks(index.dim()) {
        for (k, ef) in [(1, 1), (3, 2), (usize::MAX, 1)] {
            if let Ok(hits) = searcher.search(query, k, ef) {
                assert_eq!(hits.len(), k.min(index.rows()));
                assert!(hits.is_sorted_by(|a, b| a.distance.total_cmp(&b.distance).is_le()), "{hits:?}");
            }
        }
    }
    let mut buffer = Vec::new();
    if let (Ok(part), Ok(all)) = (index.vectors_of(0..index.rows().min(3), &mut buffer), index.vectors()) {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(part.values()), bits(&all.values()[..part.values().len()]));
    }
    if let Some(ids) = index.text_ids() {
        assert!(ids.len() == index.rows() && (0..ids.len()).all(|row| ids.get(row).is_some()));
    }
    let _ = index.search_all(Matrix::new(&queries, index.dim()), 2, 1);
}

/// How long the blocks of a section are that is checked block by block: vectors (1) or codes (11).
pub fn block_bytes(file: &[u8], kind: u8) -> usize {
    let features = file[16];
    if features & 8 == 0 {
        return 64 * 1024;
    }
    let dim = u32::from_le_bytes([file[48], file[49], file[50], file[51]]) as usize;
    let row_bytes = match (kind, features & 7) {
        (11, _) => dim.checked_next_multiple_of(64).unwrap_or(64),
        (_, 1) => dim.saturating_mul(2),
        (_, 2) => dim,
        _ => dim.saturating_mul(4),
    };
    let rows = 1024usize.div_ceil(row_bytes.max(1)).next_power_of_two();
    row_bytes.saturating_mul(rows).max(1)
}

/// Computes all checksums of an index file again, as far as its section table can be followed.
pub fn seal(file: &mut [u8]) {
    const HEADER: usize = 4096;
    const FOOTER: usize = 64;
    // Kinds of sections that are checked block by block, with those of their block checksums: vectors and codes.
    const IN_BLOCKS: [(u8, u8); 2] = [(1, 2), (11, 12)];
    if file.len() < HEADER + FOOTER {
        return;
    }
    let put = |file: &mut [u8], at: usize, number: u64| {
        file[at..at + 8].copy_from_slice(&number.to_le_bytes());
    };
    let u64_at = |file: &[u8], at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap_or_default());
    let entry = |i: usize| 1024 + i * 32;
    let count = usize::from(file[84]).min(32);
    let range = |file: &[u8], i: usize| {
        let start = usize::try_from(u64_at(file, entry(i) + 8)).ok()?;
        let end = start.checked_add(usize::try_from(u64_at(file, entry(i) + 16)).ok()?)?;
        (start >= HEADER && end <= file.len() - FOOTER).then_some(start..end)
    };
    let find =
        |file: &[u8], kind: u8| (0..count).find(|&i| file[entry(i)] == kind).and_then(|i| range(file, i));
    for (kind, checksums) in IN_BLOCKS {
        if let (Some(section), Some(checksums)) = (find(file, kind), find(file, checksums)) {
            let blocks: Vec<u64> =
                file[section].chunks(block_bytes(file, kind)).map(XxHash3_64::oneshot).collect();
            for (place, block) in checksums.step_by(8).zip(blocks) {
                if place + 8 <= file.len() {
                    put(file, place, block);
                }
            }
        }
    }
    for i in 0..count {
        // The checksum of such a section is that of its block checksums.
        let in_blocks = IN_BLOCKS.into_iter().find(|&(kind, _)| kind == file[entry(i)]);
        let covered = match in_blocks {
            Some((_, checksums)) => find(file, checksums),
            None => range(file, i),
        };
        if let Some(covered) = covered {
            let checksum = XxHash3_64::oneshot(&file[covered]);
            put(file, entry(i) + 24, checksum);
        }
    }
    let header = XxHash3_64::oneshot(&file[..HEADER - 8]);
    put(file, HEADER - 8, header);
    let (footer, length) = (file.len() - FOOTER, file.len() as u64);
    file[footer..].fill(0);
    file.copy_within(..8, footer);
    put(file, footer + 8, header);
    put(file, footer + 16, length);
    let checksum = XxHash3_64::oneshot(&file[footer..footer + 56]);
    put(file, footer + 56, checksum);
}
