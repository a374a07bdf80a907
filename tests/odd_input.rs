//! What looks wrong and is right is accepted, and gives the right answers.

use crate::util::{Dir, le_bytes, npy, npy_f32, npy_of, values};

/// Builds what only looks wrong.
fn right(name: &str, bytes: &[u8], options: &str) -> Dir {
    let dir = Dir::new();
    dir.write(name, bytes);
    dir.ok(&format!("build-index -i {name} -o o.hnsw {options}"));
    dir
}

#[test]
fn no_rows_are_an_index_without_hits() {
    for (name, bytes, options) in [
        ("e.npy", npy("<f4", false, "(0, 4)", b""), ""),
        ("e.f32", Vec::new(), "-d 4"),
        ("e.npy", npy_f32(4, &values(1, 10, 4)), "--rows 3..3"),
        ("e.npy", npy("<f2", false, "(0, 4)", b""), "--metric l2"),
    ] {
        let dir = right(name, &bytes, options);
        assert_eq!(
            (dir.info("o.hnsw")["rows"].as_u64(), dir.info("o.hnsw")["dim"].as_u64()),
            (Some(0), Some(4))
        );
        dir.write("q.npy", npy_f32(4, &values(1, 2, 4)));
        assert_eq!(dir.hits("-i o.hnsw -q q.npy"), [vec![], vec![]], "{name}");
        assert_eq!(dir.ok("query -i o.hnsw -q q.npy -f tsv").text(), "query\trank\tid\tdistance\n");
        let npy = dir.ok("query -i o.hnsw -q q.npy -f npy").stdout;
        assert!(npy.len() == 128 && npy.windows(6).any(|bytes| bytes == b"(2, 0)"));
    }
    // No queries are no hits, either.
    let dir = right("a.npy", &npy_f32(4, &values(1, 10, 4)), "");
    dir.write("q.npy", npy("<f4", false, "(0, 4)", b""));
    assert_eq!(dir.ok("query -i o.hnsw -q q.npy -f json").text(), "");
    dir.ok("convert -i q.npy -o q.f32");
    assert_eq!(dir.read("q.f32"), b"");
}

#[test]
fn zeros_have_distance_one_to_everything_under_cosine() {
    let mut all = values(1, 10, 4);
    all[28..32].fill(0.0);
    all[4] = -0.0;
    let dir = right("a.npy", &npy_f32(4, &all), "--metric cosine");
    dir.write("q.npy", npy_f32(4, &[1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]));
    let hits = dir.hits("-i o.hnsw -q q.npy");
    assert_eq!(hits[0].iter().find(|hit| hit.0 == 7).unwrap().1, 1.0);
    assert!(hits[1].len() == 10 && hits[1].iter().all(|hit| hit.1 == 1.0), "{hits:?}");
    let table = dir.ok("query -i o.hnsw -q q.npy");
    assert!(!table.text().contains("-0.000000"));
}

#[test]
fn equal_rows_are_all_found() {
    for metric in ["l2", "cosine", "ip"] {
        let dir = right("a.npy", &npy_f32(4, &[0.5; 4 * 3000]), &format!("--metric {metric}"));
        assert_eq!(dir.info("o.hnsw")["copies"], 2999);
        dir.write("q.npy", npy_f32(4, &[0.5; 4]));
        let mut ids: Vec<u64> = dir.hits("-i o.hnsw -q q.npy -k 3000")[0].iter().map(|hit| hit.0).collect();
        ids.sort_unstable();
        assert!(ids.iter().copied().eq(0..3000), "{metric}");
    }
}

#[test]
fn large_and_small_numbers_have_distances_that_are_numbers() {
    let mut all = vec![1e18f32; 40];
    all[4..8].fill(-1e18);
    all[8..12].copy_from_slice(&[1.0, 2.0, 3.0, 4.0]);
    all[12..16].fill(1e-40);
    all[16..20].fill(-f32::MIN_POSITIVE);
    for metric in ["cosine", "l2", "ip"] {
        let dir = right("a.npy", &npy_f32(4, &all), &format!("--metric {metric}"));
        dir.write("q.npy", npy_f32(4, &all[..20]));
        // An infinity or NaN would not be a number of JSON.
        let hits = dir.hits("-i o.hnsw -q q.npy");
        assert!(hits.len() == 5 && hits.iter().all(|hits| hits.len() == 10), "{metric}: {hits:?}");
    }
}

#[test]
fn all_types_and_orders_of_numpy_give_the_same_values() {
    let small: Vec<f32> = (0..40).map(|at| ((at * 7) % 23) as f32).collect();
    let expected = npy_f32(4, &small);
    let column_order: Vec<f32> = (0..40).map(|at| small[(at % 10) * 4 + at / 10]).collect();
    let bytes =
        |write: &dyn Fn(f32) -> Vec<u8>| small.iter().flat_map(|&value| write(value)).collect::<Vec<u8>>();
    let mut longer = npy_f32(4, &small);
    longer.extend_from_slice(b"trailing");
    let files = [
        npy("<f8", false, "(10, 4)", &bytes(&|v| f64::from(v).to_le_bytes().to_vec())),
        npy(">f4", false, "(10, 4)", &bytes(&|v| v.to_be_bytes().to_vec())),
        npy("<f2", false, "(10, 4)", &bytes(&|v| half::f16::from_f32(v).to_le_bytes().to_vec())),
        npy("<i4", false, "(10, 4)", &bytes(&|v| (v as i32).to_le_bytes().to_vec())),
        npy("|u1", false, "(10, 4)", &bytes(&|v| vec![v as u8])),
        npy("<f4", true, "(10, 4)", &le_bytes(&column_order)),
        npy_of("{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (10, 4)}", &le_bytes(&small)),
        longer,
    ];
    for (at, file) in files.iter().enumerate() {
        let dir = right("x.npy", file, "");
        dir.ok("convert -i x.npy -o y.npy");
        assert!(dir.read("y.npy") == expected, "file {at}");
    }
}

#[test]
fn a_link_as_output_is_replaced_and_what_it_led_to_stays() {
    #[cfg(unix)]
    {
        let dir = Dir::new();
        dir.write("a.npy", npy_f32(4, &values(1, 10, 4)));
        dir.write("target", "an older file");
        for (link, to) in [("soft", "target"), ("dangling", "nowhere")] {
            std::os::unix::fs::symlink(to, dir.path(link)).unwrap();
            dir.ok(&format!("build-index -i a.npy -o {link}"));
            assert!(dir.path(link).symlink_metadata().unwrap().is_file());
            assert_eq!(dir.info(link)["rows"], 10);
        }
        assert_eq!(dir.read("target"), b"an older file");
        assert!(!dir.exists("nowhere"));
    }
}

/// A format that this build leaves out is called by its name.
#[test]
fn hdf5_in_a_build_without_it() {
    if cfg!(feature = "hdf5") {
        return;
    }
    let dir = Dir::new();
    dir.write("a.h5", b"\x89HDF\r\n\x1a\n and so on");
    dir.write("p.toml", "version = 1\n[source]\ntype = \"hdf5\"\npath = \"a.h5\"\n[sink]\ntype = \"null\"\n");
    let help = "HDF5 is read by builds with the feature hdf5: cargo install --path . --features hdf5";
    for words in [
        "convert -i a.h5 -o o.npy",
        "convert -i a.h5 -o o.npy -d 2 -f raw_f32",
        "build-index -i a.h5 -o o.hnsw -f hdf5",
        "run p.toml",
    ] {
        let output = dir.run(words);
        assert_eq!(output.code, Some(2), "{words}: {}", output.stderr);
        assert!(output.stderr.contains(help), "{words}: {}", output.stderr);
    }
    let output = dir.run("convert -i a.h5 -o o.npy");
    let line = "error[E0205]: a.h5: expected a format that this build reads, found HDF5\n";
    assert!(output.stderr.starts_with(line), "{}", output.stderr);
    assert!(!dir.ok("plugins").text().contains("hdf5"));
}
