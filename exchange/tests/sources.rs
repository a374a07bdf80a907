//! The vectors of indexes, read as any format is.

use std::io::Read;

use exchange::{Ids, Library};
use index::{Index, Metric};

use crate::round_trip::{export, values, write_index};

#[test]
fn every_format_does_what_a_reader_must() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.hnsw");
    write_index(&own, &values(9, 3), 3, Metric::L2, Some(&[5, 4, 3, 2, 1, 100, 200, 300, 400]));
    let index = Index::open(&own).unwrap();
    for library in Library::ALL {
        let path = folder.path().join(format!("{0}.{0}", library.name));
        export(&index, library, &path, Ids::Own);
        if library.name == "sochdb" {
            // Packed files are unpacked before a format sees them.
            let mut unpacked = Vec::new();
            let packed = std::fs::File::open(&path).unwrap();
            flate2::read::GzDecoder::new(packed).read_to_end(&mut unpacked).unwrap();
            std::fs::write(&path, unpacked).unwrap();
        }
        readers::conformance::check(library.name, &path, None);
    }
    readers::conformance::check("hnsw", &own, None);
}
