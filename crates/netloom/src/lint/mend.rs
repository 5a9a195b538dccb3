//! What was probably meant by a value that is refused.

use serde_json::Value;

use crate::near::nearest;

/// The value to write in its place, where there is little doubt.
pub(crate) fn mend(value: &Value, message: &str) -> Option<Value> {
    let expects = |what: &str| message.contains(&format!("expected {what}"));
    match value {
        Value::String(text) if expects("true or false") => flag(text),
        Value::Number(number) if expects("true or false") => match number.as_u64()? {
            0 => Some(false.into()),
            1 => Some(true.into()),
            _ => None,
        },
        Value::String(text) if expects("an integer") => {
            Some(text.trim().parse::<i64>().ok()?.into())
        }
        Value::String(_) if expects("an array") => Some(Value::Array(vec![value.clone()])),
        Value::Number(_) | Value::Bool(_) if expects("a string") => Some(value.to_string().into()),
        Value::String(text) => word(text, message),
        _ => None,
    }
}

fn flag(text: &str) -> Option<Value> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true.into()),
        "false" | "no" | "off" | "0" => Some(false.into()),
        _ => None,
    }
}

/// The nearest of the words that the message offers behind the refused one.
fn word(text: &str, message: &str) -> Option<Value> {
    let quoted = message.split('"').skip(1).step_by(2);
    let listed = message.split_once("must be one of ").map(|(_, list)| list);
    let listed = listed.unwrap_or_default().trim_end_matches(')').split(", ");
    let near = nearest(text, quoted.chain(listed))?;
    // "type" names a plugin and keys are quoted too: only a list of choices offers words.
    let is_choice = ["expected one of", "must be"]
        .iter()
        .any(|it| message.contains(it));
    is_choice.then(|| near.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_near_is_mended_and_nothing_else() {
        for (value, message, mended) in [
            (
                json!("yes"),
                "isGateway: expected true or false, got …",
                Some(json!(true)),
            ),
            (
                json!("maybe"),
                "isGateway: expected true or false, got …",
                None,
            ),
            (
                json!("110"),
                "vlan: expected an integer from 1 to 2",
                Some(json!(110)),
            ),
            (json!("1x"), "vlan: expected an integer from 1 to 2", None),
            (
                json!(1),
                "bridge: expected a string, got 1",
                Some(json!("1")),
            ),
            (json!("a"), "search: expected an array", Some(json!(["a"]))),
            (
                json!("iptable"),
                "backend \"iptable\" (backend must be \"iptables\" or \"nftables\")",
                Some(json!("iptables")),
            ),
            (
                json!("pf"),
                "backend \"pf\" (backend must be \"iptables\" or \"nftables\")",
                None,
            ),
            (
                json!("brigde"),
                "unknown macvlan mode: \"brigde\" (must be one of bridge, private)",
                Some(json!("bridge")),
            ),
            (json!(7), "invalid mtu 7", None),
        ] {
            assert_eq!(mend(&value, message), mended, "{message}");
        }
    }
}
