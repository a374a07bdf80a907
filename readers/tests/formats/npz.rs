//! What archives of arrays give, and what they are refused for.

use std::io::Write;
use std::path::Path;

use flate2::{Compression, Crc, write::DeflateEncoder};
use readers::conformance::check;
use readers::formats::npy_header;
use readers::{Dataset, Error, ErrorKind, Input, Io, detect};
use tempfile::tempdir;

use super::{assert_refused, bits, le, npy, open, open_with, read};

/// A member as it is written to an archive; the size and checksum are those of the directory.
#[derive(Clone)]
struct Member {
    name: String,
    packed: Vec<u8>,
    method: u16,
    size: u64,
    crc: u32,
    flags: u16,
    /// Whether its numbers are in zip64 fields.
    wide: bool,
}

fn stored(name: &str, data: &[u8]) -> Member {
    let mut crc = Crc::new();
    crc.update(data);
    let size = data.len() as u64;
    Member {
        name: name.into(),
        packed: data.to_vec(),
        method: 0,
        size,
        crc: crc.sum(),
        flags: 0,
        wide: false,
    }
}

fn deflated(name: &str, data: &[u8]) -> Member {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    Member { packed: encoder.finish().unwrap(), method: 8, ..stored(name, data) }
}

fn number(value: u64, bytes: usize, out: &mut Vec<u8>) {
    out.extend(&value.to_le_bytes()[..bytes]);
}

/// The fields that a local header and an entry share, from the flags to the lengths, and the extra field.
fn fields(member: &Member, local: Option<u64>, out: &mut Vec<u8>) -> Vec<u8> {
    let numbers = [member.packed.len() as u64, member.size];
    let mut extra = Vec::new();
    if member.wide {
        number(0x7075, 2, &mut extra);
        number(3, 2, &mut extra);
        extra.extend(b"abc");
        number(1, 2, &mut extra);
        number(if local.is_some() { 24 } else { 16 }, 2, &mut extra);
        number(member.size, 8, &mut extra);
        number(numbers[0], 8, &mut extra);
        local.iter().for_each(|&local| number(local, 8, &mut extra));
    }
    number(u64::from(member.flags), 2, out);
    number(u64::from(member.method), 2, out);
    number(0, 4, out);
    number(u64::from(member.crc), 4, out);
    numbers.into_iter().for_each(|value| number(if member.wide { u64::MAX } else { value }, 4, out));
    number(member.name.len() as u64, 2, out);
    number(extra.len() as u64, 2, out);
    extra
}

fn zip(members: &[Member]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let local = file.len() as u64;
        file.extend(b"PK\x03\x04\x14\x00");
        let extra = fields(member, None, &mut file);
        file.extend([member.name.as_bytes(), &extra, &member.packed].concat());
        directory.extend(b"PK\x01\x02\x14\x00\x14\x00");
        let extra = fields(member, Some(local), &mut directory);
        directory.extend([0; 10]);
        number(if member.wide { u64::MAX } else { local }, 4, &mut directory);
        directory.extend([member.name.as_bytes(), &extra].concat());
    }
    let (offset, size, count) = (file.len() as u64, directory.len() as u64, members.len() as u64);
    file.extend(directory);
    let wide = members.iter().any(|member| member.wide);
    if wide {
        let end = file.len() as u64;
        file.extend(b"PK\x06\x06");
        number(44, 8, &mut file);
        number(0x2d_002d, 4, &mut file);
        number(0, 8, &mut file);
        [count, count, size, offset].into_iter().for_each(|value| number(value, 8, &mut file));
        file.extend(b"PK\x06\x07\x00\x00\x00\x00");
        number(end, 8, &mut file);
        number(1, 4, &mut file);
    }
    file.extend(b"PK\x05\x06\x00\x00\x00\x00");
    for (value, bytes) in [(count, 2), (count, 2), (size, 4), (offset, 4)] {
        number(if wide { u64::MAX } else { value }, bytes, &mut file);
    }
    file.extend(b"\x07\x00comment");
    file
}

fn array(descr: &str, shape: &[u64], data: &[u8]) -> Vec<u8> {
    [npy_header(descr, shape), data.to_vec()].concat()
}

fn values() -> Vec<f32> {
    (0..24u8).map(|i| f32::from(i) * 0.5 - 7.0).collect()
}

fn vectors() -> Vec<u8> {
    array("<f4", &[8, 3], &le(&values()))
}

fn written(dir: &Path, members: &[Member]) -> Input {
    let path = dir.join("a.npz");
    std::fs::write(&path, zip(members)).unwrap();
    Input::new(path)
}

#[track_caller]
fn refuse(members: &[Member], options: &str, line: &str, help: &str) -> Error {
    let dir = tempdir().unwrap();
    let input = written(dir.path(), members);
    let refused = || open_with("npz", options, &input);
    assert_refused(refused(), dir.path(), &format!("a.npz: {line}"), help);
    refused().unwrap_err()
}

#[test]
fn they_conform() {
    let dir = tempdir().unwrap();
    let wide = Member { wide: true, ..deflated("a.npy", &vectors()) };
    for members in [
        vec![stored("a.npy", &vectors())],
        vec![stored("b", b"not an array"), deflated("a.npy", &vectors())],
        vec![Member { wide: true, ..stored("x.npy", &array("<f8", &[3], &[0; 24])) }, wide],
    ] {
        let input = written(dir.path(), &members);
        check("npz", &input.path, None);
        assert_eq!(detect(&input).unwrap().format.name, "npz");
        let dataset = open("npz", &input).unwrap();
        assert_eq!(read(&*dataset, 5).unwrap(), bits(&values()));
    }
}

fn in_place(dataset: &dyn Dataset) -> bool {
    dataset.matrix().is_some()
}

#[test]
fn stored_arrays_are_used_where_they_lie() {
    let dir = tempdir().unwrap();
    // 30 bytes of header and the name: the values are aligned if the name has 2 more than a multiple of 4.
    for (name, aligned) in [("ab.npy", true), ("abc.npy", false)] {
        let input = written(dir.path(), &[stored(name, &vectors())]);
        for io in [Io::Mmap, Io::Read] {
            let dataset = open("npz", &Input { io, ..input.clone() }).unwrap();
            assert_eq!(in_place(&*dataset), aligned && io == Io::Mmap && cfg!(target_endian = "little"));
            assert_eq!(read(&*dataset, 3).unwrap(), bits(&values()), "{name}");
            assert!(dataset.info().notes.is_empty());
        }
    }
    let input = written(dir.path(), &[deflated("abc.npy", &vectors())]);
    let dataset = open("npz", &input).unwrap();
    assert_eq!(dataset.info().notes, ["`abc.npy` was inflated to a temporary file of 224 bytes"]);
    assert!(in_place(&*dataset) || cfg!(target_endian = "big"));
}

#[test]
fn all_that_npy_reads() {
    let dir = tempdir().unwrap();
    let columns: Vec<u8> = [1.0f64, 3.0, 5.0, 2.0, 4.0, 6.0].iter().flat_map(|v| v.to_be_bytes()).collect();
    let text = b"{'descr': '>f8', 'fortran_order': True, 'shape': (3, 2)}";
    for pack in [stored, deflated] {
        let input = written(dir.path(), &[pack("a.npy", &npy(1, text, 80, &columns))]);
        let dataset = open("npz", &input).unwrap();
        assert_eq!(read(&*dataset, 2).unwrap(), bits(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        assert_eq!(dataset.info().notes[0], "f64 values are rounded to f32");
        let input = written(dir.path(), &[pack("a.npy", &array("|V2", &[1, 2], &[0x80, 0x3f, 0, 0xc0]))]);
        let dataset = open_with("npz", "{ dtype = 'bf16' }", &input).unwrap();
        assert_eq!(read(&*dataset, 2).unwrap(), bits(&[1.0, -2.0]));
    }
    // More than is inflated at a time.
    let many: Vec<f32> = (0..100_000u32).map(|i| f32::from_bits(0x3f80_0000 + i * 40)).collect();
    let input = written(dir.path(), &[deflated("a.npy", &array("<f4", &[1000, 100], &le(&many)))]);
    assert_eq!(read(&*open("npz", &input).unwrap(), 77).unwrap(), bits(&many));
}

#[test]
fn one_array_of_many() {
    let dir = tempdir().unwrap();
    let labels = array("<i8", &[8], &[0; 64]);
    let input = written(dir.path(), &[stored("labels.npy", &labels), stored("train.npy", &vectors())]);
    let dataset = open("npz", &input).unwrap();
    assert_eq!(read(&*dataset, 9).unwrap(), bits(&values()));
    assert_eq!(dataset.info().notes, ["vectors from `train.npy`"]);

    let test = array("<f2", &[1, 2], &[0; 4]);
    let members =
        [deflated("train.npy", &vectors()), stored("labels.npy", &labels), stored("test.npy", &test)];
    let line = "expected one array of two dimensions, found `test` <f2 (1, 2), `train` <f4 (8, 3)";
    let error = refuse(
        &members,
        "{}",
        line,
        "say which, such as --vector-column test, or array = \"test\" in [source] of a pipeline",
    );
    assert_eq!(error.kind(), ErrorKind::Request);
    let input = written(dir.path(), &members);
    for option in ["array = 'train'", "vector_column = 'train'", "array = 'train.npy'"] {
        let dataset = open_with("npz", &format!("{{ {option} }}"), &input).unwrap();
        assert_eq!(read(&*dataset, 9).unwrap(), bits(&values()));
    }
    let line = "expected an array `data`, found `labels`, `test`, `train`";
    refuse(&members, "{ array = 'data' }", line, "");
    let line = "member `labels.npy`: shape: expected 2 dimensions, rows and values, found (8,)";
    let help = "one vector is a.reshape(1, -1), vectors of D values are a.reshape(-1, D)";
    refuse(&members, "{ array = 'labels' }", line, help);
    let asked = open_with("npz", "{ array = 'train' }", &Input { dim: Some(4), ..input });
    let line = "a.npz: member `train.npy`: shape: expected dimension 4, as asked for, found 3";
    assert_refused(asked, dir.path(), line, "leave --dimension away: the file says it");
}

#[test]
fn archives_without_vectors() {
    let ones = |name| stored(name, &array("<i4", &[2], &[0; 8]));
    for index in ["indptr.npy", "row.npy", "offsets.npy"] {
        let members = ["data.npy", "format.npy", "shape.npy", index].map(ones);
        let help = "if it has few columns, save it as \
                    np.save(\"vectors.npy\", scipy.sparse.load_npz(\"FILE\").toarray())";
        let line = "expected an array of vectors, found a sparse matrix of scipy";
        assert_eq!(refuse(&members, "{}", line, help).kind(), ErrorKind::Unsupported);
    }
    let help = "save one that has a row for each vector: np.save(\"vectors.npy\", a)";
    let line = "expected an array of numbers in two dimensions, found none";
    refuse(&[stored("a.txt", b"text")], "{}", line, help);
    let objects = stored("b.npy", &array("|O", &[2, 2], &[0; 8]));
    let line = "expected an array of numbers in two dimensions, found `a` <i4 (2,), `b` |O (2, 2), `c` that cannot be read";
    refuse(&[ones("a.npy"), objects.clone(), stored("c.npy", b"?")], "{}", line, help);
    let line = "member `b.npy`: descr: expected f2, f4, f8, i1 to i8 or u1 to u8, found Python objects (a pickle): `|O`";
    let help = "unpack it where it is trusted: np.save(\"vectors.npy\", np.stack(a).astype(\"float32\"))";
    refuse(&[objects], "{}", line, help);
}

#[test]
fn damaged_members() {
    let good = deflated("a.npy", &vectors());
    let copy = "the archive is damaged: copy or save it again";
    let refuse = |member: Member, line: &str, help: &str| {
        refuse(&[member], "{}", &format!("member `a.npy`: {line}"), help);
    };
    refuse(Member { flags: 1, ..good.clone() }, "expected plain bytes, found encrypted ones", "");
    let line = "expected a stored or deflated member, found method 14";
    refuse(Member { method: 14, ..good.clone() }, line, "save it again with np.savez");
    let crc = good.crc;
    let line = format!("expected the checksum {:08x}, found {crc:08x}", crc ^ 1);
    refuse(Member { crc: crc ^ 1, ..good.clone() }, &line, copy);
    // The array has 224 bytes, whatever the directory says.
    let cut = "the file was cut short: copy or save it again";
    let line = "byte 128: expected 96 bytes of data for (8, 3) of f32, found 72";
    refuse(Member { size: 200, ..good.clone() }, line, cut);
    refuse(
        Member { size: 300, ..good.clone() },
        "expected 224 bytes, up to the end of the array, found 300",
        "",
    );
    // A header that promises more than the packed bytes can hold: nothing is written.
    let bomb = array("<f4", &[1 << 40, 3], &[0; 40]);
    let line = "expected at most 1032 bytes out of each of";
    let dir = tempdir().unwrap();
    let member = Member { size: 128 + (12 << 40), wide: true, ..deflated("a.npy", &bomb) };
    let error = open("npz", &written(dir.path(), &[member])).unwrap_err();
    assert!(error.to_string().contains(line), "{error}");
    let less = Member { size: 224, ..deflated("a.npy", &vectors()[..200]) };
    refuse(less, "expected 224 bytes when it is inflated, found 200", "");
    let more = Member { size: 224, ..deflated("a.npy", &[vectors(), vec![0; 9]].concat()) };
    refuse(more, "expected 224 bytes when it is inflated, found more", "");
    let noise = Member { packed: vec![0xff; 50], ..good };
    let error = open("npz", &written(dir.path(), &[noise])).unwrap_err();
    assert!(error.to_string().contains("member `a.npy`: it cannot be inflated: "), "{error}");
    let line = "expected as many bytes as when it is taken out, found something else";
    let short = Member { size: 225, ..stored("a.npy", &vectors()) };
    refuse(short, &format!("byte 0: {line}"), copy);
}

#[test]
fn damaged_directories() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let refuse = |bytes: &[u8], line: &str, help: &str| {
        std::fs::write(&path, bytes).unwrap();
        assert_refused(open("npz", &Input::new(&path)), dir.path(), &format!("a.npz: {line}"), help);
    };
    let whole = zip(&[stored("a.npy", &vectors())]);
    let cut = "the file was cut short: copy or save it again";
    for bytes in [b"".as_slice(), b"PK\x03\x04", &whole[..100], &whole[..whole.len() - 1]] {
        refuse(bytes, "expected the directory of a zip archive at the end, found none", cut);
    }
    let copy = "the archive is damaged: copy or save it again";
    let end = whole.len() - 29;
    let changed = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    refuse(&changed(end + 10, 2), "expected 2 members, as the end says, found 1", copy);
    let line = "byte 259: expected an entry of the zip directory, found something else";
    refuse(&changed(259, 0), line, copy);
    let found = format!("found a file of {} bytes", whole.len());
    let line = format!("expected 51 bytes of directory from byte 16777475, {found}");
    refuse(&changed(end + 19, 1), &line, copy);
    let line = "member `a.npy`: byte 0: expected the header of a zip member, found something else";
    refuse(&changed(0, 0), line, copy);
    let twice = zip(&[stored("a.npy", &vectors()), stored("a.npy", &vectors())]);
    refuse(&twice, "expected each array once, found a second `a.npy`", "");
}

#[test]
fn archives_of_numpy_itself() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/npz_file");
    for name in ["stored.npz", "deflated.npz", "fortran.npz"] {
        let dataset = open("npz", &Input::new(corpus.join(name))).unwrap();
        assert_eq!(read(&*dataset, 5).unwrap(), bits(&values()), "{name}");
    }
    let dataset = open_with("npz", "{ array = 'y' }", &Input::new(corpus.join("many.npz"))).unwrap();
    assert_eq!(read(&*dataset, 5).unwrap(), bits(&values()));
    let sparse = open("npz", &Input::new(corpus.join("sparse.npz"))).unwrap_err();
    assert!(sparse.to_string().contains("found a sparse matrix of scipy"), "{sparse}");
}
