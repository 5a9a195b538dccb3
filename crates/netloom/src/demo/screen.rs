//! How the demo looks: numbered steps with their times, and the network as text.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Instant;

use anyhow::Result;

/// Prints each step as it ends, with what it showed and how long it took.
pub(super) struct Screen {
    colour: bool,
    steps: usize,
    started: Instant,
}

impl Screen {
    pub(super) fn new(plain: bool) -> Self {
        Self {
            colour: !plain && std::io::stdout().is_terminal() && !no_color(),
            steps: 0,
            started: Instant::now(),
        }
    }

    /// Does one step; `work` returns what the step is for, and the words that prove it.
    pub(super) fn step<T>(
        &mut self,
        title: &str,
        work: impl FnOnce() -> Result<(T, String)>,
    ) -> Result<T> {
        self.steps += 1;
        let start = Instant::now();
        let outcome = work();
        let time = start.elapsed().as_secs_f64() * 1e3;
        let (mark, detail) = match &outcome {
            Ok((_, detail)) => (self.paint("32", "✔"), detail.clone()),
            // What went wrong is told once, at the end.
            Err(_) => (self.paint("31", "✘"), String::new()),
        };
        let dim = |text: &str| self.paint("2", text);
        println!(
            "{mark} {:>2}. {title:<44} {:>9}   {}",
            self.steps,
            dim(&format!("{time:.2} ms")),
            dim(&detail)
        );
        // The reader follows along: nothing waits in a buffer while the next step works.
        let _ = std::io::stdout().flush();
        outcome.map(|(value, _)| value)
    }

    pub(super) fn show(&self, text: &str) {
        println!("\n{text}");
    }

    pub(super) fn end(&self) {
        let all = self.started.elapsed().as_secs_f64() * 1e3;
        println!(
            "\n{} {} steps in {all:.0} ms",
            self.paint("32", "The demo is green:"),
            self.steps
        );
        println!(
            "Next: `netloom run --rm -it --net NAME sh` is a shell in a pod on a network of yours."
        );
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Whether the user wants no colour from any program (<https://no-color.org>).
fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// One pod in the drawing.
pub(super) struct PodLine {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) host_veth: String,
}

/// The demo's network, drawn with the names and addresses that the ADD results gave.
pub(super) fn draw(bridge: &str, gateway: &str, uplink: [&str; 2], pods: &[PodLine]) -> String {
    let [host_address, outside_address] = uplink;
    let mut inside = vec![
        format!("up0 {host_address}"),
        " │  forwarding, masquerade (nf_tables)".to_owned(),
        format!("{bridge} {gateway}  (bridge, the pods' gateway)"),
    ];
    for (index, pod) in pods.iter().enumerate() {
        let branch = if index + 1 == pods.len() {
            '└'
        } else {
            '├'
        };
        inside.push(format!(
            " {branch}─ {} ══════ eth0 {}  [{}]",
            pod.host_veth, pod.address, pod.name
        ));
    }
    frame(&format!("outside {outside_address}"), &inside)
}

fn frame(outside: &str, inside: &[String]) -> String {
    let width = inside
        .iter()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or(0)
        + 2;
    let mut text = format!("      {outside}\n           │\n");
    let _ = writeln!(text, "  ┌─ host ─┴{}┐", "─".repeat(width.saturating_sub(9)));
    for line in inside {
        let pad = " ".repeat(width - 1 - line.chars().count());
        let _ = writeln!(text, "  │ {line}{pad}│");
    }
    let _ = write!(text, "  └{}┘", "─".repeat(width));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_is_a_closed_frame_of_equal_lines() {
        let pod = |name: &str, address: &str| PodLine {
            name: name.to_owned(),
            address: address.to_owned(),
            host_veth: "veth01234567".to_owned(),
        };
        let text = draw(
            "demo0",
            "10.16.0.1/24",
            ["203.0.113.2", "203.0.113.1"],
            &[pod("a", "10.16.0.2/24"), pod("b", "10.16.0.3/24")],
        );
        let widths: Vec<_> = text
            .lines()
            .skip(2)
            .map(|line| line.chars().count())
            .collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
        assert!(text.contains("└─ veth01234567 ══════ eth0 10.16.0.3/24  [b]"));
    }
}
