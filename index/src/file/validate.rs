//! The rules that a graph in a file must keep. Checksums find damage; these find files that were made to do harm, whose
//! checksums are right.

use std::ops::Range;

use rayon::prelude::*;

use super::header::ENTRY_POINT_OFFSET;
use super::{Corrupt, SectionKind, Sections, corrupt};
use crate::Storage;
use crate::codes::Quantizer;
use crate::graph::NONE;
use crate::storage::Narrowing;

pub(super) fn validate(sections: &Sections) -> Result<(), Corrupt> {
    let header = sections.header();
    let rows = usize::try_from(header.rows).unwrap_or(usize::MAX);
    let offset = |kind| header.section(kind).map_or(0, |section| section.offset_bytes);

    check_copies(sections, rows, offset(SectionKind::Copies))?;
    let copied = Copied::of(sections, rows);
    let is_node = |row: u32| (row as usize) < rows && !copied.has(row);
    // On a level 0 that is the only level the entry point is a row.
    if let (Some(entry), 1) = (header.entry_point, header.levels.len())
        && !is_node(entry)
    {
        return Err(corrupt("header, entry point", ENTRY_POINT_OFFSET, "a row that is no copy", entry));
    }

    let level0 = sections.level0();
    let at = offset(SectionKind::Level0);
    let edges = check_lists(level0, 2 * header.params.m, rows, &copied, "level-0 neighbours", at)?;
    check_count("edges of level 0", at, header.levels[0].edges, edges)?;

    let upper_at = offset(SectionKind::UpperLevels);
    let mut below: Option<&[u32]> = None;
    for (level, info) in header.levels.iter().enumerate().skip(1) {
        let (members, neighbours) = sections.upper_level(level);
        let part = format!("rows of level {level}");
        check_ascending(members, 0..rows, &part, upper_at)?;
        if let Some(copy) = members.iter().find(|&&row| !is_node(row)) {
            return Err(corrupt(part, upper_at, "rows that are no copies", copy));
        }
        if let Some(below) = below
            && crate::graph::positions(members, below).is_none()
        {
            return Err(corrupt(part, upper_at, "rows of the level below", "others"));
        }
        let part = format!("neighbours of level {level}");
        let edges =
            check_lists(neighbours, header.params.m, members.len(), &Copied::none(), &part, upper_at)?;
        check_count(&format!("edges of level {level}"), upper_at, info.edges, edges)?;
        below = Some(members);
    }

    let at = offset(SectionKind::InverseNorms);
    if let Some(bad) = sections.inverse_norms().iter().find(|norm| !norm.is_finite() || **norm < 0.0) {
        return Err(corrupt("inverse norms", at, "finite numbers from 0", bad));
    }
    if let Some((values, _, _)) = sections.codes()
        && Quantizer::from_values(values, header.dim).is_none()
    {
        let expected = "a finite scale from 0, the limit of its dimension, and finite means";
        return Err(corrupt("quantizer", offset(SectionKind::Quantizer), expected, "others"));
    }
    if let (Storage::I8, Some(values)) = (header.storage, sections.value_steps())
        && Narrowing::of_values(values).is_none()
    {
        let expected = "a finite middle and a step from 0 for each column, whose values are finite";
        return Err(corrupt("value steps", offset(SectionKind::ValueSteps), expected, "others"));
    }
    check_text_ids(sections, offset(SectionKind::TextIds))
}

/// Offsets rise from 0 to the end of the texts, and what is between two of them is UTF-8.
fn check_text_ids(sections: &Sections, at: u64) -> Result<(), Corrupt> {
    let Some((offsets, texts)) = sections.text_ids() else { return Ok(()) };
    let last = offsets.last().copied().unwrap_or_default();
    let begins_right = offsets.first() == Some(&0) && last == texts.len() as u64;
    if !begins_right || !offsets.is_sorted() {
        let expected = format!("offsets that rise from 0 to {}", texts.len());
        return Err(corrupt("text ids, offsets", at, expected, "others"));
    }
    // Sorted and at most as many bytes as the map has.
    #[expect(clippy::cast_possible_truncation, reason = "see above")]
    let bad = offsets
        .par_windows(2)
        .position_first(|pair| std::str::from_utf8(&texts[pair[0] as usize..pair[1] as usize]).is_err());
    match bad {
        Some(row) => {
            let text_at = at + offsets.len() as u64 * 8 + offsets[row];
            Err(corrupt(format!("text ids, row {row}"), text_at, "UTF-8", "other bytes"))
        }
        None => Ok(()),
    }
}

/// Which rows are copies.
#[derive(Debug)]
struct Copied {
    /// A bit a row; nothing if none is.
    bits: Vec<u64>,
    /// For each remainder whether it is that of a copy.
    suspects: Box<[bool; REMAINDERS]>,
}

/// So many that few rows have the remainder of one of few copies; a table of them stays in the nearest cache.
const REMAINDERS: usize = 4096;

impl Copied {
    fn none() -> Self {
        Self { bits: Vec::new(), suspects: Box::new([false; REMAINDERS]) }
    }

    /// The section was checked.
    fn of(sections: &Sections, rows: usize) -> Self {
        let mut copied = Self::none();
        let all = sections.copies();
        if all.is_empty() {
            return copied;
        }
        copied.bits = vec![0; rows.div_ceil(64)];
        #[expect(clippy::cast_possible_truncation, reason = "copies are rows of the map")]
        let copies = &all[all.len() - sections.header().copies as usize..];
        for &copy in copies {
            copied.bits[copy as usize / 64] |= 1 << (copy % 64);
            copied.suspects[copy as usize % REMAINDERS] = true;
        }
        copied
    }

    fn has(&self, row: u32) -> bool {
        self.bits.get(row as usize / 64).is_some_and(|bits| bits >> (row % 64) & 1 == 1)
    }

    /// Not if it is no copy.
    #[inline]
    fn may_have(&self, row: u32) -> bool {
        self.suspects[row as usize % REMAINDERS]
    }
}

/// Neighbours are nodes of the level and no node its own, behind the last of a list is only filling, and what is no node
/// has no neighbours. Returns how many there are. Nodes are the slots below `slots` but for the copied ones.
fn check_lists(
    lists: &[u32],
    stride: usize,
    slots: usize,
    copied: &Copied,
    part: &str,
    at: u64,
) -> Result<u64, Corrupt> {
    const LISTS_A_TASK: usize = 2048;
    let is_node = |slot: u32| (slot as usize) < slots && !copied.has(slot);
    // What is bad of a list, one by one.
    let find_bad = |list: &[u32], slot: u32| {
        let len = list.iter().position(|&neighbour| neighbour == NONE).unwrap_or(stride);
        let (neighbours, filling) = list.split_at(len);
        let bad = neighbours
            .iter()
            .find(|&&neighbour| !is_node(neighbour) || neighbour == slot || !is_node(slot))
            .or_else(|| filling.iter().find(|&&neighbour| neighbour != NONE));
        (len, bad.map(|&bad| (slot, bad)))
    };
    let look = |(task, lists): (usize, &[u32])| {
        let (mut edges, mut first) = (0, None);
        #[expect(clippy::cast_possible_truncation, reason = "rows have 31 bits")]
        let slots_of_task = (task * LISTS_A_TASK) as u32..;
        for (slot, list) in slots_of_task.zip(lists.chunks_exact(stride)) {
            let good = length_of_good(list, slot, slots, copied);
            let (len, bad) = good.map_or_else(|| find_bad(list, slot), |len| (len, None));
            edges += len as u64;
            first = first.or(bad);
        }
        (edges, first)
    };
    // The first bad list counts, however many threads look.
    let (edges, bad) = (lists.par_chunks(stride * LISTS_A_TASK).enumerate())
        .map(look)
        .reduce(|| (0, None), |(edges, first), (more, next)| (edges + more, first.or(next)));
    match bad {
        Some((slot, bad)) => {
            let list_at = at + u64::from(slot) * stride as u64 * 4;
            let expected = "other nodes of the level, then filling";
            Err(corrupt(format!("{part}, node {slot}"), list_at, expected, bad))
        }
        None => Ok(edges),
    }
}

/// The length of a list that keeps all rules, if that can be told without a branch a value and by signed comparisons, which
/// every machine has for several at a time: opening looks at every list.
#[inline]
fn length_of_good(list: &[u32], slot: u32, slots: usize, copied: &Copied) -> Option<usize> {
    /// Turns the order of unsigned numbers into that of signed ones.
    const SIGN: u32 = 1 << 31;
    let most = (u32::try_from(slots).unwrap_or(u32::MAX) ^ SIGN).cast_signed();
    let (mut len, mut bad) = (0u32, 0u32);
    for &neighbour in list {
        len += u32::from(neighbour != NONE);
        // Filling becomes 0 here and a slot the number behind its own.
        let is_slot_or_filling = (neighbour.wrapping_add(1) ^ SIGN).cast_signed() <= most;
        bad |= u32::from(!is_slot_or_filling) | u32::from(neighbour == slot);
    }
    for (&before, &behind) in list.iter().zip(&list[1..]) {
        bad |= u32::from(before == NONE) & u32::from(behind != NONE);
    }
    // Filling is looked up as well: lists of one length take no branch that depends on what is in them.
    let suspects = list.iter().fold(false, |any, &neighbour| any | copied.may_have(neighbour));
    let is_node = len == 0 || (slot as usize) < slots && !copied.may_have(slot);
    (bad == 0 && !suspects && is_node).then_some(len as usize)
}

fn check_count(part: &str, at: u64, expected: u64, found: u64) -> Result<(), Corrupt> {
    if expected == found { Ok(()) } else { Err(corrupt(part, at, expected, found)) }
}

fn check_ascending(values: &[u32], range: Range<usize>, part: &str, at: u64) -> Result<(), Corrupt> {
    let in_range = values.iter().all(|&value| range.contains(&(value as usize)));
    if in_range && values.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    Err(corrupt(part, at, format!("ascending rows below {}", range.end), "others"))
}

/// Copies: `r` representatives, ascending; `r + 1` starts, rising from 0 to the number of copies; the copies, each once,
/// none a representative.
fn check_copies(sections: &Sections, rows: usize, at: u64) -> Result<(), Corrupt> {
    let copies = usize::try_from(sections.header().copies).unwrap_or(usize::MAX);
    let all = sections.copies();
    if all.is_empty() {
        return check_count("copies", at, 0, copies as u64);
    }
    let bad = |expected: &str, found: String| Err(corrupt("copies", at, expected, found));
    let Some(twice) = all.len().checked_sub(copies.saturating_add(1)).filter(|twice| twice % 2 == 0) else {
        return bad("the number of copies that the header says", format!("{} numbers", all.len()));
    };
    let (representatives, rest) = all.split_at(twice / 2);
    let (starts, copied) = rest.split_at(twice / 2 + 1);
    check_ascending(representatives, 0..rows, "copies, representatives", at)?;
    let ends_right = starts[0] == 0 && starts[starts.len() - 1] as usize == copies;
    if !ends_right || !starts.is_sorted_by(|a, b| a < b) {
        return bad("starts that rise from 0 to the number of copies", "others".to_owned());
    }
    let mut sorted = copied.to_vec();
    sorted.sort_unstable();
    check_ascending(&sorted, 0..rows, "copies, each once", at)?;
    if let Some(both) = sorted.iter().find(|row| representatives.binary_search(row).is_ok()) {
        return bad("copies that have no copies", format!("row {both}"));
    }
    Ok(())
}
