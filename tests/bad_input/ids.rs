//! Ids that are not one for each row.

use super::Refusals;
use crate::util::{ids_bytes, npy};

#[test]
fn ids() {
    let mut t = Refusals::new();
    let plain = |ids: &[u64]| ids_bytes(ids);
    let ten: Vec<u64> = (0..10).collect();
    let build = "build-index -i a.npy -o o.hnsw --ids ids.bin";
    let mut case = |bytes: &[u8], code: i32, says: &[&str]| {
        let says: Vec<&str> = std::iter::once("ids.bin: ").chain(says.iter().copied()).collect();
        t.with("ids.bin", bytes, build, code, &says);
    };
    case(&plain(&ten[..9]), 2, &["expected 10 ids, one for each row, found 9"]);
    case(&plain(&(0..11).collect::<Vec<_>>()), 2, &["expected 10 ids, one for each row, found 11"]);
    case(b"", 2, &["expected 10 ids, one for each row, found 0"]);
    let mut ragged = plain(&ten);
    ragged.extend_from_slice(&[0; 7]);
    case(&ragged, 1, &["expected 8 bytes for each id, found 87, 7 too many"]);
    case(&npy("<u8", false, "(9,)", &plain(&ten[..9])), 2, &["expected 10 ids, one for each row, found 9"]);
    case(&npy("<f8", false, "(10,)", &[0; 80]), 1, &["descr: expected integer ids, found `<f8`"]);
    case(
        &npy("<u8", false, "(5, 2)", &plain(&ten)),
        1,
        &["shape: expected one id a row, shape (n,), found (5, 2)"],
    );
    case(
        &npy("<u8", false, "(10,)", &plain(&ten)[..79]),
        1,
        &["byte 128: expected 80 bytes of data", "found 79"],
    );
    let negative: Vec<u8> = (0..10i64).flat_map(|id| (id - 9 * (id / 3)).to_le_bytes()).collect();
    case(&npy("<i8", false, "(10,)", &negative), 1, &["row 3: expected an id of at least 0, found -6"]);
    // Search could not tell rows of one id apart.
    case(&plain(&[5, 1, 2, 3, 4, 9, 6, 7, 9, 8]), 1, &["found id 9 at rows 5 and 8"]);
    case(&plain(&[7; 10]), 1, &["found id 7 at rows 0 and 1"]);
    t.case(build, 1, &["ids.bin: cannot open: "]);
    std::fs::create_dir(t.dir.path("ids.bin")).unwrap();
    t.case(build, 2, &["ids.bin: expected a file, found a directory"]);
    std::fs::remove_dir(t.dir.path("ids.bin")).unwrap();

    // Rows are told by their numbers in the file, also where not all of them are read.
    t.dir.write("ids.bin", plain(&[0, 1, 2, 3, 4, 9, 6, 7, 9, 8]));
    t.case(&format!("{build} --rows 4..10"), 1, &["found id 9 at rows 5 and 8"]);
    t.dir.write("o.hnsw", plain(&ten));
    t.case("build-index -i a.npy -o o.hnsw --ids o.hnsw", 2, &["o.hnsw: the output is an input"]);
    std::fs::remove_file(t.dir.path("o.hnsw")).unwrap();

    // Ids beside a raw file that are of other vectors.
    for bytes in [plain(&ten[..9]), plain(&ten)[..79].to_vec(), Vec::new()] {
        let found = format!(
            "ids.u64: size: expected 80 bytes, 8 for each of the 10 rows of a.f32, found {}",
            bytes.len()
        );
        t.with("ids.u64", &bytes, "build-index -i a.f32 -d 4 -o o.hnsw", 1, &[&found, "--ids"]);
    }
    t.finish();
}
