//! Graphs and norms that cannot be.

use super::{Case, LEVELS, refuse};
use crate::raw::{FILLING, Raw, kind};

/// Where the list of a row on level 0 begins.
fn list(raw: &Raw, row: usize) -> usize {
    raw.section(kind::LEVEL0).start + row * 8 * 4
}

#[test]
fn graphs_that_cannot_be_are_refused() {
    let cases: &[Case] = &[
        (
            "a neighbour that is no row",
            |raw| {
                let at = list(raw, 5);
                raw.put_u32(at, 300);
            },
            "level-0 neighbours, node 5",
        ),
        (
            "a neighbour far off",
            |raw| {
                let at = list(raw, 299);
                raw.put_u32(at, u32::MAX - 1);
            },
            "level-0 neighbours, node 299",
        ),
        (
            "a node that is its own neighbour",
            |raw| {
                let at = list(raw, 7);
                raw.put_u32(at, 7);
            },
            "level-0 neighbours, node 7",
        ),
        (
            "filling in the middle",
            |raw| {
                let at = list(raw, 9);
                assert_ne!(raw.u32(at + 4), FILLING);
                raw.put_u32(at, FILLING);
            },
            "level-0 neighbours, node 9",
        ),
        (
            "a link to a copy",
            |raw| {
                let at = list(raw, 5);
                raw.put_u32(at, 100);
            },
            "level-0 neighbours, node 5",
        ),
        (
            "a copy with neighbours",
            |raw| {
                let at = list(raw, 100);
                raw.put_u32(at, 5);
            },
            "level-0 neighbours, node 100",
        ),
        (
            "edges of level 0",
            |raw| {
                let n = raw.u64(LEVELS + 8);
                raw.put_u64(LEVELS + 8, n - 1);
            },
            "edges of level 0",
        ),
        (
            "edges of level 1",
            |raw| {
                let n = raw.u64(LEVELS + 24);
                raw.put_u64(LEVELS + 24, n - 1);
            },
            "edges of level 1",
        ),
        (
            "rows out of order",
            |raw| {
                let (rows, _) = raw.upper_level(1);
                let (a, b) = (raw.u32(rows), raw.u32(rows + 4));
                raw.put_u32(rows, b);
                raw.put_u32(rows + 4, a);
            },
            "rows of level 1",
        ),
        (
            "a row twice",
            |raw| {
                let (rows, _) = raw.upper_level(1);
                let a = raw.u32(rows);
                raw.put_u32(rows + 4, a);
            },
            "rows of level 1",
        ),
        (
            "a row that is none",
            |raw| {
                let (_, end) = raw.upper_level(1);
                raw.put_u32(end - 4, 300);
            },
            "rows of level 1",
        ),
        (
            "a copy on level 1",
            |raw| {
                let (rows, end) = raw.upper_level(1);
                let at = (rows..end).step_by(4).find(|&at| raw.u32(at) > 109).unwrap();
                raw.put_u32(at, 109);
            },
            "rows of level 1",
        ),
        (
            "a row that is not on the level below",
            |raw| {
                let below = raw.graph()[1].rows.clone();
                let (rows, _) = raw.upper_level(2);
                let (first, second) = (raw.u32(rows), raw.u32(rows + 4));
                let other = (0..second).find(|row| below.binary_search(row).is_err());
                assert_ne!(other, Some(first));
                raw.put_u32(rows, other.unwrap());
            },
            "rows of level 2",
        ),
        (
            "a neighbour that is no node of its level",
            |raw| {
                let (_, neighbours) = raw.upper_level(1);
                let nodes = raw.level_nodes()[1] as u32;
                raw.put_u32(neighbours, nodes);
            },
            "neighbours of level 1, node 0",
        ),
        (
            "a node of level 1 that is its own neighbour",
            |raw| {
                let (_, neighbours) = raw.upper_level(1);
                raw.put_u32(neighbours + 3 * 4 * 4, 3);
            },
            "neighbours of level 1, node 3",
        ),
        (
            "an infinite norm",
            |raw| {
                let at = raw.section(kind::INVERSE_NORMS).start;
                raw.put_u32(at, f32::INFINITY.to_bits());
            },
            "inverse norms",
        ),
        (
            "a norm that is NaN",
            |raw| {
                let at = raw.section(kind::INVERSE_NORMS).end - 4;
                raw.put_u32(at, f32::NAN.to_bits());
            },
            "inverse norms",
        ),
        (
            "a negative norm",
            |raw| {
                let at = raw.section(kind::INVERSE_NORMS).start;
                raw.put_u32(at, (-1.0f32).to_bits());
            },
            "inverse norms",
        ),
        (
            "more between the sections than zeros",
            |raw| {
                let at = raw.section(kind::IDS).end;
                raw.0[at] = 1;
            },
            "padding",
        ),
    ];
    refuse(cases, false);
}
