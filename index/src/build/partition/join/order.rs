//! An order in which near nodes stand together, from the levels of a graph.

use crate::graph::GraphAccess;

/// The rows of a graph by groups: those that have the same node of level 1 as their nearest one, its group beside that of others
/// that are near the same node of level 2, and so on.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Every row once.
    pub(super) rows: Vec<u32>,
    pub(super) groups: Vec<Group>,
}

/// Some rows that stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    /// The slot of a node of level 1 that is near all of them, if one is known.
    pub(super) near: Option<u32>,
    /// Where they begin and end in the order.
    pub(super) first: usize,
    pub(super) end: usize,
}

impl Order {
    /// The order of all `rows` rows of a graph.
    #[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
    pub(super) fn of(graph: &impl GraphAccess, rows: u32) -> Self {
        /// No node of the level above is a neighbour.
        const NOBODY: u32 = u32::MAX;
        let top = graph.top_level();
        let slots = |level: usize| if level == 0 { rows } else { graph.layer(level).len() as u32 };
        let mut order: Vec<u32> = (0..slots(top)).collect();
        let mut groups = vec![Group { near: None, first: 0, end: order.len() }];
        for level in (0..top).rev() {
            let layer = graph.layer(level);
            // The place of each node of the level above in the order there, by its slot here.
            let mut places = vec![NOBODY; slots(level) as usize];
            for (place, &above) in (0..).zip(&order) {
                if let Some(down) = graph.layer(level + 1).down {
                    places[down[above as usize] as usize] = place;
                }
            }
            let of_list = |slot: u32| {
                let near = std::iter::once(slot).chain(layer.neighbours(slot).iter().copied());
                near.map(|slot| places[slot as usize]).find(|&place| place != NOBODY).unwrap_or(NOBODY)
            };
            let direct: Vec<u32> = (0..slots(level)).map(of_list).collect();
            let place = |slot: u32| {
                let of_neighbours = layer.neighbours(slot).iter().map(|&other| direct[other as usize]);
                let all = std::iter::once(direct[slot as usize]).chain(of_neighbours);
                all.into_iter().find(|&place| place != NOBODY).unwrap_or(NOBODY)
            };
            let mut placed: Vec<(u32, u32)> = (0..slots(level)).map(|slot| (place(slot), slot)).collect();
            placed.sort_unstable();
            groups.clear();
            let mut first = 0;
            for group in placed.chunk_by(|a, b| a.0 == b.0) {
                let near = order.get(group[0].0 as usize).copied();
                groups.push(Group { near, first, end: first + group.len() });
                first += group.len();
            }
            order = placed.into_iter().map(|(_, slot)| slot).collect();
        }
        Self { rows: order, groups }
    }
}
