//! The memory of a run stays below what was planned, and that does not grow with the file.

use std::process::Stdio;
use std::sync::Arc;

use arrow_ipc::CompressionType;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use readers::arrow_array::{FixedSizeListArray, Float32Array, RecordBatch};
use readers::arrow_schema::{DataType, Field, Schema};

use crate::util::{Dir, npy, npy_f32, values};

const DIM: usize = 4096;
const ROWS: usize = 5000;

/// Memory of its own that the process had at most: `RssAnon`, which leaves out mapped files.
pub(crate) fn peak_anonymous_bytes(dir: &Dir, words: &str) -> (u64, serde_json::Value) {
    let mut command = dir.command(&format!("{words} --stats stats.json"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut samples) = (0, 0);
    let end = loop {
        if let Some(end) = child.try_wait().unwrap() {
            break end;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        if let Some(line) = text.lines().find_map(|line| line.strip_prefix("RssAnon:")) {
            let kib: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
            peak = peak.max(kib * 1024);
            samples += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    assert!(end.success(), "{words}: {end}");
    assert!(samples > 5, "{words}: it was over before it could be watched");
    (peak, serde_json::from_slice(&dir.read("stats.json")).unwrap())
}

/// Returns what was planned, and the length of the input.
fn stays_below_the_plan(dir: &Dir, words: &str) -> (u64, u64) {
    let (peak, stats) = peak_anonymous_bytes(dir, words);
    let planned = stats["planned_memory_bytes"].as_u64().unwrap();
    let parts = stats["planned_memory_parts"].as_object().unwrap();
    assert_eq!(parts.values().map(|part| part.as_u64().unwrap()).sum::<u64>(), planned, "{words}");
    assert!(peak <= planned, "{words}: {peak} bytes, {planned} were planned");
    (planned, stats["input_bytes"].as_u64().unwrap())
}

/// Otherwise a copy of the whole file would pass.
fn copies_no_file(dir: &Dir, words: &str) {
    let (planned, input) = stays_below_the_plan(dir, words);
    assert!(planned < input / 3 * 2, "{words}: {planned} planned for a file of {input}");
}

#[test]
fn a_file_of_vectors_is_never_copied_into_memory() {
    let dir = Dir::new();
    let mut all = values(1, ROWS, DIM);
    dir.write("single.npy", npy_f32(DIM, &all));
    let half: Vec<u8> = all.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
    all.clear();
    all.shrink_to_fit();
    // As many bytes as the other: each row twice.
    let half = [half.as_slice(), half.as_slice()].concat();
    dir.write("half.npy", npy("<f2", false, &format!("({ROWS}, {})", 2 * DIM), &half));
    drop(half);
    for name in ["single.npy", "half.npy"] {
        let build = format!("build-index -i {name} -o o.hnsw -m 4 -e 8 -t 2 --batch-size 40");
        copies_no_file(&dir, &format!("{build} --builder insert --codes none"));
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
        // Codes are a quarter of the rows, and half of them as f16: a copy of the file beside them is too much.
        let (planned, input) = stays_below_the_plan(&dir, &build);
        assert!(name != "single.npy" || planned < input, "{planned} planned for a file of {input}");
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
        copies_no_file(&dir, &format!("convert -i {name} -o o.npy -t 2 --batch-size 40"));
        copies_no_file(&dir, &format!("convert -i {name} -o o.f32 -t 2 --batch-size 40 --io read"));
        for output in ["o.fvecs", "o.f16bin", "o.arrow", "o.arrows.zst", "o.jsonl", "o.csv.zst"] {
            // Halves are halves; the others do not all fit.
            if output != "o.f16bin" || name == "half.npy" {
                copies_no_file(&dir, &format!("convert -i {name} -o {output} -t 2 --batch-size 40"));
            }
        }
        // Of a Parquet file one row group is in memory, however long the file is.
        stays_below_the_plan(&dir, &format!("convert -i {name} -o o.parquet -t 2 --batch-size 40"));
        let sink = "type = \"parquet\"\npath = \"o.parquet\"\nrow_group_rows = 100";
        for compression in ["none", "zstd"] {
            let source = format!("path = \"{name}\"");
            let sink = format!("{sink}\ncompression = \"{compression}\"");
            let text = format!("version = 1\n[run]\nbatch_rows = 40\n[source]\n{source}\n[sink]\n{sink}\n");
            dir.write("p.toml", text);
            copies_no_file(&dir, "run p.toml -t 2");
        }
    }
}

/// An Arrow stream of batches of `batch_rows` rows, each compressed.
fn arrow_stream(rows: usize, dim: usize, batch_rows: usize) -> Vec<u8> {
    let field = Arc::new(Field::new("element", DataType::Float32, false));
    let size = i32::try_from(dim).unwrap();
    let kind = DataType::FixedSizeList(Arc::clone(&field), size);
    let schema = Arc::new(Schema::new(vec![Field::new("v", kind, false)]));
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
    for first in (0..rows).step_by(batch_rows) {
        let items = Float32Array::from(values(first as u64, batch_rows, dim));
        let lists = FixedSizeListArray::new(Arc::clone(&field), size, Arc::new(items), None);
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(lists)]).unwrap()).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn what_decoders_hold_is_planned_and_does_not_grow_with_the_file() {
    const DIM: usize = 1024;
    let dir = Dir::new();
    let mut planned: Vec<Vec<u64>> = Vec::new();
    let mut peaks: Vec<Vec<u64>> = Vec::new();
    for rows in [8_000, 24_000] {
        dir.write("a.npy", npy_f32(DIM, &values(3, rows, DIM)));
        for compression in ["none", "zstd", "snappy"] {
            let options = format!("--to-option compression={compression} --to-option row_group_rows=4000");
            dir.ok(&format!("convert -i a.npy -o {compression}.parquet {options}"));
        }
        dir.write("stream.arrows", arrow_stream(rows, DIM, 2_000));
        let (mut of_plan, mut of_peak) = (Vec::new(), Vec::new());
        for name in ["none.parquet", "zstd.parquet", "snappy.parquet", "stream.arrows"] {
            for output in ["o.f32", "o.fvecs.zst"] {
                let words = format!("convert -i {name} -o {output} -t 2");
                let (peak, stats) = peak_anonymous_bytes(&dir, &words);
                let plan = stats["planned_memory_bytes"].as_u64().unwrap();
                assert!(stats["planned_memory_parts"]["source"].as_u64().unwrap() > 0, "{words}");
                assert!(peak <= plan, "{words}: {peak} bytes, {plan} were planned");
                of_plan.push(plan);
                of_peak.push(peak);
            }
        }
        planned.push(of_plan);
        peaks.push(of_peak);
    }
    for at in 0..planned[0].len() {
        let (small, large) = (planned[0][at], planned[1][at]);
        assert!(
            large < small + (1 << 20),
            "{at}: {small} planned for a file, {large} for one of three times the rows"
        );
        let (small, large) = (peaks[0][at], peaks[1][at]);
        assert!(
            large < small + (8 << 20),
            "{at}: {small} bytes for a file, {large} for one of three times the rows"
        );
    }
}

#[test]
fn the_memory_of_many_rows_stays_below_the_plan() {
    const DIM: usize = 16;
    const ROWS: usize = 30_000;
    let dir = Dir::new();
    let mut all = values(2, ROWS, DIM);
    dir.write("plain.npy", npy_f32(DIM, &all));
    // Codes are of no use here: too many values are huge to be left out of their scale.
    for row in (0..ROWS).step_by(10) {
        all[row * DIM..row * DIM + 3].iter_mut().for_each(|value| *value *= 1e4);
    }
    dir.write("huge.npy", npy_f32(DIM, &all));
    for (words, builder) in [
        ("-i plain.npy -t 2", "partition"),
        ("-i plain.npy -t 8 -m 4 -e 300", "partition"),
        ("-i plain.npy -t 2 -m 40 -e 20 --codes none", "partition"),
        ("-i huge.npy -t 2 -e 30 --metric l2", "insert"),
        ("-i huge.npy -t 8 -e 30 --metric l2 --codes none", "insert"),
    ] {
        stays_below_the_plan(&dir, &format!("build-index -o o.hnsw {words}"));
        assert_eq!(dir.info("o.hnsw")["builder"], builder, "{words}");
        std::fs::remove_file(dir.path("o.hnsw")).unwrap();
    }
}

#[test]
fn what_stages_hold_is_planned_and_does_not_grow_with_the_file() {
    const DIM: usize = 512;
    let dir = Dir::new();
    let stages = [
        "type = \"pca\"\ndim = 32\nsample = 2000",
        "type = \"center\"\nsample = 2000",
        // Rows wait in temporary files, and not in memory: only their order does.
        "type = \"shuffle\"",
        "type = \"normalize\"\n[[stage]]\ntype = \"shuffle\"",
    ];
    let mut peaks: Vec<Vec<u64>> = Vec::new();
    for rows in [12_000, 36_000] {
        dir.write("a.npy", npy_f32(DIM, &values(4, rows, DIM)));
        let peak = |stage: &&str| {
            let text = format!(
                "version = 1\n[run]\nbatch_rows = 256\n[source]\npath = \"a.npy\"\n[[stage]]\n{stage}\n\
                 [sink]\ntype = \"raw_f32\"\npath = \"o.f32\"\n"
            );
            dir.write("p.toml", text);
            let (peak, stats) = peak_anonymous_bytes(&dir, "run p.toml -t 2");
            let planned = stats["planned_memory_bytes"].as_u64().unwrap();
            assert!(peak <= planned, "{stage}: {peak} bytes, {planned} were planned");
            for name in ["o.f32", "ids.u64", "o.f32.json"] {
                let _ = std::fs::remove_file(dir.path(name));
            }
            peak
        };
        peaks.push(stages.iter().map(peak).collect());
    }
    for (stage, (small, large)) in stages.iter().zip(peaks[0].iter().zip(&peaks[1])) {
        // An order of rows is eight bytes each.
        assert!(
            *large < small + 24_000 * 8 + (8 << 20),
            "{stage}: {small} bytes for a file, {large} for one of three times the rows"
        );
    }
}
