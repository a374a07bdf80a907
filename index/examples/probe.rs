//! temporary
use index::*;
use std::time::Instant;
fn read(p: &str) -> Vec<f32> { let b = std::fs::read(p).unwrap(); b.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect() }
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (dir, name, dim) = (&a[1], &a[2], a[3].parse::<usize>().unwrap());
    let metric = match a[4].as_str() { "l2" => Metric::L2, "ip" => Metric::Ip, _ => Metric::Cosine };
    let threads: usize = a[5].parse().unwrap();
    let base = read(&format!("{dir}/{name}.f32")); let q = read(&format!("{dir}/{name}q.f32"));
    let gt: Vec<u32> = std::fs::read(format!("{dir}/{name}gt.i32")).unwrap().chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let m = Matrix::new(&base, dim);
    let t = Instant::now();
    let built = pool.install(|| build(m, &Params::new(metric), if std::env::var_os("INSERT").is_some() { &InsertBuilder as &dyn GraphBuilder } else if std::env::var_os("FORCE").is_some() { &PartitionBuilder } else { &AutoBuilder }, &Unmonitored)).unwrap();
    println!("{:?} build {:.2}s levels {:?} repaired {} copies {} {} digest {:x}", InstructionSet::best(), t.elapsed().as_secs_f64(), built.level_rows(), built.repaired_nodes(), built.copies(), built.how(), built.graph_digest());
    let p = format!("{dir}/{name}.hnsw");
    let t = Instant::now();
    let w = pool.install(|| file::write(&mut std::fs::File::create(&p).unwrap(), &file::Contents { built: &if std::env::var_os("NOCODES").is_some() { built.without_codes() } else { built.with_codes(m) }, vectors: file::Vectors::Elsewhere(m), ids: None, recipe: "x = 1\n" })).unwrap();
    println!("write {:.3}s degree {:.2}", t.elapsed().as_secs_f64(), w.header.levels[0].edges as f64 / w.header.rows as f64);
    let t = Instant::now();
    let ix = Index::open(std::path::Path::new(&p)).unwrap();
    println!("open {:.4}s", t.elapsed().as_secs_f64());
    let queries = Matrix::new(&q, dim);
    for ef in [10, 20, 50, 50, 100, 200] {
        let mut s = ix.searcher();
        let t = Instant::now(); let mut hit = 0;
        let r: Vec<_> = (0..queries.rows()).map(|i| s.search(queries.row(i as u32), 10, ef).unwrap()).collect();
        let e = t.elapsed().as_secs_f64();
        for (i, r) in r.iter().enumerate() { for h in r { if gt[i*100..i*100+10].contains(&(h.id as u32)) { hit += 1; } } }
        println!("ef {ef} recall {:.4} qps {:.0} distances {:.0}", hit as f64 / (queries.rows()*10) as f64, queries.rows() as f64 / e, s.distances_computed() as f64 / queries.rows() as f64);
    }
}
