//! A batch of queries, on as many threads as are wanted.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use index::{Index, SearchMemory};

use crate::{Error, in_a_pool_of_its_own, invalid};

/// Queries that a thread takes at a time: few enough that all end together, enough that taking them costs nothing.
const CHUNK_QUERIES: usize = 8;

/// The memory that searchers have left, for the next ones: a search begins with as many bytes as the index has rows.
#[derive(Debug, Default)]
pub(crate) struct Memories(Mutex<Vec<SearchMemory>>);

impl Memories {
    fn take(&self) -> SearchMemory {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, memory: SearchMemory) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}

/// What is looked for, and how.
pub(crate) struct Request<'a> {
    /// Rows of the index's dimension.
    pub(crate) queries: &'a [f32],
    /// At least 1.
    pub(crate) k: usize,
    pub(crate) ef_search: usize,
    /// 0 is one for each core.
    pub(crate) threads: usize,
}

/// Fills `ids` and `distances` with `min(k, rows)` hits for each query.
pub(crate) fn search(
    index: &Index,
    memories: &Memories,
    request: &Request<'_>,
    ids: &mut [u64],
    distances: &mut [f32],
) -> Result<(), Error> {
    let (dim, hits) = (index.dim(), request.k.min(index.rows()));
    if let Some(at) = request.queries.iter().position(|value| !value.is_finite()) {
        let (row, column, value) = (at / dim, at % dim, request.queries[at]);
        return Err(invalid(format!(
            "query {row}, column {column}: expected a finite number, found {value}"
        )));
    }
    let (searches, ef) = (request.queries.len() / dim, request.ef_search.max(request.k));
    if index.wants_check_ahead(searches, ef) {
        in_a_pool_of_its_own(request.threads, || index.check_ahead(searches, ef))??;
    }
    let chunks = request.queries.chunks(dim * CHUNK_QUERIES).len();
    let threads = match request.threads {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        threads => threads,
    };
    let work = Mutex::new(
        request
            .queries
            .chunks(dim * CHUNK_QUERIES)
            .zip(ids.chunks_mut(hits * CHUNK_QUERIES))
            .zip(distances.chunks_mut(hits * CHUNK_QUERIES)),
    );
    let has_failed = AtomicBool::new(false);
    let worker = || -> Result<(), Error> {
        let mut searcher = index.searcher_with(memories.take());
        while !has_failed.load(Ordering::Relaxed) {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(((queries, ids), distances)) = next else { break };
            let places = ids.chunks_mut(hits).zip(distances.chunks_mut(hits));
            for (query, (ids, distances)) in queries.chunks(dim).zip(places) {
                let found = searcher.search(query, request.k, request.ef_search).inspect_err(|_| {
                    has_failed.store(true, Ordering::Relaxed);
                })?;
                for ((hit, id), distance) in found.iter().zip(ids).zip(distances) {
                    (*id, *distance) = (hit.id, hit.distance);
                }
            }
        }
        memories.give_back(searcher.into_memory());
        Ok(())
    };
    thread::scope(|scope| {
        // A thread that cannot be started is one less: this one does what is left.
        let others: Vec<_> = (1..threads.min(chunks))
            .map_while(|_| thread::Builder::new().spawn_scoped(scope, worker).ok())
            .collect();
        let mut result = worker();
        for other in others {
            let of_other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            result = result.and(of_other);
        }
        result
    })
}
