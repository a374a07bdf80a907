//! The hybrid of run lengths and packed bits in which Parquet keeps levels and indexes of dictionaries.
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE>

use bytes::Bytes;

/// Numbers of `width` bits, in runs: of one number, or packed, eight at a time.
#[derive(Debug)]
pub(super) struct Runs {
    data: Bytes,
    /// The byte behind the current run.
    at: usize,
    width: usize,
    run: Run,
}

#[derive(Debug)]
enum Run {
    Repeated {
        value: u32,
        left: usize,
    },
    /// From a byte on; `done` and `left` count numbers.
    Packed {
        start: usize,
        done: usize,
        left: usize,
    },
}

/// The runs end early, or are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl Runs {
    /// Runs of numbers of up to 32 bits.
    pub(super) fn new(data: Bytes, width: usize) -> Result<Self, Broken> {
        let run = Run::Repeated { value: 0, left: 0 };
        if width <= 32 { Ok(Self { data, at: 0, width, run }) } else { Err(Broken) }
    }

    /// Makes the current run one that is not over.
    fn load(&mut self) -> Result<(), Broken> {
        if let Run::Repeated { left: 1.., .. } | Run::Packed { left: 1.., .. } = self.run {
            return Ok(());
        }
        let mut header = 0u64;
        for shift in (0..).step_by(7) {
            let byte = *self.data.get(self.at).ok_or(Broken)?;
            self.at += 1;
            header |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            if shift >= 28 {
                return Err(Broken);
            }
        }
        let count = usize::try_from(header >> 1).map_err(|_| Broken)?;
        if count == 0 {
            return Err(Broken);
        }
        let behind = self.data.len() - self.at;
        if header & 1 == 0 {
            let size = self.width.div_ceil(8);
            let bytes = self.data.get(self.at..self.at + size).ok_or(Broken)?;
            let value = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte));
            self.at += size;
            self.run = Run::Repeated { value, left: count };
        } else {
            // Some writers leave out the end of the last eight.
            let size = count.saturating_mul(self.width).min(behind);
            let whole = (size * 8).checked_div(self.width).unwrap_or(usize::MAX);
            let left = count.saturating_mul(8).min(whole);
            if left == 0 {
                return Err(Broken);
            }
            self.run = Run::Packed { start: self.at, done: 0, left };
            self.at += size;
        }
        Ok(())
    }

    /// The next number, which stays the next.
    pub(super) fn peek(&mut self) -> Result<u32, Broken> {
        self.load()?;
        Ok(match self.run {
            Run::Repeated { value, .. } => value,
            Run::Packed { start, done, .. } => self.packed(start, done),
        })
    }

    /// The number at `index` of the packed ones from byte `start` on.
    fn packed(&self, start: usize, index: usize) -> u32 {
        let bit = index * self.width;
        let bytes = &self.data[start + bit / 8..];
        let word = match bytes.first_chunk::<8>() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
        };
        #[expect(clippy::cast_possible_truncation, reason = "it has at most 32 bits")]
        let value = (word >> (bit % 8) & ((1 << self.width) - 1)) as u32;
        value
    }

    /// Passes `count` numbers that all have to be `value`; whether they are.
    pub(super) fn all(&mut self, value: u32, mut count: usize) -> Result<bool, Broken> {
        while count > 0 {
            self.load()?;
            let passed = match self.run {
                Run::Repeated { value: found, left } => {
                    if found != value {
                        return Ok(false);
                    }
                    left.min(count)
                }
                Run::Packed { start, done, left } => {
                    let end = done + left.min(count);
                    if !self.all_packed(start, done, end, value) {
                        return Ok(false);
                    }
                    end - done
                }
            };
            self.pass(passed);
            count -= passed;
        }
        Ok(true)
    }

    /// Whether the packed numbers from `done` to `end` all are `value`.
    fn all_packed(&self, start: usize, mut done: usize, end: usize, value: u32) -> bool {
        let width = self.width;
        // Eight equal numbers are `width` bytes, which are the same for each eight.
        let eight = (0..8).fold(0u64, |word, at| word | u64::from(value) << (at * width % 64));
        let pattern = eight.to_le_bytes();
        while done < end {
            let byte = start + done / 8 * width;
            if done.is_multiple_of(8) && end - done >= 8 && (1..=8).contains(&width) {
                if self.data[byte..byte + width] != pattern[..width] {
                    return false;
                }
                done += 8;
            } else {
                if self.packed(start, done) != value {
                    return false;
                }
                done += 1;
            }
        }
        true
    }

    /// Takes `count` off the current run, which has them.
    fn pass(&mut self, count: usize) {
        match &mut self.run {
            Run::Repeated { left, .. } => *left -= count,
            Run::Packed { done, left, .. } => {
                *done += count;
                *left -= count;
            }
        }
    }

    /// Passes `count` numbers.
    pub(super) fn skip(&mut self, mut count: usize) -> Result<(), Broken> {
        while count > 0 {
            self.load()?;
            let (Run::Repeated { left, .. } | Run::Packed { left, .. }) = self.run;
            let passed = left.min(count);
            self.pass(passed);
            count -= passed;
        }
        Ok(())
    }

    /// Fills `out` eight by eight with what the packed numbers from `index` on stand for, a multiple of eight: how many it
    /// filled. It stops where one of them stands for nothing, and before the end of the data.
    fn look_up_eights(&self, start: usize, index: usize, table: &[f32], out: &mut [f32]) -> usize {
        match self.width {
            1..=16 => self.look_up_words::<4>(start, index, table, out),
            17..=28 => self.look_up_words::<2>(start, index, table, out),
            _ => 0,
        }
    }

    /// With `TOGETHER` numbers out of one word: as many as always are in its 64 bits, wherever in a byte they begin.
    #[expect(clippy::cast_possible_truncation, reason = "numbers of up to 28 bits")]
    fn look_up_words<const TOGETHER: usize>(
        &self,
        start: usize,
        index: usize,
        table: &[f32],
        out: &mut [f32],
    ) -> usize {
        let (width, mask) = (self.width, (1u64 << self.width) - 1);
        let mut bytes = &self.data[start + index / 8 * width..];
        let mut filled = 0;
        for eight in out.chunks_exact_mut(8) {
            // The word of the last number goes beyond these bytes.
            let Some(window) = bytes.get(..width + 8) else { break };
            for (at, part) in eight.chunks_exact_mut(TOGETHER).enumerate() {
                let bit = at * TOGETHER * width;
                let Some(word) = window[bit / 8..].first_chunk::<8>() else { return filled };
                let mut word = u64::from_le_bytes(*word) >> (bit % 8);
                for value in part {
                    let Some(&found) = table.get((word & mask) as usize) else { return filled };
                    *value = found;
                    word >>= width;
                }
            }
            bytes = &bytes[width..];
            filled += 8;
        }
        filled
    }

    /// Fills `out` with what the next numbers stand for. False if one of them stands for nothing.
    pub(super) fn look_up(&mut self, table: &[f32], out: &mut [f32]) -> Result<bool, Broken> {
        let mut filled = 0;
        while filled < out.len() {
            self.load()?;
            let (Run::Repeated { left, .. } | Run::Packed { left, .. }) = self.run;
            let count = left.min(out.len() - filled);
            let part = &mut out[filled..filled + count];
            match self.run {
                Run::Repeated { value, .. } => match table.get(value as usize) {
                    Some(&value) => part.fill(value),
                    None => return Ok(false),
                },
                Run::Packed { start, done, .. } => {
                    let alone = done.next_multiple_of(8).min(done + count) - done;
                    let (head, rest) = part.split_at_mut(alone);
                    let eights = self.look_up_eights(start, done + alone, table, rest);
                    let behind = done + alone + eights;
                    let singles = head.iter_mut().zip(done..);
                    for (value, index) in singles.chain(rest[eights..].iter_mut().zip(behind..)) {
                        match table.get(self.packed(start, index) as usize) {
                            Some(&found) => *value = found,
                            None => return Ok(false),
                        }
                    }
                }
            }
            self.pass(count);
            filled += count;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(data: &[u8], width: usize) -> Runs {
        Runs::new(Bytes::copy_from_slice(data), width).unwrap()
    }

    #[test]
    fn numbers_come_out_of_both_kinds_of_runs() {
        // Eight packed numbers 0 to 7 of three bits, the example of the format's description; then 5, three times.
        let data = [0x03, 0x88, 0xc6, 0xfa, 0x06, 0x05];
        let table: Vec<f32> = (0..8u8).map(f32::from).collect();
        let mut out = [0.0; 11];
        assert_eq!(runs(&data, 3).look_up(&table, &mut out), Ok(true));
        assert_eq!(out, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 5.0, 5.0, 5.0]);
        assert_eq!(runs(&data, 3).look_up(&table[..7], &mut out), Ok(false));
        assert_eq!(runs(&data, 3).look_up(&table, &mut [0.0; 12]), Err(Broken));
        let mut some = runs(&data, 3);
        some.skip(7).unwrap();
        assert_eq!(some.peek(), Ok(7));
        some.skip(1).unwrap();
        assert_eq!((some.peek(), some.all(5, 3), some.peek()), (Ok(5), Ok(true), Err(Broken)));
    }

    #[test]
    fn packed_numbers_of_every_width_are_looked_up() {
        let table: Vec<f32> = (0..1u16 << 12).map(f32::from).collect();
        for width in 1..=32usize {
            let numbers: Vec<usize> = (0..96).map(|at| at * 37 % (1 << width.min(12))).collect();
            let mut bits = vec![0u8; 12 * width];
            for (at, number) in numbers.iter().enumerate() {
                for bit in (0..width.min(12)).filter(|bit| number >> bit & 1 == 1) {
                    bits[(at * width + bit) / 8] |= 1 << ((at * width + bit) % 8);
                }
            }
            let data = [&[12 << 1 | 1][..], &bits].concat();
            for (skipped, count) in [(0, 96), (3, 90), (8, 80), (13, 1), (90, 6)] {
                let mut some = runs(&data, width);
                some.skip(skipped).unwrap();
                let mut out = vec![0.0; count];
                assert_eq!(some.look_up(&table, &mut out), Ok(true));
                let expected: Vec<f32> =
                    numbers[skipped..skipped + count].iter().map(|&number| table[number]).collect();
                assert_eq!(out, expected, "{width} bits, {skipped} and on");
                let largest = numbers[skipped..skipped + count].iter().max().unwrap();
                let mut some = runs(&data, width);
                some.skip(skipped).unwrap();
                assert_eq!(some.look_up(&table[..*largest], &mut out), Ok(false), "{width} bits");
            }
        }
    }

    #[test]
    fn equal_numbers_are_known_without_looking_at_each() {
        for width in 1..=5usize {
            let value = (1u32 << width) - 2 + u32::from(width == 1);
            for other in 0..24 {
                let mut bits = vec![0u8; 3 * width];
                for at in (0..24).filter(|&at| at != other) {
                    for bit in (0..width).filter(|bit| value >> bit & 1 == 1) {
                        bits[(at * width + bit) / 8] |= 1 << ((at * width + bit) % 8);
                    }
                }
                let data = [&[0x07][..], &bits].concat();
                for start in 0..24 {
                    let mut some = runs(&data, width);
                    some.skip(start).unwrap();
                    let before = other.saturating_sub(start);
                    if other >= start {
                        assert_eq!(some.all(value, before), Ok(true), "{width} {other} {start}");
                        assert_eq!(some.peek(), Ok(0));
                        assert_eq!(some.all(value, 1), Ok(false));
                        let mut again = runs(&data, width);
                        again.skip(start).unwrap();
                        assert_eq!(again.all(value, 24 - start), Ok(false), "{width} {other} {start}");
                    } else {
                        assert_eq!(some.all(value, 24 - start), Ok(true), "{width} {other} {start}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_run_is_broken() {
        assert_eq!(Runs::new(Bytes::new(), 33).unwrap_err(), Broken);
        for data in [&[][..], &[0x80], &[0x00], &[0x01], &[0x02], &[0x03], &[0xff; 6]] {
            assert_eq!(runs(data, 3).peek(), Err(Broken), "{data:?}");
        }
        // Numbers without bits are zeros.
        assert_eq!(runs(&[0x10], 0).all(0, 8), Ok(true));
        assert_eq!(runs(&[0x03], 0).all(0, 8), Ok(true));
        // The last eight may be cut, but not below what is asked for.
        assert_eq!(runs(&[0x03, 0xff, 0xff], 3).all(7, 5), Ok(true));
        assert_eq!(runs(&[0x03, 0xff, 0xff], 3).all(7, 6), Err(Broken));
    }
}
