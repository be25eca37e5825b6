// As work.c.
fn integer(count: u64) {
    let mut x: u32 = 1;
    for _ in 0..count {
        x = x.wrapping_mul(1664525).wrapping_add(1013904223);
        x ^= x >> 13;
    }
    println!("{}", x);
}

fn memory(size: u32, count: u64) {
    let step = |i: u32| i.wrapping_mul(1664525).wrapping_add(1013904223) & (size - 1);
    let next: Vec<u32> = (0..size).map(step).collect();
    let mut at: u32 = 0;
    for _ in 0..count {
        at = next[at as usize];
    }
    println!("{}", at);
}

fn floating(count: u64) {
    let mut sum = 0.0f64;
    for i in 0..count {
        sum = sum * 0.999 + 1.0 / (i as f64 + 0.5);
    }
    println!("{:.6}", sum * 1000.0);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    match words.first().map(String::as_str) {
        Some("integer") => integer(number(1)),
        Some("memory") => memory(number(1) as u32, number(2)),
        Some("float") => floating(number(1)),
        _ => {}
    }
}
