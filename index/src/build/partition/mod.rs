//! The partition builder: rows are carved into overlapping leaves, compared with all others of their leaves by products
//! of codes, and choose their neighbours among the nearest by exact distances. Nothing is searched while building.
//!
//! "Pick-in-Partitions", arXiv 2602.21247; the choice is Algorithm 4 of the HNSW paper.

mod carve;
mod choose;
mod leaf;
mod near;
mod reservoir;

use rayon::prelude::*;

use self::carve::{Carving, carve};
use self::choose::{ChooseScratch, Chooser};
use self::leaf::{LeafScratch, compare_all};
use self::near::Near;
use self::reservoir::Reservoirs;
use super::{BuildInput, GraphBuilder, Monitor, Stopped};
use crate::Params;
use crate::beam::Candidate;
use crate::codes::Codes;
use crate::graph::{Graph, Layer, NONE, positions};
use crate::level::hash;
use crate::select::select_neighbours;

/// Carves rows into leaves and compares all rows of a leaf.
#[derive(Debug, Clone, Copy, Default)]
pub struct PartitionBuilder;

#[derive(Debug, Clone, Copy)]
struct Effort { carving: Carving, leaf_k: usize, reservoir: usize, forward: usize, alpha: f32 }

fn env(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn effort(params: &Params) -> Effort {
    Effort {
        carving: Carving { fanout: env("FANOUT", 10), leaf_max: env("LEAF_MAX", 1024), leaf_rows: env("LEAF_ROWS", 400), leaders: env("LEADERS", 2000), leaf_min: 64 },
        leaf_k: env("LEAF_K", 12),
        reservoir: env("RESERVOIR", 64),
        forward: env("FORWARD", params.m),
        alpha: env("ALPHA", 100) as f32 / 100.0,
    }
}

impl GraphBuilder for PartitionBuilder {
    fn name(&self) -> &'static str {
        "partition"
    }

    fn effective_parameters(&self, params: &Params, _rows: usize) -> Vec<(&'static str, u64)> {
        let effort = effort(params);
        vec![("fanout", effort.carving.fanout as u64)]
    }

    fn memory_bytes(&self, _params: &Params, rows: u64, _threads: usize) -> u64 {
        rows * 1000
    }

    fn build(&self, input: &BuildInput<'_>, monitor: &dyn Monitor) -> Result<Graph, Stopped> {
        let t = std::time::Instant::now();
        let codes = Codes::new(&input.rows, &input.params);
        eprintln!("codes {:.3}", t.elapsed().as_secs_f64());
        let effort = effort(&input.params);
        let t = std::time::Instant::now();
        let (margin, slope) = choose::margin(input, codes.view()); let margin = env("MARGIN", margin as usize) as i32;
        eprintln!("margin {margin} {:.3} scale {}", t.elapsed().as_secs_f64(), codes.quantizer.scale);
        let mut layers = Vec::new();
        for level in 0..input.members.len() {
            layers.push(LevelBuilder { margin, slope, input, codes: &codes, effort, level, monitor }.build()?);
        }
        let top = &input.members[input.members.len() - 1];
        let entry = (0..top.len() as u32).min_by_key(|&p| (hash(!input.params.seed, u64::from(top[p as usize])), p));
        let entry_point = entry.map(|p| if input.members.len() == 1 { top[p as usize] } else { p });
        Ok(Graph { layers, entry_point })
    }
}

struct LevelBuilder<'a> {
    margin: i32,
    slope: f64,
    input: &'a BuildInput<'a>,
    codes: &'a Codes,
    effort: Effort,
    level: usize,
    monitor: &'a dyn Monitor,
}

impl LevelBuilder<'_> {
    fn build(&self) -> Result<Layer, Stopped> {
        let Self { input, level, effort, .. } = *self;
        let members = &input.members[level];
        let codes = self.codes.view();
        let row = |position: u32| members[position as usize];
        let t0 = std::time::Instant::now();
        let mut t = t0;
        let mut lap = |name: &str| { eprint!("{name} {:.3} ", t.elapsed().as_secs_f64()); t = std::time::Instant::now(); };
        let all = (0..members.len() as u32).collect();
        let leaves = carve(all, &effort.carving, hash(input.params.seed, level as u64), codes, &row, self.monitor)?;
        lap("carve");
        let reservoirs = Reservoirs::new(members.len(), effort.reservoir);
        leaves.par_iter().with_max_len(1).for_each_init(LeafScratch::default, |scratch, leaf| {
            if !self.monitor.is_cancelled() {
                compare_all(leaf, effort.leaf_k, codes, row, &reservoirs, scratch);
            }
        });
        lap("leaves");
        // Rows of one leaf one after the other: their candidates are mostly the same.
        let order = order(&leaves, members.len());
        let m = if level == 0 { input.params.m0() } else { input.params.m };
        let forward = effort.forward.min(m);
        let chooser = Chooser { input, codes, margin: self.margin, alpha: effort.alpha };
        let chosen: Vec<Vec<Candidate>> = order
            .par_iter()
            .with_max_len(64)
            .map_init(
                || (Vec::new(), ChooseScratch::default()),
                |(near, scratch), &position| {
                    reservoirs.get(position, near);
                    chooser.choose(position, near, row, forward, scratch)
                },
            )
            .collect();
        lap("choose");
        let mut forward_of: Vec<&[Candidate]> = vec![&[]; members.len()];
        for (&position, chosen) in order.iter().zip(&chosen) {
            forward_of[position as usize] = chosen;
        }
        let mut starts = vec![0usize; members.len() + 1];
        for chosen in &chosen {
            for c in chosen {
                starts[c.node() as usize + 1] += 1;
            }
        }
        for i in 0..members.len() {
            starts[i + 1] += starts[i];
        }
        let total = starts[members.len()];
        let mut incoming = vec![Candidate::new(0.0, 0); total];
        let mut next = starts.clone();
        for (position, chosen) in forward_of.iter().enumerate() {
            for c in *chosen {
                let at = &mut next[c.node() as usize];
                incoming[*at] = Candidate::new(c.distance(), position as u32);
                *at += 1;
            }
        }
        lap("group");
        let slots = if level == 0 { input.rows.matrix.rows() } else { members.len() };
        let mut neighbours = vec![NONE; slots * m];
        let merge = |position: u32, list: &mut [u32], merged: &mut Vec<Candidate>, kept: &mut Vec<Candidate>, near: &mut Vec<Near>, scratch: &mut ChooseScratch| {
            let p = position as usize;
            merged.clear();
            merged.extend_from_slice(forward_of[p]);
            merged.extend_from_slice(&incoming[starts[p]..starts[p + 1]]);
            merged.sort_unstable();
            merged.dedup();
            let chosen = if merged.len() <= m { &*merged } else {
                near.clear();
                near.extend(merged.iter().map(|c| Near::new((f64::from(c.distance()) * self.slope) as i32, c.node())));
                *kept = chooser.choose(position, near, row, m, scratch);
                &*kept
            };
            for (place, c) in list.iter_mut().zip(chosen) {
                *place = if level == 0 { members[c.node() as usize] } else { c.node() };
            }
        };
        if level == 0 && members.len() != slots {
            let mut merged = Vec::new();
            let mut kept = Vec::new();
            for (position, &slot) in members.iter().enumerate() {
                merge(position as u32, &mut neighbours[slot as usize * m..][..m], &mut merged, &mut kept, &mut Vec::new(), &mut ChooseScratch::default());
            }
        } else {
            neighbours.par_chunks_mut(m).enumerate().with_min_len(64).for_each_init(|| (Vec::new(), Vec::new(), Vec::new(), ChooseScratch::default()), |(merged, kept, near, scratch), (p, list)| merge(p as u32, list, merged, kept, near, scratch));
        }
        lap("reverse");
        eprintln!("leaves {} mean {:.0} sumsq/row {:.0} forward {:.2}", leaves.len(), leaves.iter().map(Vec::len).sum::<usize>() as f64 / leaves.len() as f64,
            leaves.iter().map(|l| l.len() * l.len()).sum::<usize>() as f64 / members.len() as f64, total as f64 / members.len() as f64);
        let down = match level {
            0 => None,
            1 => Some(members.clone()),
            _ => positions(members, &input.members[level - 1]),
        };
        Ok(Layer { rows: (level > 0).then(|| members.clone()), down, neighbours, stride: m })
    }
}

fn order(leaves: &[Vec<u32>], positions: usize) -> Vec<u32> {
    let mut is_met = vec![false; positions];
    let mut order = Vec::with_capacity(positions);
    for &position in leaves.iter().flatten() {
        if !std::mem::replace(&mut is_met[position as usize], true) {
            order.push(position);
        }
    }
    order
}
