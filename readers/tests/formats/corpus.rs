//! The inputs of the fuzz targets, replayed.

#[allow(unreachable_pub, reason = "it is a library of its own")]
#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

#[test]
fn inputs_of_fuzzers_are_survived() {
    for (name, target) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!inputs.is_empty(), "{name}");
        for input in inputs {
            target(&std::fs::read(input).unwrap());
        }
    }
}
