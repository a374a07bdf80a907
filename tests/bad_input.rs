//! What cannot be right is refused: one line that says where, what was expected, what was found, and a line that says
//! what to do; and nothing in the folder is changed.

use std::collections::BTreeMap;

use crate::util::{Dir, Output, ids_bytes, le_bytes, npy, npy_f32, npy_of, values};

const OLD: &[u8] = b"an older file";

/// A folder in which things must not work.
struct Refusals {
    dir: Dir,
    failures: Vec<String>,
}

impl Refusals {
    /// With `a.npy` and `a.f32`, 10 vectors of 4 values.
    fn new() -> Self {
        let dir = Dir::new();
        let values = values(1, 10, 4);
        dir.write("a.npy", npy_f32(4, &values));
        dir.write("a.f32", le_bytes(&values));
        Self { dir, failures: Vec::new() }
    }

    /// Runs `words`, once with an older `o.hnsw` in the folder and once without. `says` is what must be on stderr.
    fn case(&mut self, words: &str, code: i32, says: &[&str]) {
        self.case_of(&words.split(' ').collect::<Vec<_>>(), b"", code, says);
    }

    fn case_of(&mut self, words: &[&str], stdin: &[u8], code: i32, says: &[&str]) {
        let has_own = self.dir.exists("o.hnsw");
        for old in [true, false] {
            if old && !has_own {
                self.dir.write("o.hnsw", OLD);
            }
            let before = contents(&self.dir);
            let mut command = self.dir.command_of(words);
            command.env("RUST_BACKTRACE", "0");
            let output = crate::util::output(command, stdin);
            let after = contents(&self.dir);
            self.judge(words, &output, code, says, after == before);
            // One case that goes wrong shall not spoil the next.
            for name in after.keys().filter(|name| !before.contains_key(*name)) {
                std::fs::remove_file(self.dir.path(name)).unwrap();
            }
            for (name, bytes) in before.iter().filter(|(name, bytes)| after.get(*name) != Some(bytes)) {
                self.dir.write(name, bytes);
            }
            if !has_own {
                // What was made in its place is gone, too, before the next case.
                let _ = std::fs::remove_file(self.dir.path("o.hnsw"));
            }
        }
    }

    fn judge(&mut self, words: &[&str], output: &Output, code: i32, says: &[&str], unchanged: bool) {
        let mut wrong = Vec::new();
        if output.code != Some(code) {
            wrong.push(format!("exit code {:?} instead of {code}", output.code));
        }
        if !unchanged {
            wrong.push(format!("the folder was changed: {:?}", self.dir.names()));
        }
        if !output.stdout.is_empty() {
            wrong.push("something on stdout".to_owned());
        }
        for part in says.iter().filter(|part| !output.stderr.contains(**part)) {
            wrong.push(format!("no `{part}`"));
        }
        // A pipeline's own line, with the place underlined, shows what to change; the system's own words are known.
        let helps = ["\n  help: ", "try '--help'", " | ", "(os error "];
        if !helps.iter().any(|help| output.stderr.contains(help)) {
            wrong.push("no help".to_owned());
        }
        // Nobody reads on: neither a long line nor a large file may flood the terminal.
        if output.stderr.len() > 2000 {
            wrong.push(format!("{} bytes of message", output.stderr.len()));
        }
        if !wrong.is_empty() {
            let text =
                format!("{}\n    {}\n    stderr: {:.500}", words.join(" "), wrong.join("; "), output.stderr);
            if !self.failures.contains(&text) {
                self.failures.push(text);
            }
        }
    }

    /// A case with a file of its own, which is gone afterwards.
    fn with(&mut self, name: &str, bytes: &[u8], words: &str, code: i32, says: &[&str]) {
        self.dir.write(name, bytes);
        self.case(words, code, says);
        std::fs::remove_file(self.dir.path(name)).unwrap();
    }

    /// `build-index` of a .npy file that is wrong.
    fn npy(&mut self, bytes: &[u8], code: i32, says: &[&str]) {
        let says: Vec<&str> = std::iter::once("x.npy: ").chain(says.iter().copied()).collect();
        self.with("x.npy", bytes, "build-index -i x.npy -o o.hnsw", code, &says);
    }

    fn finish(self) {
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
    }
}

/// Every file of a folder. Pipes and links are there by name.
fn contents(dir: &Dir) -> BTreeMap<String, Vec<u8>> {
    let read = |name: &String| {
        let path = dir.path(name);
        if path.symlink_metadata().unwrap().is_file() { std::fs::read(path).unwrap() } else { Vec::new() }
    };
    dir.names().into_iter().map(|name| (name.clone(), read(&name))).collect()
}

#[test]
fn raw_files() {
    let mut t = Refusals::new();
    let build = "build-index -i a.f32 -o o.hnsw";
    t.case(build, 2, &["a.f32: expected a dimension, found none", "--dimension N", "a.json"]);
    let sizes = [
        "a.f32: expected 156 bytes, whole rows of 3 f32 values, found 160, 4 more",
        "that fit this size: 2, 4, 8",
    ];
    t.case(&format!("{build} -d 3"), 1, &sizes);
    t.case(&format!("{build} -d 41"), 1, &["a.f32: expected 0 bytes", "found 160"]);
    for dim in ["0", "65537", "100000", "-4", "four"] {
        t.case(&format!("{build} --dimension={dim}"), 2, &[dim, "--dimension"]);
    }
    let raw = t.dir.read("a.f32");
    for (cut, more) in [(1, 15), (20, 12)] {
        let found = format!("found {}, {more} more", 160 - cut);
        let says = ["c.f32: expected 1", "whole rows of 4 f32 values", found.as_str()];
        t.with("c.f32", &raw[..160 - cut], "build-index -i c.f32 -d 4 -o o.hnsw", 1, &says);
    }
    // A header read as a vector would shift every row.
    let says = ["a.npy: expected raw_f32, found npy", "--format npy"];
    t.case("build-index -i a.npy -f raw_f32 -d 4 -o o.hnsw", 2, &says);
    t.case("convert -i a.npy --from-format bin -d 4 -o o.hnsw --to-format npy", 2, &says);
    t.case("build-index -i a.f32 -f npy -o o.hnsw", 1, &["a.f32: byte 0: expected the magic number"]);
    t.with(
        "a.dat",
        &raw,
        "build-index -i a.dat -d 4 -o o.hnsw",
        2,
        &["a.dat: the format cannot be told", "--format"],
    );
    t.finish();
}

#[test]
fn sidecars() {
    let mut t = Refusals::new();
    let build = "build-index -i a.f32 -o o.hnsw";
    let mut case = |name: &str, json: &str, options: &str, code: i32, says: &[&str]| {
        let says: Vec<&str> = std::iter::once(name).chain(says.iter().copied()).collect();
        t.with(name, json.as_bytes(), &format!("{build}{options}"), code, &says);
    };
    case(
        "a.json",
        r#"{"dim": 4}"#,
        " -d 5",
        2,
        &["a.f32: expected dimension 5, as asked for, found 4 in a.json"],
    );
    case(
        "a.json",
        r#"{"n": 11, "dim": 4}"#,
        "",
        1,
        &["expected 176 bytes, as n = 11 in a.json", "found 160"],
    );
    case("meta.json", r#"{"n": 10, "dim": 5}"#, "", 1, &["expected 200 bytes", "found 160"]);
    case("a.f32.json", r#"{"n": 18446744073709551615, "dim": 4}"#, "", 1, &["found 160"]);
    for json in ["", "{", "[1]", "null", r#"{"dim": }"#, "\u{0}", &"[".repeat(100_000)] {
        case("a.json", json, " -d 4", 1, &["a.json: expected a JSON object, found"]);
    }
    case(
        "a.json",
        r#"{"dim": "4"}"#,
        "",
        1,
        &["a.json: dim: expected a whole number from 1 to 65536, found `\"4\"`"],
    );
    case("a.json", r#"{"dim": 0}"#, "", 1, &["a.json: dim: expected", "found `0`"]);
    case("a.json", r#"{"dim": -4}"#, "", 1, &["a.json: dim: expected", "found `-4`"]);
    case("a.json", r#"{"dim": 65537}"#, "", 1, &["a.json: dim: expected", "found `65537`"]);
    case("a.json", r#"{"n": 1.5, "dim": 4}"#, "", 1, &["a.json: n: expected a number of rows, found `1.5`"]);
    let metric = "a.json: metric: expected a metric (l2, cosine or ip), found `\"manhattan\"`";
    case("a.json", r#"{"dim": 4, "metric": "manhattan"}"#, "", 1, &[metric]);
    case("a.json", r#"{"dim": 4, "dtype": "f64"}"#, "", 1, &["a.json: dtype: expected `f32`, found `f64`"]);
    case(
        "a.json",
        &" ".repeat((1 << 20) + 1),
        " -d 4",
        1,
        &["a.json: expected a sidecar of at most 1048576 bytes"],
    );
    t.finish();
}

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
fn npy_files() {
    let mut t = Refusals::new();
    let data = le_bytes(&values(1, 10, 4));
    let good = npy("<f4", false, "(10, 4)", &data);
    t.case(
        "build-index -i a.npy -d 5 -o o.hnsw",
        2,
        &["a.npy: shape: expected dimension 5, as asked for, found 4"],
    );
    for (shape, says) in [
        ("(40,)", "shape: expected 2 dimensions, rows and values, found (40,)"),
        ("()", "shape: expected 2 dimensions, rows and values, found ()"),
        ("(2, 5, 4)", "shape: expected 2 dimensions, rows and values, found (2, 5, 4)"),
        ("(10, 0)", "shape: expected at least 1 value a row, found (10, 0)"),
        ("(1, 65537)", "shape: expected at most 65536 values a row, found (1, 65537)"),
        ("(4294967296, 4294967296)", "shape: expected at most 65536 values a row"),
        (
            "(4611686018427387904, 8)",
            "shape: expected a size below 2^64 bytes, found (4611686018427387904, 8)",
        ),
        ("(4611686018427388904, 32)", "shape: expected a size below 2^64 bytes"),
        ("(1000000000000, 4)", "byte 128: expected 16000000000000 bytes of data for (1000000000000, 4)"),
        ("(11, 4)", "byte 128: expected 176 bytes of data for (11, 4) of f32, found 160"),
        ("(18446744073709551616, 4)", "expected a size below 2^64, found `18446744073709551616`"),
        ("(-10, 4)", "expected a size of the shape, found `-10, 4)"),
        (")10, 4(", "expected sizes in round brackets, found `)10, 4("),
        ("[10, 4]", "expected sizes in round brackets"),
        ("(10 4)", "expected `,`"),
        ("(10.0, 4)", "expected `,`"),
    ] {
        t.npy(&npy("<f4", false, shape, &data), 1, &[says]);
    }
    for (descr, says) in [
        ("|O", "descr: expected f2, f4, f8, i1 to i8 or u1 to u8, found Python objects"),
        ("<c8", "descr: expected f2, f4, f8, i1 to i8 or u1 to u8, found complex numbers: `<c8`"),
        ("|b1", "found truth values"),
        ("<U4", "found strings"),
        ("|S8", "found strings"),
        ("<M8[s]", "found dates"),
        ("|V4", "found bytes of no type"),
        ("|V2", "bf16"),
        ("<f16", "found a type that is not read: `<f16`"),
        ("", "descr: expected"),
    ] {
        t.npy(&npy(descr, false, "(10, 4)", &data), 1, &[says]);
    }
    let structured = "{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, 'shape': (10, 4), }";
    t.npy(&npy_of(structured, &data), 1, &["descr: ", "found a structured type"]);
    for (header, says) in [
        ("", "expected `{` and the keys descr, fortran_order and shape, found the end of the header"),
        ("{}", "header: expected the keys descr, fortran_order and shape, found no `descr`"),
        ("{'descr': '<f4', 'shape': (10, 4), }", "found no `fortran_order`"),
        (
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (10, 4), }",
            "found a second `descr`",
        ),
        ("{'descr': '<f4', 'fortran_order': 0, 'shape': (10, 4), }", "expected True or False, found `0"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 4), } x", "expected nothing but spaces"),
        ("{'descr': '<f4', 'more': 1, 'fortran_order': False, 'shape': (10, 4), }", "found the key `more`"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (10, 4)", "expected `,` or `}`"),
        ("{'descr': '<f4", "expected a closing quote"),
        ("[1, 2]", "byte 10: expected `{`"),
        ("garbage", "byte 10: expected `{`"),
        ("{'descr': '\u{1b}[31m', 'fortran_order': False, 'shape': (10, 4), }", "\\u{1b}"),
    ] {
        t.npy(&npy_of(header, &data), 1, &[says]);
    }
    let mut changed = |at: usize, bytes: &[u8], says: &str| {
        let mut file = good.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        t.npy(&file, 1, &[says]);
    };
    changed(6, &[4, 0], "byte 6: expected version 1.0, 2.0 or 3.0, found 4.0");
    changed(
        8,
        &[0xff, 0x26],
        "byte 10: expected a header of 9983 bytes, found 278 before the end of the file",
    );
    changed(8, &[0xff, 0xff], "byte 8: expected a header of at most 10000 bytes, found a length of 65535");
    changed(6, &[2, 0, 0xff, 0xff, 0xff, 0xff], "byte 8: expected a header of at most 10000 bytes");
    changed(0, b"X", "byte 0: expected the magic number");
    let mut utf8 = b"\x93NUMPY\x03\x00\x04\x00\x00\x00{\xff'}".to_vec();
    utf8.extend_from_slice(&data);
    t.npy(&utf8, 1, &["byte 13: expected a header in UTF-8, found byte 0xff"]);
    for (length, says) in [
        (0, "byte 0: expected the magic number `\\x93NUMPY`, found an empty file"),
        (3, "byte 0: expected the magic number"),
        (6, "byte 6: expected a version number"),
        (9, "byte 8: expected the length of the header"),
        (60, "byte 10: expected a header of 118 bytes, found 50 before the end of the file"),
        (128, "byte 128: expected 160 bytes of data for (10, 4) of f32, found 0"),
        (284, "byte 128: expected 160 bytes of data for (10, 4) of f32, found 156"),
    ] {
        t.npy(&good[..length], 1, &[says]);
    }
    t.npy(b"PK\x03\x04 and so on", 1, &["found a zip archive (.npz?)", "--format npz"]);
    t.npy(b"not an array", 1, &["byte 0: expected the magic number `\\x93NUMPY`, found `not an`"]);
    t.finish();
}

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
        ("--format nonsense", "known formats: arrow, arrow_stream, bvecs, csv, exec, f16bin, fbin"),
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

#[test]
fn inputs_that_are_no_files() {
    let mut t = Refusals::new();
    std::fs::create_dir(t.dir.path("folder.npy")).unwrap();
    t.case("build-index -i missing.npy -o o.hnsw", 1, &["missing.npy: cannot open: "]);
    t.case("build-index -i folder.npy -o o.hnsw", 2, &["folder.npy: expected a file, found a directory"]);
    t.case("build-index -i a.npy/x.npy -o o.hnsw", 1, &["a.npy/x.npy: cannot open: "]);
    t.case("build-index --input= -o o.hnsw", 2, &["--input"]);
    t.case("build-index -i - -o o.hnsw", 2, &["standard input: the format cannot be told"]);
    t.case("run missing.toml", 1, &["missing.toml: cannot "]);
    t.case("run folder.npy", 1, &["folder.npy: cannot "]);
    #[cfg(unix)]
    {
        make_fifo(&t.dir, "fifo.npy");
        t.case(
            "build-index -i fifo.npy -o o.hnsw",
            2,
            &["fifo.npy: expected a file, found not a regular file"],
        );
        t.case("build-index -i a.npy --ids fifo.npy -o o.hnsw", 2, &["fifo.npy: expected a file"]);
        t.case("build-index -i /dev/zero -o o.hnsw -f raw_f32 -d 4", 2, &["/dev/zero: expected a file"]);
        std::os::unix::fs::symlink("loop.npy", t.dir.path("loop.npy")).unwrap();
        t.case("build-index -i loop.npy -o o.hnsw", 1, &["loop.npy: cannot open: "]);
    }
    t.finish();
}

#[cfg(unix)]
fn make_fifo(dir: &Dir, name: &str) {
    let status = std::process::Command::new("mkfifo").arg(dir.path(name)).status().unwrap();
    assert!(status.success());
}

#[test]
fn outputs_that_cannot_be_written() {
    let mut t = Refusals::new();
    std::fs::create_dir(t.dir.path("folder")).unwrap();
    let missing = "no/such/o.hnsw: cannot write: the folder no/such does not exist";
    t.case("build-index -i a.npy -o no/such/o.hnsw", 2, &[missing]);
    t.case("convert -i a.npy -o no/such/o.hnsw --to-format npy", 2, &[missing]);
    t.case("build-index -i a.npy -o a.f32/o.hnsw", 2, &["a.f32/o.hnsw: cannot write: "]);
    for folder in ["folder", "folder/", ".", "..", "/"] {
        let says = format!("{folder}: expected ");
        t.case(&format!("build-index -i a.npy -o {folder}"), 2, &[&says]);
    }
    t.case("build-index -i a.npy --output=", 2, &["output"]);
    t.case("build-index -i a.npy -o -", 2, &["standard output"]);
    t.case(
        "convert -i a.npy -o noextension",
        2,
        &["noextension: the name does not tell the format", "--to-format"],
    );
    #[cfg(unix)]
    {
        make_fifo(&t.dir, "fifo");
        for name in ["fifo", "/dev/null", "/dev/full"] {
            let says = format!("{name}: expected a file to replace, found something else");
            t.case(&format!("build-index -i a.npy -o {name}"), 2, &[&says]);
            t.case(&format!("convert -i a.npy -o {name} --to-format npy"), 2, &[&says]);
        }
    }
    t.finish();
}

#[test]
fn names_that_no_file_can_have_are_found_out_before_the_work() {
    let mut t = Refusals::new();
    t.case("build-index -i a.npy -o new/", 2, &["new/"]);
    let long = "n".repeat(256);
    t.case(&format!("build-index -i a.npy -o {long}"), 2, &[&long]);
    t.finish();
}

#[test]
fn a_name_as_long_as_names_may_be_is_written() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(4, &values(1, 10, 4)));
    let long = "n".repeat(255);
    let output = dir.run(&format!("build-index -i a.npy -o {long}"));
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert_eq!(dir.info(&long)["rows"], 10);
}

#[test]
fn an_output_is_never_an_input() {
    let mut t = Refusals::new();
    let both = "the output is an input";
    t.dir.write("meta.json", r#"{"dim": 4}"#);
    for input in ["a.npy", "a.f32"] {
        t.case(&format!("build-index -i {input} -o {input}"), 2, &[input, both]);
        t.case(&format!("build-index -i {input} -o ./{input}"), 2, &[input, both]);
    }
    t.case("convert -i a.npy -o a.npy --to-format npy", 2, &["a.npy", both]);
    t.case("convert -i a.f32 -o a.f32 --to-format raw_f32", 2, &["a.f32", both]);
    std::fs::hard_link(t.dir.path("a.npy"), t.dir.path("hard.npy")).unwrap();
    t.case("build-index -i a.npy -o hard.npy", 2, &["hard.npy", both, "a.npy"]);
    t.case("build-index -i hard.npy -o a.npy", 2, &["a.npy", both]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("a.npy", t.dir.path("soft.npy")).unwrap();
        t.case("build-index -i a.npy -o soft.npy", 2, &["soft.npy", both, "a.npy"]);
        t.case("build-index -i soft.npy -o a.npy", 2, &["a.npy", both]);
        t.case("convert -i a.npy -o soft.npy", 2, &["soft.npy", both]);
    }
    t.finish();
}

#[test]
fn an_output_is_never_a_file_that_was_read_beside_the_input() {
    let mut t = Refusals::new();
    // The sidecar and the ids belong to the vectors.
    t.with(
        "a.json",
        br#"{"dim": 4}"#,
        "build-index -i a.f32 -o a.json",
        2,
        &["a.json", "the output is an input"],
    );
    let ids = ids_bytes(&(0..10).collect::<Vec<_>>());
    t.with(
        "ids.u64",
        &ids,
        "build-index -i a.f32 -d 4 -o ids.u64",
        2,
        &["ids.u64", "the output is an input"],
    );
    // A second raw file here would need an ids.u64 of its own.
    t.dir.write("ids.u64", &ids);
    t.dir.write("b.f32", "older");
    t.case("convert -i a.f32 -d 4 -o b.f32 --rows 0..5", 2, &["ids.u64"]);
    std::fs::remove_file(t.dir.path("ids.u64")).unwrap();
    // One path for two outputs.
    t.dir.write("keys.bin", &ids);
    let pipeline =
        b"version = 1\n[source]\npath = \"a.npy\"\n[[stage]]\ntype = \"ids\"\npath = \"keys.bin\"\n\
                     [sink]\ntype = \"raw_f32\"\npath = \"ids.u64\"\n";
    t.case_of(&["run", "-"], pipeline, 2, &["ids.u64"]);
    // The pipeline itself.
    let pipeline =
        b"version = 1\nsource = { path = \"a.npy\" }\nsink = { type = \"npy\", path = \"p.toml\" }\n";
    t.with("p.toml", pipeline, "run p.toml", 2, &["p.toml", "the output is an input"]);
    t.finish();
}

#[test]
fn statistics_and_hits_never_replace_what_was_read_or_written() {
    let mut t = Refusals::new();
    t.case("build-index -i a.npy -o o.hnsw --stats a.npy", 2, &["a.npy"]);
    t.case("build-index -i a.npy -o o.hnsw --stats o.hnsw", 2, &["o.hnsw"]);
    t.dir.ok("build-index -i a.npy -o i.hnsw");
    t.case("query -i i.hnsw -q a.npy -o a.npy", 2, &["a.npy", "the output is an input"]);
    t.case("query -i i.hnsw -q a.npy -o i.hnsw", 2, &["i.hnsw", "the output is an input"]);
    t.case("query -i i.hnsw -q a.npy --stats a.npy", 2, &["a.npy"]);
    t.case("query -i i.hnsw -q a.npy --stats i.hnsw", 2, &["i.hnsw"]);
    t.case("query -i i.hnsw -q a.npy -o hits --stats ./hits", 2, &["./hits", "one name"]);
    t.case("query -i i.hnsw -q a.npy --stats json", 2, &["hits and statistics", "--stats FILE"]);
    t.finish();
}

#[test]
fn statistics_that_cannot_be_written_are_found_out_before_the_work() {
    let mut t = Refusals::new();
    t.case("build-index -i a.npy -o o.hnsw --stats no/such/s.json", 2, &["no/such/s.json"]);
    std::fs::create_dir(t.dir.path("folder")).unwrap();
    t.case("build-index -i a.npy -o o.hnsw --stats folder", 2, &["folder"]);
    t.dir.ok("build-index -i a.npy -o i.hnsw");
    t.case("query -i i.hnsw -q a.npy -o no/such/hits", 2, &["no/such/hits"]);
    t.case("query -i i.hnsw -q a.npy --stats no/such/s.json", 2, &["no/such/s.json"]);
    t.finish();
}

#[test]
fn pipelines() {
    let mut t = Refusals::new();
    let mut case = |text: &str, says: &[&str]| {
        t.with("p.toml", text.as_bytes(), "run p.toml", 2, says);
    };
    let source = "[source]\npath = \"a.npy\"\n";
    let sink = "[sink]\ntype = \"hnsw\"\npath = \"o.hnsw\"\n";
    let head = format!("version = 1\n{source}");
    case(&format!("{source}{sink}"), &["p.toml:1:1: there is no `version`", "version = 1"]);
    case(&format!("version = 2\n{source}{sink}"), &["p.toml:1:11: written for version 2", "version 1"]);
    case(&format!("version = \"1\"\n{source}{sink}"), &["p.toml:1:11: ", "expected i64"]);
    case(&format!("version = 1\n{sink}"), &["p.toml:1:1: there is no `[source]`"]);
    case(&head, &["p.toml:1:1: there is no `[sink]`"]);
    case("", &["p.toml:1:1: there is no `version`"]);
    case(
        &format!("version = 1\nsorce = 1\n{source}{sink}"),
        &["p.toml:2:1: unknown key `sorce`", "did you mean `source`?"],
    );
    case(
        &format!("{head}dimension = 4\n{sink}"),
        &["p.toml:4:1: unknown option `dimension`", "did you mean `dim`?"],
    );
    case(
        &format!("{head}{sink}max_conections = 4\n"),
        &["p.toml:7:1: unknown option `max_conections`", "did you mean `m`?"],
    );
    case(
        &format!("{head}{sink}ef = 4\n"),
        &["p.toml:7:1: unknown option `ef`", "did you mean `ef_construction`?"],
    );
    case(
        &format!("{head}type = \"npyy\"\n{sink}"),
        &["p.toml:4:8: unknown source `npyy`", "did you mean `npy`?"],
    );
    case(
        &format!("{head}[sink]\ntype = \"hsnw\"\n"),
        &["p.toml:5:8: unknown sink `hsnw`", "did you mean `hnsw`?"],
    );
    case(
        &format!("{head}[[stage]]\ntype = \"normalise\"\n{sink}"),
        &["p.toml:5:8: unknown stage `normalise`", "did you mean `normalize`?"],
    );
    case(
        &format!("{head}[sink]\npath = \"o.hnsw\"\n"),
        &["p.toml:4:1: there is no `type`", "type = \"hnsw\""],
    );
    case(&format!("{head}[[stage]]\nnorm = \"l2\"\n{sink}"), &["p.toml:4:1: there is no `type`"]);
    case(&format!("{head}[sink]\ntype = \"hnsw\"\n"), &["p.toml:4:1: ", "missing field `path`"]);
    case(&format!("version = 1\n[source]\ndim = 4\n{sink}"), &["p.toml:2:1: ", "missing field `path`"]);
    case(&format!("{head}dim = \"4\"\n{sink}"), &["p.toml:4:7: invalid type", "string \"4\""]);
    case(&format!("{head}dim = 0\n{sink}"), &["p.toml:4:7: expected a dimension from 1 to 65536, found 0"]);
    case(&format!("{head}rows = \"a\"\n{sink}"), &["p.toml:4:8: expected rows such as `0..1000`, found `a`"]);
    case(&format!("{head}limit = -1\n{sink}"), &["p.toml:4:9: "]);
    case(&format!("{head}io = \"fast\"\n{sink}"), &["p.toml:4:6: ", "`fast`"]);
    case(&format!("{head}{sink}m = 1.5\n"), &["p.toml:7:5: invalid type", "1.5"]);
    case(&format!("{head}{sink}m = 1\n"), &["1", "2"]);
    case(&format!("{head}{sink}metric = \"manhattan\"\n"), &["p.toml:7:10: ", "found `manhattan`"]);
    case(&format!("{head}[[stage]]\ntype = \"normalize\"\nnorm = \"l3\"\n{sink}"), &["p.toml:6:8: ", "`l3`"]);
    case(
        &format!("{head}[stage]\ntype = \"normalize\"\n{sink}"),
        &["p.toml:4:1: expected stages as `[[stage]]`"],
    );
    case("version = 1\nsource = \"a.npy\"\n", &["p.toml:2:10: expected a table"]);
    case(
        &format!("version = 1\n[run]\nthreads = 100000\n{source}{sink}"),
        &["p.toml:3:11: expected up to 1024 threads, found 100000"],
    );
    case(
        &format!("version = 1\n[run]\nbatch_rows = 0\n{source}{sink}"),
        &["p.toml:3:14: expected batches of at least 1 row, found 0"],
    );
    case(
        &format!("version = 1\n[run]\nthread = 1\n{source}{sink}"),
        &["p.toml:3:1: unknown ", "`thread`", "did you mean `threads`?"],
    );
    case("version = \n", &["p.toml:1:11: "]);
    case(&format!("version = 1\nversion = 1\n{source}{sink}"), &["p.toml:2:1: duplicate key"]);
    case("version = 1\n[source\n", &["p.toml:2:8: "]);
    case(&format!("version = 1\nname = {}\n", "[".repeat(100_000)), &["p.toml:2:"]);
    t.dir.write("p.toml", b"version = 1\n# \xff\n");
    t.case("run p.toml", 2, &["p.toml: byte 14: expected TOML in UTF-8"]);
    t.dir.write("p.toml", vec![b' '; (1 << 20) + 1]);
    t.case("run p.toml", 2, &["p.toml: expected a pipeline of up to 1048576 bytes, found more"]);
    t.case("run a.npy", 2, &["a.npy: "]);
    t.case_of(&["run", "-"], b"version = 3\n", 2, &["standard input:1:11: written for version 3"]);
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

#[test]
fn indexes_that_are_none() {
    let mut t = Refusals::new();
    t.dir.ok("build-index -i a.npy -o i.hnsw");
    let good = t.dir.read("i.hnsw");
    let mut case = |name: &str, bytes: &[u8], says: &[&str]| {
        let says: Vec<&str> = std::iter::once(name).chain(says.iter().copied()).collect();
        t.with(name, bytes, &format!("query -i {name} -q a.npy"), 1, &says);
        t.with(name, bytes, &format!("info -i {name}"), 1, &says);
    };
    case("x.hnsw", b"", &["expected an index file"]);
    case("x.hnsw", b"garbage, and some more of it", &["byte 0: expected an index file"]);
    case("x.npy", &npy_f32(4, &values(1, 10, 4)), &["byte 0: expected an index file", "build-index"]);
    for length in [9, 100, 4000, good.len() / 2, good.len() - 1] {
        case("x.hnsw", &good[..length], &["x.hnsw: "]);
    }
    case("x.hnsw", &[good.as_slice(), b"x"].concat(), &["x.hnsw: "]);
    let mut flipped = good.clone();
    flipped[40] ^= 4;
    case("x.hnsw", &flipped, &["x.hnsw: "]);
    // Damage in the body is found by whoever reads the body.
    for at in [5000, good.len() - 200] {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        t.with("x.hnsw", &flipped, "query -i x.hnsw -q a.npy", 1, &["x.hnsw: "]);
    }
    for command in ["query -q a.npy", "info"] {
        t.case(&format!("{command} -i missing.hnsw"), 1, &["missing.hnsw: "]);
        t.case(&format!("{command} -i ."), 1, &[".: "]);
    }
    let mut nan = values(1, 10, 4);
    nan[13] = f32::NAN;
    t.with(
        "q.npy",
        &npy_f32(4, &nan),
        "query -i i.hnsw -q q.npy",
        1,
        &["q.npy: row 3, column 1: expected a finite value, found NaN"],
    );
    t.with("q.npy", b"", "query -i i.hnsw -q q.npy", 1, &["q.npy: byte 0"]);
    t.case("query -i i.hnsw -q missing.npy", 1, &["missing.npy: cannot open"]);
    t.finish();
}
