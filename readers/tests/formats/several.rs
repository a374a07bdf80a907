//! Several files as one dataset, of whatever formats, and what must not be put together.

use std::path::{Path, PathBuf};

use readers::arrow_buffer::ScalarBuffer;
use readers::conformance::check_dataset;
use readers::{
    Batch, Batches, BufferPool, Concat, DType, Dataset, DatasetInfo, Error, Input, Origin, Piece, Rows, Scan,
};
use tempfile::{TempDir, tempdir};

use super::{assert_refused, bits, le, read};

/// `rows` vectors of two values from `first` on: `[0, 0.5]`, `[1, 1.5]`, ...
pub(crate) fn vectors(first: usize, rows: usize) -> Vec<f32> {
    #[expect(clippy::cast_precision_loss)]
    (first * 2..(first + rows) * 2).map(|value| value as f32 / 2.0).collect()
}

pub(crate) fn write_npy(path: &Path, dim: u64, values: &[f32]) {
    let header = readers::formats::npy_header("<f4", &[values.len() as u64 / dim, dim]);
    std::fs::write(path, [header, le(values)].concat()).unwrap();
}

fn concat(paths: &[PathBuf]) -> Result<Box<dyn Dataset>, Error> {
    let mut all = Concat::of(paths.len());
    for path in paths {
        let input = Input::new(path);
        let open = move || readers::open(&input);
        all.push(open()?, Some(Box::new(open)))?;
    }
    all.finish()
}

/// 23 vectors in files of four formats, one of them empty and one packed.
fn mixed(dir: &TempDir) -> Vec<PathBuf> {
    let path = |name: &str| dir.path().join(name);
    write_npy(&path("a.npy"), 2, &vectors(0, 5));
    let lines: String = vectors(5, 8).chunks(2).map(|row| format!("{row:?}\n")).collect();
    std::fs::write(path("b.jsonl"), &lines).unwrap();
    write_npy(&path("empty.npy"), 2, &[]);
    let rows = vectors(13, 9);
    std::fs::write(path("c.fbin"), [vec![9, 0, 0, 0, 2, 0, 0, 0], le(&rows)].concat()).unwrap();
    let packed = zstd::encode_all(&b"22.0,22.5\n"[..], 1).unwrap();
    std::fs::write(path("d.csv.zst"), packed).unwrap();
    ["a.npy", "b.jsonl", "empty.npy", "c.fbin", "d.csv.zst"].map(path).to_vec()
}

#[test]
fn rows_run_on_from_file_to_file_whatever_the_formats() {
    let dir = tempdir().unwrap();
    let paths = mixed(&dir);
    let all = concat(&paths).unwrap();
    let info = all.info();
    assert_eq!((info.rows, info.dim, info.format, info.ids), (Rows::Exact(23), 2, "mixed", None));
    assert_eq!(info.files, paths);
    check_dataset(&*all);
    for batch_rows in [1, 4, 1000] {
        assert_eq!(read(&*all, batch_rows).unwrap(), bits(&vectors(0, 23)));
    }
    let starts: Vec<u64> = all.parts().iter().map(|&(_, first)| first).collect();
    assert_eq!(starts, [0, 5, 13, 13, 22]);

    let (pool, scan) = (BufferPool::new(), Scan { rows: 3..23, batch_rows: 4 });
    let mut seen = Vec::new();
    for piece in all.pieces(&scan) {
        for batch in all.read(&scan, &piece, &pool).unwrap() {
            let batch = batch.unwrap();
            let file = batch.origin().file.file_name().unwrap().to_string_lossy().into_owned();
            assert_eq!(batch.ids().get(0), batch.first_row(), "an id is the number among all rows");
            seen.push((batch.first_row(), batch.rows(), file, batch.origin().row));
        }
    }
    let expected = [
        (3, 2, "a.npy", 3),
        (5, 4, "b.jsonl", 0),
        (9, 4, "b.jsonl", 4),
        (13, 4, "c.fbin", 0),
        (17, 4, "c.fbin", 4),
        (21, 1, "c.fbin", 8),
        (22, 1, "d.csv.zst", 0),
    ];
    assert_eq!(seen, expected.map(|(row, rows, file, first)| (row, rows, file.to_owned(), first)));
}

#[test]
fn a_pattern_opens_all_files_that_match() {
    let dir = tempdir().unwrap();
    for (name, first) in [("emb_10.npy", 20), ("emb_2.npy", 10), ("emb_1.npy", 0)] {
        write_npy(&dir.path().join(name), 2, &vectors(first, 10));
    }
    let all = readers::open(&Input::new(dir.path().join("emb_*.npy"))).unwrap();
    assert_eq!(read(&*all, 7).unwrap(), bits(&vectors(0, 30)));
    assert_eq!(all.info().format, "npy");
    let one = readers::open(&Input::new(dir.path().join("emb_?0.npy"))).unwrap();
    assert!(one.matrix().is_some(), "one file is that file");
}

#[test]
fn errors_name_the_file_and_its_own_row() {
    let dir = tempdir().unwrap();
    std::fs::write(dir.path().join("a.jsonl"), "[1, 2]\n[3, 4]\n").unwrap();
    std::fs::write(dir.path().join("b.jsonl"), "[1, 2]\n[3, \"x\"]\n").unwrap();
    let all = readers::open(&Input::new(dir.path().join("*.jsonl"))).unwrap();
    let error = read(&*all, 10).unwrap_err().to_string();
    assert!(error.contains("b.jsonl: row 1"), "{error}");
}

#[test]
fn files_that_do_not_agree_are_refused() {
    let dir = tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    write_npy(&path("a.npy"), 2, &vectors(0, 2));
    write_npy(&path("b.npy"), 4, &vectors(0, 2));
    let refused = |names: &[&str], line: &str, help: &str| {
        let paths: Vec<_> = names.iter().map(|name| path(name)).collect();
        let all = concat(&paths).map_err(|error| {
            // The first file is named in the message, with its folder.
            let text = error.to_string().replace(&format!("{}/", dir.path().display()), "");
            Error::request(text).with_help(error.help().unwrap_or_default())
        });
        assert_refused(all, dir.path(), line, help);
    };
    refused(
        &["a.npy", "b.npy"],
        "b.npy: expected dimension 2, as a.npy has, found 4",
        "name files of one model only: all vectors of an input have one dimension",
    );
    std::fs::write(path("c.jsonl"), "{\"id\": 1, \"vector\": [1, 2]}\n").unwrap();
    let help = "give all files ids or none; a stage `ids` gives every row one, whatever the files have";
    refused(&["a.npy", "c.jsonl"], "c.jsonl: expected no ids, as a.npy has none, found some", help);
    refused(&["c.jsonl", "a.npy"], "a.npy: expected ids, as c.jsonl has, found none", help);
    std::fs::write(path("t.jsonl"), "{\"id\": \"x1\", \"vector\": [1, 2]}\n").unwrap();
    refused(
        &["c.jsonl", "t.jsonl"],
        "t.jsonl: expected ids that are numbers, as c.jsonl has, found texts",
        "write them alike in all files: as numbers, or as texts",
    );
    for (name, metric) in [("d", "l2"), ("e", "ip")] {
        std::fs::write(path(&format!("{name}.f32")), le(&vectors(0, 1))).unwrap();
        std::fs::write(path(&format!("{name}.json")), format!("{{\"dim\": 2, \"metric\": \"{metric}\"}}"))
            .unwrap();
    }
    refused(
        &["a.npy", "d.f32", "e.f32"],
        "e.f32: expected the metric l2, as the files before it record, found ip",
        "name files of one model only, or correct what they record",
    );
    assert_eq!(concat(&[path("a.npy"), path("d.f32")]).unwrap().info().metric, Some(readers::Metric::L2));
    std::fs::write(path("words.glove"), "the 1.0 2.0\n").unwrap();
    refused(
        &["words.glove", "a.npy"],
        "a.npy: expected the further column `word` (Utf8), as words.glove has, found none",
        "name the further columns that all files have: payload = [\"NAME\"] in [source], or \"none\"",
    );
}

/// Many files: more than are kept open.
#[test]
fn of_many_files_few_are_open() {
    const FILES: usize = 150;
    let dir = tempdir().unwrap();
    for number in 0..FILES {
        write_npy(&dir.path().join(format!("{number}.npy")), 2, &vectors(number * 3, 3));
    }
    let all = readers::open(&Input::new(dir.path().join("*.npy"))).unwrap();
    assert_eq!(all.info().rows, Rows::Exact(3 * FILES as u64));
    assert_eq!(open_files_in(dir.path()), 0);
    check_dataset(&*all);
    let (pool, scan) = (BufferPool::new(), Scan { rows: 1..3 * FILES as u64, batch_rows: 2 });
    let pieces = all.pieces(&scan);
    assert_eq!(pieces.len(), FILES);
    let mut reading: Vec<_> =
        pieces[..5].iter().map(|piece| all.read(&scan, piece, &pool).unwrap()).collect();
    let first = reading[0].next().unwrap().unwrap();
    assert_eq!((first.first_row(), first.values()[..].to_vec()), (1, vectors(1, 2)));
    if cfg!(target_os = "linux") {
        assert!((1..=5).contains(&open_files_in(dir.path())), "those that are read are open");
    }
    drop(reading);
    assert_eq!(open_files_in(dir.path()), 0);
    assert_eq!(first.values()[..], vectors(1, 2), "what was read stays");

    // Somebody writes to one of them.
    write_npy(&dir.path().join("7.npy"), 2, &vectors(0, 4));
    let line = "7.npy: it was written to while it was read";
    let help = "run again when nobody writes to the file";
    assert_refused(all.check_unchanged(), dir.path(), line, help);
    let read = all.read(&scan, &pieces[7], &pool).and_then(|mut batches| batches.next().unwrap());
    assert_refused(read, dir.path(), line, help);
}

/// How many handles of files below a folder this process has, where that can be known.
fn open_files_in(folder: &Path) -> usize {
    let Ok(handles) = std::fs::read_dir("/proc/self/fd") else { return 0 };
    let targets = handles.filter_map(|handle| std::fs::read_link(handle.ok()?.path()).ok());
    targets.filter(|target| target.starts_with(folder)).count()
}

/// Rows that nobody has counted.
#[derive(Debug)]
struct Uncounted {
    info: DatasetInfo,
    first: usize,
    rows: usize,
}

impl Uncounted {
    fn new(first: usize, rows: usize) -> Self {
        let info = DatasetInfo {
            format: "uncounted",
            rows: Rows::Unknown,
            dim: 2,
            dtype: DType::F32,
            metric: None,
            ids: None,
            payload: None,
            files: vec![PathBuf::from(format!("stream {first}"))],
            size_bytes: 0,
            chosen: Vec::new(),
            notes: Vec::new(),
        };
        Self { info, first, rows }
    }
}

impl Dataset for Uncounted {
    fn info(&self) -> &DatasetInfo {
        &self.info
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, _: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let Ok(start) = usize::try_from(piece.rows.start) else { return Ok(Box::new(std::iter::empty())) };
        let end = usize::try_from(piece.rows.end).unwrap_or(usize::MAX).min(self.rows);
        let step = scan.batch_rows;
        Ok(Box::new((start..end).step_by(step).map(move |row| {
            let values = ScalarBuffer::from(vectors(self.first + row, step.min(end - row)));
            let origin = Origin { file: self.info.files[0].as_path().into(), row: row as u64 };
            Ok(Batch::new(row as u64, 2, values, origin))
        })))
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn rows_that_nobody_counted_may_stand_anywhere() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    write_npy(&path, 2, &vectors(5, 7));
    let counted = || readers::open(&Input::new(&path)).unwrap();
    let mut all = Concat::of(4);
    all.push(Box::new(Uncounted::new(0, 5)), None).unwrap();
    all.push(counted(), None).unwrap();
    all.push(Box::new(Uncounted::new(12, 0)), None).unwrap();
    all.push(Box::new(Uncounted::new(12, 8)), None).unwrap();
    let all = all.finish().unwrap();
    assert_eq!((all.info().rows, all.parts().len()), (Rows::AtLeast(7), 0));
    check_dataset(&*all);
    let (pool, scan) = (BufferPool::new(), Scan { rows: 3..14, batch_rows: 3 });
    let mut seen = Vec::new();
    for batch in all.read(&scan, &all.pieces(&scan)[0], &pool).unwrap() {
        let batch = batch.unwrap();
        seen.push((batch.first_row(), batch.origin().row, batch.values().to_vec()));
    }
    let expected = [(3, 3, 2), (5, 0, 3), (8, 3, 3), (11, 6, 1), (12, 0, 2)];
    assert_eq!(
        seen,
        expected.map(|(row, first, rows)| (row, first, vectors(usize::try_from(row).unwrap(), rows)))
    );
}

#[test]
fn one_part_is_itself_and_no_part_is_refused() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    write_npy(&path, 2, &vectors(0, 3));
    assert_eq!(concat(std::slice::from_ref(&path)).unwrap().info().format, "npy");
    assert_eq!(concat(&[]).unwrap_err().to_string(), "expected a file, found none");
    // The same file twice is the same rows twice.
    let twice = concat(&[path.clone(), path]).unwrap();
    assert_eq!(read(&*twice, 2).unwrap(), bits(&[vectors(0, 3), vectors(0, 3)].concat()));
}
