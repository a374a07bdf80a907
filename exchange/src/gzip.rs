//! One gzip member (RFC 1952) whose blocks are compressed by all threads.
//!
//! Blocks of the input become deflate blocks (RFC 1951) that end at a byte and refer to nothing before themselves, so that they
//! can be put one behind the other, as pigz does it. The bytes do not depend on the number of threads.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use rayon::prelude::*;

/// What is compressed at a time, and how many such blocks wait for it: large enough that boundaries cost nothing.
const BLOCK_BYTES: usize = 1 << 20;
const BLOCKS: usize = 16;

/// No name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Vectors hardly get smaller, and more effort changes little: level 1.
fn level() -> Compression {
    Compression::fast()
}

pub(crate) struct Gzip<'a> {
    out: &'a mut dyn Write,
    blocks: Vec<Vec<u8>>,
    crc: Crc,
    has_begun: bool,
}

impl<'a> Gzip<'a> {
    pub(crate) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, blocks: Vec::new(), crc: Crc::new(), has_begun: false }
    }

    fn write_blocks(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.out.write_all(&HEADER)?;
        }
        let packed: Vec<io::Result<Vec<u8>>> =
            self.blocks.par_iter().map(|block| pack(block, FlushCompress::Sync)).collect();
        for block in packed {
            self.out.write_all(&block?)?;
        }
        self.blocks.clear();
        Ok(())
    }

    /// Writes what is left, and the end.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.write_blocks()?;
        self.out.write_all(&pack(&[], FlushCompress::Finish)?)?;
        self.out.write_all(&self.crc.sum().to_le_bytes())?;
        self.out.write_all(&self.crc.amount().to_le_bytes())
    }
}

impl Write for Gzip<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.crc.update(bytes);
        let mut left = bytes;
        while !left.is_empty() {
            if self.blocks.last().is_none_or(|block| block.len() == BLOCK_BYTES) {
                if self.blocks.len() == BLOCKS {
                    self.write_blocks()?;
                }
                self.blocks.push(Vec::with_capacity(BLOCK_BYTES));
            }
            let Some(block) = self.blocks.last_mut() else { continue };
            let len = left.len().min(BLOCK_BYTES - block.len());
            block.extend_from_slice(&left[..len]);
            left = &left[len..];
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pack(bytes: &[u8], flush: FlushCompress) -> io::Result<Vec<u8>> {
    let mut packer = Compress::new(level(), false);
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 64 + 64);
    loop {
        // Both count what this packer has seen, which is in memory.
        let done = usize::try_from(packer.total_in()).unwrap_or(bytes.len());
        let status = packer.compress_vec(&bytes[done..], &mut out, flush).map_err(io::Error::other)?;
        let all_in = packer.total_in() == bytes.len() as u64;
        if status == Status::StreamEnd
            || (all_in && out.len() < out.capacity() && flush != FlushCompress::Finish)
        {
            return Ok(out);
        }
        out.reserve(1024.max(bytes.len() / 8));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn any_number_of_bytes_comes_back_out_of_one_member() {
        let mut hash = 1u64;
        for len in [0, 1, 100, BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 7, BLOCKS * BLOCK_BYTES + 5] {
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    hash = hash.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                    hash.to_le_bytes()[7] & 0x3f
                })
                .collect();
            let mut packed = Vec::new();
            let mut gzip = Gzip::new(&mut packed);
            for part in bytes.chunks(77_777) {
                gzip.write_all(part).unwrap();
            }
            gzip.finish().unwrap();
            let mut back = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{len}");
        }
    }
}
