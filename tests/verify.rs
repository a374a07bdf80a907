//! Two sources compared row by row.

use crate::util::{Dir, ids_bytes, le_bytes, npy_f32, values};

fn dir() -> Dir {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(8, &values(1, 500, 8)));
    dir
}

fn jsonl(rows: &[(&str, [f32; 2], &str)]) -> String {
    let line = |(id, [x, y], title): &(&str, [f32; 2], &str)| {
        format!("{{\"id\": {id}, \"vector\": [{x}, {y}], \"title\": \"{title}\"}}\n")
    };
    rows.iter().map(line).collect()
}

#[test]
fn what_was_converted_is_equal() {
    let dir = dir();
    for to in
        ["b.parquet", "b.arrow", "b.arrows", "b.fvecs", "b.fbin", "b.csv", "b.jsonl", "b.npy.zst", "b.f32"]
    {
        dir.ok(&format!("convert -i a.npy -o {to}"));
        let output = dir.ok(&format!("verify a.npy {to}"));
        assert_eq!((output.text(), output.stderr.as_str()), ("equal: 500 rows x 8\n", ""), "{to}");
    }
    // However the two are cut into files.
    dir.ok("convert -i a.npy -o part_1.npy --rows 0..123");
    dir.ok("convert -i a.npy -o part_2.fvecs --rows 123..500");
    assert_eq!(dir.ok("verify part_* b.parquet").text(), "equal: 500 rows x 8\n");
    dir.write("bare.f32", le_bytes(&values(1, 500, 8)));
    dir.ok("verify bare.f32 a.npy --dimension 8 --format-a raw_f32 --format-b npy");
    assert_eq!(crate::util::output(dir.command("verify - b.fbin"), &dir.read("a.npy")).code, Some(0));
}

#[test]
fn the_first_difference_is_named() {
    let dir = dir();
    let mut other = values(1, 500, 8);
    other[42 * 8 + 5] += 0.25;
    other[77 * 8] = f32::NAN;
    other[400 * 8 + 1] -= 0.5;
    dir.write("b.npy", npy_f32(8, &other));
    let output = dir.run("verify a.npy b.npy");
    assert_eq!((output.code, output.text()), (Some(1), ""));
    let message = &output.stderr;
    assert!(message.contains("a.npy and b.npy differ: 3 of 500 rows; first row 42, value 5: "), "{message}");
    assert!(message.contains("in a.npy (row 42)") && message.contains("in b.npy (row 42)"), "{message}");
    assert!(message.contains("the largest difference of values is 5e-1 in row 400"), "{message}");
    assert!(message.contains("--tolerance EPS"), "{message}");

    let output = dir.run("verify a.npy b.npy --json");
    assert_eq!(output.code, Some(1));
    let json = output.json();
    assert_eq!((&json["equal"], &json["differing_rows"]), (&false.into(), &3.into()), "{json}");
    assert_eq!((&json["first"]["row"], &json["first"]["what"]), (&42.into(), &"value 5".into()), "{json}");
    assert_eq!(json["first"]["b"]["file"], "b.npy");

    // NaN stays a difference, however much is allowed.
    let output = dir.run("verify a.npy b.npy --tolerance 0.5");
    assert!(output.stderr.contains("1 of 500 rows; first row 77"), "{}", output.stderr);
    dir.ok("verify b.npy b.npy");
}

#[test]
fn rows_and_dimensions_have_to_agree() {
    let dir = dir();
    dir.ok("convert -i a.npy -o b.npy --limit 499");
    dir.write("c.npy", npy_f32(4, &values(1, 1000, 4)));
    for (words, expected) in [
        ("verify a.npy b.npy", "differ: 500 and 499 rows; the 499 that both have are equal"),
        ("verify b.npy a.npy", "differ: 499 and 500 rows; the 499 that both have are equal"),
        ("verify a.npy c.npy", "differ: dimension 8 and 4"),
    ] {
        let output = dir.run(words);
        assert_eq!(output.code, Some(1), "{words}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{words}: {}", output.stderr);
        let json = dir.run(&format!("{words} --json")).json();
        assert_eq!(json["equal"], false);
    }
}

#[test]
fn values_are_equal_as_numbers_or_nearly() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(3, &[0.0, f32::NAN, 1000.0]));
    dir.write("b.npy", npy_f32(3, &[-0.0, f32::from_bits(0x7fc0_0001), 1000.0]));
    assert_eq!(dir.ok("verify a.npy b.npy").text(), "equal: 1 row x 3\n");
    dir.write("c.npy", npy_f32(3, &[0.0005, f32::NAN, 1000.5]));
    assert_eq!(dir.run("verify a.npy c.npy").code, Some(1));
    let output = dir.ok("verify a.npy c.npy --tolerance 0.001");
    assert_eq!(output.text(), "equal: 1 row x 3; the largest difference is 5e-1 in row 0\n");
    assert_eq!(dir.run("verify a.npy c.npy --tolerance 0.0001").code, Some(1));
    // Infinity is near to nothing.
    dir.write("d.npy", npy_f32(3, &[0.0, f32::NAN, f32::INFINITY]));
    assert_eq!(dir.run("verify a.npy d.npy --tolerance 1").code, Some(1));
    for bad in ["-1", "nan", "inf", "x"] {
        assert_eq!(dir.run(&format!("verify a.npy c.npy --tolerance={bad}")).code, Some(2));
    }
}

#[test]
fn ids_and_columns_are_compared() {
    let dir = Dir::new();
    let rows = [("7", [1.0, 2.0], "x"), ("9", [3.0, 4.0], "y")];
    dir.write("a.jsonl", jsonl(&rows));
    for to in ["a.parquet", "a.csv", "a.arrow"] {
        dir.ok(&format!("convert -i a.jsonl -o {to}"));
        assert_eq!(dir.ok(&format!("verify a.jsonl {to}")).text(), "equal: 2 rows x 2, ids, column title\n");
    }
    dir.write("ids.jsonl", jsonl(&[rows[0], ("8", rows[1].1, "y")]));
    let output = dir.run("verify a.parquet ids.jsonl");
    assert!(output.stderr.contains("1 of 2 rows; first row 1, id: 9 in a.parquet (row 1), 8 in ids.jsonl"));
    dir.ok("verify a.parquet ids.jsonl --ids no");
    dir.write("titles.jsonl", jsonl(&[("7", rows[0].1, "z"), rows[1]]));
    let output = dir.run("verify a.parquet titles.jsonl");
    let expected = "first row 0, column title: x in a.parquet (row 0), z in titles.jsonl (row 0)";
    assert!(output.stderr.contains(expected), "{}", output.stderr);
    // Ids that are the same written as texts.
    dir.write("texts.jsonl", jsonl(&[("\"7\"", rows[0].1, "x"), ("\"9\"", rows[1].1, "y")]));
    dir.ok("verify a.parquet texts.jsonl");
    // Ids on one side are worth a word unless they are row numbers.
    dir.ok("convert -i a.jsonl -o a.npy");
    let output = dir.ok("verify a.npy a.parquet");
    assert_eq!(output.text(), "equal: 2 rows x 2\n");
    assert!(output.stderr.contains("only a.parquet has ids"), "{}", output.stderr);
    dir.write("b.f32", le_bytes(&[1.0, 2.0, 3.0, 4.0]));
    dir.write("ids.u64", ids_bytes(&[0, 1]));
    let output = dir.ok("verify a.npy b.f32 -d 2");
    assert_eq!(output.stderr, "");
    // Columns of kinds that are not alike are not passed over in silence.
    dir.write("numbers.jsonl", jsonl(&rows).replace("\"x\"", "1").replace("\"y\"", "2"));
    let output = dir.ok("verify a.parquet numbers.jsonl");
    assert!(
        output.stderr.contains("column title is Utf8 in a.parquet, Int64 in numbers.jsonl"),
        "{}",
        output.stderr
    );
}

#[test]
fn what_is_no_source_is_refused() {
    let dir = dir();
    // An index is one.
    dir.ok("build-index -i a.npy -o a.hnsw");
    dir.ok("verify a.npy a.hnsw");
    for (words, expected) in [
        ("verify - -", "expected standard input once"),
        ("verify a.npy a.npy --format-b exec", "found exec: a program"),
        ("verify a.npy a.npy --format-b fvecs", "expected fvecs, found npy"),
        ("verify a.npy b.*", "expected files that match this pattern"),
    ] {
        let output = dir.run(words);
        assert_eq!((output.code, output.text()), (Some(2), ""), "{words}: {}", output.stderr);
        assert!(output.stderr.contains(expected), "{words}: {}", output.stderr);
    }
    assert_eq!(dir.run("verify a.npy none.npy").code, Some(1));
}

#[test]
fn columns_are_named_where_there_are_several() {
    let dir = Dir::new();
    let row = |at: usize| format!("{{\"a\": [{at}, 1], \"b\": [{at}, 2]}}\n");
    dir.write("two.jsonl", (0..5).map(row).collect::<String>());
    dir.ok("convert -i two.jsonl --vector-column b -o b.npy");
    assert_eq!(dir.run("verify two.jsonl b.npy").code, Some(2));
    dir.ok("verify two.jsonl b.npy --vector-column b");
    assert_eq!(dir.run("verify two.jsonl b.npy --vector-column a").code, Some(1));
    let output = dir.run("verify b.npy b.npy --vector-column b");
    assert!(output.code == Some(2) && output.stderr.starts_with("error[E0107]: "), "{}", output.stderr);
    dir.ok("exact --base two.jsonl --vector-column b --query b.npy -k 1");
}
