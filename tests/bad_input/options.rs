//! Flags with values that they cannot have.

use super::Refusals;

#[test]
fn options() {
    let mut t = Refusals::new();
    let build = "build-index -i a.npy -o o.hnsw";
    for (option, says) in [
        ("-m 0", "0 is not in 2..=1024"),
        ("-m 1", "1 is not in 2..=1024"),
        ("-m 1025", "1025 is not in 2..=1024"),
        ("-m 18446744073709551615", "18446744073709551615"),
        ("-m=-1", "-1"),
        ("-e 0", "0 is not in 1..=1000000"),
        ("-e 1000001", "1000001 is not in 1..=1000000"),
        ("--batch-size 0", "--batch-size"),
        ("--batch-size 5000000000", "--batch-size"),
        ("-t 100000", "expected up to 1024"),
        ("-t 1025", "expected up to 1024"),
        ("-t=-1", "expected a number"),
        ("--seed=-1", "--seed"),
        ("--format nonsense", "known formats: arrow, arrow_stream, bvecs, csv, exec, f16bin, faiss, fbin"),
        ("--vector-column emb", "unknown option `vector_column`"),
        ("--id-column id", "unknown option `id_column`"),
        ("--metric nonsense", "expected a metric (l2, cosine or ip), found `nonsense`"),
        ("--io fast", "expected auto, mmap or read"),
        ("--if-exists maybe", "[possible values: replace, error, skip]"),
        ("--ordering nonsense", "unexpected argument '--ordering'"),
        ("--output p.hnsw", "cannot be used multiple times"),
    ] {
        t.case(&format!("{build} {option}"), 2, &[says]);
    }
    for (rows, says) in [
        ("0..11", "a.npy: expected rows up to 10, found 0..11"),
        ("11..", "a.npy: expected rows up to 10, found 11..10"),
        ("5..3", "expected rows such as `0..1000`, found `5..3`"),
        ("x", "expected rows such as `0..1000`, found `x`"),
        ("1..2..3", "expected rows such as `0..1000`"),
        ("0..18446744073709551616", "expected rows such as `0..1000`"),
    ] {
        t.case(&format!("{build} --rows {rows}"), 2, &[says]);
    }
    t.finish();
}
