//! The target `foreign_index`. It stands apart from `lib.rs`, so that the tests of the readers need nothing of other libraries.

use std::path::Path;

use exchange::Library;
use readers::{BufferPool, Input, Io, Scan};

/// A whole index of another library, as each of them: its vectors mapped and read, which gives the same, and its graph taken over
/// and searched. `path` is written over.
pub fn foreign_index(data: &[u8], path: &Path) {
    std::fs::write(path, data).expect("a temporary file can be written");
    for library in Library::ALL {
        let of = |io| Input { io, ..Input::new(path) };
        assert_eq!(values(library.name, &of(Io::Mmap)), values(library.name, &of(Io::Read)));
        let Ok(foreign) = library.open(&of(Io::Auto)) else { continue };
        let metric = foreign.info().metric.is_none().then_some(readers::Metric::L2);
        if let Ok(taken) = exchange::take(&*foreign, metric, &|| false) {
            let query = vec![0.5; taken.index.dim()];
            let hits = taken.index.searcher().search(&query, 3, 10).expect("the copy is whole");
            assert!(hits.len() <= taken.index.rows());
        }
    }
}

/// The values as bits, or nothing if they are refused.
fn values(format: &str, input: &Input) -> Option<Vec<u32>> {
    let format = readers::format_called(format)?.with_defaults().ok()?;
    let dataset = format.open(input).ok()?;
    let (pool, scan) = (BufferPool::new(), Scan { rows: 0..dataset.info().rows.exact()?, batch_rows: 7 });
    let mut bits = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool).ok()? {
            bits.extend(batch.ok()?.values().iter().map(|value| value.to_bits()));
        }
    }
    Some(bits)
}
