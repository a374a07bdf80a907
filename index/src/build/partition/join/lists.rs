//! The lists of level 0: of rows that met nearer ones anew, of all others as they were.

use rayon::prelude::*;

use super::cross::Found;
use super::{Join, Origin};
use crate::beam::Candidate;
use crate::build::partition::choose::{ChooseScratch, Chooser};
use crate::build::partition::link::{Lists, Portion};
use crate::build::partition::nearest::Near;
use crate::build::{Phase, Stopped};
use crate::graph::{Layer, NONE};
use crate::vectors::Rows;

/// Rows that one task sees to.
const ROWS_A_TASK: usize = 256;

/// Candidates of each row, of other origins: one list behind the other.
struct Offers {
    near: Vec<Near>,
    /// Where that of each row begins, and at last the end.
    starts: Vec<usize>,
}

impl Offers {
    /// Both rows of each pair may choose the other.
    fn new(found: &[Found], rows: usize, is_wanted: impl Fn(u32, Near) -> bool) -> Self {
        let each = |take: &mut dyn FnMut(u32, Near)| {
            for (row, near) in found.iter().flat_map(Found::pairs) {
                let other = near.position();
                for (row, near) in [(row, near), (other, near.at(row))] {
                    if is_wanted(row, near) {
                        take(row, near);
                    }
                }
            }
        };
        let mut starts = vec![0; rows + 1];
        each(&mut |row, _| starts[row as usize + 1] += 1);
        for row in 0..rows {
            starts[row + 1] += starts[row];
        }
        let mut near = vec![Near::ZERO; starts[rows]];
        let mut next = starts.clone();
        each(&mut |row, offered| {
            near[next[row as usize]] = offered;
            next[row as usize] += 1;
        });
        Self { near, starts }
    }

    fn of(&self, row: u32) -> &[Near] {
        &self.near[self.starts[row as usize]..self.starts[row as usize + 1]]
    }
}

impl Join<'_> {
    /// Level 0, and how many rows chose their neighbours anew.
    #[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
    pub(super) fn layer(&self) -> Result<(Layer, u64), Stopped> {
        let Self { input, codes, effort, monitor, .. } = *self;
        let rows = input.rows.matrix.rows();
        let found = self.find()?;
        let numbers: Vec<u32> = (0..rows as u32).collect();
        let order = self.order();
        let farthest: Vec<(u32, i32)> = order.par_iter().map(|&row| (row, self.farthest(row))).collect();
        let mut bounds = vec![i32::MAX; rows];
        farthest.into_iter().for_each(|(row, farthest)| bounds[row as usize] = farthest);
        let offers = Offers::new(&found, rows, |row, near| near.distance() <= bounds[row as usize]);
        drop(found);
        drop(bounds);
        let is_anew = |row: u32| self.node(row) == row && !offers.of(row).is_empty();
        let chooser = Chooser::new(input, codes.view(), codes.quantizer.scale);
        monitor.begin(Phase::Choosing, rows as u64);
        let portions: Vec<Portion> = (order.par_chunks(ROWS_A_TASK))
            .map_init(Default::default, |scratch: &mut ([Vec<Near>; 2], ChooseScratch), rows| {
                let ([old, new], scratch) = scratch;
                let mut portion = Portion::default();
                for &row in rows {
                    if monitor.is_cancelled() {
                        return portion;
                    }
                    if is_anew(row) {
                        old.clear();
                        self.each_neighbour(row, |distance, neighbour| {
                            old.push(Near::new(distance, neighbour))
                        });
                        old.sort_unstable();
                        old.dedup();
                        new.clear();
                        new.extend_from_slice(offers.of(row));
                        new.sort_unstable();
                        new.dedup();
                        new.truncate(effort.reservoir);
                        let chosen = chooser.update(row, old, new, |row| row, input.params.m0(), scratch);
                        portion.candidates.extend_from_slice(chosen);
                        portion.lens.push(chosen.len());
                    } else {
                        // Rows that chose anew get back what links to them.
                        let before = portion.candidates.len();
                        self.each_exact(row, is_anew, |neighbour| portion.candidates.push(neighbour));
                        portion.lens.push(portion.candidates.len() - before);
                    }
                }
                monitor.advance(rows.len() as u64);
                portion
            })
            .collect();
        if monitor.is_cancelled() {
            return Err(Stopped);
        }
        let chosen = Lists::of_portions(&portions, &order);
        drop(portions);
        let reversed = chosen.reversed();
        let stride = input.params.m0();
        let mut neighbours = vec![NONE; rows * stride];
        let tasks = neighbours.par_chunks_mut(ROWS_A_TASK * stride).zip(numbers.par_chunks(ROWS_A_TASK));
        tasks.for_each_init(
            Default::default,
            |scratch: &mut (Vec<Candidate>, ChooseScratch), (lists, rows)| {
                if monitor.is_cancelled() {
                    return;
                }
                let (merged, scratch) = scratch;
                for (list, &row) in lists.chunks_exact_mut(stride).zip(rows) {
                    let links = reversed.get(row as usize);
                    merged.clear();
                    if is_anew(row) {
                        merged.extend_from_slice(chosen.get(row as usize));
                    } else if links.is_empty() && self.keep(row, list) {
                        continue;
                    } else {
                        self.each_exact(row, |_| true, |neighbour| merged.push(neighbour));
                    }
                    merged.extend_from_slice(links);
                    merged.sort_unstable();
                    merged.dedup();
                    let kept = if merged.len() <= stride {
                        merged.as_slice()
                    } else {
                        chooser.choose_exact(row, merged, |row| row, stride, scratch)
                    };
                    for (place, kept) in list.iter_mut().zip(kept) {
                        *place = kept.node();
                    }
                }
            },
        );
        if monitor.is_cancelled() {
            return Err(Stopped);
        }
        let chosen_anew = numbers.iter().filter(|&&row| is_anew(row)).count() as u64;
        Ok((Layer { rows: None, down: None, neighbours, stride }, chosen_anew))
    }

    /// All rows, near ones of an origin near each other.
    fn order(&self) -> Vec<u32> {
        let of =
            |origin: &Origin<'_>| origin.order.iter().map(|local| origin.first + local).collect::<Vec<_>>();
        let mut order: Vec<u32> = self.origins.iter().flat_map(of).collect();
        // Rows of no origin are copies.
        if order.len() < self.input.rows.matrix.rows() {
            let is_of_none = |row: &u32| self.origin(*row).is_none();
            order.extend((0..).take(self.input.rows.matrix.rows()).filter(is_of_none));
        }
        order
    }

    /// The nodes that a row has as neighbours, each perhaps several times; none of a copy.
    fn neighbours(&self, row: u32) -> impl Iterator<Item = u32> {
        let origin = if self.node(row) == row { self.origin(row) } else { None };
        let neighbours = origin.into_iter().flat_map(move |origin| origin.neighbours(row));
        neighbours.map(|neighbour| self.node(neighbour)).filter(move |&neighbour| neighbour != row)
    }

    /// Calls `take` with the distance in codes of each neighbour.
    fn each_neighbour(&self, row: u32, mut take: impl FnMut(i32, u32)) {
        let codes = self.codes.view();
        let mut neighbours = self.neighbours(row);
        while let Some(first) = neighbours.next() {
            let mut four = [first; 4];
            let mut len = 1;
            for (place, neighbour) in four[1..].iter_mut().zip(&mut neighbours) {
                *place = neighbour;
                len += 1;
            }
            for (distance, neighbour) in codes.distances_of(row, four).into_iter().zip(four).take(len) {
                take(distance, neighbour);
            }
        }
    }

    /// Calls `take` with each neighbour that is wanted, with its distance.
    fn each_exact(&self, row: u32, is_wanted: impl Fn(u32) -> bool, mut take: impl FnMut(Candidate)) {
        let rows = &self.input.rows;
        let (matrix, norm) = (rows.matrix(), |row| rows.inverse_norm(row));
        for neighbour in self.neighbours(row).filter(|&neighbour| is_wanted(neighbour)) {
            let distance = self.input.distance.between(
                matrix.row(row),
                norm(row),
                matrix.row(neighbour),
                norm(neighbour),
            );
            take(Candidate::new(distance, neighbour));
        }
    }

    /// No candidate that is farther need be offered to a row: its farthest neighbour in codes. All are wanted where there
    /// are few, or where a neighbour became a copy of another row.
    fn farthest(&self, row: u32) -> i32 {
        let (mut farthest, mut count) = (i32::MIN, 0);
        self.each_neighbour(row, |distance, _| {
            farthest = farthest.max(distance);
            count += 1;
        });
        if count < self.input.params.m { i32::MAX } else { farthest }
    }

    /// Writes the neighbours of a row as they were, if all are still nodes and fit.
    fn keep(&self, row: u32, list: &mut [u32]) -> bool {
        let Some(origin) = self.origin(row).filter(|_| self.node(row) == row) else { return true };
        let before = origin.neighbours(row);
        if before.clone().any(|neighbour| self.node(neighbour) != neighbour)
            || before.clone().count() > list.len()
        {
            return false;
        }
        for (place, neighbour) in list.iter_mut().zip(before) {
            *place = neighbour;
        }
        true
    }
}
