//! An order in which near nodes stand together, from the levels of a graph.

use crate::graph::GraphAccess;

/// All `rows` rows of a graph: level by level from the top, those of which the same node of the level above is the nearest
/// neighbour one behind the other.
#[expect(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
pub(super) fn order(graph: &impl GraphAccess, rows: u32) -> Vec<u32> {
    /// No node of the level above is a neighbour.
    const NOBODY: u32 = u32::MAX;
    let top = graph.top_level();
    let slots = |level: usize| if level == 0 { rows } else { graph.layer(level).len() as u32 };
    let mut order: Vec<u32> = (0..slots(top)).collect();
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
            let mut all = std::iter::once(direct[slot as usize]).chain(of_neighbours);
            all.find(|&place| place != NOBODY).unwrap_or(NOBODY)
        };
        let mut placed: Vec<(u32, u32)> = (0..slots(level)).map(|slot| (place(slot), slot)).collect();
        placed.sort_unstable();
        order = placed.into_iter().map(|(_, slot)| slot).collect();
    }
    order
}
