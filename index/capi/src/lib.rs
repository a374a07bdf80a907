//! The C interface of the index engine: open an index file, search it by batches, look at its ids and vectors in place.
//!
//! It is what the Python package loads by `ctypes`; `sochdb_bulk_index.h` declares it for C. The rules are the same for
//! all functions:
//!
//! - Those that can fail return a [`Status`]; [`sbi_last_error`] then has the reason, for the thread that called.
//! - Nothing of Rust goes across: an index is an address that means nothing to the caller, all else are numbers and buffers
//!   of the caller. No panic leaves a function.
//! - An index may be searched by any number of threads at a time. It must not be closed while one of them is at it, or
//!   while its ids or vectors are looked at.
//! - [`sbi_abi_version`] changes when a function or the meaning of one changes; new functions leave it alone.
#![allow(unsafe_code, reason = "addresses of another language can be used in no other way")]

mod describe;
mod search;

use std::cell::RefCell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use index::Index;
use index::file::OpenError;

use search::{Memories, Request};

/// What [`sbi_abi_version`] returns.
pub const ABI_VERSION: u32 = 1;

/// How a call ended. The numbers are part of the interface.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It did what was asked.
    Ok = 0,
    /// An argument that cannot be meant.
    InvalidArgument = 1,
    /// There is no such file.
    NoFile = 2,
    /// The operating system refused for another reason.
    Io = 3,
    /// The file is no index.
    NotAnIndex = 4,
    /// The file was written in a later version of the format.
    Newer = 5,
    /// The file is damaged.
    Corrupt = 6,
    /// A mistake of this library.
    Panic = 7,
    /// The index has no vectors of its own, and those of the file that it was built from cannot be used.
    NoVectors = 8,
}

/// Why a call failed.
struct Error(Status, String);

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        let status = match &error {
            OpenError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => Status::NoFile,
            OpenError::Io(_) => Status::Io,
            OpenError::NotAnIndex => Status::NotAnIndex,
            OpenError::Newer { .. } => Status::Newer,
            OpenError::Source { .. } => Status::NoVectors,
            _ => Status::Corrupt,
        };
        Self(status, error.to_string())
    }
}

impl From<index::file::Corrupt> for Error {
    fn from(error: index::file::Corrupt) -> Self {
        Self(Status::Corrupt, error.to_string())
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error(Status::InvalidArgument, message.into())
}

/// An opened index, and the memory that searches have left for the next ones.
#[derive(Debug)]
pub struct SbiIndex {
    index: Index,
    memories: Memories,
}

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the body of a function: no panic leaves it, and what went wrong is kept for [`sbi_last_error`].
fn guarded(body: impl FnOnce() -> Result<(), Error>) -> i32 {
    // Unwind safety: what a panic may leave half done is scratch memory, which is lost with it.
    let result = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error(Status::Panic, text.unwrap_or_else(|| "a panic without a message".to_owned())))
    });
    match result {
        Ok(()) => Status::Ok as i32,
        Err(Error(status, message)) => {
            LAST_ERROR.set(message);
            status as i32
        }
    }
}

/// Copies as much of `text` as there is room for, and returns how many bytes it has.
///
/// # Safety
/// `buffer` is null, or `capacity_bytes` bytes from it on may be written.
unsafe fn hand_over(text: &str, buffer: *mut c_char, capacity_bytes: usize) -> usize {
    if !buffer.is_null() {
        let len = text.len().min(capacity_bytes);
        // SAFETY: `len` is at most the room that the caller has promised, and a `str` of this library does not overlap it.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), len) };
    }
    text.len()
}

/// The index behind an address.
///
/// # Safety
/// `index` is null or an address from [`sbi_open`] that has not been closed, and will not be as long as `'a`.
unsafe fn index_of<'a>(index: *const SbiIndex) -> Result<&'a SbiIndex, Error> {
    // SAFETY: as the caller promises; a null pointer becomes None. All state inside is behind locks or atomic numbers.
    unsafe { index.as_ref() }.ok_or_else(|| invalid("expected an index, found a null pointer"))
}

/// Does the work of one call on threads that end with it. The threads of a pool that stays would be missing in a process
/// that is forked from this one, as Python's `multiprocessing` does, and whoever counts on them would wait for ever. 0 threads
/// are one for each core.
fn in_a_pool_of_its_own<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> Result<R, Error> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map(|pool| pool.install(work)).map_err(|e| Error(Status::Io, format!("cannot start threads: {e}")))
}

/// The version of this interface.
#[unsafe(no_mangle)]
pub extern "C" fn sbi_abi_version() -> u32 {
    ABI_VERSION
}

/// Copies why the last call of this thread failed, as UTF-8 without a zero at its end, into `buffer`, as far as there is
/// room, and returns its length in bytes. A null `buffer` asks for the length alone.
///
/// # Safety
/// `buffer` is null, or `capacity_bytes` bytes from it on may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbi_last_error(buffer: *mut c_char, capacity_bytes: usize) -> usize {
    // SAFETY: the caller's promise is the same.
    LAST_ERROR.with_borrow(|text| unsafe { hand_over(text, buffer, capacity_bytes) })
}

/// Opens an index file, and checks all of it but the vectors, which are checked where searches come to them. `path` has
/// `path_bytes` bytes: as the system has it on Unix, UTF-8 elsewhere. The index in `*opened` is to be closed by
/// [`sbi_close`].
///
/// # Safety
/// `path_bytes` bytes from `path` on may be read, and `opened` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbi_open(path: *const u8, path_bytes: usize, opened: *mut *mut SbiIndex) -> i32 {
    guarded(|| {
        if path.is_null() || opened.is_null() {
            return Err(invalid("expected a path and a place for the index, found a null pointer"));
        }
        // SAFETY: not null, and as long as the caller says.
        let bytes = unsafe { std::slice::from_raw_parts(path, path_bytes) };
        let path = path_of(bytes)?;
        let index = in_a_pool_of_its_own(0, || Index::open(&path))??;
        let handle = Box::new(SbiIndex { index, memories: Memories::default() });
        // SAFETY: not null, and the caller's to be written.
        unsafe { opened.write(Box::into_raw(handle)) };
        Ok(())
    })
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere a path may be none")]
fn path_of(bytes: &[u8]) -> Result<PathBuf, Error> {
    use std::os::unix::ffi::OsStrExt;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

#[cfg(not(unix))]
fn path_of(bytes: &[u8]) -> Result<PathBuf, Error> {
    let text = std::str::from_utf8(bytes).map_err(|e| invalid(format!("expected a path in UTF-8: {e}")))?;
    Ok(PathBuf::from(text))
}

/// Closes an index; a null pointer is none.
///
/// # Safety
/// `index` is null or from [`sbi_open`], is closed once, and nobody uses it, its ids or its vectors any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbi_close(index: *mut SbiIndex) {
    if !index.is_null() {
        let status = guarded(|| {
            // SAFETY: made by `Box::into_raw` in `sbi_open`, and given back once, as the caller promises.
            drop(unsafe { Box::from_raw(index) });
            Ok(())
        });
        debug_assert_eq!(status, Status::Ok as i32);
    }
}

/// Copies what the file says of itself, the JSON of `sochdb-bulk info --json`, as [`sbi_last_error`] copies its text.
/// `*length_bytes` becomes its length, also where there was too little room.
///
/// # Safety
/// `index` is from [`sbi_open`] and stays open meanwhile; `buffer` is null, or `capacity_bytes` bytes from it on may be
/// written; `length_bytes` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbi_describe(
    index: *const SbiIndex,
    buffer: *mut c_char,
    capacity_bytes: usize,
    length_bytes: *mut usize,
) -> i32 {
    guarded(|| {
        if length_bytes.is_null() {
            return Err(invalid("expected a place for the length, found a null pointer"));
        }
        // SAFETY: the caller's promise is the same.
        let text = describe::as_json(&unsafe { index_of(index) }?.index);
        // SAFETY: of the buffer the caller's promise is the same; the length has a place, as was just looked at.
        unsafe { length_bytes.write(hand_over(&text, buffer, capacity_bytes)) };
        Ok(())
    })
}

/// Searches for the `k` nearest rows of each of `rows` queries of `dim` values, which stand one behind the other, with a
/// beam of `ef_search` (below `k` it counts as `k`), by up to `threads` threads; 0 is one for each core.
///
/// Each query has `min(k, rows of the index)` hits, nearest first, equal distances by row. They are written one query
/// behind the other: ids (row numbers, where the index has none of its own, or has texts) to `ids`, and distances to
/// `distances`. Both have room for `capacity_hits` numbers, which must be enough.
///
/// # Safety
/// `index` is from [`sbi_open`] and stays open meanwhile; `rows * dim` values from `queries` on may be read, and are not
/// written meanwhile; `capacity_hits` values from `ids` and from `distances` on may be written, and nobody else uses them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbi_search(
    index: *const SbiIndex,
    queries: *const f32,
    rows: usize,
    dim: usize,
    k: usize,
    ef_search: usize,
    threads: usize,
    ids: *mut u64,
    distances: *mut f32,
    capacity_hits: usize,
) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise is the same.
        let SbiIndex { index, memories } = unsafe { index_of(index) }?;
        if dim != index.dim() {
            return Err(invalid(format!("expected queries of dimension {}, found {dim}", index.dim())));
        }
        if k == 0 {
            return Err(invalid("expected k of at least 1, found 0"));
        }
        let hits_per_query = k.min(index.rows());
        let values = rows.checked_mul(dim).filter(|&values| is_addressable::<f32>(values));
        let hits = rows.checked_mul(hits_per_query).filter(|&hits| hits <= capacity_hits);
        let (Some(values), Some(hits)) = (values, hits) else {
            return Err(invalid(format!(
                "expected room for {rows} x {hits_per_query} hits, found {capacity_hits}"
            )));
        };
        if values == 0 || hits == 0 {
            return Ok(());
        }
        if queries.is_null() || ids.is_null() || distances.is_null() || !is_addressable::<u64>(hits) {
            return Err(invalid("expected queries, ids and distances, found a null pointer"));
        }
        if !(queries.is_aligned() && ids.is_aligned() && distances.is_aligned()) {
            return Err(invalid("expected addresses at multiples of 4 for f32 and of 8 for u64"));
        }
        // SAFETY: not null, aligned, `rows * dim` values of which any bits are a number, no larger than memory is, and not
        // written meanwhile, as the caller promises.
        let queries = unsafe { std::slice::from_raw_parts(queries, values) };
        // SAFETY: not null, aligned, and `hits` is at most the room that the caller promises to be nobody else's. Any bits
        // that were there are a number.
        let ids = unsafe { std::slice::from_raw_parts_mut(ids, hits) };
        // SAFETY: as the ids.
        let distances = unsafe { std::slice::from_raw_parts_mut(distances, hits) };
        search::search(index, memories, &Request { queries, k, ef_search, threads }, ids, distances)
    })
}

/// Whether a slice may have so many values: its bytes have to fit an `isize`.
fn is_addressable<T>(values: usize) -> bool {
    values.checked_mul(size_of::<T>()).is_some_and(|bytes| isize::try_from(bytes).is_ok())
}

/// The address of the ids of the rows, one u64 each, in the mapped file; null, where rows have no numbers of their own.
/// They stay where they are until the index is closed.
///
/// # Safety
/// `index` is from [`sbi_open`] and stays open meanwhile; `ids` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbi_ids(index: *const SbiIndex, ids: *mut *const u64) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise is the same.
        let handle = unsafe { index_of(index) }?;
        if ids.is_null() {
            return Err(invalid("expected a place for the address, found a null pointer"));
        }
        let address = handle.index.ids().map_or(std::ptr::null(), <[u64]>::as_ptr);
        // SAFETY: not null, and the caller's to be written.
        unsafe { ids.write(address) };
        Ok(())
    })
}

/// The addresses of ids that are texts, in the mapped file: of the places where each begins among the texts and the last
/// ends, one more than there are rows; and of the texts, one behind the other, in UTF-8 without zeros. Both null, where ids
/// are no texts. They stay where they are until the index is closed.
///
/// # Safety
/// `index` is from [`sbi_open`] and stays open meanwhile; `offsets` and `texts` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbi_text_ids(
    index: *const SbiIndex,
    offsets: *mut *const u64,
    texts: *mut *const u8,
) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise is the same.
        let handle = unsafe { index_of(index) }?;
        if offsets.is_null() || texts.is_null() {
            return Err(invalid("expected places for two addresses, found a null pointer"));
        }
        let parts = handle.index.text_ids().map(|ids| ids.parts());
        let null = (std::ptr::null(), std::ptr::null());
        let (offsets_at, texts_at) =
            parts.map_or(null, |(offsets, texts)| (offsets.as_ptr(), texts.as_ptr()));
        // SAFETY: not null, and the caller's to be written.
        unsafe { offsets.write(offsets_at) };
        // SAFETY: as the offsets.
        unsafe { texts.write(texts_at) };
        Ok(())
    })
}

/// The address of the vectors, rows of f32 one behind the other, in the mapped file (in memory, where they are stored
/// narrower, and widened once), after all of them were compared with their checksums. They stay where they are until the index is closed.
///
/// # Safety
/// `index` is from [`sbi_open`] and stays open meanwhile; `vectors` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sbi_vectors(index: *const SbiIndex, vectors: *mut *const f32) -> i32 {
    guarded(|| {
        // SAFETY: the caller's promise is the same.
        let handle = unsafe { index_of(index) }?;
        if vectors.is_null() {
            return Err(invalid("expected a place for the address, found a null pointer"));
        }
        let vectors_checked = in_a_pool_of_its_own(0, || handle.index.vectors())??;
        let address = vectors_checked.values().as_ptr();
        // SAFETY: not null, and the caller's to be written.
        unsafe { vectors.write(address) };
        Ok(())
    })
}
