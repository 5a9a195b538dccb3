//! The resolver configuration of `resolvConf`, see resolv.conf(5).

use netloom_spec::Dns;

/// The settings of a resolver configuration file.
///
/// `search` and `options` add up over several lines, the last `domain` counts. Comments, lines
/// without a value and unknown keywords are ignored.
pub(crate) fn parse(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        let mut fields = line.split_whitespace();
        let keyword = fields.next();
        let values: Vec<String> = fields.map(str::to_owned).collect();
        let Some(first) = values.first() else {
            continue;
        };
        match keyword {
            Some("nameserver") => dns.nameservers.push(first.clone()),
            Some("domain") => dns.domain = first.clone(),
            Some("search") => dns.search.extend(values),
            Some("options") => dns.options.extend(values),
            _ => {}
        }
    }
    dns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keyword_is_read_by_its_own_rule() {
        let dns = parse(
            "# nameserver 192.0.2.9\n; comment\n\nnameserver 192.0.2.1 ignored\n\
             nameserver\t192.0.2.2\r\ndomain a.example\n  domain b.example\nsearch one two\n\
             search three\noptions ndots:2 rotate\noptions\nnameserver\nsortlist 192.0.2.0\n",
        );
        assert_eq!(dns.nameservers, ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(dns.domain, "b.example");
        assert_eq!(dns.search, ["one", "two", "three"]);
        assert_eq!(dns.options, ["ndots:2", "rotate"]);
    }

    #[test]
    fn an_empty_file_gives_no_settings() {
        assert!(parse("").is_empty());
    }
}
