//! Searches of all queries, timed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use index::file::Corrupt;
use index::{Hit, Index, Searcher};
use rayon::ThreadPool;

use super::super::info::damaged;
use super::truth::Truth;
use crate::Failure;
use crate::pipeline::Cancel;

/// By what searches go through the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    Codes,
    Vectors,
}

impl Walk {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Codes => "codes",
            Self::Vectors => "vectors",
        }
    }
}

/// What was measured with one ef.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) ef: usize,
    pub(super) walk: Walk,
    pub(super) recall: f64,
    pub(super) queries_per_sec: f64,
    /// The time of a query in milliseconds, which half of all do not exceed, 95 % and 99 %.
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) distances_per_query: f64,
}

/// Why there is no measurement.
#[derive(Debug)]
pub(super) enum Stop {
    Corrupt(Corrupt),
    Failure(Failure),
}

impl Stop {
    pub(super) fn into_failure(self, index: &Path) -> Failure {
        match self {
            Self::Corrupt(corrupt) => damaged(index, &corrupt),
            Self::Failure(failure) => failure,
        }
    }
}

/// Queries that are searched for again and again, always by the same threads.
pub(super) struct Bench<'a> {
    queries: &'a [f32],
    dim: usize,
    truth: &'a Truth,
    k: usize,
    rows: usize,
    pool: ThreadPool,
    /// One a thread.
    searchers: Vec<Mutex<Searcher<'a>>>,
    walk: Walk,
    /// Whether all queries were searched for once.
    is_warm: AtomicBool,
}

/// One search: which query, what it found, in what time.
type Search = (usize, Vec<Hit>, f64);

impl<'a> Bench<'a> {
    pub(super) fn new(
        index: &'a Index,
        queries: &'a [f32],
        truth: &'a Truth,
        k: usize,
        threads: usize,
        walk: Walk,
    ) -> Result<Self, Failure> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|e| Failure::failed(format!("cannot start {threads} threads: {e}")))?;
        let searchers = (0..threads)
            .map(|_| match walk {
                Walk::Codes => Mutex::new(index.searcher()),
                Walk::Vectors => Mutex::new(index.searcher().by_vectors()),
            })
            .collect();
        Ok(Self {
            queries,
            dim: index.dim(),
            truth,
            k,
            rows: index.rows(),
            pool,
            searchers,
            walk,
            is_warm: AtomicBool::new(false),
        })
    }

    /// Searches for all queries. Those that nobody times come first: they bring memory and caches to where they are later.
    #[expect(clippy::cast_precision_loss, reason = "rates and means, of less than 2^53 things")]
    pub(super) fn run(&self, ef: usize, cancel: &Cancel) -> Result<Point, Stop> {
        const WARM_UP_ROWS: usize = 100;
        // The first searches also check the blocks of the file that they come to.
        let is_first = !self.is_warm.swap(true, Ordering::Relaxed);
        let warm_up = if is_first { usize::MAX } else { WARM_UP_ROWS.max(self.searchers.len()) * self.dim };
        self.search(&self.queries[..warm_up.min(self.queries.len())], ef, cancel)?;
        let before = self.distances();
        let start = Instant::now();
        let searches = self.search(self.queries, ef, cancel)?;
        let secs = start.elapsed().as_secs_f64();
        let count = searches.len() as f64;
        let mut times: Vec<f64> = searches.iter().map(|&(_, _, secs)| secs * 1000.0).collect();
        times.sort_by(f64::total_cmp);
        let at_most = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
        Ok(Point {
            ef,
            walk: self.walk,
            recall: self.recall_of(&searches),
            queries_per_sec: count / secs.max(1e-9),
            p50_ms: at_most(50),
            p95_ms: at_most(95),
            p99_ms: at_most(99),
            distances_per_query: (self.distances() - before) as f64 / count,
        })
    }

    /// The share of the `k` nearest rows of all queries that is found.
    fn recall(&self, ef: usize, cancel: &Cancel) -> Result<f64, Stop> {
        Ok(self.recall_of(&self.search(self.queries, ef, cancel)?))
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of less than 2^53 hits")]
    fn recall_of(&self, searches: &[Search]) -> f64 {
        let found: usize = searches.iter().map(|(query, hits, _)| self.truth.found(*query, hits)).sum();
        found as f64 / (searches.len() * self.k) as f64
    }

    /// Distances that were computed so far.
    fn distances(&self) -> u64 {
        let of = |searcher: &Mutex<Searcher<'_>>| {
            searcher.lock().unwrap_or_else(PoisonError::into_inner).distances_computed()
        };
        self.searchers.iter().map(of).sum()
    }

    /// Every thread takes the next few queries until there are none.
    fn search(&self, queries: &[f32], ef: usize, cancel: &Cancel) -> Result<Vec<Search>, Stop> {
        const QUERIES_AT_A_TIME: usize = 8;
        let next = AtomicUsize::new(0);
        let share = |searcher: &mut Searcher<'_>| -> Result<Vec<Search>, Corrupt> {
            let mut done = Vec::with_capacity(queries.len() / self.dim / self.searchers.len() + 1);
            loop {
                let first = next.fetch_add(QUERIES_AT_A_TIME, Ordering::Relaxed);
                let rest = queries.chunks_exact(self.dim).skip(first);
                if rest.len() == 0 || cancel.is_set() {
                    return Ok(done);
                }
                for (query, values) in (first..).zip(rest.take(QUERIES_AT_A_TIME)) {
                    let start = Instant::now();
                    let hits = searcher.search(values, self.k, ef)?;
                    done.push((query, hits, start.elapsed().as_secs_f64()));
                }
            }
        };
        let shares = self.pool.broadcast(|thread| {
            share(&mut self.searchers[thread.index()].lock().unwrap_or_else(PoisonError::into_inner))
        });
        cancel.check().map_err(Stop::Failure)?;
        let shares: Vec<Vec<Search>> =
            shares.into_iter().collect::<Result<_, Corrupt>>().map_err(Stop::Corrupt)?;
        Ok(shares.into_iter().flatten().collect())
    }
}

/// The smallest ef whose recall is at least `target`, or nothing if there is none: by doubling, and between the last two by
/// halves. Recall may fall by a hit where ef grows, so a smaller one may reach it by luck.
pub(super) fn least_ef(bench: &Bench<'_>, target: f64, cancel: &Cancel) -> Result<Option<usize>, Stop> {
    let (mut below, mut ef) = (bench.k - 1, bench.k);
    while bench.recall(ef, cancel)? < target {
        if ef >= bench.rows {
            return Ok(None);
        }
        below = ef;
        ef = (2 * ef).min(bench.rows);
    }
    while ef - below > 1 {
        let middle = usize::midpoint(below, ef);
        if bench.recall(middle, cancel)? < target {
            below = middle;
        } else {
            ef = middle;
        }
    }
    Ok(Some(ef))
}
