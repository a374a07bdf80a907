//! What `convert` writes, taken apart here byte by byte or by other people's readers.

use std::fs::File;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};
use readers::arrow_array::{Array, FixedSizeListArray, Float32Array, RecordBatch, UInt64Array};

use crate::util::{Dir, difference, ids_bytes, le_bytes, npy, npy_f32, values};

const DIM: usize = 7;
const ROWS: usize = 40;

/// Whole numbers from 0 to 100, which every type holds.
fn small() -> Vec<f32> {
    values(1, ROWS, DIM).iter().map(|value| (value.abs() * 100.0).round()).collect()
}

/// Values that are easily spoilt on their way through text.
fn odd() -> Vec<f32> {
    let mut all = values(2, ROWS, DIM);
    let odd = [
        0.0,
        -0.0,
        f32::MIN_POSITIVE,
        f32::from_bits(1),
        -f32::from_bits(0x007f_ffff),
        f32::MAX,
        f32::MIN,
        1e-5,
        16_777_217.0,
        1e16,
        123_456_790_000.0,
        0.1,
        f32::EPSILON,
        1.0 + f32::EPSILON,
    ];
    all[..odd.len()].copy_from_slice(&odd);
    all
}

/// Counts and values as a file of the .fbin family.
fn counted<const SIZE: usize>(values: &[f32], bytes: impl Fn(f32) -> [u8; SIZE]) -> Vec<u8> {
    let mut file = [(ROWS as u32).to_le_bytes(), (DIM as u32).to_le_bytes()].concat();
    file.extend(values.iter().flat_map(|&value| bytes(value)));
    file
}

/// Rows as a file of the .fvecs family.
fn each_with_dim<const SIZE: usize>(values: &[f32], bytes: impl Fn(f32) -> [u8; SIZE]) -> Vec<u8> {
    let mut file = Vec::new();
    for row in values.chunks(DIM) {
        file.extend((DIM as i32).to_le_bytes());
        file.extend(row.iter().flat_map(|&value| bytes(value)));
    }
    file
}

#[test]
fn rows_of_one_size_are_laid_out_as_their_formats_say() {
    let dir = Dir::new();
    let all = small();
    dir.write("a.npy", npy_f32(DIM, &all));
    let f16 = |value| half::f16::from_f32(value).to_le_bytes();
    let (i8, u8, i32) = (|v| (v as i8).to_le_bytes(), |v| [v as u8], |v| (v as i32).to_le_bytes());
    let shape = format!("({ROWS}, {DIM})");
    let halves: Vec<u8> = all.iter().flat_map(|&value| f16(value)).collect();
    for (name, expected) in [
        ("fbin", counted(&all, f32::to_le_bytes)),
        ("f16bin", counted(&all, f16)),
        ("i8bin", counted(&all, i8)),
        ("u8bin", counted(&all, u8)),
        ("ibin", counted(&all, i32)),
        ("fvecs", each_with_dim(&all, f32::to_le_bytes)),
        ("bvecs", each_with_dim(&all, u8)),
        ("ivecs", each_with_dim(&all, i32)),
        ("npy", npy_f32(DIM, &all)),
    ] {
        for ways in ["", "--batch-size 1 -t 3", "--batch-size 7 -t 1"] {
            let words = format!("convert -i a.npy -o o.{name} {ways}");
            dir.ok(&words);
            assert_eq!(difference(&dir.read(&format!("o.{name}")), &expected), None, "{words}");
        }
        let printed =
            dir.ok(&format!("convert --quiet -i a.npy -o - --to-format {name} --batch-size 9 -t 2"));
        assert_eq!(difference(&printed.stdout, &expected), None, "{name}");
        assert_eq!(printed.stderr, "");
    }
    let pipeline = b"version = 1\n[source]\npath = \"a.npy\"\n\
                     [sink]\ntype = \"npy\"\npath = \"h.npy\"\ndtype = \"f16\"\n";
    assert_eq!(dir.run_with("run -", pipeline).code, Some(0));
    assert_eq!(difference(&dir.read("h.npy"), &npy("<f2", false, &shape, &halves)), None);
    // Back through the readers there are.
    dir.ok("convert -i h.npy -o back.npy");
    assert_eq!(difference(&dir.read("back.npy"), &dir.read("a.npy")), None);
}

#[test]
fn values_that_a_type_does_not_hold_are_refused_with_their_place() {
    let dir = Dir::new();
    let f16_help = "rounding = \"nearest\"";
    for (name, value, expected, help) in [
        ("i8bin", 0.5, "expected a whole number that fits i8, found 0.5", "scale the vectors"),
        ("i8bin", 128.0, "expected a whole number that fits i8, found 128", "scale the vectors"),
        ("i8bin", -129.0, "found -129", "scale the vectors"),
        ("u8bin", -1.0, "expected a whole number that fits u8, found -1", "scale the vectors"),
        ("bvecs", 256.0, "expected a whole number that fits u8, found 256", "scale the vectors"),
        ("ibin", 2_147_483_648.0, "expected a whole number that fits i32, found 21474836", "scale"),
        ("ivecs", 0.25, "expected a whole number that fits i32, found 0.25", "scale the vectors"),
        ("f16bin", 0.1, "expected a value that an f16 holds exactly, found 0.1", f16_help),
        (
            "f16bin",
            65_520.0,
            "expected a value that an f16 holds, up to 65504 either way, found 65520",
            "scale",
        ),
    ] {
        let mut all = small();
        all[DIM * 17 + 4] = value;
        dir.write("a.npy", npy_f32(DIM, &all));
        dir.write(&format!("o.{name}"), "older");
        for ways in ["-t 1", "-t 3 --batch-size 5"] {
            let run = dir.run(&format!("convert -i a.npy -o o.{name} {ways}"));
            assert_eq!(run.code, Some(1), "{name}: {}", run.stderr);
            for part in ["a.npy: row 17, column 4: expected", expected, help] {
                assert!(run.stderr.contains(part), "{name}: no `{part}` in {}", run.stderr);
            }
            assert_eq!(dir.read(&format!("o.{name}")), b"older", "{name}");
        }
    }
    // Rounding has to be asked for, and has its limit.
    let pipeline = |sink: &str| {
        let text =
            format!("version = 1\n[source]\npath = \"b.npy\"\n[sink]\n{sink}\nrounding = \"nearest\"\n");
        dir.run_with("run -", text.as_bytes())
    };
    let mut all = odd();
    all.iter_mut().filter(|value| value.abs() > 1000.0).for_each(|value| *value = 1.0);
    dir.write("b.npy", npy_f32(DIM, &all));
    let rounded = |value| half::f16::from_f32(value).to_le_bytes();
    let run = pipeline("type = \"f16bin\"\npath = \"r.f16bin\"");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(difference(&dir.read("r.f16bin"), &counted(&all, rounded)), None);
    let run = pipeline("type = \"npy\"\npath = \"r.npy\"\ndtype = \"f16\"");
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    all[5] = 65_520.0;
    dir.write("b.npy", npy_f32(DIM, &all));
    let run = pipeline("type = \"f16bin\"\npath = \"r.f16bin\"");
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("row 0, column 5: expected a value that an f16 holds, up to 65504"));
}

#[test]
fn ids_and_what_has_no_place_for_them() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(DIM, &small()));
    for name in ["npy", "fbin", "fvecs", "u8bin"] {
        let with_ids = dir.ok(&format!("convert -v -i a.npy -o o.{name} --rows 3..9")).stderr;
        assert!(with_ids.contains("has no place for ids: they are left out"), "{with_ids}");
        let without = dir.ok(&format!("convert -v -i a.npy -o o.{name}")).stderr;
        assert!(!without.contains("ids"), "{without}");
    }
}

#[test]
fn text_is_read_back_as_the_same_bits() {
    let dir = Dir::new();
    let all = odd();
    dir.write("a.npy", npy_f32(DIM, &all));
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for name in ["jsonl", "csv"] {
        dir.ok(&format!("convert -i a.npy -o o.{name}"));
        let expected = dir.read(&format!("o.{name}"));
        for ways in ["--batch-size 1 -t 3", "--batch-size 7 -t 1"] {
            let printed = dir.ok(&format!("convert --quiet -i a.npy -o - --to-format {name} {ways}"));
            assert_eq!(difference(&printed.stdout, &expected), None, "{name} {ways}");
        }
    }
    let text = String::from_utf8(dir.read("o.jsonl")).unwrap();
    assert_eq!(text.lines().count(), ROWS);
    for (row, line) in text.lines().enumerate() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["id"], row as u64);
        let vector = line["vector"].as_array().unwrap();
        let vector: Vec<f32> = vector.iter().map(|value| value.to_string().parse().unwrap()).collect();
        assert_eq!(bits(&vector), bits(&all[row * DIM..][..DIM]), "row {row}");
    }
    let text = String::from_utf8(dir.read("o.csv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("id,dim_0,dim_1,dim_2,dim_3,dim_4,dim_5,dim_6"));
    for (row, line) in lines.enumerate() {
        let mut fields = line.split(',');
        assert_eq!(fields.next(), Some(row.to_string().as_str()));
        let vector: Vec<f32> = fields.map(|field| field.parse().unwrap()).collect();
        assert_eq!(bits(&vector), bits(&all[row * DIM..][..DIM]), "row {row}");
    }
    // Another name, and the ids of a range of rows are those of the source.
    let pipeline = b"version = 1\n[source]\npath = \"a.npy\"\nrows = \"20..22\"\n\
                     [sink]\ntype = \"jsonl\"\npath = \"-\"\nvector_column = \"e \\\"x\\\"\"\nid_column = \"key\"\n";
    let printed = dir.run_with("run -", pipeline);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert!(printed.text().starts_with("{\"key\":20,\"e \\\"x\\\"\":["), "{}", printed.text());
}

/// The ids, if there are any, and the values of record batches.
fn rows_of(records: &[RecordBatch], vector: &str) -> (Vec<u64>, Vec<f32>) {
    let (mut ids, mut values) = (Vec::new(), Vec::new());
    for record in records {
        if let Some(column) = record.column_by_name("id") {
            ids.extend_from_slice(column.as_any().downcast_ref::<UInt64Array>().unwrap().values());
        }
        let column = record.column_by_name(vector).unwrap();
        let column = column.as_any().downcast_ref::<FixedSizeListArray>().unwrap();
        assert_eq!((column.value_length() as usize, column.null_count()), (DIM, 0));
        let elements = column.values().as_any().downcast_ref::<Float32Array>().unwrap();
        values.extend_from_slice(elements.values());
    }
    (ids, values)
}

fn parquet_rows(dir: &Dir, name: &str) -> (Vec<u64>, Vec<f32>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(dir.path(name)).unwrap()).unwrap();
    rows_of(&reader.build().unwrap().map(Result::unwrap).collect::<Vec<_>>(), "vector")
}

#[test]
fn parquet_is_read_back_by_its_own_library() {
    let dir = Dir::new();
    let all = odd();
    dir.write("a.f32", le_bytes(&all));
    dir.write("a.json", format!("{{\"dim\": {DIM}, \"metric\": \"l2\"}}"));
    dir.ok("convert -i a.f32 -o o.parquet");
    assert_eq!(parquet_rows(&dir, "o.parquet"), (Vec::new(), all.clone()));
    let plain = dir.read("o.parquet");
    for ways in ["--batch-size 1 -t 3", "--batch-size 7 -t 1"] {
        dir.ok(&format!("convert -i a.f32 -o p.parquet {ways}"));
        assert_eq!(difference(&dir.read("p.parquet"), &plain), None, "{ways}");
    }
    let printed = dir.ok("convert --quiet -i a.f32 -o - --to-format parquet");
    assert_eq!(difference(&printed.stdout, &plain), None);

    for (word, compression) in [
        ("none", Compression::UNCOMPRESSED),
        ("zstd", Compression::ZSTD(Default::default())),
        ("snappy", Compression::SNAPPY),
    ] {
        let pipeline = format!(
            "version = 1\n[source]\npath = \"a.f32\"\nrows = \"5..40\"\n[sink]\ntype = \"parquet\"\n\
             path = \"{word}.parquet\"\ncompression = \"{word}\"\nrow_group_rows = 16\n"
        );
        assert_eq!(dir.run_with("run -", pipeline.as_bytes()).code, Some(0));
        let expected = ((5..40).collect::<Vec<u64>>(), all[5 * DIM..].to_vec());
        assert_eq!(parquet_rows(&dir, &format!("{word}.parquet")), expected, "{word}");
        let file = File::open(dir.path(&format!("{word}.parquet"))).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let metadata = reader.metadata();
        let groups: Vec<_> = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [16, 16, 3], "{word}");
        let vector = metadata.row_group(0).column(1);
        assert_eq!(vector.column_path().string(), "vector.list.element");
        assert_eq!(std::mem::discriminant(&vector.compression()), std::mem::discriminant(&compression));
        let encodings: Vec<_> = vector.encodings().collect();
        let split = encodings.contains(&Encoding::BYTE_STREAM_SPLIT);
        assert_eq!((split, vector.dictionary_page_offset()), (word != "none", None), "{encodings:?}");
        for column in metadata.row_group(0).columns() {
            assert!(column.offset_index_offset().is_some(), "{}", column.column_path());
        }
        let key_values = metadata.file_metadata().key_value_metadata().unwrap();
        let metric = key_values.iter().find(|entry| entry.key == "metric").unwrap();
        assert_eq!(metric.value.as_deref(), Some("l2"));
        let field = reader.schema().field(1);
        assert!(!field.is_nullable());
        assert_eq!(field.data_type().to_string(), "FixedSizeList(7 x non-null Float32, field: 'element')");
    }
    let text = "version = 1\n[source]\npath = \"a.f32\"\n[sink]\ntype = \"parquet\"\npath = \"z\"\nrow_group_rows = 0\n";
    let run = dir.run_with("run -", text.as_bytes());
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("expected at least 1 row for `row_group_rows`, found 0"), "{}", run.stderr);
}

#[test]
fn arrow_is_read_back_by_its_own_library() {
    let dir = Dir::new();
    let all = odd();
    dir.write("a.npy", npy_f32(DIM, &all));
    for (name, rows) in [("o.arrow", 0..ROWS), ("o.arrows", 0..ROWS), ("p.arrow", 4..9), ("p.arrows", 4..9)] {
        let words = format!("convert -i a.npy -o {name} --rows {}..{}", rows.start, rows.end);
        dir.ok(&words);
        let bytes = dir.read(name);
        let records: Vec<RecordBatch> = if name.ends_with("arrow") {
            let file = arrow_ipc::reader::FileReader::try_new(File::open(dir.path(name)).unwrap(), None);
            file.unwrap().map(Result::unwrap).collect()
        } else {
            let stream = arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None);
            stream.unwrap().map(Result::unwrap).collect()
        };
        let ids = if rows.start == 0 { Vec::new() } else { (4..9).collect() };
        assert_eq!(
            rows_of(&records, "vector"),
            (ids, all[rows.start * DIM..rows.end * DIM].to_vec()),
            "{name}"
        );
        for ways in ["--batch-size 1 -t 3", "--batch-size 3 -t 1"] {
            dir.ok(&format!("{words} {ways}"));
            assert_eq!(difference(&dir.read(name), &bytes), None, "{words} {ways}");
        }
    }
    let printed = dir.ok("convert --quiet -i a.npy -o - --to-format arrow_stream");
    assert_eq!(difference(&printed.stdout, &dir.read("o.arrows")), None);
    // An empty stream still has its schema.
    dir.ok("convert -i a.npy -o e.arrows --rows 0..0");
    let bytes = dir.read("e.arrows");
    let stream = arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
    assert_eq!(stream.schema().field(0).name(), "vector");
    assert_eq!(stream.count(), 0);
    dir.ok("convert -i a.npy -o e.parquet --rows 0..0");
    assert_eq!(parquet_rows(&dir, "e.parquet"), (Vec::new(), Vec::new()));
}

#[test]
fn what_is_written_from_front_to_back_can_be_compressed() {
    let dir = Dir::new();
    // More than a portion, and than a block of zstd.
    let all: Vec<f32> = values(3, 20_000, DIM).iter().map(|value| (value * 100.0).round()).collect();
    dir.write("a.npy", npy_f32(DIM, &all));
    for name in ["npy", "fbin", "i8bin", "fvecs", "ivecs", "jsonl", "csv", "arrows", "f32"] {
        dir.ok(&format!("convert -i a.npy -o plain.{name}"));
        dir.ok(&format!("convert -i a.npy -o z.{name}.zst"));
        let packed = dir.read(&format!("z.{name}.zst"));
        let unpacked = zstd::decode_all(packed.as_slice()).unwrap();
        assert_eq!(difference(&unpacked, &dir.read(&format!("plain.{name}"))), None, "{name}");
        for ways in ["--batch-size 1 -t 3", "--batch-size 4099 -t 1", "--io read"] {
            dir.ok(&format!("convert -i a.npy -o z.{name}.zst {ways}"));
            assert_eq!(difference(&dir.read(&format!("z.{name}.zst")), &packed), None, "{name} {ways}");
        }
    }
    // The sidecar is about the file inside.
    let sidecar: serde_json::Value = serde_json::from_slice(&dir.read("z.json")).unwrap();
    assert_eq!((&sidecar["file"], &sidecar["n"]), (&"z.f32".into(), &20_000.into()));
    let folder = Dir::new();
    folder.write("a.npy", dir.read("a.npy"));
    folder.ok("convert -i a.npy -o b.f32.zst --rows 3..6");
    assert_eq!(folder.read("ids.u64"), ids_bytes(&[3, 4, 5]));
    for (name, help) in [("o.parquet.zst", "compression = \"zstd\""), ("o.arrow.zst", "NAME.arrows.zst")] {
        let run = dir.run(&format!("convert -i a.npy -o {name}"));
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains(name) && run.stderr.contains(help), "{}", run.stderr);
    }
    for (words, says) in [
        ("build-index -i a.npy -o o.hnsw.zst", "o.hnsw.zst: an index is read from any place"),
        ("convert -i a.npy -o plain.f32.zst", "plain.f32: exists, and would share its sidecar"),
        ("convert -i a.npy -o z.f32", "z.f32.zst: exists, and would share its sidecar"),
    ] {
        let run = dir.run(words);
        assert_eq!(run.code, Some(2), "{words}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{}", run.stderr);
    }
    assert_eq!(dir.run("convert -i a.npy -o o.zst").code, Some(2), "nothing says what is inside");
}

#[test]
fn an_output_that_fails_leaves_the_old_one() {
    let dir = Dir::new();
    let mut all = small();
    all[ROWS * DIM - 1] = f32::NAN;
    dir.write("a.npy", npy_f32(DIM, &all));
    let names = [
        "o.fbin",
        "o.f16bin",
        "o.i8bin",
        "o.fvecs",
        "o.bvecs",
        "o.jsonl",
        "o.csv",
        "o.parquet",
        "o.arrow",
        "o.arrows",
        "o.npy.zst",
        "o.f32.zst",
        "o.jsonl.zst",
    ];
    for name in names {
        dir.write(name, "older");
        let before = dir.names();
        for ways in ["", "--batch-size 3 -t 2"] {
            let run = dir.run(&format!("convert -i a.npy -o {name} {ways}"));
            assert_eq!(run.code, Some(1), "{name}");
            assert!(
                run.stderr.contains("row 39, column 6: expected a finite value, found NaN"),
                "{}",
                run.stderr
            );
            assert_eq!(
                (dir.read(name).as_slice(), dir.names()),
                (b"older".as_slice(), before.clone()),
                "{name}"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_and_a_reader_that_goes_away() {
    use std::process::Stdio;
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(DIM, &values(4, 20_000, DIM)));
    for name in ["fbin", "fvecs", "jsonl", "csv", "parquet", "arrow", "arrow_stream"] {
        let words = format!("convert --quiet -i a.npy -o - --to-format {name}");
        let mut command = dir.command(&words);
        command.stdout(File::options().write(true).open("/dev/full").unwrap()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}: {text}");
        assert!(text.contains("cannot write to standard output"), "{name}: {text}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = dir.command(&words);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()), "{name}");
    }
}

#[test]
fn options_of_the_output_can_be_flags() {
    let dir = Dir::new();
    dir.write("a.npy", npy_f32(DIM, &small()));
    dir.ok("convert -i a.npy -o h.npy --to-option dtype=f16 --to-option rounding=nearest");
    assert_eq!(dir.read("h.npy").len(), 128 + ROWS * DIM * 2);
    dir.ok("convert -i a.npy -o o.parquet --to-option row_group_rows=10 --to-option compression=\"zstd\"");
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(dir.path("o.parquet")).unwrap()).unwrap();
    assert_eq!(reader.metadata().num_row_groups(), 4);
    for (option, says) in [
        ("dtype", "expected KEY=VALUE"),
        ("dtype=f64", "unknown variant `f64`"),
        ("dtipe=f16", "did you mean `dtype`?"),
        ("path=o.npy", "`path` is given already"),
        ("dtype=f16 --to-option dtype=f16", "`dtype` is given already"),
    ] {
        let run = dir.run(&format!("convert -i a.npy -o x.npy --to-option {option}"));
        assert_eq!(run.code, Some(2), "{option}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{option}: {}", run.stderr);
    }
}
