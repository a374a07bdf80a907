//! The nearest candidates of every row so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::nearest::Near;
use crate::distance::prefetch;
use crate::mmap::AnonymousCells;

/// Rows that share a lock.
const STRIPE_ROWS: usize = 16;

/// For each position the nearest of all candidates that it was offered, each once.
///
/// Candidates are put behind those that are there, and only when there is no more place are the nearest sorted out.
/// What a reservoir holds in the end is the least of a set under a total order, so it does not depend on who offered
/// what first.
///
/// All places are in one piece, in huge pages: where they are written to is as good as random, and of a million rows
/// they are more than half a gigabyte. They are cells that threads may share, and the lock of a position's stripe is what
/// keeps them consistent.
#[derive(Debug)]
pub(super) struct Reservoirs {
    cells: AnonymousCells,
    /// Of each position how many places hold candidates, and its bound.
    states: Vec<AtomicU64>,
    locks: Vec<Mutex<()>>,
    wanted: usize,
    places: usize,
}

/// Places of a reservoir that is to hold `wanted` candidates.
pub(super) fn places(wanted: usize) -> usize {
    wanted + wanted / 2
}

/// Sorts, and leaves the `wanted` nearest, each once.
fn sort_out(list: &mut Vec<Near>, wanted: usize) {
    list.sort_unstable();
    list.dedup();
    list.truncate(wanted);
}

/// How many places hold candidates, and the bound, as one number.
#[expect(clippy::cast_sign_loss, reason = "its bits are kept")]
fn state(len: usize, bound: i32) -> u64 {
    len as u64 | u64::from(bound as u32) << 32
}

#[expect(clippy::cast_possible_truncation, reason = "each half is taken as it was put in")]
fn of_state(state: u64) -> (usize, i32) {
    (state as u32 as usize, (state >> 32) as u32 as i32)
}

fn store(cells: &[AtomicU64], candidates: &[Near]) {
    for (cell, near) in cells.iter().zip(candidates) {
        cell.store(near.bits(), Ordering::Relaxed);
    }
}

impl Reservoirs {
    /// Empty ones, for `wanted` candidates each.
    pub(super) fn new(positions: usize, wanted: usize) -> Self {
        let places = places(wanted);
        Self {
            cells: AnonymousCells::new(positions * places),
            states: (0..positions).map(|_| AtomicU64::new(state(0, i32::MAX))).collect(),
            locks: (0..positions.div_ceil(STRIPE_ROWS)).map(|_| Mutex::new(())).collect(),
            wanted,
            places,
        }
    }

    fn list(&self, position: u32) -> &[AtomicU64] {
        &self.cells.as_slice()[position as usize * self.places..][..self.places]
    }

    /// Candidates farther than this need not be offered to a position any more. It only ever falls, so an old one does no
    /// harm.
    pub(super) fn bound(&self, position: u32) -> i32 {
        self.state(position).1
    }

    fn state(&self, position: u32) -> (usize, i32) {
        of_state(self.states[position as usize].load(Ordering::Relaxed))
    }

    /// Lowers the bound of a position that was not offered anything yet.
    pub(super) fn limit(&self, position: u32, bound: i32) {
        self.states[position as usize].store(state(0, bound), Ordering::Relaxed);
    }

    /// Asks for the memory to which `count` candidates of a position will go.
    pub(super) fn prefetch(&self, position: u32, count: usize) {
        let (len, _) = self.state(position);
        let list = self.list(position);
        // Where there is no place for them all are sorted.
        prefetch(list.get(len..len + count).unwrap_or(list));
    }

    /// Asks for the candidates of a position.
    pub(super) fn prefetch_all(&self, position: u32) {
        prefetch(&self.list(position)[..self.state(position).0]);
    }

    /// Offers candidates to a position. `scratch` may hold anything, before and after.
    pub(super) fn offer(&self, position: u32, mut offered: &[Near], scratch: &mut Vec<Near>) {
        let lock = &self.locks[position as usize / STRIPE_ROWS];
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut len, mut bound) = self.state(position);
        let list = self.list(position);
        while len + offered.len() > self.places {
            let (now, later) = offered.split_at(self.places - len);
            scratch.clear();
            scratch.extend(list[..len].iter().map(|cell| Near::from_bits(cell.load(Ordering::Relaxed))));
            scratch.extend_from_slice(now);
            sort_out(scratch, self.wanted);
            store(list, scratch);
            len = scratch.len();
            if len == self.wanted {
                bound = scratch[len - 1].distance();
            }
            offered = later;
        }
        store(&list[len..], offered);
        self.states[position as usize].store(state(len + offered.len(), bound), Ordering::Relaxed);
    }

    /// The candidates of a position, nearest first.
    pub(super) fn get(&self, position: u32, out: &mut Vec<Near>) {
        let lock = &self.locks[position as usize / STRIPE_ROWS];
        let _held = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let held = &self.list(position)[..self.state(position).0];
        out.clear();
        out.extend(held.iter().map(|cell| Near::from_bits(cell.load(Ordering::Relaxed))));
        sort_out(out, self.wanted);
    }
}
