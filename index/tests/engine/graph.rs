//! What every graph keeps to, seen through the file by a reader of its own.

use index::{Matrix, Metric, Params};

use crate::data::{
    BUILDERS, METRICS, built_by, by_each, clustered, exact_distance, file_bytes, isotropic, whole,
};
use crate::raw::{Raw, kind};

/// Walks the graph of a file and compares it with what the header says.
pub(crate) fn check(raw: &Raw, rows: Matrix<'_>, metric: Metric) {
    let graph = raw.graph();
    let copies = raw.u64(88);
    assert_eq!(raw.level_nodes()[0] as u64, raw.u64(40) - copies);
    let edges: Vec<u64> = (0..graph.len()).map(|level| raw.u64(320 + level * 16 + 8)).collect();
    for (level, (layer, edges)) in graph.iter().zip(edges).enumerate() {
        let most = if level == 0 { 2 * raw.m() } else { raw.m() };
        assert_eq!(layer.lists.iter().map(|list| list.len() as u64).sum::<u64>(), edges, "level {level}");
        assert!(layer.rows.is_sorted_by(|a, b| a < b), "level {level}");
        for (slot, list) in layer.lists.iter().enumerate() {
            assert!(list.len() <= most);
            let mut sorted = list.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), list.len(), "a neighbour of {slot} twice: {list:?}");
            assert!(!list.contains(&(slot as u32)));
            let distances = list.iter().map(|&other| {
                let [a, b] = [slot, other as usize].map(|slot| rows.row(layer.rows[slot]));
                exact_distance(metric, a, b)
            });
            let distances: Vec<f64> = distances.collect();
            let slack = 1e-5 * distances.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
            assert!(distances.is_sorted_by(|a, b| *a <= b + slack), "level {level}, {slot}: {distances:?}");
        }
    }
    for pair in graph.windows(2) {
        assert!(pair[1].rows.iter().all(|row| pair[0].rows.binary_search(row).is_ok()));
    }
    let copied: Vec<u32> = match copies {
        0 => Vec::new(),
        copies => {
            let all = raw.u32s(raw.section(kind::COPIES));
            all[all.len() - copies as usize..].to_vec()
        }
    };
    for (level, (reached, layer)) in raw.reachable().iter().zip(&graph).enumerate() {
        for (slot, &reached) in reached.iter().enumerate() {
            let is_copy = copied.contains(&layer.rows[slot]);
            assert_ne!(reached, is_copy, "level {level}, slot {slot}");
            assert!(!is_copy || layer.lists[slot].is_empty());
        }
    }
    assert_eq!(raw.u64(96), raw.level_nodes()[0] as u64, "reachable nodes");
}

#[test]
fn graphs_keep_their_rules() {
    let mut with_copies = clustered(20, 1_200, 8);
    with_copies.copy_within(0..200 * 8, 700 * 8);
    let data = [with_copies, isotropic(21, 1_000, 8), whole(22, 1_500, 8)];
    for (i, values) in data.iter().enumerate() {
        for (builder, metric) in by_each(METRICS) {
            for m in [2, 3, 8] {
                let rows = Matrix::new(values, 8);
                let built =
                    built_by(builder, rows, &Params { m, ef_construction: 40, ..Params::new(metric) });
                println!("data {i}, {builder:?}, {metric}, M {m}: {} repaired", built.repaired_nodes());
                check(&Raw(file_bytes(&built, rows, None, "")), rows, metric);
            }
        }
    }
}

#[test]
fn poor_graphs_are_repaired() {
    let mut repaired = 0;
    for seed in 0..12 {
        for (builder, metric) in by_each(METRICS) {
            let values = clustered(seed, 300, 3);
            let rows = Matrix::new(&values, 3);
            let built = built_by(builder, rows, &Params { m: 2, ef_construction: 1, seed, metric });
            repaired += built.repaired_nodes();
            let raw = Raw(file_bytes(&built, rows, None, ""));
            assert_eq!(raw.u64(104), built.repaired_nodes());
            check(&raw, rows, metric);
        }
    }
    println!("{repaired} repaired");
    assert!(repaired > 100, "{repaired}: this data was to try the repair");
}

#[test]
fn each_level_has_one_in_m_of_the_nodes_below() {
    let values = clustered(23, 8_000, 4);
    let rows = Matrix::new(&values, 4);
    for (builder, m) in BUILDERS.into_iter().flat_map(|builder| [(builder, 4), (builder, 16)]) {
        let built = built_by(builder, rows, &Params { m, ef_construction: 20, ..Params::new(Metric::L2) });
        let nodes = built.level_rows();
        assert_eq!(
            nodes,
            Raw(file_bytes(&built, rows, None, ""))
                .level_nodes()
                .iter()
                .map(|&n| n as u64)
                .collect::<Vec<_>>()
        );
        assert!(nodes.len() > 2, "{nodes:?}");
        for pair in nodes.windows(2).filter(|pair| pair[1] >= 100) {
            let ratio = pair[0] as f64 / pair[1] as f64;
            assert!((0.8..1.25).contains(&(ratio / m as f64)), "M {m}: {nodes:?}");
        }
        assert!(nodes.is_sorted_by(|a, b| a >= b) && nodes[nodes.len() - 1] <= 4 * m as u64, "{nodes:?}");
    }
}
