//! What was asked of a document while it was decoded: for programs that tell a person which keys are
//! known, and where a value is wrong. Nothing is noted unless somebody asks.

use std::cell::Cell;
use std::mem::ManuallyDrop;

use super::step::{Step, steps};

thread_local! {
    /// Nothing is to be dropped with a thread, as `traced` takes it back: the destructor alone would cost every start
    /// of a plugin six system calls. One word, so that what threads own fits where musl needs no memory for it.
    static CURRENT: ManuallyDrop<Cell<Option<Box<Tracer>>>> =
        const { ManuallyDrop::new(Cell::new(None)) };
}

#[derive(Default)]
struct Tracer {
    place: Vec<Step>,
    seen: Trace,
}

/// What was decoded. Paths begin at the value that the decoder was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The objects that were read as structs, and the names of their fields. `"*"` among these
    /// receives every other key. An object that was read as several structs is there several times.
    pub fields: Vec<(Vec<Step>, Vec<&'static str>)>,
    /// The path of the last value that could not be decoded.
    pub fault: Option<Vec<Step>>,
}

/// Does `work` and notes what this thread decodes meanwhile. Not to be nested: what an inner call
/// notes, the outer one misses.
pub fn traced<T>(work: impl FnOnce() -> T) -> (T, Trace) {
    let before = CURRENT.with(|current| current.replace(Some(Box::default())));
    let outcome = work();
    let tracer = CURRENT
        .with(|current| current.replace(before))
        .unwrap_or_default();
    (outcome, tracer.seen)
}

fn note(work: impl FnOnce(&mut Tracer)) {
    CURRENT.with(|current| {
        if let Some(mut tracer) = current.take() {
            work(&mut tracer);
            current.set(Some(tracer));
        }
    });
}

pub(super) fn saw_fields(fields: &'static [&'static str]) {
    note(|tracer| {
        tracer
            .seen
            .fields
            .push((tracer.place.clone(), fields.to_vec()))
    });
}

/// Notes that a key is looked up by itself in the object at `place`, for readers that decode no struct.
/// The place is written as errors have it: `links[0]`; empty is the whole value.
pub fn saw_key(place: &str, key: &'static str) {
    note(|tracer| tracer.seen.fields.push((steps(place), vec![key])));
}

/// Does `work` one step further inside.
pub(super) fn inside<T>(step: impl FnOnce() -> Step, work: impl FnOnce() -> T) -> T {
    note(|tracer| tracer.place.push(step()));
    let outcome = work();
    note(|tracer| drop(tracer.place.pop()));
    outcome
}

/// Takes the path of a fault, innermost step first.
pub(super) fn failed(path: Vec<Step>) {
    note(|tracer| tracer.seen.fault = Some(path.into_iter().rev().collect()));
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::decode::from_value;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Outer {
        list: Vec<Inner>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Inner {
        number: i64,
    }

    #[test]
    fn the_fields_of_every_struct_and_the_place_of_the_fault_are_noted() {
        let value = json!({"List": [{"number": 1}, {"number": "x"}]});
        let (outcome, trace) = traced(|| from_value::<Outer>(&value));
        let _ = outcome.unwrap_err();
        let key = |name: &str| Step::Key(name.to_owned());
        let element = |index| vec![key("List"), Step::Index(index)];
        assert_eq!(
            trace.fields,
            [
                (vec![], vec!["list"]),
                (element(0), vec!["number"]),
                (element(1), vec!["number"]),
            ]
        );
        let fault = [element(1), vec![key("number")]].concat();
        assert_eq!(trace.fault, Some(fault));
    }

    #[test]
    fn a_key_that_is_looked_up_by_itself_is_noted_at_its_place() {
        let ((), trace) = traced(|| saw_key("links[12].routes", "dst"));
        let key = |name: &str| Step::Key(name.to_owned());
        let place = vec![key("links"), Step::Index(12), key("routes")];
        assert_eq!(trace.fields, [(place, vec!["dst"])]);
    }

    #[test]
    fn nothing_is_noted_outside() {
        let (_, trace) = traced(|| ());
        from_value::<Outer>(&json!({})).unwrap();
        assert_eq!(trace, Trace::default());
    }
}
