//! What .npy files give.

use half::{bf16, f16};
use readers::formats::{npy_header, parse_npy_header, read_npy_ids};
use readers::{DType, Input, Io, Position};
use tempfile::tempdir;

use super::{bits, le, npy, open, open_with, read};

/// The bytes of a value in a type, low byte first.
fn encode(name: &str, value: i32) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation)]
    match name {
        "f2" => f16::from_f32(value as f32 * 0.37).to_le_bytes().into(),
        "f4" => (value as f32 * 0.37).to_le_bytes().into(),
        "f8" => (f64::from(value) * 0.37).to_le_bytes().into(),
        "i1" => (value as i8).to_le_bytes().into(),
        "u1" => (value as u8).to_le_bytes().into(),
        "i2" => (value as i16 * 99).to_le_bytes().into(),
        "u2" => (value as u16).to_le_bytes().into(),
        "i4" => (value * 99_999).to_le_bytes().into(),
        "u4" => value.unsigned_abs().to_le_bytes().into(),
        "i8" => i64::from(value * 99_999).to_le_bytes().into(),
        "u8" => u64::from(value.unsigned_abs()).to_le_bytes().into(),
        _ => unreachable!(),
    }
}

/// What a reader is to make of [`encode`].
fn decoded(name: &str, value: i32) -> f32 {
    #[expect(clippy::cast_possible_truncation)]
    match name {
        "f2" => f16::from_f32(value as f32 * 0.37).to_f32(),
        "f4" => value as f32 * 0.37,
        "f8" => (f64::from(value) * 0.37) as f32,
        "i1" => f32::from(value as i8),
        "u1" => f32::from(value as u8),
        "i2" => f32::from(value as i16 * 99),
        "u2" => f32::from(value as u16),
        "i4" | "i8" => (value * 99_999) as f32,
        "u4" | "u8" => value.unsigned_abs() as f32,
        _ => unreachable!(),
    }
}

#[test]
fn every_type_in_every_order() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let (rows, dim) = (23, 19);
    let value = |row: i32, column: i32| (row * 41 + column * 7) % 251 - 125;
    for name in ["f2", "f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"] {
        let expected: Vec<f32> =
            (0..rows).flat_map(|row| (0..dim).map(move |column| decoded(name, value(row, column)))).collect();
        for (mark, fortran, offset) in ["<", ">", "=", "|", ""]
            .iter()
            .flat_map(|mark| [(mark, "True", 128), (mark, "False", 128), (mark, "False", 129)])
        {
            let (outer, inner) = if fortran == "True" { (dim, rows) } else { (rows, dim) };
            let mut data = Vec::new();
            for (i, j) in (0..outer).flat_map(|i| (0..inner).map(move |j| (i, j))) {
                let (row, column) = if fortran == "True" { (j, i) } else { (i, j) };
                let mut bytes = encode(name, value(row, column));
                if *mark == ">" {
                    bytes.reverse();
                }
                data.extend(bytes);
            }
            let dictionary =
                format!("{{'descr': '{mark}{name}', 'fortran_order': {fortran}, 'shape': ({rows}, {dim})}}");
            std::fs::write(&path, npy(1, dictionary.as_bytes(), offset, &data)).unwrap();
            for io in [Io::Mmap, Io::Read] {
                let dataset = open("npy", &Input { io, ..Input::new(&path) }).unwrap();
                for batch_rows in [1, 2, 7, 23] {
                    let got = read(&*dataset, batch_rows).unwrap();
                    assert_eq!(got, bits(&expected), "{mark}{name} {fortran} {offset} {io:?} {batch_rows}");
                }
                // In place only where it is right: f32 of this machine, row after row, at a multiple of 4.
                let native = name == "f4" && (*mark != ">") == cfg!(target_endian = "little");
                let in_place = native && fortran == "False" && offset == 128 && io == Io::Mmap;
                assert_eq!(dataset.matrix().is_some(), in_place, "{mark}{name} {fortran} {offset} {io:?}");
            }
        }
    }
}

#[test]
fn versions_quotes_orders_of_keys_and_python_2_longs() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let values = [1.0, -2.5, 3.0, 4.0, 5.0, 6.0];
    for (version, dictionary) in [
        (1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"),
        (2, "{'shape': (2, 3), 'descr': '<f4', 'fortran_order': False}"),
        (3, "{\"fortran_order\": False, \"shape\": (2, 3), \"descr\": \"<f4\"}"),
        (1, "{'descr':'<f4','fortran_order':False,'shape':(2L,3L,)}"),
        (2, " { 'descr' : '<f4' ,\t'fortran_order' : False , 'shape' : ( 2l , 3 ) , } "),
    ] {
        for offset in [0, 64, 80, 112, 128, 192] {
            std::fs::write(&path, npy(version, dictionary.as_bytes(), offset, &le(&values))).unwrap();
            let dataset = open("npy", &Input { dim: Some(3), ..Input::new(&path) }).unwrap();
            assert_eq!((dataset.info().rows.exact(), dataset.info().dim), (Some(2), 3));
            assert_eq!(dataset.info().dtype, DType::F32);
            assert_eq!(read(&*dataset, 10).unwrap(), bits(&values), "{dictionary} at {offset}");
            assert!(dataset.info().notes.is_empty());
        }
    }
}

#[test]
fn mapped_f32_is_the_file_itself() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let values: Vec<f32> = (0u8..40).map(f32::from).collect();
    std::fs::write(&path, [npy_header("<f4", &[10, 4]), le(&values)].concat()).unwrap();
    let dataset = open("npy", &Input::new(&path)).unwrap();
    let matrix = dataset.matrix().unwrap();
    assert_eq!((&*matrix.values, matrix.dim), (&*values, 4));
    let (pool, scan) = (readers::BufferPool::new(), readers::Scan { rows: 3..9, batch_rows: 4 });
    let pieces = dataset.pieces(&scan);
    let batch = dataset.read(&scan, &pieces[1], &pool).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.row_range(), 7..9);
    assert_eq!(batch.values().as_ptr(), matrix.values[7 * 4..].as_ptr());
}

#[test]
fn no_rows_are_a_dataset() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    std::fs::write(&path, npy_header("<f4", &[0, 32])).unwrap();
    for io in [Io::Auto, Io::Read] {
        let dataset = open("npy", &Input { io, ..Input::new(&path) }).unwrap();
        assert_eq!((dataset.info().rows.exact(), dataset.info().dim), (Some(0), 32));
        assert!(read(&*dataset, 10).unwrap().is_empty());
    }
}

#[test]
fn notes_tell_of_trailing_bytes_and_of_rounding() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    std::fs::write(&path, [npy_header("<f8", &[1, 2]), vec![0; 21]].concat()).unwrap();
    let dataset = open("npy", &Input::new(&path)).unwrap();
    assert_eq!(
        dataset.info().notes,
        ["5 bytes after the array are ignored", "f64 values are rounded to f32"]
    );
}

#[test]
fn bf16_is_read_when_it_is_named() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let values = [1.5f32, -0.007_812_5, f32::INFINITY, 3.0];
    let data: Vec<u8> = values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
    for descr in ["<V2", "|V2", "V2", "bfloat16"] {
        std::fs::write(&path, [npy_header(descr, &[2, 2]), data.clone()].concat()).unwrap();
        let dataset = open_with("npy", "{ dtype = 'bf16' }", &Input::new(&path)).unwrap();
        assert_eq!(dataset.info().dtype, DType::Bf16);
        assert_eq!(read(&*dataset, 10).unwrap(), bits(&values), "{descr}");
    }
}

/// The place of a bad value is the first in row order, whatever the order of the file and the size of the batches.
#[test]
fn the_first_value_that_does_not_fit_is_named() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("a.npy");
    let (rows, dim) = (1500usize, 40usize);
    for fortran in [false, true] {
        let mut values = vec![1.0f64; rows * dim];
        for (row, column) in [(1200, 3), (1200, 30), (1201, 0), (1400, 1)] {
            values[if fortran { column * rows + row } else { row * dim + column }] = -1e300;
        }
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let order = if fortran { "True" } else { "False" };
        let dictionary = format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': ({rows}, {dim})}}");
        std::fs::write(&path, npy(1, dictionary.as_bytes(), 128, &data)).unwrap();
        for (io, batch_rows) in [(Io::Mmap, 7), (Io::Mmap, 1500), (Io::Read, 1000), (Io::Read, 1500)] {
            let dataset = open("npy", &Input { io, ..Input::new(&path) }).unwrap();
            let error = read(&*dataset, batch_rows).unwrap_err();
            assert_eq!(
                error.position(),
                Some(&Position::Value { row: 1200, column: 3 }),
                "{io:?} {batch_rows}"
            );
            assert_eq!(error.file(), Some(&*path));
        }
    }
}

#[test]
fn written_headers_are_read_and_keep_their_length() {
    for (descr, shape) in [
        ("<f4", vec![0, 1]),
        ("<f4", vec![u64::MAX, u64::from(u32::MAX)]),
        ("<f2", vec![1000, 768]),
        ("<u8", vec![7]),
        ("|u1", vec![]),
    ] {
        let header = npy_header(descr, &shape);
        assert_eq!(header.len(), 128, "{descr} {shape:?}");
        let parsed = parse_npy_header(&header).unwrap();
        assert_eq!((parsed.descr.as_str(), &parsed.shape, parsed.data_offset), (descr, &shape, 128));
        assert!(!parsed.fortran_order);
    }
    assert_eq!(npy_header("<f4", &[1; 100]).len() % 64, 0);
    // As numpy writes it, byte by byte.
    let numpys = include_bytes!("../../../fuzz/corpus/npy_file/f4.npy");
    assert_eq!(npy_header("<f4", &[4, 3]), numpys[..128]);
}

#[test]
fn ids_of_every_integer_type() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("ids.npy");
    for name in ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"] {
        let (size, signed) = (name[1..].parse::<usize>().unwrap(), name.starts_with('i'));
        // The largest there is, and a few in between.
        let largest = u64::MAX >> (64 - 8 * size + usize::from(signed));
        let ids: Vec<u64> = (0..20_000).map(|i| if i == 3 { largest } else { i % 128 }).collect();
        for (mark, shape) in [("<", "(20000,)"), (">", "(20000, 1)")] {
            let encode = |id: u64| {
                let mut bytes = id.to_le_bytes()[..size].to_vec();
                if mark == ">" {
                    bytes.reverse();
                }
                bytes
            };
            let data: Vec<u8> = ids.iter().copied().flat_map(encode).collect();
            let dictionary = format!("{{'descr': '{mark}{name}', 'fortran_order': False, 'shape': {shape}}}");
            std::fs::write(&path, npy(1, dictionary.as_bytes(), 128, &data)).unwrap();
            for io in [Io::Mmap, Io::Read] {
                assert_eq!(read_npy_ids(&Input { io, ..Input::new(&path) }).unwrap(), ids, "{mark}{name}");
            }
        }
    }
}
