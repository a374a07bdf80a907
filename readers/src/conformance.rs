//! What every reader must do, as a check for the tests of a format: the same rows however they are asked for, and no
//! panic whatever the file holds.
//!
//! ```no_run
//! # use std::path::Path;
//! readers::conformance::check("npy", Path::new("tests/vectors.npy"), None);
//! ```

use std::fs;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::{
    BufferPool, Dataset, Error, FormatDescriptor, Input, Io, MAX_DIM, Piece, Probe, Scan, format_called,
};

/// Files of up to this many bytes are cut at every byte.
const MAX_CUT_BYTES: usize = 4096;

/// How many bytes from the start of a file are damaged, one by one.
const DAMAGED_BYTES: usize = 256;

/// The size of the first batch where a file does not tell its rows.
const UNKNOWN_ROWS: u64 = 1 << 16;

/// Opens the file `path` as `format_name` with default options, its further columns wanted, and with the dimension `dim`
/// if its format needs one, and checks that
///
/// - batches are in order, without gaps, and as large as asked at most;
/// - the rows and ids are the same in batches of 1, 2, 7 and all rows, in a part of the rows and in the whole, with
///   pieces read backwards and by three threads, mapped and read, and in [`Dataset::matrix`] if there is one;
/// - the file cut after any byte (if it has up to 4096) is refused or gives the first of the same rows;
/// - no damage to one of the first 256 bytes makes the reader panic.
///
/// The files beside it whose names begin as its own up to the first dot, `meta.json` and `ids.u64` are taken along
/// where the file is copied. It should be small: it is opened some thousand times.
///
/// # Panics
/// If one of these does not hold, or the format or the file cannot be opened.
pub fn check(format_name: &str, path: &Path, dim: Option<usize>) {
    let format = format_called(format_name)
        .unwrap_or_else(|| panic!("`{format_name}` is not registered: name its crate in the test"));
    let case = Case { format, input: Input { dim, payload: true, ..Input::new(path) } };
    let whole = case.check_reading();
    let copy = Copy::of(path);
    let case = Case { format, input: Input { dim, payload: true, ..Input::new(&copy.file) } };
    case.check_cuts(&whole, &copy.bytes);
    case.check_damage(&copy.bytes);
}

/// What [`check`] does with an opened file, for a dataset that is made of others: the same rows however they are asked for.
///
/// # Panics
/// If that does not hold.
pub fn check_dataset(dataset: &dyn Dataset) {
    let rows = dataset.info().rows.exact().unwrap_or(UNKNOWN_ROWS);
    let rows = usize::try_from(rows.max(1)).expect("a small dataset");
    let whole = must_read(dataset, all(dataset), rows, "in one batch");
    check_info(dataset, &whole);
    check_opened(dataset, &whole, "");
}

/// Rows as they were delivered. Values are bits, so that NaN equals itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Delivered {
    dim: usize,
    values: Vec<u32>,
    ids: Vec<String>,
}

impl Delivered {
    fn slice(&self, rows: Range<usize>) -> Self {
        let values = self.values[rows.start * self.dim..rows.end * self.dim].to_vec();
        Self { dim: self.dim, values, ids: self.ids[rows].to_vec() }
    }

    fn append(&mut self, other: &Self) {
        self.values.extend(&other.values);
        self.ids.extend_from_slice(&other.ids);
    }

    #[track_caller]
    fn assert_is(&self, expected: &Self, how: &str) {
        assert_eq!(self.dim, expected.dim, "{how}: another dimension");
        assert_eq!(self.ids.len(), expected.ids.len(), "{how}: another number of rows");
        for row in 0..self.ids.len() {
            let range = row * self.dim..(row + 1) * self.dim;
            assert_eq!(self.ids[row], expected.ids[row], "{how}: another id in row {row}");
            assert_eq!(
                self.values[range.clone()],
                expected.values[range],
                "{how}: other values in row {row}"
            );
        }
    }
}

struct Case {
    format: &'static FormatDescriptor,
    input: Input,
}

impl Case {
    fn open(&self, io: Io) -> Result<Box<dyn Dataset>, Error> {
        self.format.with_defaults()?.open(&Input { io, ..self.input.clone() })
    }

    fn must_open(&self, io: Io) -> Box<dyn Dataset> {
        self.open(io).unwrap_or_else(|error| panic!("cannot be opened with io = {io:?}: {error}"))
    }

    /// Gives all rows.
    fn check_reading(&self) -> Delivered {
        let dataset = self.must_open(Io::Read);
        // One batch; a source that does not know its rows may reserve what is asked for.
        let rows = dataset.info().rows.exact().unwrap_or(UNKNOWN_ROWS);
        let rows = usize::try_from(rows.max(1)).expect("a small file");
        let whole = must_read(&*dataset, all(&*dataset), rows, "in one batch");
        check_info(&*dataset, &whole);
        for io in [Io::Mmap, Io::Read] {
            let dataset = self.must_open(io);
            assert_eq!(dataset.info().rows, self.must_open(Io::Read).info().rows, "{io:?}: another count");
            check_opened(&*dataset, &whole, &format!("io = {io:?}, "));
        }
        whole
    }

    fn check_cuts(&self, whole: &Delivered, bytes: &[u8]) {
        if bytes.len() > MAX_CUT_BYTES {
            return;
        }
        for len in 0..bytes.len() {
            for io in [Io::Mmap, Io::Read] {
                let how = format!("cut after {len} of {} bytes, io = {io:?}", bytes.len());
                if let Ok(rows) = self.read_changed(&bytes[..len], io, &how) {
                    let kept = rows.ids.len();
                    assert!(kept <= whole.ids.len(), "{how}: more rows than before");
                    rows.assert_is(&whole.slice(0..kept), &how);
                }
            }
        }
    }

    fn check_damage(&self, bytes: &[u8]) {
        for at in 0..bytes.len().min(DAMAGED_BYTES) {
            for mask in [0xff, 1 << (at % 8)] {
                let mut damaged = bytes.to_vec();
                damaged[at] ^= mask;
                for io in [Io::Mmap, Io::Read] {
                    let how = format!("byte {at} changed by {mask:#04x}, io = {io:?}");
                    // Refused or read: both are fine.
                    let _ = self.read_changed(&damaged, io, &how);
                }
            }
        }
    }

    /// Reads the copy with other bytes in it.
    fn read_changed(&self, bytes: &[u8], io: Io, how: &str) -> Result<Delivered, Error> {
        fs::write(&self.input.path, bytes).unwrap_or_else(|error| panic!("cannot write the copy: {error}"));
        let probe =
            Probe { head: bytes, len_bytes: bytes.len() as u64, path: &self.input.path, dim: self.input.dim };
        let format = self.format;
        // A reader that panics has no state that outlives this call.
        let read = catch_unwind(AssertUnwindSafe(|| {
            (format.probe)(&probe);
            let dataset = self.open(io)?;
            read(&*dataset, all(&*dataset), 7)
        }));
        read.unwrap_or_else(|_| panic!("{how}: the reader panicked"))
    }
}

/// Checks an opened dataset against all of its rows. `before` stands before what is said.
fn check_opened(dataset: &dyn Dataset, whole: &Delivered, before: &str) {
    let rows = whole.ids.len();
    for batch_rows in [1, 2, 7, rows.max(1)] {
        let how = format!("{before}batches of {batch_rows}");
        must_read(dataset, all(dataset), batch_rows, &how).assert_is(whole, &how);
        for part in [0..0, 0..rows.min(1), rows.min(1)..rows, rows / 3..rows - rows / 3, rows..rows] {
            let how = format!("{how}, rows {part:?}");
            let range = part.start as u64..part.end as u64;
            must_read(dataset, range, batch_rows, &how).assert_is(&whole.slice(part), &how);
        }
        check_order_of_pieces(dataset, batch_rows, whole, &how);
    }
    if let Some(matrix) = dataset.matrix() {
        let bits: Vec<u32> = matrix.values.iter().map(|value| value.to_bits()).collect();
        assert_eq!(matrix.dim, whole.dim, "the matrix has another dimension than the batches");
        assert_eq!(bits, whole.values, "the matrix has other values than the batches");
    }
    if let Err(error) = dataset.check_unchanged() {
        panic!("a file that nobody touched is said to have changed: {error}");
    }
}

fn check_info(dataset: &dyn Dataset, whole: &Delivered) {
    let info = dataset.info();
    assert!((1..=MAX_DIM).contains(&info.dim), "dimension {} is none", info.dim);
    if let Some(rows) = info.rows.exact() {
        assert_eq!(rows, whole.ids.len() as u64, "other rows than it says");
    }
}

/// Pieces backwards, and by three threads.
fn check_order_of_pieces(dataset: &dyn Dataset, batch_rows: usize, whole: &Delivered, how: &str) {
    let (pool, scan) = (BufferPool::new(), Scan { rows: all(dataset), batch_rows });
    let pieces = dataset.pieces(&scan);
    let read = |piece: &Piece| {
        read_piece(dataset, &scan, piece, &pool).unwrap_or_else(|error| panic!("{how}: {error}"))
    };
    let mut backwards: Vec<_> = pieces.iter().rev().map(read).collect();
    backwards.reverse();
    joined(whole.dim, &backwards).assert_is(whole, &format!("{how}, pieces backwards"));

    let next = AtomicUsize::new(0);
    let mut parts: Vec<(usize, Delivered)> = thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(piece) = pieces.get(number) else { return done };
                done.push((number, read(piece)));
            }
        };
        let workers = [(); 3].map(|()| scope.spawn(worker));
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|_| panic!("{how}: a thread panicked")))
            .collect()
    });
    parts.sort_by_key(|(number, _)| *number);
    let parts: Vec<_> = parts.into_iter().map(|(_, part)| part).collect();
    joined(whole.dim, &parts).assert_is(whole, &format!("{how}, three threads"));
}

fn joined(dim: usize, parts: &[Delivered]) -> Delivered {
    let mut all = Delivered { dim, ..Delivered::default() };
    for part in parts {
        all.append(part);
    }
    all
}

fn all(dataset: &dyn Dataset) -> Range<u64> {
    0..dataset.info().rows.exact().unwrap_or(u64::MAX)
}

#[track_caller]
fn must_read(dataset: &dyn Dataset, rows: Range<u64>, batch_rows: usize, how: &str) -> Delivered {
    read(dataset, rows, batch_rows).unwrap_or_else(|error| panic!("{how}: {error}"))
}

fn read(dataset: &dyn Dataset, rows: Range<u64>, batch_rows: usize) -> Result<Delivered, Error> {
    let (pool, scan) = (BufferPool::new(), Scan { rows, batch_rows });
    let mut delivered = Delivered { dim: dataset.info().dim, ..Delivered::default() };
    let mut next = scan.rows.start;
    for piece in dataset.pieces(&scan) {
        assert_eq!(piece.rows.start, next, "pieces have gaps or are out of order");
        delivered.append(&read_piece(dataset, &scan, &piece, &pool)?);
        next = piece.rows.end;
    }
    assert_eq!(next, scan.rows.end, "the pieces are not the whole scan");
    Ok(delivered)
}

fn read_piece(
    dataset: &dyn Dataset,
    scan: &Scan,
    piece: &Piece,
    pool: &BufferPool,
) -> Result<Delivered, Error> {
    let mut delivered = Delivered { dim: dataset.info().dim, ..Delivered::default() };
    let mut next = piece.rows.start;
    for batch in dataset.read(scan, piece, pool)? {
        let batch = batch?;
        assert_eq!(batch.first_row(), next, "batches have gaps or are out of order");
        assert!((1..=scan.batch_rows).contains(&batch.rows()), "a batch of {} rows", batch.rows());
        assert_eq!(batch.dim(), delivered.dim, "a batch of another dimension");
        assert_eq!(batch.ids().given(), dataset.info().ids, "ids of its own, or none, against what it says");
        let payload = batch.payload().map(|payload| payload.schema());
        assert_eq!(payload, dataset.info().payload, "further columns, or none, against what it says");
        next = batch.row_range().end;
        delivered.ids.extend((0..batch.rows()).map(|row| match batch.ids().texts() {
            Some(texts) => texts.value(row).to_owned(),
            None => batch.ids().get(row).to_string(),
        }));
        delivered.values.extend(batch.values().iter().map(|value| value.to_bits()));
        // What the buffer holds when it is taken again must not matter.
        let values = batch.into_values();
        if let Ok(mut used) = values.into_inner().into_vec::<f32>() {
            used.fill(f32::NAN);
            pool.put(used.into());
        }
    }
    assert!(next <= piece.rows.end, "a piece gives rows of the next");
    let complete = next == piece.rows.end || dataset.info().rows.exact().is_none();
    assert!(complete, "a piece ends at row {next} instead of {}", piece.rows.end);
    Ok(delivered)
}

/// A copy of a file and its sidecars in a folder of its own, which goes with it.
struct Copy {
    dir: PathBuf,
    file: PathBuf,
    bytes: Vec<u8>,
}

impl Copy {
    fn of(path: &Path) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("conformance-{}-{number}", std::process::id()));
        let name = path.file_name().unwrap_or_default();
        let (file, bytes) = (dir.join(name), fs::read(path).unwrap_or_default());
        fs::create_dir(&dir).unwrap_or_else(|error| panic!("cannot create {}: {error}", dir.display()));
        let copy = Self { dir, file, bytes };
        copy.take_sidecars(path).unwrap_or_else(|error| panic!("cannot copy the files beside: {error}"));
        copy
    }

    fn take_sidecars(&self, path: &Path) -> std::io::Result<()> {
        let stem = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.split('.').next().unwrap_or_default().to_owned()
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for entry in fs::read_dir(folder)? {
            let other = entry?.path();
            let name = other.file_name().unwrap_or_default();
            let shared = name == "meta.json" || name == "ids.u64";
            if other.is_file() && (shared || stem(&other) == stem(path)) {
                fs::copy(&other, self.dir.join(name))?;
            }
        }
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Nothing can be done about a temporary folder that stays.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
