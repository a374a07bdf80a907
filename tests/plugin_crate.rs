//! A reader in a crate of its own works as the built-in ones do.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::util::{self, Dir, difference, le_bytes, npy_f32, root};

/// A first build on a busy machine.
const BUILT_WITHIN: Duration = Duration::from_secs(900);

/// Builds `examples/idx-reader` and runs its tests; gives its program. It is built as a copy beside the root's lock file, so
/// that the versions are the same and nothing is written to the sources.
fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("idx-reader");
    let source = root().join("examples/idx-reader");
    for name in ["src/lib.rs", "src/main.rs", "tests/idx.rs"] {
        let to = folder.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(source.join(name), to).unwrap();
    }
    let root_text = root().to_str().unwrap().replace('\\', "/");
    let manifest = std::fs::read_to_string(source.join("Cargo.toml")).unwrap();
    let manifest = manifest.replace("\"../..", &format!("\"{root_text}"));
    std::fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    std::fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let target = folder.join("target");
    let cargo = |options: &[&str]| {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["test", "--quiet"]).args(options).current_dir(&folder);
        command.env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS");
        util::output_within(command, b"", BUILT_WITHIN)
    };
    let mut built = cargo(&["--offline"]);
    if built.code != Some(0) && built.stderr.contains("offline") {
        built = cargo(&[]);
    }
    assert_eq!(built.code, Some(0), "{}{}", built.text(), built.stderr);
    target.join("debug").join(format!("idx-reader{}", std::env::consts::EXE_SUFFIX))
}

/// An IDX file of bytes.
fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

#[test]
fn a_reader_in_a_crate_of_its_own_is_one_more_format() {
    let program = build();
    let dir = Dir::new();
    let run = |words: &str, code: i32| {
        let mut command = Command::new(&program);
        command.args(words.split_whitespace()).current_dir(dir.path(""));
        let output = util::output(command, b"");
        assert_eq!(output.code, Some(code), "{words}: {}", output.stderr);
        output
    };
    let pixels: Vec<u8> = (0..200u32 * 16).map(|i| (i * i / 7 % 251) as u8).collect();
    let values: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel)).collect();
    dir.write("images-idx3-ubyte", idx(&[200, 4, 4], &pixels));
    dir.write("a.npy", npy_f32(16, &values));
    run("convert -i images-idx3-ubyte -o a.f32", 0);
    assert_eq!(difference(&dir.read("a.f32"), &le_bytes(&values)), None);
    // The same rows make the same index, but for the name of the format in its recipe.
    run("build-index -i images-idx3-ubyte -o i.hnsw --metric l2", 0);
    dir.ok("build-index -i a.npy -o n.hnsw --metric l2");
    let hits = |index: &str| dir.ok(&format!("query -i {index} -q a.npy -k 5 --ef 200 -f json")).stdout;
    assert_eq!(difference(&hits("i.hnsw"), &hits("n.hnsw")), None);

    dir.write("labels-idx1-ubyte", idx(&[4], &[1, 2, 3, 4]));
    let refused = run("convert -i labels-idx1-ubyte -o l.npy", 1);
    assert!(
        refused.stderr.contains("labels-idx1-ubyte: dimensions: expected at least 2"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("name the file of images"), "{}", refused.stderr);
    let plain = dir.run("convert -i images-idx3-ubyte -o b.npy");
    assert_eq!(plain.code, Some(2), "the program without the plugin does not know it");

    let published = Path::new("/usr/share/datasets/fashion-mnist");
    for (name, rows) in [("t10k-images-idx3-ubyte", 10_000), ("t10k-labels-idx1-ubyte", 0)] {
        let packed = published.join(format!("{name}.gz"));
        let unpacked = Command::new("gzip").arg("-dc").arg(&packed).output();
        let Some(unpacked) = unpacked.ok().filter(|output| packed.exists() && output.status.success()) else {
            eprintln!("skipped: no {} or no gzip", packed.display());
            continue;
        };
        dir.write(name, unpacked.stdout);
        if rows == 0 {
            run(&format!("convert -i {name} -o published.npy"), 1);
            continue;
        }
        let stats = run(&format!("convert -i {name} -o published.f32 --stats json"), 0).json();
        assert_eq!((&stats["rows"], &stats["dim"]), (&rows.into(), &784.into()));
        run(&format!("build-index -i {name} -o published.hnsw --rows ..300 --metric l2"), 0);
        assert_eq!(dir.info("published.hnsw")["rows"], 300);
    }
}
