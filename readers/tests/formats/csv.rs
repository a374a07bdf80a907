//! CSV: what is read, and what is refused.

use readers::conformance::check;
use readers::{BufferPool, Dataset, Input, Io, Scan, detect};
use tempfile::tempdir;

use super::{assert_refused, bits, open_with, read};

/// Values, ids, and what they are from.
type Opened = (Vec<f32>, Vec<u64>, Box<dyn Dataset>);

fn open_text(text: &str, options: &str) -> Result<Opened, readers::Error> {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.csv");
    std::fs::write(&path, text).unwrap();
    let dataset = open_with("csv", options, &Input::new(&path))?;
    let scan = Scan { rows: 0..dataset.info().rows.exact().unwrap(), batch_rows: 2 };
    let (pool, mut values, mut ids) = (BufferPool::new(), Vec::new(), Vec::new());
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool)? {
            let batch = batch?;
            values.extend_from_slice(batch.values());
            ids.extend((0..batch.rows()).map(|row| batch.ids().get(row)));
        }
    }
    Ok((values, ids, dataset))
}

#[test]
fn tables_of_every_kind() {
    for (text, options, dim, ids) in [
        ("1,2.5\n3,-4e0\n", "{}", 2, [0, 1]),
        ("1;2.5\r\n3;-4", "{}", 2, [0, 1]),
        ("\u{feff}1\t2.5\n\n3\t-4\n", "{}", 2, [0, 1]),
        ("1|2.5\n3|-4\n", "{}", 2, [0, 1]),
        ("1:2.5\n3:-4\n", "{ delimiter = \":\" }", 2, [0, 1]),
        ("a,b\n1,2.5\n3,-4\n", "{}", 2, [0, 1]),
        ("id,dim_0,dim_1\n8,1,2.5\n9,3,-4\n", "{}", 2, [8, 9]),
        ("ID,dim_1,text,dim_0,n\n8,2.5,a,1,7\n9,-4,\"b, \"\"c\"\"\nd\",3,7\n", "{}", 2, [8, 9]),
        // What pandas writes for a frame without names, with and without its index.
        (",0,1\n0,1,2.5\n1,3,-4\n", "{}", 2, [0, 1]),
        ("0,1\n1,2.5\n3,-4\n", "{ header = true }", 2, [0, 1]),
        ("x,y,n\n1,2.5,8\n3,-4,9\n", "{ id_column = \"n\" }", 2, [8, 9]),
        ("8,1,2.5\n9,3,-4\n", "{ id_column = \"0\" }", 2, [8, 9]),
        ("a_0,a_1,b_0,b_1\n0,0,1,2.5\n0,0,3,-4\n", "{ vector_column = \"b\" }", 2, [0, 1]),
        ("text,n,embedding\n\"a\nb\",5,\"[1, 2.5]\"\n\"\",5,\"[3,-4]\"\n", "{}", 2, [0, 1]),
        ("\"[1, 2.5]\"\n\"[3, -4]\"\n", "{}", 2, [0, 1]),
        ("id,v\n8,\"{1,2.5}\"\n9,\"{3,-4}\"\n", "{}", 2, [8, 9]),
        ("id\tv\n8\t[1 2.5]\n9\t[ 3.  -4.]\n", "{}", 2, [8, 9]),
        ("a,vector\n\"[0]\", \"[1,2.5]\"\n\"[0]\", \"[3,-4]\" \n", "{}", 2, [0, 1]),
        ("a,b\n\"[1,2.5]\",\"[0]\"\n\"[3,-4]\",\"[0]\"\n", "{ vector_column = \"a\" }", 2, [0, 1]),
        ("\"x\",\"y\"\n\"1\",\"2.5\"\n\"3\",\"-4\"\n", "{}", 2, [0, 1]),
    ] {
        let (values, found, dataset) = open_text(text, options).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(values, [1.0, 2.5, 3.0, -4.0], "{text}");
        assert_eq!((dataset.info().dim, found.as_slice()), (dim, ids.as_slice()), "{text}");
    }
    let (_, ids, dataset) = open_text("id,x\n,1\nb,2", "{}").unwrap();
    assert_eq!(ids, [0, 1]);
    let notes = [
        "the last line has no line end: if the file was cut short, its last value may be, too",
        "`id` is empty in the first row: rows have their numbers as ids",
    ];
    assert_eq!(dataset.info().notes, notes);
}

#[test]
fn what_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let header = "say `header = true` or `header = false` in [source] of a pipeline";
    let either = "expected names or values in the first record, found what may be either: ";
    let dims = "vectors of one file have one dimension: look at what wrote this row";
    let no_number = "if ids are texts, say so: id_type = \"text\" in [source]; where rows have none, rename the column, and rows have their row numbers";
    let cases = [
        (
            "",
            "{}",
            "expected at least one row, found none".to_owned(),
            "if a file without rows is meant, give --dimension N",
        ),
        (
            "a,b\n",
            "{}",
            "expected at least one row, found none".to_owned(),
            "if a file without rows is meant, give --dimension N",
        ),
        ("0,1,2\n1,2,3\n", "{}", format!("{either}`0`, `1`, `2`"), header),
        ("doc1,0.5,0.25\ndoc2,1,2\n", "{}", format!("{either}`doc1`, `0.5`, `0.25`"), header),
        ("0.5,nan\n1,2\n", "{}", format!("{either}`0.5`, `nan`"), header),
        ("a,b\n1,2\n1,nan\n", "{}", "row 1, column 1: expected a number, found `nan`".to_owned(), ""),
        (
            "a,b\n1,2\n1,1e39\n",
            "{}",
            "row 1, column 1: expected a value that fits f32, found `1e39`".to_owned(),
            "",
        ),
        ("a,b\n1,2\n,3\n", "{}", "row 1, column 0: expected a number, found nothing".to_owned(), ""),
        ("a,b\n1,2\n1,0x1\n", "{}", "row 1, column 1: expected a number, found `0x1`".to_owned(), ""),
        ("a,b\n1,2\n1\n", "{}", "row 1: expected 2 fields, as the first record has, found 1".to_owned(), ""),
        (
            "a,b\n1,2\n1,2,3\n",
            "{}",
            "row 1: expected 2 fields, as the first record has, found 3".to_owned(),
            "",
        ),
        ("a,b\n1,2,3\n", "{}", "row 0: expected 2 fields, as the header has, found 3".to_owned(), ""),
        (
            "v\n\"[1,2]\"\n\"[1,2,3]\"\n",
            "{}",
            "row 1: expected 2 values, as the first row has, found 3".to_owned(),
            dims,
        ),
        (
            "v\n\"[1,2]\"\n\"[1,...]\"\n",
            "{}",
            "row 1, column 1: expected a number, found `...`".to_owned(),
            "",
        ),
        (
            "v\n\"[1,2]\"\n\"\"\n",
            "{}",
            "row 1: expected a list of numbers in brackets, found nothing".to_owned(),
            "",
        ),
        (
            "v\n\"[1,2]\"\n\"[1,2]\"x\n",
            "{}",
            "row 1: expected a delimiter behind a field in quotes, found `x`".to_owned(),
            "",
        ),
        (
            "t,v\na,1\n\"b,2\n",
            "{}",
            "row 2: expected `\"` at the end of the field `\"b,2\\n`, found the end of the file".to_owned(),
            "a quote inside of a field is doubled, and the field is in quotes",
        ),
        (
            "t,u\na,b\n",
            "{}",
            "expected columns of numbers or a column of lists, found none".to_owned(),
            "the columns are `t`, `u`; look at the first row",
        ),
        (
            "t,u\n\"[1]\",\"[2]\"\n",
            "{}",
            "expected one column of lists, found 2".to_owned(),
            "name it with vector_column: `t`, `u`",
        ),
        (
            "t,u\n1,2\n",
            "{ vector_column = \"v\" }",
            "expected the column `v` of vector_column, found none of that name".to_owned(),
            "the columns are `t`, `u`",
        ),
        (
            "t,u\n1,2\n",
            "{ id_column = \"v\" }",
            "expected the column `v` of id_column, found none of that name".to_owned(),
            "the columns are `t`, `u`",
        ),
        (
            "t,u\n,2\n",
            "{ id_column = \"t\" }",
            "expected an id, found nothing in `t`".to_owned(),
            "leave id_column away: rows then have their row numbers",
        ),
        (
            "id,u\n1,2\n-1,3\n",
            "{}",
            "row 1: expected a whole number of at least 0 as id, found `-1`".to_owned(),
            no_number,
        ),
        (
            "id,u\n1,2\nx,3\n",
            "{ id_type = \"u64\" }",
            "row 1: expected a whole number of at least 0 as id, found `x`".to_owned(),
            no_number,
        ),
        (
            "id,u\n1,2\n18446744073709551616,3\n",
            "{}",
            "row 1: expected a whole number of at least 0 as id, found `18446744073709551616`".to_owned(),
            no_number,
        ),
        (
            "id,u\na,2\n,3\n",
            "{}",
            "row 1: expected an id, found an empty text".to_owned(),
            "give every row an id, or rename the column: rows then have their row numbers",
        ),
        (
            "u,a,a\n1,x,y\n",
            "{ vector_column = \"u\", payload = \"all\" }",
            "expected another name for each further column, found `a` twice".to_owned(),
            "say which are wanted: payload = [\"NAME\"] or payload = \"none\" in [source]",
        ),
        (
            "u,a\n1,x\n",
            "{ payload = [\"b\"] }",
            "expected the column `b` of payload, found none of that name".to_owned(),
            "name keys or columns that the file has",
        ),
        (
            "1,2\n",
            "{ delimiter = \"1\" }",
            "expected a delimiter such as `,` or `;`, found `1`".to_owned(),
            "",
        ),
    ];
    for (text, options, line, help) in cases {
        std::fs::write(&path, text).unwrap();
        for io in [Io::Mmap, Io::Read] {
            let result = open_with("csv", options, &Input { io, ..Input::new(&path) })
                .and_then(|data| read(&*data, 1));
            assert_refused(result, dir.path(), &format!("a.csv: {line}"), help);
        }
    }
}

#[test]
fn csv_is_detected_by_its_lines() {
    let dir = tempdir().unwrap();
    for (name, text) in [
        ("a.csv", "1,2"),
        ("a.tsv", "1\t2"),
        ("a.txt", "a,b\n1,2\n"),
        ("a", "text,embedding\nx,\"[1, 2]\"\n"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        assert_eq!(detect(&Input::new(&path)).unwrap().format.name, "csv", "{name}");
    }
    let path = dir.path().join("prose");
    std::fs::write(&path, "some words, and more\nand a line, more\n").unwrap();
    assert!(detect(&Input::new(&path)).is_err());
}

#[test]
fn csv_conforms() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.csv");
    std::fs::write(&path, "id,dim_0,dim_1\n1,2,3\n\n4,5,6\r\n7,8,9\n").unwrap();
    check("csv", &path, None);
    let rows = (0..9).map(|row| format!("\"a\"\"{row}\n,\",\"[{row}, 1]\"\n"));
    std::fs::write(&path, "text,v\n".to_owned() + &rows.collect::<String>()).unwrap();
    check("csv", &path, Some(2));
    // Several blocks, and quotes over their borders.
    let text: String = (0..3000u16).map(|row| format!("\"{},\n\",{row},1\n", "\"\"x".repeat(300))).collect();
    std::fs::write(&path, "t,a,b\n".to_owned() + &text).unwrap();
    let expected: Vec<f32> = (0..3000u16).flat_map(|row| [f32::from(row), 1.0]).collect();
    for io in [Io::Mmap, Io::Read] {
        let dataset = open_with("csv", "{}", &Input { io, ..Input::new(&path) }).unwrap();
        assert_eq!(read(&*dataset, 100).unwrap(), bits(&expected));
    }
}
