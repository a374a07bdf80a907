//! Files of other libraries with mistakes in them: refused or searched, never a panic and never for ever.

use std::fs;
use std::path::Path;

use exchange::{Ids, Library, foreign_index, take};
use index::{Index, Metric};
use rayon::prelude::*;

use crate::round_trip::{export, values, write_index};

const DIM: usize = 5;
const MUTATIONS: u64 = 2_000;

/// Numbers that are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// One of the ways in which files go bad.
fn mutated(bytes: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Seeded(seed);
    let mut bytes = bytes.to_vec();
    let len = bytes.len();
    match seed % 6 {
        0 => bytes.truncate(random.below(len)),
        1 => bytes[random.below(len)] ^= 1 << random.below(8),
        2 => {
            let at = random.below(len);
            for byte in bytes.iter_mut().skip(at).take(1 + random.below(8)) {
                *byte = random.next().to_le_bytes()[0];
            }
        }
        // A number that is as large as numbers are, or nearly; in the header half of the time.
        3 => {
            let at = if random.below(2) == 0 { random.below(len.min(160)) } else { random.below(len) };
            let extreme =
                [u64::MAX, 1 << 63, u64::from(u32::MAX), 1 << 31, 0, 1, u64::MAX - 7][random.below(7)];
            let width = if random.below(2) == 0 { 4 } else { 8 };
            for (byte, extreme) in bytes.iter_mut().skip(at).zip(extreme.to_le_bytes()).take(width) {
                *byte = extreme;
            }
        }
        4 => {
            let at = random.below(len);
            bytes.iter_mut().skip(at).take(256).for_each(|byte| *byte = 0);
        }
        _ => bytes.extend((0..1 + random.below(100)).map(|_| 0x5a)),
    }
    bytes
}

/// Opens, takes over and searches; whatever that says.
fn survives(path: &Path) -> bool {
    let Ok(Some(foreign)) = foreign_index(path, &|| false) else { return false };
    let metric = foreign.info().metric.is_none().then_some(readers::Metric::L2);
    let Ok(taken) = take(&*foreign, metric, &|| false) else { return false };
    let query = vec![0.25; taken.index.dim()];
    let hits = taken.index.searcher().search(&query, 5, 20).unwrap();
    assert!(hits.len() <= taken.index.rows());
    true
}

#[test]
fn no_mutation_of_a_file_makes_opening_or_searching_panic() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.hnsw");
    let ids: Vec<u64> = (0..60).map(|row| row * 11 + 3).collect();
    write_index(&own, &values(60, DIM), DIM, Metric::L2, Some(&ids));
    let index = Index::open(&own).unwrap();
    for library in Library::ALL {
        let path = folder.path().join(library.name);
        export(&index, library, &path, Ids::Own);
        let mut bytes = fs::read(&path).unwrap();
        // What is packed is damaged within, where checksums of the packing do not find it.
        if library.name == "sochdb" {
            let mut unpacked = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut unpacked).unwrap();
            bytes = unpacked;
        }
        let accepted = (0..MUTATIONS)
            .into_par_iter()
            .map(|seed| {
                let path = folder.path().join(format!("{seed}.{}", library.name));
                fs::write(&path, mutated(&bytes, seed)).unwrap();
                let accepted = survives(&path);
                fs::remove_file(&path).unwrap();
                u64::from(accepted)
            })
            .sum::<u64>();
        // Bits of vectors and links are under no checksum there, so some go through; others never do.
        assert!(
            (100..MUTATIONS * 3 / 4).contains(&accepted),
            "{library:?}: {accepted} of {MUTATIONS} were opened"
        );
    }
}

#[test]
fn the_inputs_of_the_fuzz_target_do_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/foreign_index");
    let scratch = tempfile::tempdir().unwrap();
    let mut count = 0;
    for input in fs::read_dir(folder).unwrap() {
        crate::target::foreign_index(
            &fs::read(input.unwrap().path()).unwrap(),
            &scratch.path().join("input"),
        );
        count += 1;
    }
    assert!(count >= 4);
}
