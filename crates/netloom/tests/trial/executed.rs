//! Which programs plugins executed.

use std::fs;

use netloom_kernel::executions::Executions;
use netloom_testkit::{Host, skip};
use serde_json::Value;

use crate::{attempt, document, plugin, project, steps};

/// Runs a program of /usr/bin twice at ADD, and one more.
const BUSY: &str = "#!/bin/sh\n[ \"$CNI_COMMAND\" = ADD ] || exit 0\n\
                    /usr/bin/env true; /usr/bin/env true\n/usr/bin/id > /dev/null\necho '{}'\n";

fn names(step: &Value) -> Vec<String> {
    let programs = step["executed"]
        .as_array()
        .unwrap_or_else(|| panic!("{step}"));
    let name = |it: &Value| it.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    programs.iter().map(name).collect()
}

#[test]
fn programs_are_told_with_the_step_and_none_of_others() {
    let Some(_host) = Host::new() else { return };
    if Executions::listen(&["/".into()]).is_err() {
        return skip("needs fanotify, which is for root of the machine");
    }
    let project = project();
    let busy = plugin(&project, "busy", BUSY);
    let told = document(&attempt(&["--json", &busy]).run());
    let steps = steps(&told);
    let at_add = names(steps[0]);
    // The shell of the script itself, whatever it is called here.
    let shell = fs::canonicalize("/bin/sh").unwrap();
    let shell = shell.file_name().unwrap().to_str().unwrap();
    let real = |name: &str| {
        let real = fs::canonicalize(format!("/usr/bin/{name}")).unwrap();
        real.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let (env, it_is_true, id) = (real("env"), real("true"), real("id"));
    let expected = [shell, &env, &it_is_true, &env, &it_is_true, &id];
    assert_eq!(at_add, expected);
    for later in &steps[1..] {
        assert_eq!(names(later), [shell], "{later}");
    }

    let words = attempt(&[&busy]).run().stdout;
    assert!(words.contains(&format!("/{env} ×2")), "{words}");
    assert!(words.contains("      executed /"), "{words}");
}

#[test]
fn a_plugin_of_netloom_executes_nothing() {
    let Some(_host) = Host::new() else { return };
    if Executions::listen(&["/".into()]).is_err() {
        return skip("needs fanotify, which is for root of the machine");
    }
    let project = project();
    let conf = crate::configuration(&project, &crate::bridge());
    let told = document(&attempt(&["--json", &conf]).run());
    for step in steps(&told) {
        assert_eq!(step["executed"], serde_json::json!([]), "{step}");
    }
}
