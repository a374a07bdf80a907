//! Rows drawn by chance that is the same every time.

use std::collections::BinaryHeap;

use readers::Batch;

/// A hash of 64 bits that is another one for each row (splitmix64, of which each step can be undone).
pub(super) fn hash(seed: u64, row: u64) -> u64 {
    mix(mix(seed) ^ row)
}

/// One step of splitmix64.
pub(super) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The memory of a sample of up to `rows` rows of `dim` values, in bytes: the values, and for each row its number, its
/// hash and its place, in a heap that grows.
pub(super) fn sample_bytes(rows: u64, dim: usize) -> u64 {
    let rows = rows.saturating_add(CHUNK_ROWS as u64);
    rows.saturating_mul(4 * dim as u64 + 3 * 24)
}

/// Rows of a stream in the order of their numbers: those for which a hash of the seed and the number is smallest.
#[derive(Debug, Clone)]
pub struct DrawnRows {
    dim: usize,
    places: Vec<usize>,
    /// Values of [`CHUNK_ROWS`] rows each, so that no vector is ever moved.
    chunks: Vec<Vec<f32>>,
}

/// Rows that are stored together.
const CHUNK_ROWS: usize = 256;

impl DrawnRows {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Values a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The vector of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, at: usize) -> &[f32] {
        let place = self.places[at];
        &self.chunks[place / CHUNK_ROWS][place % CHUNK_ROWS * self.dim..][..self.dim]
    }

    /// All vectors in order.
    pub fn vectors(&self) -> impl Iterator<Item = &[f32]> {
        (0..self.rows()).map(|at| self.row(at))
    }
}

/// Draws a [`DrawnRows`] out of rows that come one after the other, nobody knows how many.
#[derive(Debug)]
pub(crate) struct Draw {
    seed: u64,
    rows: usize,
    /// Hash, row number, place; the largest hash on top.
    drawn: BinaryHeap<(u64, u64, usize)>,
    sample: DrawnRows,
}

impl Draw {
    /// For up to `rows` rows of `dim` values.
    pub(crate) fn new(rows: u64, seed: u64, dim: usize) -> Self {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let sample = DrawnRows { dim, places: Vec::new(), chunks: Vec::new() };
        Self { seed, rows, drawn: BinaryHeap::new(), sample }
    }

    /// Looks at the next rows.
    pub(crate) fn put(&mut self, batch: &Batch) {
        for (at, vector) in batch.vectors().enumerate() {
            let number = batch.row_number(at);
            let hash = hash(self.seed, number);
            if self.drawn.len() < self.rows {
                if self.drawn.len().is_multiple_of(CHUNK_ROWS) {
                    self.sample.chunks.push(Vec::with_capacity(CHUNK_ROWS * self.sample.dim));
                }
                self.sample.chunks[self.drawn.len() / CHUNK_ROWS].extend_from_slice(vector);
                self.drawn.push((hash, number, self.drawn.len()));
            } else if let Some(mut largest) = self.drawn.peek_mut()
                && hash < largest.0
            {
                let place = largest.2;
                *largest = (hash, number, place);
                let chunk = &mut self.sample.chunks[place / CHUNK_ROWS];
                chunk[place % CHUNK_ROWS * self.sample.dim..][..self.sample.dim].copy_from_slice(vector);
            }
        }
    }

    /// What was drawn.
    pub(crate) fn into_sample(self) -> DrawnRows {
        let mut drawn: Vec<_> = self.drawn.into_iter().map(|(_, number, place)| (number, place)).collect();
        drawn.sort_unstable();
        DrawnRows { places: drawn.into_iter().map(|(_, place)| place).collect(), ..self.sample }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use readers::Origin;

    use super::*;

    fn drawn(seed: u64, rows: u64, batch_rows: usize) -> Vec<f32> {
        let mut draw = Draw::new(rows, seed, 1);
        let all: Vec<f32> = (0..500u16).map(f32::from).collect();
        for (at, values) in all.chunks(batch_rows).enumerate() {
            let origin = Origin { file: Path::new("a.npy").into(), row: 0 };
            draw.put(&Batch::new((at * batch_rows) as u64, 1, values.to_vec().into(), origin));
        }
        draw.into_sample().vectors().map(|vector| vector[0]).collect()
    }

    #[test]
    fn a_sample_depends_on_the_seed_and_the_rows_alone() {
        let sample = drawn(42, 100, 7);
        assert!(sample.len() == 100 && sample.is_sorted());
        for batch_rows in [1, 33, 500] {
            assert_eq!(drawn(42, 100, batch_rows), sample);
        }
        assert_ne!(drawn(43, 100, 7), sample);
        let larger = drawn(42, 101, 7);
        assert!(sample.iter().all(|row| larger.contains(row)));
        assert_eq!((drawn(42, 9999, 7).len(), drawn(42, 0, 7).len()), (500, 0));
    }
}
