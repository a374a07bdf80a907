//! The built-in formats do what every reader must, and the check finds those that do not.

use std::path::Path;

use readers::conformance::check;
use readers::formats::{Sidecar, npy_header};
use readers::{
    Batches, BufferPool, Dataset, DatasetInfo, Error, Format, Input, Matrix, Piece, Probe, Scan, Score,
};
use tempfile::tempdir;

use super::{le, npy, open};

fn values(count: usize) -> Vec<f32> {
    #[expect(clippy::cast_precision_loss)]
    (0..count).map(|i| (i * 37 % 101) as f32 * 0.25 - 12.0).collect()
}

#[test]
fn npy_conforms() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let f32s = [npy_header("<f4", &[23, 5]), le(&values(115))].concat();
    std::fs::write(&path, f32s).unwrap();
    check("npy", &path, None);
    check("npy", &path, Some(5));

    let f64s: Vec<u8> = values(95).iter().flat_map(|&value| f64::from(value).to_be_bytes()).collect();
    let text = b"{'descr': '>f8', 'fortran_order': True, 'shape': (5, 19)}";
    std::fs::write(&path, npy(2, text, 131, &f64s)).unwrap();
    check("npy", &path, None);

    let bytes: Vec<u8> = (0..100).collect();
    std::fs::write(&path, [npy_header("|i1", &[100, 1]), bytes, b"more".to_vec()].concat()).unwrap();
    check("npy", &path, None);
    std::fs::write(&path, npy_header("<f2", &[0, 4])).unwrap();
    check("npy", &path, None);
}

#[test]
fn raw_f32_conforms() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.f32");
    std::fs::write(&path, le(&values(92))).unwrap();
    check("raw_f32", &path, Some(4));
    std::fs::write(dir.path().join("a.json"), r#"{"dim": 4, "metric": "l2"}"#).unwrap();
    check("raw_f32", &path, None);
    let ids: Vec<u8> = (0..23u64).flat_map(|i| (i * i).to_le_bytes()).collect();
    std::fs::write(dir.path().join("ids.u64"), ids).unwrap();
    let sidecar = Sidecar { n: Some(23), dim: Some(4), metric: None };
    std::fs::write(dir.path().join("a.json"), sidecar.to_json("a.f32")).unwrap();
    check("raw_f32", &path, None);
    std::fs::write(dir.path().join("b.f32"), []).unwrap();
    std::fs::remove_file(dir.path().join("ids.u64")).unwrap();
    check("raw_f32", &dir.path().join("b.f32"), Some(4));
}

/// A reader of one byte a value, with a mistake.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Faulty<const MISTAKE: u8> {}

const FORGETS_ITS_START: u8 = 0;
const REPEATS_ROWS: u8 = 1;
const PANICS_ON_FF: u8 = 2;
const WRONG_MATRIX: u8 = 3;

readers::register_format!(Faulty<FORGETS_ITS_START>);
readers::register_format!(Faulty<REPEATS_ROWS>);
readers::register_format!(Faulty<PANICS_ON_FF>);
readers::register_format!(Faulty<WRONG_MATRIX>);

impl<const MISTAKE: u8> Format for Faulty<MISTAKE> {
    const NAME: &'static str = ["faulty0", "faulty1", "faulty2", "faulty3"][MISTAKE as usize];
    const EXTENSIONS: &'static [&'static str] = &[];
    const SUMMARY: &'static str = "for tests";
    const EXAMPLE: &'static str = "";

    fn probe(_: &Probe<'_>) -> Score {
        Score::No
    }

    fn open(&self, input: &Input) -> Result<Box<dyn Dataset>, Error> {
        assert!(MISTAKE != PANICS_ON_FF || std::fs::read(&input.path).unwrap().first() != Some(&0xff));
        Ok(Box::new(FaultyDataset { inner: open("raw_f32", input)?, mistake: MISTAKE }))
    }
}

#[derive(Debug)]
struct FaultyDataset {
    inner: Box<dyn Dataset>,
    mistake: u8,
}

impl Dataset for FaultyDataset {
    fn info(&self) -> &DatasetInfo {
        self.inner.info()
    }

    fn read<'a>(&'a self, scan: &Scan, piece: &Piece, pool: &'a BufferPool) -> Result<Batches<'a>, Error> {
        let batches = self.inner.read(scan, piece, pool)?;
        match self.mistake {
            FORGETS_ITS_START if piece.rows.start == 7 => {
                let other = Piece { rows: 0..piece.rows.end - piece.rows.start };
                let wrong = self.inner.read(scan, &other, pool)?;
                Ok(Box::new(batches.zip(wrong).map(|(batch, wrong)| {
                    let batch = batch?;
                    Ok(batch.with_values(4, wrong?.into_values()))
                })))
            }
            REPEATS_ROWS => Ok(Box::new(batches.flat_map(|batch| {
                let batch = batch.map_err(|error| error.to_string()).unwrap();
                [Ok(batch.clone()), Ok(batch)]
            }))),
            _ => Ok(batches),
        }
    }

    fn matrix(&self) -> Option<Matrix> {
        let mut matrix = self.inner.matrix()?;
        if self.mistake == WRONG_MATRIX {
            matrix.values = matrix.values.iter().rev().copied().collect();
        }
        Some(matrix)
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        self.inner.check_unchanged()
    }
}

fn found_in(format: &str, path: &Path) -> String {
    let panic = std::panic::catch_unwind(|| check(format, path, Some(4))).unwrap_err();
    panic.downcast::<String>().map(|message| *message).unwrap_or_default()
}

#[test]
fn mistakes_are_found() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.f32");
    std::fs::write(&path, le(&values(92))).unwrap();
    for (format, message) in [
        ("faulty0", "other values in row 7"),
        ("faulty1", "batches have gaps or are out of order"),
        ("faulty2", "byte 0 changed by 0xff, io = Mmap: the reader panicked"),
        ("faulty3", "the matrix has other values than the batches"),
    ] {
        let found = found_in(format, &path);
        assert!(found.contains(message), "{format}: {found}");
    }
}
