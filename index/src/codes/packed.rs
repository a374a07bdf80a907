//! Codes in the order in which tiles read them.

use super::CodesView;
use crate::distance::prefetch;
use crate::distance::products::{GROUP, TILE_COLUMNS, TILE_ROWS, TileInput};

/// Rows whose codes are asked for ahead of their turn: they lie anywhere.
const AHEAD: usize = 6;

/// Rows, each asked for ahead of its turn.
fn ahead(
    codes: CodesView<'_>,
    rows: impl ExactSizeIterator<Item = u32> + Clone,
) -> impl ExactSizeIterator<Item = u32> {
    let mut later = rows.clone().skip(AHEAD);
    rows.inspect(move |_| {
        if let Some(row) = later.next() {
            prefetch(codes.row(row));
        }
    })
}

/// Rows of signed codes, one after the other, filled up with zeros to whole tiles. Of each only those bytes that hold codes.
#[derive(Debug, Default)]
pub(crate) struct TileRows {
    codes: Vec<i8>,
    terms: Vec<i32>,
    stride: usize,
}

impl TileRows {
    /// Copies the codes of some rows.
    pub(crate) fn pack(&mut self, codes: CodesView<'_>, rows: impl ExactSizeIterator<Item = u32> + Clone) {
        let padded = rows.len().next_multiple_of(TILE_ROWS);
        self.stride = codes.used_bytes;
        self.codes.resize(padded * self.stride, 0);
        self.terms.clear();
        for (row, out) in ahead(codes, rows).zip(self.codes.chunks_exact_mut(self.stride)) {
            codes.signed(row, out);
            self.terms.push(codes.left[row as usize]);
        }
        self.codes[self.terms.len() * self.stride..].fill(0);
        self.terms.resize(padded, 0);
    }

    /// The tile that begins with a row, to be compared with a panel.
    pub(crate) fn tile<'a>(
        &'a self,
        first: usize,
        panel: &Panel<'a>,
        valid: &'a [u32; TILE_ROWS],
    ) -> TileInput<'a> {
        TileInput {
            rows: &self.codes[first * self.stride..(first + TILE_ROWS) * self.stride],
            row_terms: values_from(&self.terms, first),
            panel: panel.codes,
            column_terms: panel.terms,
            valid,
        }
    }
}

/// The `N` values from a place on.
pub(crate) fn values_from<const N: usize>(values: &[i32], first: usize) -> &[i32; N] {
    values[first..first + N].try_into().unwrap_or_else(|_| unreachable!("a slice of N values"))
}

/// Columns of codes plus 128, in panels.
#[derive(Debug, Default)]
pub(crate) struct Panels {
    codes: Vec<[u8; GROUP]>,
    terms: Vec<i32>,
    columns: usize,
    /// Groups of all columns of a panel.
    panel_groups: usize,
}

/// One of [`Panels`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel<'a> {
    /// Its first column.
    pub(crate) first: usize,
    pub(crate) codes: &'a [u8],
    pub(crate) terms: &'a [i32; TILE_COLUMNS],
    /// A bit for each column that is one: the last panel may have fewer.
    pub(crate) valid: u32,
}

impl Panels {
    /// Copies the codes of some rows, each to be a column.
    pub(crate) fn pack(&mut self, codes: CodesView<'_>, rows: impl ExactSizeIterator<Item = u32> + Clone) {
        self.columns = rows.len();
        let padded = self.columns.next_multiple_of(TILE_COLUMNS);
        self.panel_groups = codes.used_bytes / GROUP * TILE_COLUMNS;
        self.codes.resize(padded * codes.used_bytes / GROUP, [0; GROUP]);
        self.terms.clear();
        let mut rows = ahead(codes, rows);
        // Four columns at a time: what they write stands together.
        while let Some(first) = rows.next() {
            let column = self.terms.len();
            self.terms.push(codes.right[first as usize]);
            let mut four = [first; 4];
            for (place, row) in four[1..].iter_mut().zip(&mut rows) {
                *place = row;
                self.terms.push(codes.right[row as usize]);
            }
            let panel = &mut self.codes[column / TILE_COLUMNS * self.panel_groups..][..self.panel_groups];
            let groups = panel.chunks_exact_mut(TILE_COLUMNS);
            let [a, b, c, d] = four.map(|row| codes.row(row).as_chunks::<GROUP>().0);
            for (group, (((&a, &b), &c), &d)) in groups.zip(a.iter().zip(b).zip(c).zip(d)) {
                group[column % TILE_COLUMNS..][..4].copy_from_slice(&[a, b, c, d]);
            }
        }
        // Columns past the last are whatever they were: no tile counts them.
        self.terms.resize(padded, 0);
    }

    /// How many columns there are.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The panels, first column first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Panel<'_>> {
        let codes = self.codes.chunks_exact(self.panel_groups.max(1)).map(<[_]>::as_flattened);
        (0..self.columns).step_by(TILE_COLUMNS).zip(codes).map(|(first, codes)| Panel {
            first,
            codes,
            terms: values_from(&self.terms, first),
            valid: u32::MAX >> TILE_COLUMNS.saturating_sub(self.columns - first),
        })
    }
}
