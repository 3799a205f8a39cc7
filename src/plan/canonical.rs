//! Canonical bytes: the one text form of a value that is hashed.
//!
//! JSON without blanks, keys sorted bytewise, numbers as decimal strings. Written here and not by `serde_json::to_vec`, because
//! whether serde's map is sorted hangs on a feature (`preserve_order`) that any dependency may switch on: every key would change
//! without a line of ours. Invariant: equal values give equal bytes, different values different bytes; no float gets in.

use serde::Serialize;
use serde_json::Value as Json;

use crate::model::digest::Digest;
use crate::plan::inputs::{Entry, Tree};

/// The canonical bytes of `value`.
///
/// # Panics
/// When the value cannot be JSON (a map whose keys are no strings, a float); our own types are made so that they can.
pub fn bytes(value: &impl Serialize) -> Vec<u8> {
    let json = serde_json::to_value(value).expect("what is hashed is always JSON");
    let mut out = Vec::new();
    write(&json, &mut out);
    out
}

/// The digest of the canonical bytes.
pub fn digest(value: &impl Serialize) -> Digest {
    Digest::of(&bytes(value))
}

/// [`digest`] of a tree, without a `serde_json` value for each of its entries: 50 stages × 10,000 files are digested at each plan.
/// A test holds that the bytes are the same.
pub fn tree_digest(tree: &Tree) -> Digest {
    Digest::of(&tree_bytes(tree))
}

fn tree_bytes(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::with_capacity(tree.len() * 160 + 2);
    out.push(b'{');
    for (n, (name, entry)) in tree.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        text(name, &mut out);
        out.push(b':');
        match entry {
            Entry::File { digest, executable, mode } => {
                out.extend_from_slice(b"{\"digest\":\"");
                out.extend_from_slice(&digest.text());
                out.extend_from_slice(if *executable { b"\",\"executable\":true" } else { b"\",\"executable\":false" });
                out.extend_from_slice(b",\"kind\":\"file\"");
                if let Some(mode) = mode {
                    out.extend_from_slice(format!(",\"mode\":\"{mode}\"").as_bytes());
                }
                out.push(b'}');
            }
            // Few; not worth a second writer.
            Entry::Link { .. } | Entry::Special { .. } | Entry::EmptyFolder | Entry::Absent => out.extend_from_slice(&bytes(entry)),
        }
    }
    out.push(b'}');
    out
}

fn write(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(number) => {
            assert!(!number.is_f64(), "a float has no one decimal form; numbers of the pipeline are strings by now");
            text(&number.to_string(), out);
        }
        Json::String(string) => text(string, out),
        Json::Array(items) => {
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
            out.push(b'{');
            for (n, (key, value)) in entries.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                text(key, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

/// JSON's own escapes; serde's choice of them is fixed (short forms, else `\u00xx`, no others).
fn text(string: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, string).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_numbers_are_text_and_lists_keep_their_order() {
        let value: Json = serde_json::from_str(r#"{ "b": [2, 1], "a": {"ü": null, "z": true, "Z": "x\"\n" }, "": 10 }"#).unwrap();
        assert_eq!(String::from_utf8(bytes(&value)).unwrap(), r#"{"":"10","a":{"Z":"x\"\n","z":true,"ü":null},"b":["2","1"]}"#);
    }

    #[test]
    fn a_tree_has_the_same_bytes_by_either_way() {
        let digest = Digest::of(b"x");
        let tree = Tree::from([
            (String::new(), Entry::Absent),
            ("a\"b\n\\xff ü".to_owned(), Entry::File { digest, executable: true, mode: None }),
            ("b".to_owned(), Entry::File { digest, executable: false, mode: Some(0o644) }),
            ("c".to_owned(), Entry::Link { target: "../b".to_owned(), content: Some(digest), executable: false }),
            ("d".to_owned(), Entry::Link { target: "none".to_owned(), content: None, executable: false }),
            ("e/f".to_owned(), Entry::EmptyFolder),
        ]);
        for tree in [tree, Tree::new()] {
            assert_eq!(String::from_utf8(tree_bytes(&tree)).unwrap(), String::from_utf8(bytes(&tree)).unwrap());
        }
    }

    #[test]
    fn no_value_can_look_like_another_by_its_delimiters() {
        let texts = [
            json!(["ab", "c"]),
            json!(["a", "bc"]),
            json!(["ab,c"]),
            json!(["ab\",\"c"]),
            json!({ "a": "b" }),
            json!({ "a\":\"b": "" }),
            json!([["a"], "b"]),
            json!([["a", "b"]]),
            json!([]),
            json!([""]),
            json!([null]),
            json!({}),
        ];
        let all: std::collections::BTreeSet<_> = texts.iter().map(bytes).collect();
        assert_eq!(all.len(), texts.len());
    }
}
