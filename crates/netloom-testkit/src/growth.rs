//! How the time of a call grows with what it has to do.

use std::time::Duration;

/// Asserts that a call for 3,000 things takes no more than thirty times as long as one for 300: a call
/// that looks for each among all takes a hundred times as long.
///
/// # Panics
/// If it takes longer.
pub fn assert_grows_with_the_count(measure: impl Fn(u16) -> Duration) {
    let (few, many) = (measure(300), measure(3000));
    println!("{few:?} -> {many:?}");
    let slack = Duration::from_millis(500);
    assert!(
        many < few * 30 + slack,
        "{few:?} with few, {many:?} with many"
    );
}
