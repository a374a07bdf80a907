//! How many values make a row, where nothing says it: of all numbers that divide the file, the one at which it looks like
//! rows.
//!
//! Two signs tell. Embeddings of length 1 have it at the right dimension and at its multiples only. And columns differ:
//! each has a mean of its own, of its values and of their absolutes, which every row repeats. At a wrong dimension these
//! means are mixed and come to nothing; at a multiple they are only repeated. So the smallest dimension is taken that
//! explains as much as any. Where neither sign is clear nothing is guessed.

use std::path::{Path, PathBuf};

use readers::formats::RawF32;
use readers::{ErrorKind, Format, Source};

use super::super::sources::Request;
use crate::output::units;
use crate::pipeline::Cancel;
use crate::{Code, Failure};

/// What people's embeddings have.
const COMMON: [u64; 20] =
    [32, 50, 64, 96, 100, 128, 200, 256, 300, 384, 512, 640, 768, 960, 1024, 1280, 1536, 2048, 3072, 4096];

/// No other dimension is tried that is larger.
const MAX_TRIED: u64 = 8192;

/// What repeats after fewer values is the other half of a wider type rather than a row of embeddings.
const MIN_GUESSED: u64 = 8;

/// A dimension that leaves fewer rows is not tried: they would not look like anything.
const MIN_ROWS: u64 = 4;

/// So many values are looked at, in so many pieces at even distances.
const SAMPLE_VALUES: u64 = 1 << 20;
const PIECES: u64 = 16;

/// How many others are named.
const NAMED: usize = 6;

/// A guess, and what it rests on.
#[derive(Debug)]
pub(super) struct Guess {
    pub(super) dim: usize,
    pub(super) why: String,
    /// The next likely ones.
    pub(super) others: Vec<u64>,
}

/// What a file says of its dimension.
enum Said {
    Dim(usize),
    /// Nothing: bare f32 without a sidecar.
    Nothing(Box<Source>),
    /// There is something else to say of it, which opening it does.
    Error,
}

impl Said {
    fn by(request: &Request, path: &Path, cancel: &Cancel) -> Result<Self, Failure> {
        let input = request.input(path, cancel)?;
        let (format, _) = request.format_of(&input)?;
        match request.opener(format)?.open(&input) {
            Ok(dataset) => Ok(Self::Dim(dataset.info().dim)),
            Err(error) if error.kind() == ErrorKind::Request && format.name == RawF32::NAME => {
                Ok(Self::Nothing(Box::new(input.source()?)))
            }
            Err(_) => Ok(Self::Error),
        }
    }
}

/// The dimension where some of the files are bare f32 without a sidecar: that of the others, or else what the first of them looks like.
/// Nothing where all files say it.
///
/// # Errors
/// Where no dimension is more likely than others, with those that fit.
pub(super) fn guess(request: &Request, paths: &[PathBuf], cancel: &Cancel) -> Result<Option<Guess>, Failure> {
    let (mut bare, mut said) = (None, None);
    for path in paths {
        match Said::by(request, path, cancel)? {
            Said::Dim(dim) => _ = said.get_or_insert((path, dim)),
            Said::Nothing(source) => _ = bare.get_or_insert((path, source)),
            Said::Error => {}
        }
        // Of many files the first ones tell.
        if bare.is_some() && said.is_some() {
            break;
        }
    }
    match (bare, said) {
        (None, _) => Ok(None),
        (Some(_), Some((path, dim))) => {
            Ok(Some(Guess { dim, why: format!("that of {}", path.display()), others: Vec::new() }))
        }
        (Some((path, source)), None) => guess_bare(path, &source, cancel).map(Some),
    }
}

fn guess_bare(path: &Path, source: &Source, cancel: &Cancel) -> Result<Guess, Failure> {
    let refuse = |message: String| {
        Failure::refused(format!("{}: {message}", path.display())).with_code(Code::Dimension)
    };
    let (values, over) = (source.len_bytes() / 4, source.len_bytes() % 4);
    if over != 0 || values == 0 {
        let bytes = source.len_bytes();
        return Err(refuse(format!("expected f32 values of 4 bytes each, found {bytes} bytes"))
            .with_help("if the file has a header or another type, name its format: --format NAME"));
    }
    let sample = Sample::of(source, values)?;
    let tried = tried(values);
    let mut scores = Vec::new();
    for &dim in &tried {
        cancel.check()?;
        scores.push(sample.score(dim));
    }
    let chosen = if sample.is_plausible() { best(&scores) } else { None };
    let chosen = chosen.filter(|&(dim, _)| dim >= MIN_GUESSED);
    let ranked = ranked(&scores);
    let Some((dim, why)) = chosen else {
        let listed: Vec<String> = listed(values).iter().map(u64::to_string).collect();
        if let Some(other) = sample.other_type() {
            let message = format!("expected little-endian f32 values, found what looks like {}", other.what);
            let help = format!(
                "if it is that, write it with numpy: np.save(\"vectors.npy\", np.fromfile({:?}, {:?}).reshape(-1, DIM)); \
                 if it has a header, name its format: --format NAME",
                path.display().to_string(),
                other.descr
            );
            return Err(refuse(message).with_help(help));
        }
        let message = match sample.is_plausible() {
            true => "expected a dimension, found none that the values speak for",
            false => "expected little-endian f32 values, found numbers that are hardly that",
        };
        let fitting = match listed.as_slice() {
            [] => format!("{} values", units::count(values)),
            listed => format!("these fit its size: {}", listed.join(", ")),
        };
        return Err(refuse(message.to_owned()).with_help(format!("say --dimension N; {fitting}")));
    };
    let others = ranked.into_iter().filter(|&other| other != dim).take(NAMED).collect();
    Ok(Guess { dim: usize::try_from(dim).unwrap_or_default(), why, others })
}

/// The dimensions that leave whole rows, and enough of them.
fn tried(values: u64) -> Vec<u64> {
    (2..=MAX_TRIED.min(values / MIN_ROWS)).filter(|&dim| values.is_multiple_of(dim)).collect()
}

/// The dimensions to name where none can be guessed: common ones, or else any that fit.
fn listed(values: u64) -> Vec<u64> {
    let common: Vec<u64> = COMMON.into_iter().filter(|&dim| values.is_multiple_of(dim)).collect();
    if !common.is_empty() {
        return common;
    }
    let fitting = (2..=MAX_TRIED.min(values)).rev().filter(|&dim| values.is_multiple_of(dim));
    let mut fitting: Vec<u64> = fitting.take(2 * NAMED).collect();
    fitting.reverse();
    fitting
}

/// Values out of a file, each piece with the number of its first one.
struct Sample(Vec<(u64, Vec<f32>)>);

impl Sample {
    fn of(source: &Source, values: u64) -> Result<Self, Failure> {
        let length = SAMPLE_VALUES / PIECES;
        let starts: Vec<u64> = match values <= SAMPLE_VALUES {
            true => vec![0],
            false => (0..PIECES).map(|piece| piece * ((values - length) / (PIECES - 1))).collect(),
        };
        let length = if values <= SAMPLE_VALUES { values } else { length };
        let mut pieces = Vec::new();
        let mut bytes = vec![0; usize::try_from(length * 4).unwrap_or_default()];
        for start in starts {
            source.read_at(start * 4, &mut bytes)?;
            let (words, _) = bytes.as_chunks::<4>();
            pieces.push((start, words.iter().map(|&word| f32::from_le_bytes(word)).collect()));
        }
        Ok(Self(pieces))
    }

    /// Whether nearly all values have a size that embeddings have: bytes of another type seldom do.
    fn is_plausible(&self) -> bool {
        let values = || self.0.iter().flat_map(|(_, values)| values);
        let odd = values()
            .filter(|value| !(value.is_finite() && (**value == 0.0 || (1e-15..1e15).contains(&value.abs()))));
        odd.count() * 20 <= values().count()
    }

    /// The type that the bytes are rather of, if there is one.
    fn other_type(&self) -> Option<&'static OtherType> {
        // The first piece begins where a value of any type does.
        let (_, values) = self.0.first()?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        // Of f64 that were f32 once the last 29 bits are zero.
        let was_f32 = |pair: &[f32]| pair[0].to_bits() & ((1 << 29) - 1) == 0;
        if values.chunks_exact(2).all(was_f32) && values.iter().any(|&value| value != 0.0) {
            let wide = OTHER_TYPES.iter().find(|other| other.descr == "<f8");
            return wide.filter(|wide| is_of_one_scale((wide.values)(&bytes).into_iter()));
        }
        if is_of_one_scale(values.iter().map(|&value| f64::from(value))) {
            return None;
        }
        OTHER_TYPES.iter().find(|other| is_of_one_scale((other.values)(&bytes).into_iter()))
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a sample")]
    fn score(&self, dim: u64) -> Score {
        let width = usize::try_from(dim).unwrap_or(usize::MAX);
        let mut columns = [vec![0.0; width], vec![0.0; width]];
        let (mut sums, mut squares, mut fourths) = ([0.0; 2], 0.0, 0.0);
        let (mut rows, mut lengths, mut squared_lengths) = (0.0, 0.0, 0.0);
        for (start, values) in &self.0 {
            let skipped = usize::try_from((dim - start % dim) % dim).unwrap_or(usize::MAX);
            for row in values.get(skipped..).unwrap_or_default().chunks_exact(width) {
                // Rows that no index would take say nothing of the others.
                if !row.iter().all(|value| value.is_finite()) || row.iter().all(|&value| value == 0.0) {
                    continue;
                }
                let mut length = 0.0;
                let [plain, absolute] = &mut columns;
                for ((&value, plain), absolute) in row.iter().zip(plain).zip(absolute) {
                    let value = f64::from(value);
                    *plain += value;
                    *absolute += value.abs();
                    sums[0] += value;
                    sums[1] += value.abs();
                    length += value * value;
                    fourths += (value * value).powi(2);
                }
                rows += 1.0;
                squares += length;
                lengths += length.sqrt();
                squared_lengths += length * length;
            }
        }
        let count = rows * dim as f64;
        let variance =
            |sum: f64, squares: f64, count: f64| (squares / count - (sum / count).powi(2)).max(0.0);
        // Of the squared lengths: what it is, and what it would be if all values were independent.
        let spread =
            variance(squares, squared_lengths, rows) / (dim as f64 * variance(squares, fourths, count));
        let length = lengths / rows;
        let coefficient = variance(lengths, squares, rows).sqrt() / length;
        let mut explained = 0.0;
        for (column_sums, sum) in columns.iter().zip(sums) {
            let mean = sum / count;
            let between: f64 = column_sums.iter().map(|column| rows * (column / rows - mean).powi(2)).sum();
            let within = squares - count * mean * mean - between;
            let (free_between, free_within) = (dim as f64 - 1.0, count - dim as f64);
            let ratio = (between / free_between) / (within / free_within).max(f64::MIN_POSITIVE);
            explained += free_between * (ratio - 1.0);
        }
        Score {
            dim,
            rows,
            spread,
            coefficient,
            explained: if explained.is_finite() { explained } else { 0.0 },
        }
    }
}

/// A type of values that people write without a header, too.
struct OtherType {
    what: &'static str,
    /// As numpy calls it.
    descr: &'static str,
    values: fn(&[u8]) -> Vec<f64>,
}

/// Narrow types come last: their range is small, so that nearly any bytes look like some of them.
const OTHER_TYPES: [OtherType; 4] = [
    OtherType {
        what: "big-endian f32",
        descr: ">f4",
        values: |bytes| each(bytes, |bytes| f32::from_be_bytes(bytes).into()),
    },
    OtherType { what: "f64", descr: "<f8", values: |bytes| each(bytes, f64::from_le_bytes) },
    OtherType { what: "big-endian f64", descr: ">f8", values: |bytes| each(bytes, f64::from_be_bytes) },
    OtherType {
        what: "f16",
        descr: "<f2",
        values: |bytes| each(bytes, |bytes| half::f16::from_le_bytes(bytes).into()),
    },
];

fn each<const SIZE: usize>(bytes: &[u8], value: impl Fn([u8; SIZE]) -> f64) -> Vec<f64> {
    bytes.as_chunks::<SIZE>().0.iter().map(|&bytes| value(bytes)).collect()
}

/// Whether nearly all values are about as large as the one in the middle, and that has a size of numbers, as those of embeddings are: bytes of another type have
/// exponents from one end to the other.
fn is_of_one_scale(values: impl Iterator<Item = f64>) -> bool {
    const FACTOR: f64 = 1e4;
    let mut sizes: Vec<f64> = values.map(f64::abs).filter(|&size| size != 0.0).collect();
    if sizes.is_empty() {
        return true;
    }
    let all = sizes.len();
    let (_, &mut middle, _) = sizes.select_nth_unstable_by(all / 2, f64::total_cmp);
    let is_near = |size: &&f64| (middle / FACTOR..=middle * FACTOR).contains(*size);
    (1e-15..1e15).contains(&middle) && sizes.iter().filter(is_near).count() * 50 >= all * 49
}

/// What speaks for a dimension.
#[derive(Debug, Clone, Copy)]
struct Score {
    dim: u64,
    /// Rows that were looked at.
    rows: f64,
    /// The variance of squared lengths as a share of what chance would make it.
    spread: f64,
    /// The coefficient of variation of lengths.
    coefficient: f64,
    /// What differences between columns explain beyond chance, in units of the variance within columns.
    explained: f64,
}

impl Score {
    /// Whether all rows have one length, and not by chance.
    fn has_one_length(&self) -> bool {
        let most = if self.rows >= 8.0 { 0.02 } else { 1e-5 };
        self.rows >= 3.0 && self.spread < most && self.coefficient < 0.02
    }

    #[expect(clippy::cast_precision_loss, reason = "dimensions are small")]
    fn noise(&self) -> f64 {
        // Two sums of squares, each of which varies by chance as so many squared normal numbers do.
        (4.0 * (self.dim as f64 - 1.0)).sqrt()
    }

    /// How far beyond chance the differences between columns are.
    fn significance(&self) -> f64 {
        self.explained / self.noise()
    }
}

/// The dimension that the values speak for, and how.
#[expect(clippy::cast_precision_loss, reason = "dimensions are small")]
fn best(scores: &[Score]) -> Option<(u64, String)> {
    /// Chance comes nowhere near it, however many dimensions are tried.
    const CLEAR: f64 = 20.0;
    /// A divisor explains less unless it is the dimension itself: then all but noise and a little.
    const LOST: f64 = 0.05;
    const NOISE: f64 = 6.0;

    if let Some(score) = scores.iter().find(|score| score.has_one_length()) {
        let percent = score.coefficient * 100.0;
        return Some((
            score.dim,
            format!("rows of {} values have one length (it varies by {percent:.2} %)", score.dim),
        ));
    }
    let most = scores.iter().max_by(|one, other| one.explained.total_cmp(&other.explained))?;
    let as_good = |score: &&Score| {
        // Of negative sums, as constants have them, the greatest is not as good as itself: larger dimensions come up, too.
        let noise = NOISE * (4.0 * most.dim.saturating_sub(score.dim) as f64).sqrt();
        most.dim.is_multiple_of(score.dim) && most.explained * (1.0 - LOST) - score.explained <= noise
    };
    let score = scores.iter().find(as_good).filter(|score| score.significance() >= CLEAR)?;
    Some((score.dim, format!("means of columns repeat every {} values", score.dim)))
}

/// All dimensions, those that more speaks for first.
fn ranked(scores: &[Score]) -> Vec<u64> {
    let mut ranked: Vec<&Score> = scores.iter().collect();
    let rank = |score: &Score| (score.has_one_length(), COMMON.contains(&score.dim));
    ranked.sort_by(|one, other| {
        rank(other).cmp(&rank(one)).then(other.significance().total_cmp(&one.significance()))
    });
    ranked.into_iter().map(|score| score.dim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers between -1 and 1 that are the same everywhere (splitmix64).
    fn noise(count: usize) -> Vec<f32> {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((z ^ (z >> 31)) >> 40) as f32) / ((1u32 << 23) as f32) - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn guessed(values: Vec<f32>) -> Option<u64> {
        let tried = tried(values.len() as u64);
        let sample = Sample(vec![(0, values)]);
        let scores: Vec<Score> = tried.into_iter().map(|dim| sample.score(dim)).collect();
        best(&scores).map(|(dim, _)| dim)
    }

    #[test]
    fn rows_of_one_length_are_found() {
        for dim in [3, 50, 96, 384] {
            let mut values = noise(dim * 240);
            for row in values.chunks_exact_mut(dim) {
                let length = row.iter().map(|value| value * value).sum::<f32>().sqrt();
                row.iter_mut().for_each(|value| *value /= length);
            }
            assert_eq!(guessed(values), Some(dim as u64));
        }
    }

    #[test]
    fn columns_with_means_of_their_own_are_found() {
        for dim in [4, 100, 128, 384] {
            let means = noise(dim);
            let mut values = noise(dim * 480);
            for row in values.chunks_exact_mut(dim) {
                row.iter_mut().zip(&means).for_each(|(value, mean)| *value += 0.5 * mean);
            }
            assert_eq!(guessed(values), Some(dim as u64));
        }
    }

    #[test]
    fn a_short_period_inside_of_rows_is_not_the_row() {
        // As descriptors of images have it: every eighth column is alike, but not quite.
        let (dim, means) = (128, noise(128));
        let mut values = noise(dim * 480);
        for row in values.chunks_exact_mut(dim) {
            for (at, value) in row.iter_mut().enumerate() {
                *value += means[at % 8] + 0.5 * means[at];
            }
        }
        assert_eq!(guessed(values), Some(128));
    }

    #[test]
    fn other_types_are_told() {
        let told = |bytes: Vec<u8>| {
            let values = bytes.as_chunks::<4>().0.iter().map(|&word| f32::from_le_bytes(word)).collect();
            Sample(vec![(0, values)]).other_type().map(|other| other.what)
        };
        let values = noise(4096);
        assert_eq!(told(values.iter().flat_map(|value| value.to_le_bytes()).collect()), None);
        assert_eq!(
            told(values.iter().flat_map(|value| value.to_be_bytes()).collect()),
            Some("big-endian f32")
        );
        let wide = || values.iter().map(|&value| f64::from(value) / 3.0);
        assert_eq!(told(wide().flat_map(f64::to_le_bytes).collect()), Some("f64"));
        assert_eq!(told(wide().flat_map(f64::to_be_bytes).collect()), Some("big-endian f64"));
        let halves = values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes());
        assert_eq!(told(halves.collect()), Some("f16"));
        let mut state = 1u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        assert_eq!(told((0..16384).map(|_| byte()).collect()), None);
    }

    #[test]
    fn noise_and_constants_have_no_dimension() {
        assert_eq!(guessed(noise(384 * 240)), None);
        assert_eq!(guessed(vec![1.0; 384 * 240]), None);
        assert_eq!(guessed(vec![0.0; 384 * 240]), None);
    }

    #[test]
    fn pieces_are_seen_from_the_beginning_of_the_file() {
        let (dim, means) = (96, noise(96));
        let mut values = noise(dim * 400);
        for row in values.chunks_exact_mut(dim) {
            row.iter_mut().zip(&means).for_each(|(value, mean)| *value += mean);
        }
        let pieces = [0, 5000, 21_111].map(|start| (start as u64, values[start..start + 10_000].to_vec()));
        let sample = Sample(pieces.to_vec());
        let scores: Vec<Score> =
            tried(values.len() as u64).into_iter().map(|dim| sample.score(dim)).collect();
        assert_eq!(best(&scores).map(|(dim, _)| dim), Some(96));
    }
}
