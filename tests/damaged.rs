//! Index files that are spoiled by chance, and files that get shorter while they are used: never a signal, a panic or another
//! answer.

use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::util::{Dir, Numbers, npy_f32, output, values, wait};

const FILES: usize = 2000;

/// Spoils a file in one of several ways.
fn spoiled(base: &[u8], seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut below = |limit: usize| (numbers.next() % limit as u64) as usize;
    let mut file = base.to_vec();
    match seed % 6 {
        0 => file.truncate(below(base.len())),
        1 => file[below(base.len())] ^= 1 << below(8),
        2 => (0..16).for_each(|_| file[below(base.len())] = below(256) as u8),
        3 => {
            let at = below(1100) & !3;
            let value = [0u32, 1, 0xff, 0x7fff_ffff, u32::MAX][below(5)];
            file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        4 => {
            let page = below(base.len() / 4096) * 4096;
            file[page..page + 4096].fill(0);
        }
        _ => file.extend((0..1 + below(5000)).map(|at| at as u8)),
    }
    file
}

#[test]
fn spoiled_indexes_are_refused_or_answer_as_the_whole_one() {
    let dir = Dir::new();
    let rows = values(1, 120, 8);
    let lines = rows.chunks(8).enumerate().map(|(row, v)| format!("{{\"id\":\"n{row}\",\"v\":{v:?}}}\n"));
    dir.write("v.jsonl", lines.collect::<String>());
    dir.write("q.npy", npy_f32(8, &rows[..40]));
    dir.ok("build-index -i v.jsonl -o o.hnsw --storage f16");
    let base = dir.read("o.hnsw");
    let query = |index: &str| dir.run(&format!("query -i {index} -q q.npy -k 4 -f tsv -t 1"));
    let whole = query("o.hnsw").stdout;
    let (next, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (dir, base, whole, next, refused, query) = (&dir, &base, &whole, &next, &refused, &query);
            scope.spawn(move || {
                let name = format!("{thread}.hnsw");
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= FILES {
                        break;
                    }
                    dir.write(&name, spoiled(base, seed as u64));
                    let run = query(&name);
                    match run.code {
                        Some(0) => {
                            assert!(run.stdout == *whole && run.stderr.is_empty(), "{seed}: another answer")
                        }
                        Some(1) => {
                            assert!(run.stdout.is_empty(), "{seed}");
                            let is_told = run.stderr.starts_with("error[") && run.stderr.contains(&name);
                            assert!(is_told, "{seed}: {}", run.stderr);
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => panic!("{seed}: {:?}: {}", run.code, run.stderr),
                    }
                }
            });
        }
    });
    let refused = refused.into_inner();
    assert!(refused > FILES * 9 / 10, "{refused} of {FILES} were refused");
}

/// The index is open and nothing of its vectors was touched; it is cut, and then queries come.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_gets_shorter_while_it_is_used_is_one_line() {
    use std::io::Read;

    let dir = Dir::new();
    let rows = values(1, 3000, 16);
    dir.write("v.npy", npy_f32(16, &rows));
    dir.write("q.npy", npy_f32(16, &rows[..160]));
    dir.ok("build-index -i v.npy -o whole.hnsw");
    for (flags, is_json) in [("", false), ("--error-format json", true), ("-t 2", false)] {
        std::fs::copy(dir.path("whole.hnsw"), dir.path("o.hnsw")).unwrap();
        let mut command = dir.command(&format!("query -i o.hnsw -q - -f tsv {flags}"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let maps = format!("/proc/{}/maps", child.id());
        let mut is_mapped = false;
        for _ in 0..2000 {
            is_mapped = std::fs::read_to_string(&maps).is_ok_and(|maps| maps.contains("o.hnsw"));
            if is_mapped {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(is_mapped);
        // It has been checked when the program waits for queries, which is soon.
        std::thread::sleep(std::time::Duration::from_millis(500));
        std::fs::File::options().write(true).open(dir.path("o.hnsw")).unwrap().set_len(4096).unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&dir.read("q.npy")).unwrap();
        drop(stdin);
        let status = wait(&mut child).expect("it ends");
        let (mut out, mut err) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((status.code(), &*out), (Some(1), ""), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.contains("a file got shorter while it was used"), "{err}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&err).is_ok(), is_json, "{err}");
    }
    // The program is as it was otherwise.
    assert_eq!(output(dir.command("query -i whole.hnsw -q q.npy"), b"").code, Some(0));
}
