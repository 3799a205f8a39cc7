//! The blocks `pipeline`, `tools`, `builder`, `secret`, and the rules for tags and durations.
//!
//! Invariant: tags that leave here are ones that EC2 takes beside our own.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::config::context::{At, Cx, Table};
use crate::config::paths::{PathError, normalise};
use crate::config::pipeline::{Builder, Secret, StateLocation, Tool};
use crate::config::scope::Allow;
use crate::model::artifact::tags;
use crate::model::constraint::Constraint;
use crate::model::name::Name;
use crate::model::problem::Problem;
use crate::model::value::Value;

/// EC2 takes 50 tags; 12 are ours (`model::artifact::tags` and `Name`).
const MAX_TAGS: usize = 38;

/// The `pipeline` block.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) name: Name,
    pub(super) region: String,
    pub(super) regions: Vec<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) state: StateLocation,
}

/// Reads the `pipeline` block. `dir` is the pipeline file's folder.
pub(super) fn head(cx: &mut Cx, table: &Table<'_>, dir: &Path) -> Option<Head> {
    let name = cx.name(table);
    let region = cx.string(table, "region").and_then(|found| region(cx, found));
    let mut regions: Vec<String> = Vec::new();
    for found in cx.strings(table, "regions") {
        let span = found.span.clone();
        if let Some(one) = self::region(cx, found) {
            if regions.contains(&one) {
                cx.error(span, format!("region `{one}` is in the list twice"), "", None);
            } else if Some(&one) != region.as_ref() {
                regions.push(one);
            }
        }
    }
    let tags = tags_of(cx, table);
    let state = match cx.string(table, "state") {
        Some(found) => state(cx, &found, dir),
        None => Some(StateLocation::Folder(dir.join(".ovenbird/state"))),
    };
    Some(Head { name: name?, region: region?, regions, tags, state: state? })
}

fn region(cx: &mut Cx, found: At<String>) -> Option<String> {
    let text = &found.value;
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let fits = parts.len() >= 3
        && parts[..parts.len() - 1].iter().all(|part| letters(part))
        && parts[parts.len() - 1].bytes().all(|b| b.is_ascii_digit())
        && !parts[parts.len() - 1].is_empty();
    if fits {
        return Some(found.value);
    }
    let zone = text.strip_suffix(|c: char| c.is_ascii_lowercase()).filter(|rest| rest.ends_with(|c: char| c.is_ascii_digit()));
    let help = zone
        .map_or_else(|| "a region is `ap-northeast-1` or the like".to_owned(), |rest| format!("that is a zone; its region is `{rest}`"));
    cx.error(found.span, format!("`{}` is not a region", text.escape_debug()), "", Some(help));
    None
}

fn state(cx: &mut Cx, found: &At<String>, dir: &Path) -> Option<StateLocation> {
    if let Some(rest) = found.value.strip_prefix("s3://") {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'));
        if !fits {
            cx.error(
                found.span.clone(),
                format!("`{}` is not a bucket's name", bucket.escape_debug()),
                "",
                Some("write `s3://BUCKET/PREFIX`".to_owned()),
            );
            return None;
        }
        return Some(StateLocation::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() });
    }
    if let Some((scheme, _)) = found.value.split_once("://") {
        cx.error(
            found.span.clone(),
            format!("`{scheme}` is not a place for the state"),
            "",
            Some("a folder, or `s3://BUCKET/PREFIX`".to_owned()),
        );
        return None;
    }
    // An absolute folder is right here: the state is shared between checkouts and never in a key.
    let found_folder =
        if found.value.is_empty() { Err(PathError::Empty) } else { normalise(&dir.join(&found.value)).ok_or(PathError::Empty) };
    cx.path_or_problem(found, found_folder).map(StateLocation::Folder)
}

/// The `root` attribute, absolute.
pub(super) fn root(cx: &mut Cx, table: &Table<'_>, dir: &Path) -> Option<PathBuf> {
    let found = cx.string(table, "root")?;
    let root = normalise(&dir.join(&found.value))?;
    if found.value.is_empty() || !root.is_dir() {
        cx.error(
            found.span,
            format!("there is no folder `{}`", found.value),
            "",
            Some("`root` is relative to the pipeline file's folder".to_owned()),
        );
        return None;
    }
    if !dir.starts_with(&root) {
        cx.error(
            found.span,
            format!("the root `{}` does not hold the pipeline file", root.display()),
            "",
            Some("`root` is a folder above the pipeline file: `.`, `..`, `../..`".to_owned()),
        );
        return None;
    }
    Some(root)
}

/// The `tags` attribute, checked by EC2's rules.
pub(super) fn tags_of(cx: &mut Cx, table: &Table<'_>) -> BTreeMap<String, String> {
    let found = cx.string_map(table, "tags");
    if found.len() > MAX_TAGS {
        cx.error(
            table.key_span("tags"),
            format!("{} tags, at most {MAX_TAGS} fit", found.len()),
            "",
            Some("EC2 takes 50 on a resource, the others are ovenbird's".to_owned()),
        );
    }
    let mut tags = BTreeMap::new();
    for (key, At { value, span }) in found {
        match tag_problem(&key, &value) {
            Some((summary, help)) => cx.error(span, summary, "", help.map(str::to_owned)),
            None => {
                tags.insert(key, value);
            }
        }
    }
    tags
}

fn tag_problem(key: &str, value: &str) -> Option<(String, Option<&'static str>)> {
    let (key_length, value_length) = (key.encode_utf16().count(), value.encode_utf16().count());
    let lower = key.to_ascii_lowercase();
    if key.is_empty() {
        Some(("tag key is empty".to_owned(), None))
    } else if key_length > 128 {
        Some((format!("tag key has {key_length} characters, EC2 takes at most 128"), None))
    } else if value_length > 256 {
        Some((format!("tag value has {value_length} characters, EC2 takes at most 256"), None))
    } else if lower.starts_with("aws:") {
        Some((format!("tag key `{key}` starts with `aws:`"), Some("EC2 keeps that prefix for itself")))
    } else if lower.starts_with(tags::PREFIX) {
        Some((
            format!("tag key `{key}` starts with `{}`", tags::PREFIX),
            Some("ovenbird finds images by tags with that prefix and writes them itself"),
        ))
    } else if key.chars().chain(value.chars()).any(char::is_control) {
        Some((format!("tag `{}` has a control character in it", key.escape_debug()), None))
    } else {
        None
    }
}

/// The `tools` block; without one, a warning.
pub(super) fn tools(cx: &mut Cx, file: &Table<'_>, head: Range<usize>) -> BTreeMap<Tool, String> {
    let mut tools = BTreeMap::new();
    let Some(table) = cx.block(file, "tools") else {
        cx.problems.push(
            Problem::warning("no `tools` block: the versions of Packer and Ansible are not in the key")
                .at(&cx.source, head, "")
                .help("add a block `tools` with `packer = \"~> 1.15\"` and `ansible_core = \"~> 2.19.0\"`"),
        );
        return tools;
    };
    for (tool, name) in Tool::ALL {
        let Some(found) = cx.string(&table, name) else { continue };
        match found.value.parse::<Constraint>() {
            Ok(_) => {
                tools.insert(tool, found.value);
            }
            Err(error) => cx.error(found.span, error.to_string(), "", None),
        }
    }
    tools
}

/// A `builder` block's values over `under`.
pub(super) fn builder(cx: &mut Cx, parent: &Table<'_>, under: &Builder) -> Builder {
    let mut builder = under.clone();
    let Some(table) = cx.block(parent, "builder") else { return builder };
    for (name, _, _) in table.attributes() {
        if let Some(found) = known_value(cx, &table, name) {
            if name == "ssh_interface" {
                one_of(cx, name, &found, &["public_ip", "private_ip", "public_dns", "private_dns", "session_manager"]);
            }
            builder.values.insert(name.to_owned(), found.value);
        }
    }
    builder
}

/// The value of an attribute of a block whose attributes are a table of kinds; unknown ones are reported already.
pub(super) fn known_value(cx: &mut Cx, table: &Table<'_>, name: &str) -> Option<At<Value>> {
    if !table.takes(name) {
        return None;
    }
    let found = cx.value(table, name, Allow::Literals)?;
    if let Value::Number(number) = &found.value
        && number.parse::<u32>().is_err()
    {
        cx.error(found.span, format!("`{name}` takes a whole number, here is `{number}`"), "", None);
        return None;
    }
    Some(found)
}

/// Reports a string that is none of `allowed`.
pub(super) fn one_of(cx: &mut Cx, name: &str, found: &At<Value>, allowed: &[&str]) {
    if let Value::String(text) = &found.value
        && !allowed.contains(&text.as_str())
    {
        let help =
            crate::config::words::meant(text, allowed).unwrap_or_else(|| format!("it takes {}", crate::config::words::listed(allowed)));
        cx.error(found.span.clone(), format!("`{name}` does not take `{}`", text.escape_debug()), "", Some(help));
    }
}

/// The `secret` blocks. Their names are declared already.
pub(super) fn secrets(cx: &mut Cx, tables: &[Table<'_>]) -> BTreeMap<Name, Secret> {
    let mut secrets = BTreeMap::new();
    for table in tables {
        let env = cx.string(table, "env").and_then(|found| {
            let fits = found.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && found.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !fits {
                // The text may be the secret itself, put here by mistake: a place without width is printed without its line.
                let place = found.span.start..found.span.start;
                cx.error(
                    place,
                    "`env` takes the name of an environment variable",
                    "",
                    Some("the value itself must not stand in this file".to_owned()),
                );
            }
            fits.then_some(found.value)
        });
        let version = cx.string(table, "version");
        if let (Ok(name), Some(env), Some(version)) = (Name::new(&table.label().value), env, version) {
            if version.value.trim().is_empty() {
                cx.error(
                    version.span,
                    "`version` is empty",
                    "",
                    Some("it stands in the key for the value: raise it when the value changes".to_owned()),
                );
            }
            secrets.insert(name, Secret { env, version: version.value, span: table.head.clone() });
        }
    }
    secrets
}

/// Seconds of a duration: `90s`, `15m`, `1h30m`, `7d`, `1w`.
pub(super) fn duration(text: &str) -> Option<u64> {
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..end].parse().ok()?;
        let unit = match rest[end..].chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        seconds = seconds.checked_add(count.checked_mul(unit)?)?;
        rest = &rest[end + 1..];
    }
    (seconds > 0).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90s", Some(90)),
            ("1h30m", Some(5400)),
            ("7d", Some(604_800)),
            ("1w", Some(604_800)),
            ("", None),
            ("7", None),
            ("d", None),
            ("0s", None),
            ("7x", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(duration(text), seconds, "{text}");
        }
    }

    #[test]
    fn ec2_decides_what_a_tag_may_be() {
        assert_eq!(tag_problem("Team", "プラットフォーム"), None);
        for (key, value) in [
            ("", "x"),
            ("aws:x", "x"),
            ("AWS:x", "x"),
            ("Ovenbird:key", "x"),
            (&*"k".repeat(129), "x"),
            ("k", &*"v".repeat(257)),
            ("k", "a\nb"),
        ] {
            assert!(tag_problem(key, value).is_some(), "{key} {value}");
        }
    }
}
