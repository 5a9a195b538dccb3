//! What is wrong before any plugin looks at keys of its own.

use serde_json::json;

use crate::Case;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = documents();
    cases.extend(environment());
    cases.extend(commands());
    cases
}

fn documents() -> Vec<Case> {
    vec![
        Case::stdin("empty stdin", "", 6, &["JSON"]),
        Case::stdin(
            "broken JSON",
            "{\"cniVersion\": \"1.1.0\", ",
            6,
            &["JSON", "column 24"],
        ),
        Case::stdin(
            "JSON that is no object",
            "[1, 2]",
            6,
            &["a JSON object", "array"],
        ),
        Case::stdin("two documents", "{\"name\": \"net\"} {}", 6, &["trailing"]),
        Case::bridge(
            "no network name",
            json!({"/name": null}),
            7,
            &["missing network name"],
        ),
        Case::bridge(
            "an empty network name",
            json!({"/name": ""}),
            7,
            &["missing network name"],
        ),
        Case::bridge(
            "a network name with a slash",
            json!({"/name": "a/b"}),
            7,
            &["network name", "a/b"],
        ),
        Case::bridge(
            "a network name that is a number",
            json!({"/name": 7}),
            6,
            &["name", "7"],
        ),
        Case::bridge(
            "an unknown version",
            json!({"/cniVersion": "9.9.9"}),
            1,
            &["incompatible CNI versions", "9.9.9", "1.1.0"],
        ),
        Case::bridge(
            "a version that is no version",
            json!({"/cniVersion": "latest"}),
            1,
            &["latest", "1.1.0"],
        ),
        Case::bridge(
            "a version that is a number",
            json!({"/cniVersion": 1}),
            6,
            &["cniVersion", "1"],
        ),
    ]
}

fn environment() -> Vec<Case> {
    let three = json!({"CNI_CONTAINERID": null, "CNI_NETNS": null, "CNI_IFNAME": null});
    vec![
        Case::variables(
            "an unknown command",
            json!({"CNI_COMMAND": "FROB"}),
            4,
            &["CNI_COMMAND", "FROB"],
        ),
        Case::variables(
            "no container id",
            json!({"CNI_CONTAINERID": null}),
            4,
            &["CNI_CONTAINERID"],
        ),
        Case::variables("no netns", json!({"CNI_NETNS": null}), 4, &["CNI_NETNS"]),
        Case::variables(
            "no interface name",
            json!({"CNI_IFNAME": null}),
            4,
            &["CNI_IFNAME"],
        ),
        Case::variables("no path", json!({"CNI_PATH": null}), 4, &["CNI_PATH"]),
        Case::variables(
            "three missing variables",
            three,
            4,
            &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
        ),
        Case::variables(
            "an id with a slash",
            json!({"CNI_CONTAINERID": "../../etc"}),
            4,
            &["containerID", "../../etc"],
        ),
        Case::variables(
            "an id that begins with a dash",
            json!({"CNI_CONTAINERID": "-x"}),
            4,
            &["containerID", "-x"],
        ),
        Case::variables(
            "an interface name of 16 bytes",
            json!({"CNI_IFNAME": "a123456789012345"}),
            4,
            &["interface name", "a123456789012345", "16"],
        ),
        Case::variables(
            "an interface name with a slash",
            json!({"CNI_IFNAME": "a/b"}),
            4,
            &["interface name", "a/b"],
        ),
        Case::variables(
            "an interface name with a blank",
            json!({"CNI_IFNAME": "a b"}),
            4,
            &["interface name", "a b"],
        ),
        Case::variables(
            "an interface name that the kernel would number",
            json!({"CNI_IFNAME": "eth%d"}),
            4,
            &["interface name", "%", "eth%d"],
        ),
        Case::variables(
            "an interface called ..",
            json!({"CNI_IFNAME": ".."}),
            4,
            &["interface name", ".."],
        ),
    ]
}

fn commands() -> Vec<Case> {
    let old = |version| json!({"/cniVersion": version});
    let other = json!({"/prevResult": {"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.2/24"}}});
    vec![
        Case::bridge(
            "CHECK without a previous result",
            json!({}),
            7,
            &["prevResult"],
        )
        .of("CHECK"),
        Case::bridge(
            "a previous result of another family",
            other,
            6,
            &["prevResult", "0.2.0"],
        )
        .of("CHECK"),
        Case::bridge(
            "CHECK in a version that has none",
            old("0.3.1"),
            1,
            &["does not allow CHECK"],
        )
        .of("CHECK"),
        Case::bridge(
            "GC in a version that has none",
            old("1.0.0"),
            1,
            &["does not allow GC"],
        )
        .of("GC"),
        Case::bridge(
            "STATUS in a version that has none",
            old("0.4.0"),
            1,
            &["does not allow STATUS"],
        )
        .of("STATUS"),
    ]
}
