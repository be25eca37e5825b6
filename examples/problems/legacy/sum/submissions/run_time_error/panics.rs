fn main() {
    let none: Option<i64> = std::env::args().nth(9).map(|_| 0);
    println!("{}", none.unwrap());
}
