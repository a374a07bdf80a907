//! Further columns of texts: their types, their values, and what is refused.

use std::path::Path;

use readers::arrow_array::cast::AsArray;
use readers::arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use readers::arrow_array::{Array, ArrayRef};
use readers::arrow_schema::DataType;
use readers::{BufferPool, Error, Input, Scan};
use tempfile::tempdir;

use super::{open_with, read};

/// One value for people: its type is seen by how it is written.
fn shown(column: &ArrayRef, row: usize) -> String {
    if column.is_null(row) {
        return "-".to_owned();
    }
    match column.data_type() {
        DataType::Int64 => format!("i{}", column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => format!("u{}", column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float64 => format!("f{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Utf8 => format!("'{}'", column.as_string::<i32>().value(row)),
        other => panic!("{other}"),
    }
}

/// The columns as `name: value value`, in order.
fn columns(format: &str, options: &str, input: &Input, batch_rows: usize) -> Result<Vec<String>, Error> {
    let dataset = open_with(format, options, input)?;
    let info = dataset.info();
    let (pool, scan) = (BufferPool::new(), Scan { rows: 0..info.rows.exact().unwrap(), batch_rows });
    let Some(schema) = info.payload.clone() else { return read(&*dataset, batch_rows).map(|_| Vec::new()) };
    let mut found: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| {
            let is_json = field.metadata().get("ARROW:extension:name").is_some();
            format!("{}{}:", field.name(), if is_json { " (json)" } else { "" })
        })
        .collect();
    for piece in dataset.pieces(&scan) {
        for batch in dataset.read(&scan, &piece, &pool)? {
            let batch = batch?;
            let payload = batch.payload().unwrap();
            assert_eq!(payload.schema(), schema);
            for (text, column) in found.iter_mut().zip(payload.columns()) {
                (0..payload.num_rows()).for_each(|row| *text += &format!(" {}", shown(column, row)));
            }
        }
    }
    Ok(found)
}

fn of_text(format: &str, options: &str, path: &Path, text: &str) -> Result<Vec<String>, Error> {
    std::fs::write(path, text).unwrap();
    let input = Input { payload: true, ..Input::new(path) };
    let found = columns(format, options, &input, 1)?;
    assert_eq!(columns(format, options, &input, 100)?, found);
    Ok(found)
}

#[test]
fn types_are_those_of_all_lines() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let text = r#"{"id":"x","v":[1],"n":1,"f":1,"b":true,"t":"a\u00e4","m":1,"o":{"a":[1, 2]},"big":1}
{"f":0.1,"n":-2,"new":null,"m":"x","v":[2],"id":"y","big":18446744073709551615,"t":null}
{"v":[3],"id":"z","late":"","m":[1],"o":null,"b":false,"big":2}
"#;
    let all = [
        "n: i1 i-2 -",
        "f: f1.0 f0.1 -",
        "b: true - false",
        "t: 'a\u{e4}' - -",
        "m (json): '1' '\"x\"' '[1]'",
        "o (json): '{\"a\":[1, 2]}' - -",
        "big: u1 u18446744073709551615 u2",
        "new: - - -",
        "late: - - ''",
    ];
    assert_eq!(of_text("jsonl", "{}", &path, text).unwrap(), all);
    assert_eq!(of_text("jsonl", "{ payload = ['t', 'n'] }", &path, text).unwrap(), [all[0], all[3]]);
    assert_eq!(of_text("jsonl", "{ payload = 'none' }", &path, text).unwrap(), [""; 0]);

    let text = "id,v_0,v_1,n,f,b,t,m,z,big\n\
                a,1,2,1,1,true,x,1,007,1\n\
                b,1,2,,0.5,,\"\",x,1,9223372036854775808\n\
                c,1,2,-3,-0,false,,,,\n";
    let all = [
        "n: i1 - i-3",
        "f: f1.0 f0.5 f-0.0",
        "b: true - false",
        "t: 'x' '' -",
        "m: '1' 'x' -",
        "z: '007' '1' -",
        "big: u1 u9223372036854775808 -",
    ];
    let path = dir.path().join("a.csv");
    assert_eq!(of_text("csv", "{}", &path, text).unwrap(), all);
    assert_eq!(of_text("csv", "{ payload = ['m', 'n'] }", &path, text).unwrap(), [all[0], all[4]]);
}

/// Nothing is read where nobody wants it, and a person can hear of it.
#[test]
fn what_nobody_wants_is_left_out() {
    let dir = tempdir().unwrap();
    for (name, text) in [
        ("a.jsonl", "{\"v\":[1],\"t\":\"a\",\"o\":{\"p\":1,\"q\":2}}\n"),
        ("a.csv", "t,v_0,v_1,o\na,1,2,b\n"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let format = &name[2..];
        let dataset = open_with(format, "{}", &Input::new(&path)).unwrap();
        assert_eq!(dataset.info().payload, None);
        assert_eq!(dataset.info().notes, ["further columns are left out: `t`, `o`"]);
        let dataset = open_with(format, "{ payload = 'none' }", &Input::new(&path)).unwrap();
        assert_eq!((dataset.info().payload.clone(), dataset.info().notes.len()), (None, 0));
        let dataset = open_with(format, "{ payload = 'all' }", &Input::new(&path)).unwrap();
        assert_eq!(dataset.info().payload.as_ref().unwrap().fields().len(), 2);
    }
}

#[test]
fn what_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let keys: String = (0..4097).map(|key| format!("\"k{key}\":1,")).collect();
    for (options, text, line) in [
        (
            "{}",
            "{\"v\":[1],\"a\":1}\n{\"a\":1,\"v\":[2],\"a\":2}\n",
            "row 1: expected the key `a` once, found it twice",
        ),
        (
            "{ payload = ['b'] }",
            "{\"v\":[1],\"a\":1}\n",
            "expected the column `b` of payload, found none of that name",
        ),
        (
            "{}",
            "{\"v\":[1]}\n{\"v\":[1],\"a\":\"\\ud800\"}\n",
            "row 1: expected a string of JSON, found `\\\\ud800`",
        ),
        ("{}", "{\"v\":[1]}\n{\"v\":[1],\"a\":}\n", "row 1: expected a value, found `}`"),
        ("{}", &format!("{{{keys}\"v\":[1]}}\n"), "expected up to 4096 further columns, found more"),
    ] {
        let error = of_text("jsonl", options, &path, text).unwrap_err();
        assert_eq!(error.to_string(), format!("{}: {line}", path.display()));
    }
}

/// Several blocks, and a type that the last row decides.
#[test]
fn blocks_agree() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.jsonl");
    let rows = 4000;
    let line = |row: i32| match row {
        3999 => "{\"v\":[1,2],\"n\":0.5}\n".to_owned(),
        row => format!("{{\"v\":[1,2],\"t\":\"{}\",\"n\":{row}}}\n", "x".repeat(600)),
    };
    let found = of_text("jsonl", "{}", &path, &(0..rows).map(line).collect::<String>()).unwrap();
    let numbers: Vec<&str> = found[1].split(' ').collect();
    assert_eq!((numbers[1], numbers[3999], numbers[4000]), ("f0.0", "f3998.0", "f0.5"));
    assert!(found[0].ends_with("x' -"));
}
