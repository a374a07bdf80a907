//! Thousands of files that are spoiled by chance: each is refused, or answers as the whole one does.

use std::fs::File;
use std::time::{Duration, Instant};

use index::Index;
use index::file::OpenError;
use rayon::prelude::*;

use crate::data::TempIndex;
use crate::kept::{KEPT, bytes, queries};
use crate::raw::{HEADER, Raw};

/// Files spoiled of each kept one, and each is opened in both ways.
const FILES: u64 = 1_500;

/// No file takes so long, not even on a busy machine.
const HANGS_AFTER: Duration = Duration::from_secs(20);

/// A stream of numbers that is the same everywhere (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// The fields of the header, and the first of its tables: place and size.
const FIELDS: [(usize, usize); 24] = [
    (8, 2),
    (10, 2),
    (12, 4),
    (16, 8),
    (24, 8),
    (32, 8),
    (40, 8),
    (48, 4),
    (52, 1),
    (56, 4),
    (60, 4),
    (64, 4),
    (68, 4),
    (72, 8),
    (80, 4),
    (84, 4),
    (88, 8),
    (96, 8),
    (104, 8),
    (320, 8),
    (328, 8),
    (336, 8),
    (344, 8),
    (848, 4),
];

const EXTREMES: [u64; 12] =
    [0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX - 1, u64::MAX];

/// Spoils a file. The second value is whether checksums were made to fit, so that it may be the file of another index.
fn spoiled(base: &[u8], seed: u64) -> (Vec<u8>, bool) {
    let mut numbers = Numbers(seed);
    let mut file = base.to_vec();
    let mut is_sealed = false;
    match seed % 10 {
        0 | 1 => file.truncate(numbers.below(base.len())),
        2 | 3 => {
            let bit = numbers.below(base.len() * 8);
            file[bit / 8] ^= 1 << (bit % 8);
        }
        4 => {
            for _ in 0..16 {
                let at = numbers.below(base.len());
                file[at] = numbers.next().to_le_bytes()[0];
            }
        }
        // Bytes of the header, or of what is behind the vectors.
        5 => {
            let at = numbers.below(HEADER);
            file[at] ^= 1 + numbers.next().to_le_bytes()[0] % 255;
        }
        6 => {
            let page = numbers.below(base.len().div_ceil(4096)) * 4096;
            let end = (page + 4096).min(base.len());
            file[page..end].fill(0);
        }
        7 => {
            let more = 1 + numbers.below(5_000);
            file.extend((0..more).map(|_| numbers.next().to_le_bytes()[0]));
        }
        kind => {
            let sections = u32::from_le_bytes(base[84..88].try_into().unwrap()) as usize;
            let (at, size) = match numbers.below(3) {
                0 => (1024 + numbers.below(sections) * 32 + 8 * numbers.below(4), 8),
                _ => FIELDS[numbers.below(FIELDS.len())],
            };
            let value = EXTREMES[numbers.below(EXTREMES.len())];
            file[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
            if kind == 9 {
                is_sealed = true;
                let mut raw = Raw(file);
                raw.seal();
                file = raw.0;
            }
        }
    }
    (file, is_sealed)
}

/// Everything that an index says, piece by piece; nothing where it refuses.
fn pieces(index: &Index) -> Vec<Option<Vec<u64>>> {
    let mut all = Vec::new();
    let mut searcher = index.searcher();
    for query in queries() {
        // With right checksums the dimension may be another.
        let query: Vec<f32> = query.iter().copied().cycle().take(index.dim()).collect();
        for (k, ef) in [(5, 6), (5, usize::MAX), (usize::MAX, 1)] {
            let hits = searcher.search(&query, k, ef);
            if let Ok(hits) = &hits {
                assert_eq!(hits.len(), k.min(index.rows()));
                assert!(hits.is_sorted_by(|a, b| a.distance.total_cmp(&b.distance).is_le()));
            }
            let numbers = |hits: Vec<index::Hit>| {
                hits.iter().flat_map(|hit| [hit.id, hit.distance.to_bits().into()]).collect()
            };
            all.push(hits.ok().map(numbers));
        }
    }
    let vectors = index.vectors().ok();
    all.push(vectors.map(|vectors| vectors.values().iter().map(|value| value.to_bits().into()).collect()));
    all.push(index.ids().map(<[u64]>::to_vec));
    let texts = index.text_ids().map(|ids| {
        let bytes = |row| ids.get(row).expect("nobody writes to it").bytes().map(u64::from);
        (0..ids.len()).flat_map(bytes).collect()
    });
    all.push(texts);
    all
}

#[test]
fn spoiled_files_are_refused_or_answer_as_the_whole_one() {
    type Open = fn(&TempIndex) -> Result<Index, OpenError>;
    let ways: [(&str, Open); 2] = [
        ("by name", |file| Index::open(file.path())),
        ("opened", |file| Index::of_file(File::open(file.path()).unwrap())),
    ];
    for name in KEPT {
        let base = bytes(name);
        let whole = pieces(&Index::open(TempIndex::new(&base).path()).unwrap());
        let seeds = (0..FILES).into_par_iter();
        let counts = seeds
            .map(|seed| {
                let (file, is_sealed) = spoiled(&base, seed);
                let path = TempIndex::new(&file);
                let mut counts = [0usize; 3];
                for (way, open) in ways {
                    let start = Instant::now();
                    match open(&path) {
                        Err(error) => {
                            let message = error.to_string();
                            assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
                            counts[0] += 1;
                        }
                        Ok(index) => {
                            let found = pieces(&index);
                            let is_same = found
                                .iter()
                                .zip(&whole)
                                .all(|(found, whole)| found.is_none() || found == whole);
                            assert!(
                                is_same || is_sealed,
                                "{name} {seed}, {way}: another answer, and nobody noticed"
                            );
                            counts[if is_same { 1 } else { 2 }] += 1;
                        }
                    }
                    assert!(start.elapsed() < HANGS_AFTER, "{name} {seed}, {way}");
                }
                counts
            })
            .reduce(|| [0; 3], |a, b| std::array::from_fn(|i| a[i] + b[i]));
        let [refused, same, other] = counts;
        println!(
            "{name}: {FILES} files in two ways, {refused} refused, {same} with the same answers or none, {other} another valid file"
        );
        assert!(refused > FILES as usize, "{name}: most are refused");
        assert!(same > 0, "{name}: some damage is found by searches only");
    }
}
