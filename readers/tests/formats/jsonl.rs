//! JSON Lines: what is read, and what is refused.

use readers::conformance::check;
use readers::{BufferPool, Dataset, Error, ErrorKind, Input, Io, Scan, Score, detect};
use tempfile::tempdir;

use super::{assert_refused, bits, open, open_with, read};

fn open_text(text: impl AsRef<[u8]>, options: &str) -> Result<(Vec<u32>, Box<dyn Dataset>), Error> {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    std::fs::write(&path, text).unwrap();
    let dataset = open_with("jsonl", options, &Input::new(&path))?;
    Ok((read(&*dataset, 2)?, dataset))
}

fn values(text: impl AsRef<[u8]>, options: &str) -> Vec<f32> {
    open_text(text, options).unwrap().0.into_iter().map(f32::from_bits).collect()
}

fn ids(dataset: &dyn Dataset) -> Vec<u64> {
    let (pool, scan) =
        (BufferPool::new(), Scan { rows: 0..dataset.info().rows.exact().unwrap(), batch_rows: 2 });
    let mut ids = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool).unwrap() {
            let batch = batch.unwrap();
            ids.extend((0..batch.rows()).map(|row| batch.ids().get(row)));
        }
    }
    ids
}

#[test]
fn lines_of_every_kind() {
    let two = [0.5, -1.25, 3e-5, 4.0];
    for text in [
        "[0.5, -1.25]\n[3e-5, 4]\n",
        "[0.5,-1.25]\n[3E-05,4.0]",
        "\u{feff}[0.5, -1.25]\r\n\r\n  \n [ 3e-5 ,\t4 ] \r\n\n",
        "{\"vector\": [0.5, -1.25]}\n{\"vector\": [3e-5, 4], \"more\": {\"a\": [[], {}, \"]}\\\"\", NaN, null]}}\n",
        "{\"a\": 1, \"x_embedding\": [0.5, -1.25], \"other\": [1, 2]}\n{\"x_embedding\": [3e-5, 4]}\n",
        "{\"v\": [0.5, -1.25], \"t\": [\"a\"], \"e\": []}\n{\"t\": 0, \"v\": [3e-5, 4]}\n",
        "{\"\\u0076\\\"\": [0.5, -1.25]}\n{\"v\\u0022\": [3e-5, 4]}\n",
        // f32 values in base64.
        "{\"embedding\": \"AAAAPwAAoL8=\"}\n{\"embedding\": [3e-5, 4]}\n",
    ] {
        assert_eq!(values(text, "{}"), two, "{text}");
    }
    let batch = "{\"custom_id\": 7, \"response\": {\"body\": {\"data\": [{\"embedding\": [1, 2]}], \"embedding\": [8]}}}\n";
    let options = "{ vector_column = \"response.body.data.0.embedding\", id_column = \"custom_id\" }";
    let (values, dataset) = open_text(batch, options).unwrap();
    assert_eq!(values, bits(&[1.0, 2.0]));
    assert!(dataset.info().ids.is_some());
    // A key may have dots of its own.
    assert_eq!(
        self::values("{\"a.b\": [1, 2], \"a\": {\"b\": [3]}}\n", "{ vector_column = \"a.b\" }"),
        [1.0, 2.0]
    );
}

/// Halfway cases that go wrong when they are rounded to f64 first, and the ends of the range.
#[test]
fn values_are_rounded_once() {
    let texts = [
        "1.000000178813934326171875",
        "1.00000017881393432617187499",
        "1.00000017881393432617187501",
        "16777217.0",
        "16777217.0000001",
        "3.4028235e38",
        "1e-46",
        "-0.0",
        "0",
        "1.17549435e-38",
        "0.1",
    ];
    let text = format!("[{}]\n", texts.join(","));
    let expected: Vec<f32> = texts.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(open_text(text, "{}").unwrap().0, bits(&expected));
}

#[test]
fn ids_are_found() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    std::fs::write(&path, "{\"id\": 18446744073709551615, \"v\": [1]}\n{\"v\": [2], \"id\": 0}\n").unwrap();
    let dataset = open("jsonl", &Input::new(&path)).unwrap();
    assert_eq!(ids(&*dataset), [u64::MAX, 0]);
    let dataset = open("jsonl", &Input { own_ids: false, ..Input::new(&path) }).unwrap();
    assert_eq!((ids(&*dataset), dataset.info().ids), (vec![0, 1], None));
    for id in ["-1", "1.5", "null", "18446744073709551616"] {
        let text = format!("{{\"_id\": {id}, \"v\": [1]}}\n{{\"_id\": 5, \"v\": [2]}}\n");
        std::fs::write(&path, text).unwrap();
        let dataset = open("jsonl", &Input::new(&path)).unwrap();
        assert_eq!(ids(&*dataset), [0, 1]);
        let notes = [
            "`_id` is neither a whole number nor a string: rows have their numbers as ids",
            "further columns are left out: `_id`",
        ];
        assert_eq!(dataset.info().notes, notes);
        let error = open_with("jsonl", "{ id_column = \"_id\" }", &Input::new(&path)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Request);
        assert!(
            error.to_string().contains("expected a whole number of at least 0 or a string as id"),
            "{error}"
        );
    }
}

#[test]
fn what_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let lines = "turn it into JSON Lines: jq -c '.[]' a.json > a.jsonl";
    let pretty = "if the JSON is spread over lines, turn it into JSON Lines: jq -c . a.json > a.jsonl";
    let one_a_line = "write one JSON value a line: jq -c .";
    let dims = "vectors of one file have one dimension: look at what wrote this row";
    for (text, line, help) in [
        ("", "expected at least one row, found none", "if a file without rows is meant, give --dimension N"),
        ("[[1, 2], [3, 4]]", "row 0: expected one JSON value a line, found one array over all lines", lines),
        ("[\n[1, 2]\n]", "row 0: expected one JSON value a line, found one array over all lines", lines),
        ("[{\"v\": [1]},\n", "row 0: expected one JSON value a line, found one array over all lines", lines),
        (
            "{\n  \"v\": [1]\n}\n",
            "row 0: expected one JSON value a line, found a line that ends inside of one",
            pretty,
        ),
        ("[1]\n[2][3]\n", "row 1: expected the end of the line, found an array", one_a_line),
        ("[1]\n{\"v\": [2]}\n", "row 1: expected an array of numbers, found an object", ""),
        ("{\"v\": [1]}\n[2]\n", "row 1: expected a vector at `v`, found none", ""),
        ("[1, 2]\n[3]\n", "row 1: expected 2 values, as the first row has, found 1", dims),
        ("[1, 2]\n[3, 4, 5]\n", "row 1: expected 2 values, as the first row has, found 3", dims),
        ("[1, 2]\n[3, NaN]\n", "row 1, column 1: expected a number, found `NaN`", ""),
        ("[1, -Infinity]\n", "row 0, column 1: expected a number, found `-Infinity`", ""),
        ("[1, 2]\n[inf, 2]\n", "row 1, column 0: expected a number, found `inf`", ""),
        ("[1, 2]\n[1e400, 2]\n", "row 1, column 0: expected a value that fits f32, found `1e400`", ""),
        ("[1, 2]\n[1, -3.5e38]\n", "row 1, column 1: expected a value that fits f32, found `-3.5e38`", ""),
        ("[1, 2]\n[1, null]\n", "row 1, column 1: expected a number, found `null`", ""),
        ("[1, 2]\n[1, \"2\"]\n", "row 1, column 1: expected a number, found `\"2\"]`", ""),
        ("[1, 2]\n[1, [2]]\n", "row 1, column 1: expected a number, found an array", ""),
        ("[1, 2]\n[01, 2]\n", "row 1, column 0: expected a number, found `01`", ""),
        ("[1, 2]\n[+1, 2]\n", "row 1, column 0: expected a number, found `+1`", ""),
        ("[1, 2]\n[1., 2]\n", "row 1, column 0: expected a number, found `1.`", ""),
        ("[1, 2]\n[1, ]\n", "row 1, column 1: expected a number, found `]`", ""),
        ("[1, 2]\n[1, 2\n", "row 1, column 2: expected `,` or `]`, found the end of the line", ""),
        ("[]\n", "row 0: expected from 1 to 65536 values a row, found 0", ""),
        ("{\"v\": [1]}\n{\"v\": [1], \"v\": [2]}\n", "row 1: expected one vector at `v`, found two", ""),
        ("{\"v\": [1]}\n{\"w\": [1]}\n", "row 1: expected a vector at `v`, found none", ""),
        (
            "{\"embedding\": \"AAAAPwAAoL8=\"}\n{\"embedding\": \"AAA\"}\n",
            "row 1: expected an array of numbers, or f32 values in base64, found `AAA`",
            "",
        ),
        (
            "{\"v\": \"text\"}\n",
            "row 0: expected one key whose value is an array of numbers, found none",
            "name it with vector_column: there are none in the first line",
        ),
        (
            "{\"a\": [1], \"b\": [2]}\n",
            "row 0: expected one key whose value is an array of numbers, found 2",
            "name it with vector_column: `a`, `b`",
        ),
        (
            "{\"a\": {\"b\": [[1], [2]]}}\n",
            "row 0: expected one key whose value is an array of numbers, found none",
            "name it with vector_column: `a.b.0`, `a.b.1`",
        ),
        (
            "\"text\"\n",
            "row 0: expected one key whose value is an array of numbers, found none",
            "name it with vector_column: there are none in the first line",
        ),
        ("text\n", "row 0: expected an array of numbers, or an object that holds one, found `text`", ""),
    ] {
        std::fs::write(&path, text).unwrap();
        for io in [Io::Mmap, Io::Read] {
            let result = open("jsonl", &Input { io, ..Input::new(&path) }).and_then(|data| read(&*data, 1));
            assert_refused(result, dir.path(), &format!("a.jsonl: {line}"), help);
        }
    }
    std::fs::write(&path, "[1, 2]\n").unwrap();
    let result = open("jsonl", &Input { dim: Some(3), ..Input::new(&path) });
    let line = "a.jsonl: row 0: expected dimension 3, as asked for, found 2";
    assert_refused(result, dir.path(), line, "leave --dimension away: the file says it");
    std::fs::write(&path, format!("{{\"v\": [1], \"x\": {}}}\n", "[".repeat(1000))).unwrap();
    let error = open("jsonl", &Input::new(&path)).unwrap_err().to_string();
    assert!(error.contains("expected up to 64 arrays and objects in each other"), "{error}");
}

#[test]
fn detection_is_by_the_first_bytes() {
    let dir = tempdir().unwrap();
    for (name, text) in [("a.jsonl", "[1]"), ("a.json", "{\"v\": [1]}"), ("a", " [0.5]"), ("b.ndjson", "[1]")]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        assert_eq!(detect(&Input::new(&path)).unwrap().format.name, "jsonl", "{name}");
    }
    let probe = |head| readers::Probe { head, len_bytes: 100, path: "a".as_ref(), dim: None };
    let jsonl = readers::format_called("ndjson").unwrap();
    assert_eq!((jsonl.probe)(&probe(b"{0}")), Score::No);
}

#[test]
fn jsonl_conforms() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let mut text = String::new();
    for row in 0u16..23 {
        let value = f32::from(row) * 0.37 - 3.0;
        text += &format!("{{\"id\": {}, \"text\": \"a\\\"b\", \"emb\": [{value}, {row}, -1e-3]}}\n", row * 7);
        text += if row % 5 == 0 { "\r\n" } else { "" };
    }
    std::fs::write(&path, &text).unwrap();
    check("jsonl", &path, None);
    std::fs::write(&path, "[0.25, 1]\n[3, 4]\n[5e0, 6]").unwrap();
    check("jsonl", &path, None);
    check("jsonl", &path, Some(2));
    std::fs::write(&path, "").unwrap();
    check("jsonl", &path, Some(2));
}

/// More than one block, so that pieces are several.
#[test]
fn blocks_are_joined() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let rows: u16 = 5000;
    let line = |row: u16| {
        format!("{{\"_id\": {row}, \"v\": [{row}, {}], \"t\": \"{}\"}}\n", row / 3, "x".repeat(500))
    };
    std::fs::write(&path, (0..rows).map(line).collect::<String>()).unwrap();
    let expected: Vec<f32> = (0..rows).flat_map(|row| [f32::from(row), f32::from(row / 3)]).collect();
    for io in [Io::Mmap, Io::Read] {
        let dataset = open("jsonl", &Input { io, ..Input::new(&path) }).unwrap();
        assert_eq!(read(&*dataset, 300).unwrap(), bits(&expected));
        assert_eq!(ids(&*dataset), (0..u64::from(rows)).collect::<Vec<_>>());
        let scan = Scan { rows: 100..4999, batch_rows: 300 };
        assert!(dataset.pieces(&scan).len() > 2);
    }
    // One row may be larger than a block.
    let long = format!("{{\"v\": [1, 2], \"t\": \"{}\"}}\n{{\"v\": [3, 4]}}\n", "y".repeat(3 << 20));
    std::fs::write(&path, long).unwrap();
    for io in [Io::Mmap, Io::Read] {
        let dataset = open("jsonl", &Input { io, ..Input::new(&path) }).unwrap();
        assert_eq!(read(&*dataset, 300).unwrap(), bits(&[1.0, 2.0, 3.0, 4.0]));
    }
}
