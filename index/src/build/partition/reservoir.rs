//! The nearest candidates of every row so far.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::nearest::Near;

/// Rows that share a lock.
const STRIPE_ROWS: usize = 16;

/// For each position the nearest of all candidates that it was offered, each once.
///
/// Candidates are put behind those that are there, and only when there is no more place are the nearest sorted out.
/// What a reservoir holds in the end is the least of a set under a total order, so it does not depend on who offered
/// what first.
#[derive(Debug)]
pub(super) struct Reservoirs {
    stripes: Vec<Mutex<Stripe>>,
    bounds: Vec<AtomicI32>,
    wanted: usize,
    places: usize,
}

#[derive(Debug)]
struct Stripe {
    lists: Vec<Near>,
    lens: [usize; STRIPE_ROWS],
}

/// Places of a reservoir that is to hold `wanted` candidates.
pub(super) fn places(wanted: usize) -> usize {
    wanted + wanted / 2
}

/// Sorts, and leaves the `wanted` nearest at the front; returns how many there are.
fn sort_out(list: &mut [Near], wanted: usize) -> usize {
    list.sort_unstable();
    let mut len = 0;
    for i in 0..list.len() {
        if len == wanted {
            break;
        }
        if len == 0 || list[len - 1] != list[i] {
            list[len] = list[i];
            len += 1;
        }
    }
    len
}

impl Reservoirs {
    /// Empty ones, for `wanted` candidates each.
    pub(super) fn new(positions: usize, wanted: usize) -> Self {
        let places = places(wanted);
        let stripe =
            || Mutex::new(Stripe { lists: vec![Near::ZERO; STRIPE_ROWS * places], lens: [0; STRIPE_ROWS] });
        Self {
            stripes: (0..positions.div_ceil(STRIPE_ROWS)).into_par_iter().map(|_| stripe()).collect(),
            bounds: (0..positions).map(|_| AtomicI32::new(i32::MAX)).collect(),
            wanted,
            places,
        }
    }

    /// Candidates farther than this need not be offered to a position any more. It only ever falls, so an old one does no
    /// harm.
    pub(super) fn bound(&self, position: u32) -> i32 {
        self.bounds[position as usize].load(Ordering::Relaxed)
    }

    /// Offers candidates to a position.
    pub(super) fn offer(&self, position: u32, mut offered: &[Near]) {
        let stripe = &self.stripes[position as usize / STRIPE_ROWS];
        let mut stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        let Stripe { lists, lens } = &mut *stripe;
        let at = position as usize % STRIPE_ROWS;
        let list = &mut lists[at * self.places..(at + 1) * self.places];
        let mut len = lens[at];
        while len + offered.len() > self.places {
            let (now, later) = offered.split_at(self.places - len);
            list[len..].copy_from_slice(now);
            len = sort_out(list, self.wanted);
            if len == self.wanted {
                self.bounds[position as usize].store(list[len - 1].distance(), Ordering::Relaxed);
            }
            offered = later;
        }
        list[len..len + offered.len()].copy_from_slice(offered);
        lens[at] = len + offered.len();
    }

    /// The candidates of a position, nearest first.
    pub(super) fn get(&self, position: u32, out: &mut Vec<Near>) {
        let stripe = &self.stripes[position as usize / STRIPE_ROWS];
        let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        let at = position as usize % STRIPE_ROWS;
        out.clear();
        out.extend_from_slice(&stripe.lists[at * self.places..][..stripe.lens[at]]);
        let len = sort_out(out, self.wanted);
        out.truncate(len);
    }
}
