//! Numbers of which no index can be made.

use super::Refusals;
use crate::util::{le_bytes, npy, npy_f32, values};

#[test]
fn values_that_are_no_numbers() {
    let mut t = Refusals::new();
    let mut case = |rows: usize, row: usize, column: usize, value: f32, found: &str| {
        let mut all = values(2, rows, 4);
        all[row * 4 + column] = value;
        let place = format!(": row {row}, column {column}: expected a finite value, found {found}");
        for (name, bytes, options) in [("n.npy", npy_f32(4, &all), ""), ("n.f32", le_bytes(&all), " -d 4")] {
            for how in ["", " -t 3 --batch-size 7", " --io read"] {
                let says = format!("{name}{place}");
                let words = format!("build-index -i {name} -o o.hnsw{options}{how}");
                t.with(name, &bytes, &words, 1, &[&says]);
            }
            let words = format!("convert -i {name} -o o.hnsw --to-format npy{options}");
            t.with(name, &bytes, &words, 1, &[&format!("{name}{place}")]);
        }
    };
    case(10, 0, 0, f32::NAN, "NaN");
    case(5000, 4999, 3, f32::NAN, "NaN");
    case(5000, 4321, 1, f32::INFINITY, "an infinity");
    case(100, 64, 2, f32::NEG_INFINITY, "an infinity");
    // The first bad row is the one that is told, however many threads look.
    let mut all = values(2, 5000, 4);
    for row in [1234, 1235, 3000, 4999] {
        all[row * 4 + 2] = f32::NAN;
    }
    for threads in [1, 2, 8] {
        let words = format!("build-index -i n.npy -o o.hnsw -t {threads} --batch-size 100");
        t.with("n.npy", &npy_f32(4, &all), &words, 1, &["n.npy: row 1234, column 2: "]);
    }
    t.with("n.npy", &npy_f32(4, &[f32::NAN; 40]), "build-index -i n.npy -o o.hnsw", 1, &["row 0, column 0"]);
    // Their squares are too large to be compared.
    for metric in ["cosine", "l2", "ip"] {
        let mut all = values(2, 10, 4);
        all[24..28].fill(3e38);
        let words = format!("build-index -i n.npy -o o.hnsw --metric {metric}");
        t.with(
            "n.npy",
            &npy_f32(4, &all),
            &words,
            1,
            &["n.npy: row 6: expected values whose squares sum up to 4e37 at most"],
        );
        // Also where the rows are not the first of the file.
        let words = format!("{words} --rows 3..10");
        t.with(
            "n.npy",
            &npy_f32(4, &all),
            &words,
            1,
            &["n.npy: row 6: expected values whose squares sum up to 4e37 at most"],
        );
    }
    // Numbers that only other types can hold.
    let wide: Vec<u8> = [1.0f64, 2.0, 3.0, 1e300].iter().flat_map(|value| value.to_le_bytes()).collect();
    t.npy(&npy("<f8", false, "(2, 2)", &wide), 1, &["row 1, column 1: "]);
    let half: Vec<u8> =
        [0x3c00u16, 0x3c00, 0x7c00, 0x3c00].iter().flat_map(|bits| bits.to_le_bytes()).collect();
    t.npy(
        &npy("<f2", false, "(2, 2)", &half),
        1,
        &["row 1, column 0: expected a finite value, found an infinity"],
    );
    t.finish();
}

#[test]
fn zero_vectors_cannot_be_normalized() {
    let mut t = Refusals::new();
    let mut all = values(1, 10, 4);
    all[28..32].fill(0.0);
    t.dir.write("z.npy", npy_f32(4, &all));
    let pipeline = b"version = 1\n[source]\npath = \"z.npy\"\n[[stage]]\ntype = \"normalize\"\n\
                     [sink]\ntype = \"npy\"\npath = \"o.hnsw\"\n";
    t.case_of(
        &["run", "-"],
        pipeline,
        1,
        &["z.npy: row 7: expected a vector that can be normalized, found all zeros"],
    );
    t.finish();
}
