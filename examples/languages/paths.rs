//! Shortest paths from some nodes of a graph: four threads share the sources.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::io::{self, Read, Write};
use std::thread;

const THREADS: usize = 4;

type Graph = Vec<Vec<(usize, u64)>>;

struct Summary {
    reached: u64,
    farthest: u64,
    sum: u64,
}

fn find_paths(graph: &Graph, source: usize) -> Summary {
    let mut done = vec![false; graph.len()];
    let mut heap = BinaryHeap::from([Reverse((0, source))]);
    let mut summary = Summary { reached: 0, farthest: 0, sum: 0 };
    while let Some(Reverse((distance, node))) = heap.pop() {
        if std::mem::replace(&mut done[node], true) {
            continue;
        }
        summary.reached += 1;
        summary.sum += distance;
        summary.farthest = summary.farthest.max(distance);
        for &(to, weight) in &graph[node] {
            if !done[to] {
                heap.push(Reverse((distance + weight, to)));
            }
        }
    }
    summary
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<usize>);
    let mut next = || -> Result<usize, Box<dyn Error>> {
        Ok(numbers.next().ok_or("the input ends too early")??)
    };

    let (nodes, edges, sources) = (next()?, next()?, next()?);
    let mut graph: Graph = vec![Vec::new(); nodes];
    for _ in 0..edges {
        let (from, to, weight) = (next()?, next()?, next()? as u64);
        graph[from].push((to, weight));
        graph[to].push((from, weight));
    }
    let wanted = (0..sources).map(|_| next()).collect::<Result<Vec<_>, _>>()?;

    let share = wanted.len().div_euclid(THREADS) + 1;
    let graph = &graph;
    let summaries: Vec<Summary> = thread::scope(|scope| {
        let threads: Vec<_> = wanted
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    part.iter().map(|&source| find_paths(graph, source)).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread panicked")).collect()
    });

    let mut hash: u32 = 2166136261;
    let mut output = io::BufWriter::new(io::stdout().lock());
    for (source, Summary { reached, farthest, sum }) in wanted.iter().zip(summaries) {
        writeln!(output, "{source}: {reached} reached, farthest {farthest}, sum {sum}")?;
        for number in [reached, farthest, sum] {
            hash = (hash ^ number as u32).wrapping_mul(16777619);
        }
    }
    writeln!(output, "checksum {hash:08x}")?;
    Ok(())
}
