//! `-it`: a terminal for the pod, with its size, its keys and its jobs.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use netloom_testkit::product;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::OpenptFlags;
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::{NETLOOM, PLUGINS, call, host, picture, succeeds};

/// So long something that was asked for may take.
const PATIENCE: Timespec = Timespec {
    tv_sec: 20,
    tv_nsec: 0,
};

/// A terminal with a program at it, as a user has one.
struct Screen {
    keys: File,
    shown: String,
    child: Child,
    before: Termios,
}

impl Screen {
    fn of(arguments: &[&str], size: (u16, u16)) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let own = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&own).unwrap();
        rustix::pty::unlockpt(&own).unwrap();
        let theirs = rustix::pty::ioctl_tiocgptpeer(&own, flags).unwrap();
        let mut screen = Self {
            keys: own.into(),
            shown: String::new(),
            before: tcgetattr(&theirs).unwrap(),
            // The terminal becomes that of a session of its own.
            child: Command::new("setsid")
                .args(["--ctty", "--wait"])
                .arg(product(NETLOOM))
                .args(arguments)
                .env("CNI_PATH", PLUGINS)
                .env("PS1", "ready ")
                .stdin(clone(&theirs))
                .stdout(clone(&theirs))
                .stderr(clone(&theirs))
                .spawn()
                .unwrap(),
        };
        screen.resize(size);
        screen
    }

    fn resize(&mut self, (rows, columns): (u16, u16)) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.keys, size).unwrap();
    }

    fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    /// Reads to the end, without which a terminal keeps whoever writes to it, and returns the status.
    fn ends(&mut self) -> Option<i32> {
        while self.reads() {}
        self.child.wait().unwrap().code()
    }

    /// Reads what there is next; `false` at the end.
    #[track_caller]
    fn reads(&mut self) -> bool {
        let ready = poll(
            &mut [PollFd::new(&self.keys, PollFlags::IN)],
            Some(&PATIENCE),
        );
        assert!(ready.unwrap() > 0, "nothing comes behind {:?}", self.shown);
        let mut bytes = [0; 4096];
        let count = self.keys.read(&mut bytes).unwrap_or_default();
        self.shown += &String::from_utf8_lossy(&bytes[..count]);
        count > 0
    }

    /// Reads until the text is shown, and forgets what came before.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            assert!(
                self.reads(),
                "the end came before {text:?}: {:?}",
                self.shown
            );
        }
    }
}

fn clone(terminal: &OwnedFd) -> Stdio {
    terminal.try_clone().unwrap().into()
}

impl Drop for Screen {
    fn drop(&mut self) {
        // After a failure nobody types any more.
        let _ = self.child.kill();
    }
}

/// Words that the line itself, which is shown as it is typed, does not have.
fn shell(screen: &mut Screen) {
    screen.types("echo be''gun\n");
    screen.shows("begun");
}

#[test]
fn a_pod_at_a_terminal_has_its_size_its_keys_and_its_jobs() {
    let Some(host) = host() else { return };
    let before = picture(&host);
    let mut screen = Screen::of(&["run", "--rm", "-it", "--net", "mynet", "sh"], (33, 101));
    shell(&mut screen);
    screen.types("tty; stty size\n");
    screen.shows("33 101");
    // A program hears of the change while it runs.
    // It ends in the trap: a signal that comes before `wait` would leave it waiting.
    let line = r#"trap "stty size; kill \$!; exit" WINCH; echo tra''pped; sleep 1000 & wait"#;
    screen.types(&format!("sh -c '{line}'\n"));
    screen.shows("trapped");
    screen.resize((44, 122));
    screen.shows("44 122");
    // ^C ends what runs, and not the shell.
    screen.types("sh -c 'echo run''ning; exec sleep 1000'\n");
    screen.shows("running");
    screen.types("\x03");
    screen.types("echo status $?\n");
    screen.shows("status 130");
    // ^Z stops it, and it is a job.
    screen.types("sh -c 'echo job''bing; exec sleep 1000'\n");
    screen.shows("jobbing");
    screen.types("\x1a");
    screen.shows("Stopped");
    screen.types("kill -9 %1; echo kil''led\n");
    screen.shows("killed");
    // A shell may say first that it had a job.
    screen.types("exit 7\nexit 7\n");
    assert_eq!(screen.ends(), Some(7));
    let after = tcgetattr(&screen.keys).unwrap();
    assert_eq!(after.local_modes, screen.before.local_modes);
    picture(&host).assert_same_as(&before);
}

#[test]
fn exec_at_a_terminal_has_one_of_its_own() {
    let Some(_host) = host() else { return };
    let id = crate::detached(&["sleep", "1000"]);
    let mut screen = Screen::of(&["exec", "-it", &id, "sh"], (21, 77));
    shell(&mut screen);
    screen.types("stty size\n");
    screen.shows("21 77");
    screen.types("exit 3\n");
    assert_eq!(screen.ends(), Some(3));
    succeeds(&call(&["rm", "-f", &id]));
}
