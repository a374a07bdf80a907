//! `center` and `pca`: stages that learn from the rows first.

use super::{DIM, SKIP, dir, pipeline, refused, through};
use crate::util::{Dir, Numbers, npy_f32};

/// Rows around a line: mostly along (3, 4, 0), a little along (0, 0, 1), nothing along (-4, 3, 0), around (10, 20, 30).
fn line() -> (Dir, Vec<f32>) {
    let dir = Dir::new();
    let mut numbers = Numbers(3);
    let mut values = Vec::new();
    for _ in 0..500 {
        let (far, near) = (numbers.value() * 10.0, numbers.value());
        values.extend([10.0 + 0.6 * far, 20.0 + 0.8 * far, 30.0 + near]);
    }
    dir.write("a.npy", npy_f32(3, &values));
    (dir, values)
}

fn mean(values: &[f32], dim: usize) -> Vec<f64> {
    let rows = (values.len() / dim) as f64;
    (0..dim)
        .map(|at| values.iter().skip(at).step_by(dim).map(|&value| value as f64).sum::<f64>() / rows)
        .collect()
}

fn variance(values: &[f32], dim: usize, at: usize) -> f64 {
    let (mean, rows) = (mean(values, dim)[at], (values.len() / dim) as f64);
    values.iter().skip(at).step_by(dim).map(|&value| (value as f64 - mean).powi(2)).sum::<f64>()
        / (rows - 1.0)
}

#[test]
fn center_subtracts_the_mean() {
    let (dir, rows) = dir();
    let center = |options: &str| format!("{SKIP}[[stage]]\ntype = \"center\"\n{options}\n");
    let (values, ids, _) = through(&dir, &center(""));
    let kept: Vec<f32> = ids.iter().flat_map(|&row| rows[row as usize].clone()).collect();
    let known = mean(&kept, DIM);
    for (at, (&found, &value)) in values.iter().zip(&kept).enumerate() {
        assert!((found - (value - known[at % DIM] as f32)).abs() < 1e-6);
    }
    assert!(mean(&values, DIM).iter().all(|mean| mean.abs() < 1e-6));
    // A sample gives another mean, and another seed another one; the same sample however the rows are read.
    let some = through(&dir, &center("sample = 50")).0;
    assert!(some != values && some != through(&dir, &center("sample = 50\nseed = 1")).0);
    // What was learnt is kept, and gives the same.
    let saved = through(&dir, &center("sample = 50\nsave = \"m.safetensors\"")).0;
    assert_eq!(saved, some);
    assert_eq!(through(&dir, &center("load = \"m.safetensors\"")).0, some);
    dir.ok("convert -i m.safetensors -o m.f32");
    assert_eq!(dir.read("m.f32").len(), DIM * 4);
    let stats = dir
        .run_with("run - --stats json", pipeline(2, 9, &center("sample = 50"), "type = \"null\"").as_bytes());
    assert_eq!(stats.json()["steps"][2]["sample_rows"], 50);
    assert!(stats.stderr.contains("center: the mean of 50 rows is subtracted\n"), "{}", stats.stderr);
}

#[test]
fn pca_finds_the_directions_in_which_rows_differ() {
    let (dir, values) = line();
    let pca = |options: &str| format!("[[stage]]\ntype = \"pca\"\n{options}\n");
    let (found, _, _) = through(&dir, &pca("dim = 2"));
    let centre = mean(&values, 3);
    for (row, pair) in values.chunks(3).zip(found.chunks(2)) {
        let far = 0.6 * (row[0] as f64 - centre[0]) + 0.8 * (row[1] as f64 - centre[1]);
        assert!((pair[0] as f64 - far).abs() < 1e-2, "{pair:?} {far}");
        assert!((pair[1].abs() as f64 - (row[2] as f64 - centre[2]).abs()).abs() < 0.1, "{pair:?} {row:?}");
    }
    // All three directions keep distances; values are uncorrelated, the largest variance first.
    let (all, _, _) = through(&dir, &pca("dim = 3"));
    let variances = [0, 1, 2].map(|at| variance(&all, 3, at));
    assert!(variances[0] > 10.0 * variances[1] && variances[1] > 1e6 * variances[2], "{variances:?}");
    let distance =
        |rows: &[f32]| (0..3).map(|at| (rows[at] as f64 - rows[3 + at] as f64).powi(2)).sum::<f64>();
    assert!((distance(&all[..6]) - distance(&values[..6])).abs() < 1e-3);
    let (white, _, _) = through(&dir, &pca("dim = 2\nwhiten = true"));
    for at in 0..2 {
        assert!((variance(&white, 2, at) - 1.0).abs() < 1e-4);
    }
    // Without the centre the first direction is that of the mean.
    let (raw, _, _) = through(&dir, &pca("dim = 1\ncenter = false"));
    assert!(mean(&raw, 1)[0] > 30.0);
    assert_ne!(through(&dir, &pca("dim = 2\nsample = 100")).0, found);

    let text = pipeline(2, 50, &pca("dim = 2"), "type = \"null\"");
    let output = dir.run_with("run - --stats json --verbose", text.as_bytes());
    let step = &output.json()["steps"][1];
    let ratio = step["explained_variance_ratio"].as_f64().unwrap();
    assert!((0.999..=1.0).contains(&ratio), "{step}");
    assert!((step["explained_variance"][0].as_f64().unwrap() - variances[0]).abs() < 1e-2 * variances[0]);
    assert_eq!(step["sample_rows"], 500);
    assert!(
        output.stderr.contains("pca: 2 values keep 100.0 % of the variance of 500 rows\n"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("the rows are read twice, first to learn from up to 65536 of them"),
        "{}",
        output.stderr
    );
}

#[test]
fn what_pca_learnt_is_kept_for_queries() {
    let (dir, values) = line();
    let pca = |options: &str| format!("[[stage]]\ntype = \"pca\"\n{options}\n");
    let (found, _, _) = through(&dir, &pca("dim = 2\nsample = 300\nsave = \"p.safetensors\""));
    let saved = dir.read("p.safetensors");
    assert_eq!(through(&dir, &pca("load = \"p.safetensors\"")).0, found);
    // A single query becomes what its row became.
    dir.write("a.npy", npy_f32(3, &values[..3]));
    assert_eq!(through(&dir, &pca("dim = 2\nload = \"p.safetensors\"")).0, found[..2]);
    assert_eq!(through(&dir, "[[stage]]\ntype = \"center\"\nload = \"p.safetensors\"\n").0.len(), 3);
    assert_eq!(dir.read("p.safetensors"), saved);

    refused(
        &dir,
        &pca("dim = 3\nload = \"p.safetensors\""),
        2,
        &["tensor `components`: expected 3 rows, as `dim` says, found 2"],
    );
    refused(&dir, &pca("load = \"p.safetensors\"\nwhiten = true"), 2, &["`whiten` says how to learn"]);
    refused(&dir, &pca("load = \"p.safetensors\"\nsave = \"q\""), 2, &["`load` and `save` are given"]);
    refused(&dir, &pca("dim = 1\nsave = \"a.npy\""), 2, &["a.npy: the output is an input"]);
    refused(&dir, &pca("dim = 1\nsave = \"-\""), 2, &["not on standard input or output"]);
    refused(&dir, &pca("load = \"none.safetensors\""), 1, &["none.safetensors: cannot open"]);
    dir.write("a.npy", npy_f32(4, &values[..4]));
    refused(&dir, &pca("load = \"p.safetensors\""), 2, &["tensor `mean`: expected 4 values a row, found 3"]);
    dir.write("p.safetensors", &saved[..saved.len() - 40]);
    refused(&dir, &pca("load = \"p.safetensors\""), 1, &["p.safetensors: "]);
    let mut broken = saved.clone();
    let mean = 8 + u64::from_le_bytes(saved[..8].try_into().unwrap()) as usize;
    broken[mean..mean + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    dir.write("p.safetensors", broken);
    refused(
        &dir,
        &pca("load = \"p.safetensors\""),
        1,
        &["tensor `mean`: row 0, column 0: expected a finite value"],
    );
}

#[test]
fn what_cannot_be_learnt_is_refused() {
    let (dir, rows) = dir();
    let pca = |options: &str| format!("{SKIP}[[stage]]\ntype = \"pca\"\n{options}\n");
    refused(&dir, &pca(""), 2, &["expected `dim`, the number of values that remain, found none"]);
    refused(&dir, &pca("dim = 0"), 2, &["expected a `dim` from 1 to 4, found 0"]);
    refused(&dir, &pca("dim = 5"), 2, &["expected a `dim` from 1 to 4, found 5"]);
    refused(&dir, &pca("dim = 2\nsample = 0"), 2, &["expected a sample of at least 1 row, found 0"]);
    refused(
        &dir,
        &pca("dim = 3\nsample = 2"),
        1,
        &["pca: expected at least 3 rows to learn 3 components from, found 2"],
    );
    // A bad row is found in the first pass already.
    refused(
        &dir,
        "[[stage]]\ntype = \"pca\"\ndim = 1\n",
        1,
        &["a.npy: row 30, column 1: expected a finite value, found NaN"],
    );
    let none = "[[stage]]\ntype = \"limit\"\nrows = 0\n[[stage]]\ntype = \"center\"\n";
    refused(&dir, none, 1, &["center: expected at least 1 row to learn the mean from, found none"]);
    // Equal rows have no direction: one is as good as another, but none can be whitened.
    dir.write("a.npy", npy_f32(DIM, &[rows[0].as_slice(), &rows[0], &rows[0]].concat()));
    assert_eq!(through(&dir, &pca("dim = 2")).0, [0.0; 6]);
    refused(
        &dir,
        &pca("dim = 2\nwhiten = true"),
        1,
        &["pca: expected rows that differ in 2 directions, found 0"],
    );
    dir.write("a.npy", npy_f32(2, &[3e38, -3e38, -3e38, 3e38]));
    let center = "[[stage]]\ntype = \"pca\"\ndim = 1\n";
    refused(&dir, center, 1, &["a.npy: row 0: expected values that stay below the largest f32"]);
}

#[test]
fn stages_learn_one_after_the_other() {
    let (dir, _) = line();
    let stages = "[[stage]]\ntype = \"center\"\n[[stage]]\ntype = \"shuffle\"\n[[stage]]\ntype = \"pca\"\ndim = 2\n\
                  [[stage]]\ntype = \"normalize\"\n[[stage]]\ntype = \"center\"\n";
    let (values, ids, _) = through(&dir, stages);
    assert_eq!((values.len(), ids.len()), (1000, 500));
    assert!(mean(&values, 2).iter().all(|mean| mean.abs() < 1e-6));
    // The recipe in an index says what was done, without paths.
    let stages = "[[stage]]\ntype = \"pca\"\ndim = 2\nsave = \"p.safetensors\"\n";
    let text = pipeline(2, 50, stages, "type = \"hnsw\"\npath = \"o.hnsw\"");
    assert_eq!(dir.run_with("run -", text.as_bytes()).code, Some(0));
    let recipe = dir.info("o.hnsw")["recipe"].as_str().unwrap().to_owned();
    for part in ["type = \"pca\"", "dim = 2", "sample = 65536", "seed = 42", "whiten = false"] {
        assert!(recipe.contains(part), "{part:?} is not in {recipe}");
    }
    assert!(!recipe.contains("safetensors"));
}
