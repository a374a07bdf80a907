//! What the pages of a column are like, as far as the first of them tell: how large a part one thread should read, and how
//! much memory that takes.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::column::page::PageReader;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::parquet_chunks::PageChunks;
use super::parquet_pages::{decoded, next_header};
use crate::Source;

/// Pages that are looked at to know how large they are.
const SAMPLED_PAGES: usize = 32;

/// What the first pages of a column in a row group are like.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Values of the largest.
    pub(super) values: u64,
    /// Whether they tell their rows.
    pub(super) is_told: bool,
    /// The largest, packed and unpacked together.
    pub(super) page_bytes: u64,
    /// The largest, unpacked.
    pub(super) unpacked_bytes: u64,
    /// The dictionary, unpacked.
    pub(super) dictionary_bytes: u64,
}

impl Sample {
    /// Looks at the headers only. Nothing if there are none.
    pub(super) fn of(source: &Arc<Source>, chunk: &ColumnChunkMetaData, rows: u64) -> Option<Self> {
        let chunks = Arc::new(PageChunks::new(source, false, &Arc::default()));
        let chunk = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
        let rows = usize::try_from(rows).ok()?;
        let reader = decoded(|| SerializedPageReader::new(Arc::clone(&chunks), &chunk.build()?, rows, None));
        let mut reader = reader.ok()?;
        let mut sample = Self { is_told: true, ..Self::default() };
        for _ in 0..SAMPLED_PAGES {
            let Ok(Some(page)) = next_header(&mut reader) else { break };
            let (unpacked, packed) = chunks.sizes();
            sample.values = sample.values.max(page.num_levels.map_or(0, |values| values as u64));
            sample.page_bytes = sample.page_bytes.max(unpacked.saturating_add(packed));
            sample.unpacked_bytes = sample.unpacked_bytes.max(unpacked);
            if page.is_dict {
                sample.dictionary_bytes = unpacked;
            } else {
                sample.is_told &= page.num_rows.is_some();
            }
            decoded(|| reader.skip_next_page()).ok()?;
        }
        (sample.values > 0).then_some(sample)
    }
}
