//! Sinks fed by hand: streams that no reader here makes, with further columns or of unknown length.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use readers::arrow_array::types::Int32Type;
use readers::arrow_array::{
    Array, ArrayRef, DictionaryArray, Int64Array, RecordBatch, StringArray, StringViewArray,
};
use readers::arrow_buffer::ScalarBuffer;
use readers::arrow_schema::{DataType, Field, Schema, SchemaRef};
use readers::{Batch, Ids, Metric, Origin, Rows};

use super::{Finish, InOrder, SinkJob, Writer, called};
use crate::Failure;
use crate::pipeline::{IdSource, Monitoring, StreamInfo};

const DIM: usize = 3;
const ROWS: u64 = 5;

fn payload() -> RecordBatch {
    let words: DictionaryArray<Int32Type> =
        [Some("a"), None, Some("b"), Some("a"), Some("c")].into_iter().collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "title",
            Arc::new(StringArray::from(vec![Some("one, \"two\""), Some(""), None, Some("ä\n"), Some("x")])),
        ),
        ("year", Arc::new(Int64Array::from(vec![Some(-1), None, Some(3), Some(4), Some(5)]))),
        (
            "view",
            Arc::new(StringViewArray::from(vec!["v", "a text of more than twelve bytes", "", "v", "v"])),
        ),
        ("word", Arc::new(words)),
    ];
    let fields: Vec<_> =
        columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn info(rows: Rows, ids: IdSource, payload: Option<SchemaRef>) -> StreamInfo {
    StreamInfo {
        source: Path::new("source").into(),
        rows,
        first_row: 0,
        source_rows: rows,
        dim: DIM,
        metric: Some(Metric::Ip),
        ids,
        ids_file: None,
        payload,
        drops_rows: false,
        is_reordered: false,
        rows_bound: None,
        values_untouched: true,
    }
}

/// Five rows in batches of `step`, with ids and further columns where the stream has them.
fn batches(info: &StreamInfo, step: usize) -> Vec<Batch> {
    let all = payload();
    let starts = (0..usize::try_from(ROWS).unwrap()).step_by(step);
    let batch = |start: usize| {
        let rows = step.min(all.num_rows() - start);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let values: Vec<f32> = (start * DIM..(start + rows) * DIM).map(|value| value as f32 / 2.0).collect();
        let origin = Origin { file: Path::new("source").into(), row: start as u64 };
        let mut batch = Batch::new(start as u64, DIM, ScalarBuffer::from(values), origin);
        if info.ids == IdSource::Given {
            let ids: Vec<u64> = (start..start + rows).map(|row| u64::MAX - row as u64).collect();
            batch = batch.with_ids(Ids::U64(ids.into()));
        }
        if info.payload.is_some() { batch.with_payload(all.slice(start, rows)) } else { batch }
    };
    starts.map(batch).collect()
}

/// Writes the rows into `path` with a sink and its options; gives the bytes.
fn write(name: &str, options: &str, path: &Path, info: &StreamInfo, step: usize) -> Result<Vec<u8>, Failure> {
    let comma = if options.is_empty() { "" } else { ", " };
    let options = format!("{{ path = {:?}{comma}{options} }}", path.display().to_string());
    let options = toml::de::ValueDeserializer::parse(&options).unwrap();
    let mut sink = (called(name).unwrap().parse)(options).unwrap();
    sink.plan(info, 2)?;
    let mut writer = match sink.open(SinkJob {
        input: info.clone(),
        matrix: None,
        recipe: String::new(),
        check: None,
        resume: false,
    })? {
        Writer::Positional(writer) => Box::new(InOrder::new(writer)),
        Writer::Ordered(writer) => writer,
    };
    for batch in batches(info, step) {
        writer.append(&batch)?;
    }
    let monitoring = Monitoring::silent();
    let Monitoring { cancel, progress } = &monitoring;
    let finished = writer.finish(&Finish { rows: ROWS, threads: 2, cancel, progress })?;
    for file in finished.files {
        file.publish()?;
    }
    Ok(std::fs::read(path).unwrap())
}

#[test]
fn rows_of_unknown_number_make_the_same_files() {
    let dir = tempfile::tempdir().unwrap();
    let options = [
        ("npy", ""),
        ("npy", "dtype = 'f16'"),
        ("fbin", ""),
        ("f16bin", ""),
        ("fvecs", ""),
        ("jsonl", ""),
        ("csv", ""),
        ("parquet", "row_group_rows = 2"),
        ("arrow", ""),
        ("arrow_stream", ""),
    ];
    for (name, options) in options {
        let path = dir.path().join("out");
        let known = info(Rows::Exact(ROWS), IdSource::RowNumbers, None);
        let expected = write(name, options, &path, &known, 5).unwrap();
        for step in [1, 2, 5] {
            let unknown = info(Rows::Unknown, IdSource::RowNumbers, None);
            assert!(write(name, options, &path, &unknown, step).unwrap() == expected, "{name} {options}");
        }
    }
    let unknown = info(Rows::Unknown, IdSource::RowNumbers, None);
    for name in ["npy", "fbin"] {
        let failure = write(name, "", &dir.path().join("out.zst"), &unknown, 2).unwrap_err();
        assert!(failure.message().contains("begins with the number of rows"), "{failure}");
        assert!(failure.help().unwrap().contains("without .zst"), "{failure}");
    }
    write("fvecs", "", &dir.path().join("out.zst"), &unknown, 2).unwrap();
}

#[test]
fn more_rows_than_a_header_can_count_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let many = info(Rows::Exact(1 << 32), IdSource::RowNumbers, None);
    let failure = write("fbin", "", &dir.path().join("out"), &many, 2).unwrap_err();
    assert!(failure.message().contains("up to 4294967295, found 4294967296 x 3"), "{failure}");
}

#[test]
fn further_columns_go_along() {
    let dir = tempfile::tempdir().unwrap();
    let stream = info(Rows::Exact(ROWS), IdSource::Given, Some(payload().schema()));
    let path = dir.path().join("out");
    let written = |name: &str| {
        let bytes = write(name, "", &path, &stream, 5).unwrap();
        for step in [1, 2, 3] {
            assert!(write(name, "", &path, &stream, step).unwrap() == bytes, "{name} in batches of {step}");
        }
        bytes
    };
    let first = "{\"id\":18446744073709551615,\"vector\":[0.0,0.5,1.0],\"title\":\"one, \\\"two\\\"\",\"year\":-1,\
                 \"view\":\"v\",\"word\":\"a\"}";
    let text = String::from_utf8(written("jsonl")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0]), (5, first));
    assert!(lines[1].ends_with(
        "\"title\":\"\",\"year\":null,\"view\":\"a text of more than twelve bytes\",\"word\":null}"
    ));
    let text = String::from_utf8(written("csv")).unwrap();
    let begin = "id,dim_0,dim_1,dim_2,title,year,view,word\n\
                 18446744073709551615,0.0,0.5,1.0,\"one, \"\"two\"\"\",-1,v,a\n\
                 18446744073709551614,1.5,2.0,2.5,\"\",,a text of more than twelve bytes,\n\
                 18446744073709551613,3.0,3.5,4.0,,3,\"\",b\n";
    assert!(text.starts_with(begin), "{text}");

    written("parquet");
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let records: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    check(&schema, &records);
    let bytes = written("arrow");
    let reader = arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
    check(&reader.schema(), &reader.map(Result::unwrap).collect::<Vec<_>>());
    let bytes = written("arrow_stream");
    let reader = arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
    check(&reader.schema(), &reader.map(Result::unwrap).collect::<Vec<_>>());
}

fn check(schema: &Schema, records: &[RecordBatch]) {
    let [record] = records else { panic!("{} record batches", records.len()) };
    let names: Vec<_> = record.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "vector", "title", "year", "view", "word"]);
    assert_eq!(record.column_by_name("title").unwrap(), payload().column_by_name("title").unwrap());
    assert_eq!(record.column_by_name("year").unwrap(), payload().column_by_name("year").unwrap());
    let words: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("a"), Some("c")]));
    assert_eq!(record.column_by_name("word").unwrap(), &words);
    assert_eq!(record.column_by_name("view").unwrap().data_type(), &DataType::Utf8);
    assert_eq!(schema.metadata().get("metric").map(String::as_str), Some("ip"));
}

#[test]
fn names_that_are_twice_there_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let stream = info(Rows::Exact(ROWS), IdSource::Given, Some(payload().schema()));
    for name in ["jsonl", "parquet", "arrow", "arrow_stream"] {
        for options in
            ["vector_column = 'title'", "vector_column = 'id'", "id_column = 'year'", "id_column = ''"]
        {
            assert!(write(name, options, &path, &stream, 5).is_err(), "{name} {options}");
        }
        write(name, "vector_column = 'id', id_column = 'vector'", &path, &stream, 5).unwrap();
    }
    // Row numbers are not written as a column, so its name is free there.
    let numbered = info(Rows::Exact(ROWS), IdSource::RowNumbers, Some(payload().schema()));
    write("parquet", "id_column = 'year'", &path, &numbered, 5).unwrap();
    assert!(write("jsonl", "id_column = 'year'", &path, &numbered, 5).is_err());
    let fields = vec![Field::new("dim_2", DataType::Utf8, true)];
    let stream = info(Rows::Exact(ROWS), IdSource::Given, Some(Arc::new(Schema::new(fields))));
    let failure = write("csv", "", &path, &stream, 5).unwrap_err();
    assert!(failure.message().contains("two columns would be called `dim_2`"), "{failure}");
}

#[test]
fn what_a_format_has_no_place_for_is_said() {
    let stream = info(Rows::Exact(ROWS), IdSource::Given, Some(payload().schema()));
    for (name, ids) in [("npy", true), ("fbin", true), ("fvecs", true), ("raw_f32", false), ("jsonl", false)]
    {
        let options = toml::de::ValueDeserializer::parse("{ path = 'out.zst' }").unwrap();
        let notes =
            (called(name).unwrap().parse)(options).unwrap().plan(&stream, 2).unwrap().notes.join("\n");
        assert_eq!(notes.contains("no place for ids"), ids, "{name}: {notes}");
        let lost = "no place for further columns: title, year, view, word are left out";
        assert_eq!(notes.contains(lost), name != "jsonl", "{name}: {notes}");
    }
}
