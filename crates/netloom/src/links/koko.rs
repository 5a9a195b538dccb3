//! Called as `koko`: the options of the program of that name, with an exit status that tells.

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use netloom_kernel::rtnl::MacvlanMode;
use netloom_links::{Direction, Interface, Mirror, Outside, Vxlan};
use netloom_runtime::Cni;

use super::at::At;
use super::endpoint::{Endpoint, Other, net, number};
use super::lock::Lock;
use super::verbs::{Asked, remove};
use super::{SINGLE, places::Places};

use crate::causes;

const USAGE: &str = "\
koko: links between containers, as netloom makes them

  koko END END                        a veth pair
  koko END -x PARENT,REMOTE,VNI[,port=N][,mtu=N]   a vxlan (-X is the same)
  koko END -V PARENT,ID               a VLAN
  koko END -M PARENT,MODE             a macvlan: default, private, vepa, bridge or passthru

END is one of, each with up to two addresses behind it (,192.0.2.1/24) and a mirror
(,mirror:ingress:INTERFACE; or egress, or both):
  -d CONTAINER,INTERFACE   of docker          -D removes the link of such an end
  -n NAMESPACE,INTERFACE   of `ip netns`      -N
  -a PATH,INTERFACE        by a file          -A
  -p PID,INTERFACE         of a process       -P
  -e ID,INTERFACE          of CRI-O           -E
  -c INTERFACE             where koko runs    -C

  -h  this help   -v  the version
The exit status is 0 if all was done, and 1 if nothing was.";

/// Most addresses of an end.
const ADDRESSES: usize = 2;

/// A mirror that an end asks for: copies of this interface's packets leave by the new link.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Copies {
    direction: Direction,
    from: String,
}

/// An end, and what is mirrored to it.
#[derive(Debug, PartialEq, Eq)]
struct KokoEnd {
    endpoint: Endpoint,
    copies: Option<Copies>,
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Help,
    Version,
    Make(Vec<KokoEnd>, Option<Outside>),
    Remove(Vec<KokoEnd>),
}

pub(crate) fn main(arguments: &[String]) -> ExitCode {
    match parse(arguments).and_then(fulfil) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note!("koko: {}", causes::told(&error));
            ExitCode::FAILURE
        }
    }
}

fn fulfil(wish: Wish) -> Result<()> {
    // No end of koko's is that of an attachment.
    let cni = Cni::new(Vec::<std::path::PathBuf>::new());
    match wish {
        Wish::Help => println!("{USAGE}"),
        Wish::Version => println!("koko of netloom {}", env!("CARGO_PKG_VERSION")),
        Wish::Make(ends, outside) => make(&cni, ends, outside)?,
        Wish::Remove(ends) => {
            let _lock = Lock::of(SINGLE)?;
            for end in &ends {
                if !remove(&cni, &end.endpoint)? {
                    note!("koko: {} is not there", end.endpoint);
                }
            }
        }
    }
    Ok(())
}

fn make(cni: &Cni, mut ends: Vec<KokoEnd>, outside: Option<Outside>) -> Result<()> {
    let copies: Vec<_> = ends
        .iter()
        .filter_map(|end| Some((end.endpoint.clone(), end.copies.clone()?)))
        .collect();
    let first = ends.remove(0).endpoint;
    let other = match (ends.pop(), outside) {
        (Some(end), _) => Other::End(end.endpoint),
        (None, Some(outside)) => Other::Outside(outside),
        (None, None) => bail!("one end alone is no link; name another, or -x, -V or -M"),
    };
    let asked = Asked::new(first, other);
    let places = asked.open(cni)?;
    let link = asked.link(&places);
    let _lock = Lock::of(SINGLE)?;
    link.apply()?;
    let outcome = copies
        .iter()
        .try_for_each(|(end, copies)| mirror(&places, end, copies));
    if let Err(error) = outcome {
        let undone = link.remove();
        return Err(match undone {
            Ok(_) => error,
            Err(residue) => error.context(format!("and the link stays: {residue}")),
        });
    }
    Ok(())
}

fn mirror(places: &Places, end: &Endpoint, copies: &Copies) -> Result<()> {
    let mirror = Mirror {
        place: places.get(&end.at),
        from: copies.from.clone(),
        to: end.interface.name.clone(),
        direction: copies.direction,
    };
    Ok(mirror.add()?)
}

/// Options in the manner of getopt: `-n VALUE`, `-nVALUE`.
fn parse(arguments: &[String]) -> Result<Wish> {
    let (mut made, mut removed, mut outsides) = (Vec::new(), Vec::new(), Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut letters = argument.chars();
        let (Some('-'), Some(letter)) = (letters.next(), letters.next()) else {
            bail!("\"{}\" is no option; see koko -h", argument.escape_debug());
        };
        match letter {
            'h' => return Ok(Wish::Help),
            'v' => return Ok(Wish::Version),
            _ => {}
        }
        ensure!(
            "acdenpACDENPxXVM".contains(letter),
            "there is no option -{}; see koko -h",
            letter.escape_debug()
        );
        let rest = letters.as_str();
        let value = match rest {
            "" => arguments.next().map(String::as_str),
            rest => Some(rest),
        };
        let value =
            value.with_context(|| format!("option -{letter} lacks its value; see koko -h"))?;
        let parsed =
            |what: Result<()>| what.with_context(|| format!("-{letter} {}", value.escape_debug()));
        parsed(match letter {
            'x' | 'X' => vxlan(value).map(|it| outsides.push(it)),
            'V' => vlan(value).map(|it| outsides.push((it, None))),
            'M' => macvlan(value).map(|it| outsides.push((it, None))),
            'A'..='Z' => end(letter.to_ascii_lowercase(), value).map(|it| removed.push(it)),
            _ => end(letter, value).map(|it| made.push(it)),
        })?;
    }
    wish(made, removed, outsides)
}

fn wish(
    mut made: Vec<KokoEnd>,
    removed: Vec<KokoEnd>,
    mut outsides: Vec<(Outside, Option<u32>)>,
) -> Result<Wish> {
    if !removed.is_empty() {
        ensure!(
            made.is_empty() && outsides.is_empty(),
            "either make a link or remove links; these options ask for both"
        );
        return Ok(Wish::Remove(removed));
    }
    match (made.len(), outsides.len()) {
        (2, 0) => Ok(Wish::Make(made, None)),
        (1, 1) => {
            let (outside, mtu) = outsides.remove(0);
            made[0].endpoint.interface.mtu = mtu;
            Ok(Wish::Make(made, Some(outside)))
        }
        (0, _) => bail!("no end is named; see koko -h"),
        (1, 0) => bail!("one end alone is no link; name another, or -x, -V or -M"),
        (_, 0) => bail!("a link has two ends, not {}", made.len()),
        (1, _) => bail!("an end leads outside one way: one of -x, -V and -M"),
        _ => bail!("two ends are a veth, and -x, -V and -M are for one end; leave either out"),
    }
}

/// Reads `PLACE,INTERFACE[,ADDRESS…][,mirror:…]`; of `-c` there is no place.
fn end(letter: char, value: &str) -> Result<KokoEnd> {
    let mut parts = value.split(',').peekable();
    let mut next = |what: &str| {
        let part = parts.next().filter(|part| !part.is_empty());
        part.with_context(|| format!("it lacks the {what}"))
    };
    let at = match letter {
        'd' => At::parse(&format!("docker:{}", next("container")?))?,
        'n' => At::parse(&format!("ns:{}", next("namespace")?))?,
        'a' => At::Path(next("path")?.into()),
        'p' => At::parse(&format!("pid:{}", next("process")?))?,
        'e' => At::parse(&format!("crio:{}", next("container")?))?,
        _ => At::Host,
    };
    let name = next("name of the interface, behind a comma")?.to_owned();
    let mut interface = Interface {
        name,
        ..Interface::default()
    };
    let mut copies = None;
    while let Some(part) = parts.next() {
        if let Some(words) = part.strip_prefix("mirror:") {
            // koko's README writes a comma where the program wants a colon.
            let (direction, from) = match words.split_once(':') {
                Some((direction, from)) => (direction, Some(from)),
                None => (words, parts.next()),
            };
            let from = from.filter(|from| !from.is_empty());
            let from = from.with_context(|| format!("{part} lacks the interface to mirror"))?;
            let copy = Copies {
                direction: to_direction(direction)?,
                from: from.to_owned(),
            };
            ensure!(copies.replace(copy).is_none(), "an end has one mirror");
        } else {
            interface.addresses.push(net("address", part)?);
        }
    }
    ensure!(
        interface.addresses.len() <= ADDRESSES,
        "an end has at most {ADDRESSES} addresses here; `netloom link` takes more"
    );
    Ok(KokoEnd {
        endpoint: Endpoint { at, interface },
        copies,
    })
}

fn to_direction(word: &str) -> Result<Direction> {
    Ok(match word {
        "ingress" => Direction::Ingress,
        "egress" => Direction::Egress,
        "both" => Direction::Both,
        _ => bail!(
            "mirror \"{}\" is none; it is ingress, egress or both",
            word.escape_debug()
        ),
    })
}

/// As many parts as there are names.
fn parts<'v, const N: usize>(value: &'v str, names: [&str; N]) -> Result<[&'v str; N]> {
    let parts: Vec<&str> = value.splitn(N, ',').collect();
    match <[&str; N]>::try_from(parts) {
        Ok(parts) if parts.iter().all(|part| !part.is_empty()) => Ok(parts),
        _ => bail!("it is {}", names.join(",")),
    }
}

/// The tunnel, and its MTU if that is told.
fn vxlan(value: &str) -> Result<(Outside, Option<u32>)> {
    let [parent, remote, rest] = parts(value, ["PARENT", "REMOTE", "VNI[,port=N][,mtu=N]"])?;
    let mut rest = rest.split(',');
    let vni = number("VNI", rest.next().unwrap_or_default(), 1, 0xff_ffff)?;
    let remote = remote.parse().ok();
    let remote = remote.context("REMOTE is no IP address")?;
    let mut vxlan = Vxlan {
        learning: true,
        device: Some(parent.to_owned()),
        ..Vxlan::to(remote, vni)
    };
    let mut mtu = None;
    for option in rest {
        match option.split_once('=') {
            Some(("port", port)) => vxlan.port = number("port", port, 1, 65535)? as u16,
            Some(("mtu", value)) => mtu = Some(number("mtu", value, 68, 65535)?),
            _ => bail!(
                "there is no option \"{}\"; there are port=N and mtu=N",
                option.escape_debug()
            ),
        }
    }
    Ok((Outside::Vxlan(vxlan), mtu))
}

fn vlan(value: &str) -> Result<Outside> {
    let [parent, id] = parts(value, ["PARENT", "ID"])?;
    let id = number("ID", id, 1, 4094)? as u16;
    Ok(Outside::Vlan {
        parent: parent.to_owned(),
        id,
    })
}

fn macvlan(value: &str) -> Result<Outside> {
    let [parent, mode] = parts(value, ["PARENT", "MODE"])?;
    let mode = match mode {
        // The kernel's default.
        "default" => MacvlanMode::Vepa,
        mode => super::endpoint::macvlan_mode(mode)?,
    };
    Ok(Outside::Macvlan {
        parent: parent.to_owned(),
        mode,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_command_lines_of_the_readme_are_understood() {
        for (line, ends) in [
            (
                "-d centos1,link1,192.168.1.1/24 -d centos2,link2,192.168.1.2/24",
                2,
            ),
            ("-d centos1,link1 -d centos2,link2", 2),
            ("-n testns1,test1,10.0.0.1/24,fd00::1/64 -d c,link2", 2),
            ("-c link3,192.168.1.1/24 -d centos2,link4,192.168.1.2/24", 2),
            ("-d c,link1,192.168.1.1/24 -x eth1,10.1.1.1,1", 1),
            ("-d c,link1,192.168.1.1/24 -X eth1,10.1.1.1,1", 1),
            (
                "-n b,in1,10.0.0.1/24 -x eth1,10.1.1.1,1,port=8472,mtu=1400",
                1,
            ),
            ("-nb,in1 -V eth1,7", 1),
            ("-p 4711,in1 -M eth1,bridge", 1),
            ("-n b,in1,mirror:both:eth0 -n r,in2", 2),
            ("-n b,in1,mirror:both,eth0,10.0.0.1/24 -n r,in2", 2),
        ] {
            match parse(&words(line)).unwrap() {
                Wish::Make(made, outside) => {
                    assert_eq!(made.len(), ends, "{line}");
                    assert_eq!(outside.is_some(), ends == 1, "{line}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
        assert!(
            matches!(parse(&words("-N b,in1 -C l")).unwrap(), Wish::Remove(ends) if ends.len() == 2)
        );
        assert_eq!(parse(&words("-h")).unwrap(), Wish::Help);
        assert_eq!(parse(&words("-v")).unwrap(), Wish::Version);
    }

    #[test]
    fn what_koko_ignored_or_died_of_is_an_error() {
        for (line, expected) in [
            ("", "no end is named"),
            ("-n blue", "lacks the name of the interface"),
            ("-n blue, -n red,b", "lacks the name of the interface"),
            ("-n", "lacks its value"),
            ("-n blue,in1", "one end alone"),
            ("-n a,b -n c,d -n e,f", "two ends, not 3"),
            ("-n a,b -n c,d -V eth0,7", "for one end"),
            ("-n a,b -n c,d -M eth0,bridge", "for one end"),
            ("-n a,b -V eth0,7 -M eth0,bridge", "one way"),
            ("-n a,b -x eth0,10.0.0.1,5,port=x", "port \"x\""),
            ("-n a,b -x eth0,10.0.0.1,5,mtu=big", "mtu \"big\""),
            ("-n a,b -x eth0,10.0.0.1", "PARENT,REMOTE,VNI"),
            ("-n a,b -x eth0,host,5", "no IP address"),
            ("-n a,b -M eth0,fast", "mode \"fast\""),
            ("-n a,b -V eth0,4095", "from 1 to 4094"),
            ("-n a,b,10.0.0.1 -n c,d", "prefix length"),
            ("-n a,b,1.0.0.1/8,2.0.0.1/8,3.0.0.1/8 -n c,d", "at most 2"),
            ("-n a,b,mirror:some:eth0 -n c,d", "ingress, egress or both"),
            ("-n a,b,mirror:both -n c,d", "lacks the interface"),
            ("-n a,b -N c,d", "ask for both"),
            ("-z a", "no option -z"),
            ("a", "is no option"),
        ] {
            let error = format!("{:#}", parse(&words(line)).unwrap_err());
            assert!(error.contains(expected), "{line}: {error}");
        }
    }
}
