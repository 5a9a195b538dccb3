//! How a trial is told: as it goes, for people, or as one JSON document at its end.

use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use netloom_spec::{AddResult, Version, terminal};
use serde_json::{Value, json};

use super::attempt::Outcome;
use super::executed;
use super::host::{Pod, Stage};
use super::leftovers::Left;
use super::subject::Subject;

/// What a line is about.
pub(super) struct Title(String);

impl Title {
    pub(super) fn of(text: &str) -> Self {
        Self(terminal::one_line(text).into_owned())
    }
}

pub(super) struct Report {
    is_json: bool,
    colour: bool,
    steps: Vec<Value>,
    head: Value,
    failed: Vec<String>,
    left: usize,
}

impl Report {
    pub(super) fn new(is_json: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            is_json,
            colour: !is_json && std::io::stdout().is_terminal() && !no_color,
            steps: Vec::new(),
            head: Value::Null,
            failed: Vec::new(),
            left: 0,
        }
    }

    pub(super) fn is_json(&self) -> bool {
        self.is_json
    }

    pub(super) fn is_good(&self) -> bool {
        self.failed.is_empty() && self.left == 0
    }

    /// What is wrong, in one line.
    pub(super) fn verdict(&self) -> String {
        let mut words = Vec::new();
        if !self.failed.is_empty() {
            words.push(format!("failed: {}", self.failed.join(", ")));
        }
        match self.left {
            0 => {}
            1 => words.push("1 thing is left".to_owned()),
            count => words.push(format!("{count} things are left")),
        }
        if words.is_empty() {
            words.push("the command failed".to_owned());
        }
        words.join("; ")
    }

    pub(super) fn host(&mut self, stage: &Stage, subject: &Subject, time: Duration) {
        let from = match &subject.file {
            Some(file) => file.display().to_string(),
            None => "made up for the plugin".to_owned(),
        };
        self.head = json!({
            "network": subject.network.name,
            "configuration": from,
            "plugins": subject.types(),
            "own": stage.own,
            "madeUp": stage.made_up,
        });
        let title = Title::of(&format!("a throw-away host, {} pod(s)", stage.pods.len()));
        self.line(true, &title, time, stage.kind);
        self.note(&format!("network {:?}, {from}", subject.network.name));
        for name in subject.types() {
            let found = stage.plugin_dirs.iter().map(|dir| dir.join(&name));
            let path = found.into_iter().find(|path| path.is_file());
            match path {
                Some(_) if stage.own.contains(&name) => {
                    self.note(&format!("plugin {name}: netloom's own"));
                }
                Some(path) => self.note(&format!("plugin {name}: {}", path.display())),
                None => self.note(&format!("plugin {name}: not found in CNI_PATH")),
            }
        }
        for name in &stage.made_up {
            self.note(&format!(
                "link {name} was made up, a cable to the outside: the configuration names it"
            ));
        }
    }

    pub(super) fn line(&self, good: bool, title: &Title, time: Duration, words: &str) {
        if self.is_json {
            return;
        }
        let mark = match good {
            true => self.paint("32", "✔"),
            false => self.paint("31", "✘"),
        };
        let time = format!("{:.2} ms", time.as_secs_f64() * 1e3);
        let words = self.paint("2", &terminal::one_line(words));
        println!("{mark} {:<44} {time:>10}   {words}", title.0);
        // The reader follows along.
        let _ = std::io::stdout().flush();
    }

    fn note(&self, text: &str) {
        if !self.is_json {
            println!("      {}", self.paint("2", &terminal::one_line(text)));
        }
    }

    pub(super) fn step(&mut self, outcome: &Outcome) {
        let good = outcome.failure.is_none();
        if !good {
            self.failed.push(outcome.title.clone());
        }
        self.steps.push(document(outcome));
        let words = outcome.result.as_ref().map(result).unwrap_or_default();
        self.line(good, &Title::of(&outcome.title), outcome.time, &words);
        if self.is_json {
            return;
        }
        if let Some(failure) = &outcome.failure {
            println!("      {}", self.paint("31", &terminal::one_line(failure)));
        }
        for call in &outcome.calls {
            let name = call.name();
            for line in call.stderr.lines() {
                println!("    {name} │ {}", terminal::one_line(line));
            }
        }
        for line in &outcome.did {
            println!("      {}", terminal::one_line(line));
        }
        let executed = outcome.executed.as_deref().unwrap_or_default();
        if !executed.is_empty() {
            let words = format!("executed {}", executed::words(executed));
            println!("      {}", terminal::one_line(&words));
        }
        for warning in &outcome.warnings {
            let text = format!("! {}", terminal::one_line(warning));
            println!("      {}", self.paint("33", &text));
        }
    }

    pub(super) fn hold(&self, pods: &[Pod]) {
        println!("\nThis is the host. `exit` goes on. To enter a pod:");
        for pod in pods {
            println!("  nsenter --net={} sh", pod.path.display());
        }
        let _ = std::io::stdout().flush();
    }

    pub(super) fn end(
        &mut self,
        left: &[Left],
        expects_nothing: bool,
        time: Duration,
        kept: Option<u32>,
    ) {
        let leaks: Vec<&Left> = left.iter().filter(|it| !it.is_shared).collect();
        self.left = leaks.len();
        if self.is_json {
            let tell = |it: &Left| json!({ "what": it.what, "step": it.step });
            let shared = left.iter().filter(|it| it.is_shared).map(tell);
            let document = json!({
                "host": self.head,
                "steps": self.steps,
                "left": leaks.iter().map(|it| tell(it)).collect::<Vec<_>>(),
                "shared": shared.collect::<Vec<_>>(),
                "ok": self.is_good(),
                "kept": kept,
            });
            print_json!(document);
            return;
        }
        println!();
        if !expects_nothing {
            println!("The last step is no DEL, so what is left was not looked at.");
        } else if leaks.is_empty() {
            let stays = left.iter().filter(|it| it.is_shared).count();
            let stays = match stays {
                0 => String::new(),
                count => {
                    format!(" ({count} things that all pods share, or that end with a pod, stay)")
                }
            };
            println!("{}{stays}", self.paint("32", "Nothing is left."));
        } else {
            println!("{}", self.paint("31", "This is left:"));
            for it in &leaks {
                println!("  {}, since {}", terminal::one_line(&it.what), it.step);
            }
        }
        println!("{:.0} ms in all", time.as_secs_f64() * 1e3);
        if let Some(process) = kept {
            println!(
                "\nThe host is kept by process {process}. To enter it, and to end it:\n  \
                 nsenter --target {process} --user --preserve-credentials --net --mount --uts sh\n  \
                 kill {process}"
            );
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// The result of ADD in a line.
fn result(result: &AddResult) -> String {
    let mut words = Vec::new();
    for ip in &result.ips {
        let link = ip.interface.and_then(|at| result.interfaces.get(at));
        let name = link.map(|it| it.name.clone()).unwrap_or_default();
        let gateway = ip.gateway.map(|it| format!(" via {it}"));
        words.push(format!(
            "{name} {}{}",
            ip.address,
            gateway.unwrap_or_default()
        ));
    }
    if words.is_empty() {
        return match result.interfaces.len() {
            0 => "a result without interfaces and addresses".to_owned(),
            _ => "a result without addresses".to_owned(),
        };
    }
    words.join(", ").trim().to_owned()
}

fn document(outcome: &Outcome) -> Value {
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
    let calls = outcome.calls.iter().map(|call| {
        json!({
            "plugin": call.name(),
            "path": call.plugin.display().to_string(),
            "milliseconds": milliseconds(call.time),
            "stdout": String::from_utf8_lossy(&call.stdout),
            "stderr": call.stderr,
            "error": call.failure,
        })
    });
    let result = outcome.result.as_ref();
    let result = result.and_then(|it| it.to_json(Version::LATEST).ok());
    let result: Option<Value> = result.and_then(|text| serde_json::from_str(&text).ok());
    json!({
        "step": outcome.title,
        "milliseconds": milliseconds(outcome.time),
        "error": outcome.failure,
        "result": result,
        "calls": calls.collect::<Vec<_>>(),
        "did": outcome.did,
        "executed": outcome.executed,
        "warnings": outcome.warnings,
    })
}
