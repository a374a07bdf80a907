//! Files whose checksums are right and whose contents are not.

mod copies;
mod graphs;
mod headers;

use index::Index;
use index::file::{OpenError, read_header};

use crate::data::TempIndex;
use crate::raw::Raw;
use crate::roundtrip::FILE;

/// Where in the header the counts of levels begin: nodes, then edges, of one level after the other.
const LEVELS: usize = 320;

/// What is done to the file, and the part that is then named.
pub(crate) type Case = (&'static str, fn(&mut Raw), &'static str);

fn refuse(cases: &[Case], by_header: bool) {
    refuse_changed(&FILE, cases, by_header);
}

/// Applies each change to the file, computes the checksums again, and expects the refusal.
pub(crate) fn refuse_changed(bytes: &[u8], cases: &[Case], by_header: bool) {
    for &(what, patch, part) in cases {
        let mut raw = Raw(bytes.to_vec());
        patch(&mut raw);
        assert!(raw.0 != bytes, "{what}: nothing was changed");
        raw.seal();
        let file = TempIndex::new(&raw.0);
        match Index::open(file.path()) {
            Err(OpenError::Corrupt(corrupt)) => {
                assert_eq!(corrupt.part, part, "{what}: {corrupt}");
                assert!(corrupt.offset_bytes <= raw.0.len() as u64, "{what}: {corrupt}");
            }
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(read_header(file.path()).is_err(), by_header, "{what}");
    }
}

/// Takes a section out of the table and leaves its bytes.
pub(crate) fn drop_section(raw: &mut Raw, kind: u32) {
    let (at, count) = (raw.entry_of(kind), raw.u32(84));
    let end = 1024 + count as usize * 32;
    raw.0.copy_within(at + 32..end, at);
    raw.0[end - 32..end].fill(0);
    raw.put_u32(84, count - 1);
}
