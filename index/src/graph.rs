//! The graph: levels of rows with their neighbours, and no more.

/// Fills the places of a list that has fewer neighbours than it may have.
pub(crate) const NONE: u32 = u32::MAX;

/// The most rows of one index. Node numbers have 31 bits, so that a candidate with its distance and a mark is one u64.
pub const MAX_ROWS: usize = (1 << 31) - 1;

/// One level. Its nodes are numbered by `slot`: the position of the row among the rows of the level in ascending order.
/// On level 0 that is the row number itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LayerView<'a> {
    /// The row of each slot, ascending. Nothing on level 0.
    pub(crate) rows: Option<&'a [u32]>,
    /// The slot on the level below of each slot. Nothing on level 0.
    pub(crate) down: Option<&'a [u32]>,
    /// `stride` places a slot: neighbour slots by rising distance, then [`NONE`].
    pub(crate) neighbours: &'a [u32],
    /// M, or M0 on level 0.
    pub(crate) stride: usize,
}

impl<'a> LayerView<'a> {
    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.neighbours.len() / self.stride
    }

    /// The neighbours of a node.
    #[inline]
    pub(crate) fn neighbours(&self, slot: u32) -> &'a [u32] {
        let list = self.neighbours_with_filling(slot);
        // Most lists are not full, and the filling starts late in them.
        let len = list.iter().position(|&neighbour| neighbour == NONE).unwrap_or(list.len());
        &list[..len]
    }

    /// The whole list of a node, filling included.
    #[inline]
    pub(crate) fn neighbours_with_filling(&self, slot: u32) -> &'a [u32] {
        let start = slot as usize * self.stride;
        &self.neighbours[start..start + self.stride]
    }

    /// The row of a node.
    #[inline]
    pub(crate) fn row(&self, slot: u32) -> u32 {
        self.rows.map_or(slot, |rows| rows[slot as usize])
    }
}

/// A graph as search walks it, in memory or in a mapped file.
pub(crate) trait GraphAccess: Sync {
    /// The highest level that has nodes; 0 in an empty graph.
    fn top_level(&self) -> usize;

    /// A level, 0 to [`GraphAccess::top_level`].
    fn layer(&self, level: usize) -> LayerView<'_>;

    /// The slot on the top level at which every search begins, if there are nodes at all.
    fn entry_point(&self) -> Option<u32>;
}

/// One level in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) rows: Option<Vec<u32>>,
    pub(crate) down: Option<Vec<u32>>,
    pub(crate) neighbours: Vec<u32>,
    pub(crate) stride: usize,
}

impl Layer {
    pub(crate) fn view(&self) -> LayerView<'_> {
        LayerView {
            rows: self.rows.as_deref(),
            down: self.down.as_deref(),
            neighbours: &self.neighbours,
            stride: self.stride,
        }
    }
}

/// A graph in memory: what a builder returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Level 0 first.
    pub(crate) layers: Vec<Layer>,
    /// A slot on the last of the layers.
    pub(crate) entry_point: Option<u32>,
}

impl Graph {
    /// How many neighbours all nodes of a level have together.
    pub(crate) fn edges(&self, level: usize) -> u64 {
        self.layers[level].neighbours.iter().filter(|&&neighbour| neighbour != NONE).count() as u64
    }
}

impl GraphAccess for Graph {
    fn top_level(&self) -> usize {
        self.layers.len() - 1
    }

    fn layer(&self, level: usize) -> LayerView<'_> {
        self.layers[level].view()
    }

    fn entry_point(&self) -> Option<u32> {
        self.entry_point
    }
}

/// The positions of `above` in `below`; both ascending, and every value of `above` in `below`.
///
/// Returns nothing if a value is missing.
pub(crate) fn positions(above: &[u32], below: &[u32]) -> Option<Vec<u32>> {
    let mut from = 0;
    above
        .iter()
        .map(|value| {
            from += below[from..].iter().position(|other| other == value)?;
            u32::try_from(from).ok()
        })
        .collect()
}
