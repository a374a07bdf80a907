//! Word vectors of word2vec and GloVe: what is read, and what is refused.

use readers::arrow_array::StringArray;
use readers::conformance::check;
use readers::{BufferPool, Dataset, Error, Input, Io, Scan, detect};
use tempfile::tempdir;

use super::{assert_refused, bits, open, open_with, read};

fn words(dataset: &dyn Dataset) -> Vec<String> {
    let scan = Scan { rows: 0..dataset.info().rows.exact().unwrap(), batch_rows: 2 };
    let pool = BufferPool::new();
    let mut words = Vec::new();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool).unwrap() {
            let batch = batch.unwrap();
            let payload = batch.payload().unwrap();
            assert_eq!(Some(payload.schema()), dataset.info().payload);
            let column = payload.column_by_name("word").unwrap();
            let column = column.as_any().downcast_ref::<StringArray>().unwrap();
            words.extend(column.iter().map(|word| word.unwrap().to_owned()));
        }
    }
    words
}

fn binary(header: &str, rows: &[(&[u8], [f32; 2])], between: &[u8]) -> Vec<u8> {
    let mut file = header.as_bytes().to_vec();
    for (word, values) in rows {
        file.extend(*word);
        file.push(b' ');
        file.extend(super::le(values));
        file.extend(between);
    }
    file
}

const ROWS: [(&[u8], [f32; 2]); 3] =
    [(b"a", [1.0, 2.5]), (b",", [-3.0, 4e-3]), ("\u{e4}".as_bytes(), [5.0, 6.0])];

#[test]
fn words_and_vectors_of_every_kind() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a");
    let text = "a 1 2.5\n, -3 4e-3\n\u{e4} 5.0 6\n";
    for (format, bytes) in [
        ("glove", text.as_bytes().to_vec()),
        ("glove", text.replace('\n', " \r\n").into_bytes()),
        ("word2vec", format!("3 2\n{text}").into_bytes()),
        ("word2vec", format!("3 2\r\n{}", text.replace('\n', " \n")).into_bytes()),
        ("word2vec", binary("3 2\n", &ROWS, b"")),
        ("word2vec", binary("3 2\n", &ROWS, b"\n")),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(detect(&Input::new(&path)).unwrap().format.name, format);
        for io in [Io::Mmap, Io::Read] {
            let dataset = open(format, &Input { io, ..Input::new(&path) }).unwrap();
            assert_eq!(read(&*dataset, 2).unwrap(), bits(&[1.0, 2.5, -3.0, 4e-3, 5.0, 6.0]));
            assert_eq!(words(&*dataset), ["a", ",", "\u{e4}"]);
            let bare =
                open_with(format, "{ words = \"ignore\" }", &Input { io, ..Input::new(&path) }).unwrap();
            assert!(bare.info().payload.is_none());
        }
    }
}

#[test]
fn words_may_hold_spaces_and_numbers() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::write(&path, "2000 1 2\n. . . 3 4\nphone 12 5 6\nat name@domain.com 7 8\n").unwrap();
    let dataset = open("glove", &Input::new(&path)).unwrap();
    assert_eq!(words(&*dataset), ["2000", ". . .", "phone 12", "at name@domain.com"]);
    assert_eq!(read(&*dataset, 3).unwrap(), bits(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]));
    std::fs::write(&path, "1 2\n. . . 3 4\n").unwrap();
    assert_eq!(words(&*open("word2vec", &Input::new(&path)).unwrap()), [". . ."]);
}

#[test]
fn words_that_are_no_utf8() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a");
    let rows: [(&[u8], [f32; 2]); 2] = [(b"zee", [1.0, 2.0]), (b"ze\xc3", [3.0, 4.0])];
    for (format, bytes) in [
        ("glove", b"zee 1 2\nze\xc3 3 4\n".to_vec()),
        ("word2vec", b"2 2\nzee 1 2\nze\xc3 3 4\n".to_vec()),
        ("word2vec", binary("2 2\n", &rows, b"\n")),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let result = open(format, &Input::new(&path)).and_then(|data| read(&*data, 1));
        let line = "a: row 1: expected a word in UTF-8, found `ze\u{fffd}`";
        assert_refused(
            result,
            dir.path(),
            line,
            "say `words = \"ignore\"` in [source] to read the vectors only",
        );
        let dataset = open_with(format, "{ words = \"ignore\" }", &Input::new(&path)).unwrap();
        assert_eq!(read(&*dataset, 1).unwrap(), bits(&[1.0, 2.0, 3.0, 4.0]));
    }
}

#[test]
fn what_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a");
    let header = "the file was cut short, or put together without a new header: correct the header";
    let short = "the file was cut short: copy or save it again";
    let fast =
        "write its vectors as text: model.get_words() and model.get_word_vector(word), or use the .vec file";
    let cut = |bytes: &[u8], len: usize| bytes[..len].to_vec();
    let whole = binary("3 2\n", &ROWS, b"\n");
    for (format, bytes, line, help) in [
        (
            "word2vec",
            b"3 2\na 1 2\n".to_vec(),
            "byte 0: expected 3 rows, as the header says, found 1",
            header,
        ),
        (
            "word2vec",
            b"1 2\na 1 2\nb 1 2\n".to_vec(),
            "byte 0: expected 1 rows, as the header says, found 2",
            header,
        ),
        ("word2vec", cut(&whole, 26), "byte 0: expected 3 rows, as the header says, found 2", header),
        ("word2vec", cut(&whole, 20), "row 1: expected 8 bytes of values, found 3", short),
        (
            "word2vec",
            binary("2 2\n", &ROWS, b""),
            "byte 0: expected 2 rows, as the header says, found 3",
            header,
        ),
        (
            "word2vec",
            b"a 1 2\n".to_vec(),
            "byte 0: expected a header of rows and dimension, found `a 1 2`",
            "text without a header is --format glove",
        ),
        ("word2vec", b"2 0\na\n".to_vec(), "byte 0: expected a dimension from 1 to 65536, found 0", ""),
        ("word2vec", b"2 2\na 1 2\nb 1\n".to_vec(), "row 1: expected a word and 2 values, found 1", ""),
        ("word2vec", b"1 2\na 0.5 1 2\n".to_vec(), "row 0: expected a word and 2 values, found 3", ""),
        ("glove", b"a 1 2\nb 1 nan\n".to_vec(), "row 1, column 1: expected a number, found `nan`", ""),
        ("glove", b"a 1 2\nb inf 2\n".to_vec(), "row 1, column 0: expected a number, found `inf`", ""),
        (
            "glove",
            b"a 1 2\nb 1\nc 1 2\n".to_vec(),
            "row 1: expected a word and 2 values, as most rows have, found 1",
            "if the words of most rows hold spaces, give --dimension N",
        ),
        (
            "word2vec",
            b"2 2\na 1 2\nb inf 2\n".to_vec(),
            "row 1, column 0: expected a number, found `inf`",
            "",
        ),
        (
            "word2vec",
            b"2 2\na 1 2\nb 1 1e39\n".to_vec(),
            "row 1, column 1: expected a value that fits f32, found `1e39`",
            "",
        ),
        ("glove", b"words\n".to_vec(), "row 0: expected from 1 to 65536 values a row, found 0", ""),
        (
            "glove",
            b"".to_vec(),
            "expected at least one row, found none",
            "if a file without rows is meant, give --dimension N",
        ),
        (
            "word2vec",
            b"\xba\x16\x4f\x2f\x0c\0\0\0".to_vec(),
            "byte 0: expected vectors of word2vec or GloVe, found a model of fastText",
            fast,
        ),
        (
            "glove",
            b"FiFu\0\0\0\0".to_vec(),
            "byte 0: expected vectors of word2vec or GloVe, found a file of finalfusion",
            "turn it into word2vec: finalfusion convert -f finalfusion -t word2vec",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        for io in [Io::Mmap, Io::Read] {
            let result = open(format, &Input { io, ..Input::new(&path) }).and_then(|data| read(&*data, 1));
            assert_refused(result, dir.path(), &format!("a: {line}"), help);
        }
    }
    let refused = |bytes: &[u8]| -> Error {
        std::fs::write(&path, bytes).unwrap();
        readers::open(&Input::new(&path)).unwrap_err()
    };
    assert!(refused(b"FiFu\0\0\0\0").to_string().contains("found a file of finalfusion"));
    assert!(refused(b"\xba\x16\x4f\x2f").to_string().contains("found a model of fastText"));
    let endless = [b"1 2\n".as_slice(), &[7; 5000]].concat();
    std::fs::write(&path, endless).unwrap();
    let error = open("word2vec", &Input::new(&path)).unwrap_err().to_string();
    assert!(error.contains("row 0: expected a word of up to 4096 bytes and a space behind it"), "{error}");
}

#[test]
fn word_vectors_conform() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a");
    for bytes in
        [binary("3 2\n", &ROWS, b""), binary("3 2\n", &ROWS, b"\n"), b"3 2\na 1 2\nb c 3 4\nd 5 6\n".to_vec()]
    {
        std::fs::write(&path, bytes).unwrap();
        check("word2vec", &path, None);
    }
    std::fs::write(&path, "a 1 2\nb c 3 4\nd 5 6\n").unwrap();
    check("glove", &path, Some(2));
}
