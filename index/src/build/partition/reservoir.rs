//! The nearest candidates of every row so far.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::nearest::Near;
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
    /// How many places of each position hold candidates.
    lens: Vec<Mutex<[usize; STRIPE_ROWS]>>,
    bounds: Vec<AtomicI32>,
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
            lens: (0..positions.div_ceil(STRIPE_ROWS)).map(|_| Mutex::new([0; STRIPE_ROWS])).collect(),
            bounds: (0..positions).map(|_| AtomicI32::new(i32::MAX)).collect(),
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
        self.bounds[position as usize].load(Ordering::Relaxed)
    }

    /// Offers candidates to a position. `scratch` may hold anything, before and after.
    pub(super) fn offer(&self, position: u32, mut offered: &[Near], scratch: &mut Vec<Near>) {
        let stripe = &self.lens[position as usize / STRIPE_ROWS];
        let mut lens = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        let len = &mut lens[position as usize % STRIPE_ROWS];
        let list = self.list(position);
        while *len + offered.len() > self.places {
            let (now, later) = offered.split_at(self.places - *len);
            scratch.clear();
            scratch.extend(list[..*len].iter().map(|cell| Near::from_bits(cell.load(Ordering::Relaxed))));
            scratch.extend_from_slice(now);
            sort_out(scratch, self.wanted);
            store(list, scratch);
            *len = scratch.len();
            if *len == self.wanted {
                self.bounds[position as usize].store(scratch[*len - 1].distance(), Ordering::Relaxed);
            }
            offered = later;
        }
        store(&list[*len..], offered);
        *len += offered.len();
    }

    /// The candidates of a position, nearest first.
    pub(super) fn get(&self, position: u32, out: &mut Vec<Near>) {
        let stripe = &self.lens[position as usize / STRIPE_ROWS];
        let lens = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        let held = &self.list(position)[..lens[position as usize % STRIPE_ROWS]];
        out.clear();
        out.extend(held.iter().map(|cell| Near::from_bits(cell.load(Ordering::Relaxed))));
        sort_out(out, self.wanted);
    }
}
