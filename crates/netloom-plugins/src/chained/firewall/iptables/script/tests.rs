use super::*;
use netloom_spec::Attachment;

const OWNER: Owner<'_> = Owner {
    network: "net",
    container_id: "c1",
    if_name: "eth0",
};
const OTHER: Owner<'_> = Owner {
    container_id: "c2",
    ..OWNER
};

fn wanted(isolated: Option<bool>) -> Wanted {
    Wanted {
        ips: vec![[10, 1, 0, 5].into(), "fd00::5".parse().unwrap()],
        links: Vec::new(),
        admin_chain: "CNI-ADMIN".into(),
        bridge: isolated.map(|isolated| Bridge {
            name: "br0".into(),
            isolated,
        }),
    }
}

fn there(script: &Script, is: bool) -> There {
    There {
        chains: script.chains().map(|_| is).collect(),
        rules: script.shared().iter().map(|_| is).collect(),
        kept_apart: false,
        left: String::new(),
    }
}

/// What `iptables-save` prints after a script on empty chains.
fn saved(scripts: &[&str]) -> Saved {
    let mut text = String::from("*filter\n");
    for line in scripts.iter().flat_map(|script| script.lines()) {
        let line = line.replace("-I ", "-A ");
        match line.strip_prefix("-N ") {
            Some(chain) => text.push_str(&format!(":{chain} - [0:0]\n")),
            None if line.starts_with("-A ") => text.push_str(&(line + "\n")),
            None => {}
        }
    }
    Saved::parse(&text, TABLE)
}

#[test]
fn the_first_add_makes_the_chains_and_the_next_only_the_rules_of_its_address() {
    let script = Script::new(OWNER, &wanted(None), false);
    let marker = script.marker();
    let comment = "\"name: \\\"net\\\" id: \\\"c1\\\" if: \\\"eth0\\\"\"";
    let own = format!(
        "-N {marker}\n\
         -A CNI-FORWARD -d 10.1.0.5/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         -A CNI-FORWARD -s 10.1.0.5/32 -j ACCEPT\n\
         -A CNI-FORWARD -d 10.1.0.5/32 -m conntrack --ctstate DNAT -j ACCEPT\n\
         -A {marker} -s 10.1.0.5/32 -m comment --comment {comment}\n\
         -A {marker} -d 10.1.0.5/32 -m comment --comment {comment}\nCOMMIT\n"
    );
    assert_eq!(
        script.create(&there(&script, false)).unwrap(),
        format!(
            "*filter\n-N CNI-FORWARD\n-N CNI-ADMIN\n\
             -I FORWARD -m comment --comment \"CNI firewall plugin rules\" -j CNI-FORWARD\n\
             -I CNI-FORWARD -m comment --comment \"CNI firewall plugin admin overrides\" \
             -j CNI-ADMIN\n{own}"
        )
    );
    assert_eq!(
        script.create(&there(&script, true)).unwrap(),
        format!("*filter\n{own}")
    );
    assert_eq!(marker.len(), 28);
}

#[test]
fn isolation_is_ahead_of_what_lets_pass_and_returns_come_last() {
    let script = Script::new(OWNER, &wanted(Some(true)), true);
    let text = script.create(&there(&script, false)).unwrap();
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    // What is inserted later is ahead.
    assert!(
        at("-I FORWARD -m comment --comment \"CNI firewall plugin rules\"")
            < at("-j CNI-ISOLATION-STAGE-1")
    );
    at("-I CNI-ISOLATION-STAGE-1 -i br0 ! -o br0 -m");
    at("-I CNI-ISOLATION-STAGE-1 -i br0 -o br0 -m");
    at("-A CNI-ISOLATION-STAGE-1 -m");
    at("-I CNI-ISOLATION-STAGE-2 -o br0 -m");
    let mut partly = there(&script, true);
    partly.rules[0] = false;
    partly.kept_apart = true;
    let again = script.create(&partly).unwrap();
    assert!(
        again.contains("STAGE-1"),
        "a jump on top of the one that is let pass: {again}"
    );
    let same = Script::new(OWNER, &wanted(Some(false)), true);
    assert!(
        !same
            .create(&there(&same, false))
            .unwrap()
            .contains("-i br0 -o br0")
    );
}

#[test]
fn each_of_two_with_one_address_takes_away_one_copy() {
    let (one, two) = (
        Script::new(OWNER, &wanted(None), false),
        Script::of_addresses(OTHER, &wanted(None).ips, false),
    );
    let both = saved(&[
        &one.create(&there(&one, false)).unwrap(),
        &two.create(&there(&two, false)).unwrap(),
    ]);
    let swept = one.sweep(&both).lines();
    assert_eq!(swept.matches("-D CNI-FORWARD").count(), 3, "{swept}");
    assert!(swept.contains(&format!("-X {}", one.marker())), "{swept}");
    // The same DEL once more finds only the other's rules.
    let left = saved(&[&one
        .create(&there(&one, false))
        .unwrap()
        .replace(one.marker(), two.marker())]);
    assert!(one.sweep(&left).is_empty());
}

#[test]
fn rules_that_nobody_claims_are_the_go_plugins() {
    let script = Script::new(OWNER, &wanted(None), false);
    let text = script.create(&there(&script, false)).unwrap();
    let gos: String = text
        .lines()
        .filter(|line| !line.contains("CNI-FW-") && !line.contains("DNAT"))
        .map(|line| format!("{line}\n"))
        .collect();
    let swept = script.sweep(&saved(&[&gos])).lines();
    assert_eq!(swept.matches("-D CNI-FORWARD").count(), 2, "{swept}");
    let nothing = Script::of_addresses(OWNER, &[], false);
    assert!(nothing.sweep(&saved(&[&gos])).is_empty());
}

#[test]
fn what_is_missing_is_named_and_older_comments_count() {
    let script = Script::new(OWNER, &wanted(Some(false)), false);
    let text = script.create(&there(&script, false)).unwrap();
    assert_eq!(script.missing_from(&saved(&[&text])), None);
    let old = text.replace("same-bridge|isolated", "same-bridge");
    assert_eq!(script.missing_from(&saved(&[&old])), None);
    for (gone, words) in [
        ("-N CNI-ADMIN\n", "chain CNI-ADMIN"),
        (
            "-A CNI-FORWARD -s 10.1.0.5/32 -j ACCEPT\n",
            "rule -A CNI-FORWARD -s 10.1.0.5/32",
        ),
    ] {
        let missing = script
            .missing_from(&saved(&[&text.replace(gone, "")]))
            .unwrap();
        assert!(missing.starts_with(words), "{missing}");
    }
}

/// As netloom made it before it let published ports in: one claim for each address, and two rules.
#[test]
fn what_former_netloom_made_is_whole_and_taken_away_but_not_a_newer_ones_published_port() {
    let (old, new) = (
        Script::new(OWNER, &wanted(None), false),
        Script::new(OTHER, &wanted(None), false),
    );
    let former = |line: &&str| {
        let is_claim = line.contains(&format!("-A {} -d", old.marker()));
        !is_claim && !line.contains("DNAT")
    };
    let made = old.create(&there(&old, false)).unwrap();
    let made: String = made
        .lines()
        .filter(former)
        .fold(String::new(), |all, line| all + line + "\n");
    assert_eq!(old.missing_from(&saved(&[&made])), None);
    let both = saved(&[&made, &new.create(&there(&new, true)).unwrap()]);
    let swept = old.sweep(&both).lines();
    assert_eq!(swept.matches("-D CNI-FORWARD").count(), 2, "{swept}");
    assert!(!swept.contains("DNAT"), "{swept}");
    assert!(new.sweep(&both).lines().contains("DNAT"));
    let closed = new.create(&there(&new, false)).unwrap();
    let closed = closed.replace(
        "-A CNI-FORWARD -d 10.1.0.5/32 -m conntrack --ctstate DNAT",
        "-A X",
    );
    let missing = new.missing_from(&saved(&[&closed])).unwrap();
    assert!(missing.contains("--ctstate DNAT"), "{missing}");
}

#[test]
fn only_attachments_of_the_network_that_are_not_valid_are_stale() {
    let script = Script::new(OWNER, &wanted(None), false);
    let saved = saved(&[&script.create(&there(&script, false)).unwrap()]);
    let valid = |if_name: &str| {
        [Attachment {
            container_id: "c1".into(),
            if_name: if_name.into(),
        }]
    };
    assert!(Sweep::stale(&saved, "net", &valid("eth0")).is_empty());
    assert!(Sweep::stale(&saved, "ne", &[]).is_empty());
    let text = Sweep::stale(&saved, "net", &valid("net1")).lines();
    assert_eq!(text.matches("-D CNI-FORWARD").count(), 3, "{text}");
}
