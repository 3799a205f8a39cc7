//! The `source` blocks: images that we did not make.
//!
//! Invariant: a source has at least one AMI query, and each of its queries says exactly one way to find the AMI.

use std::collections::BTreeMap;

use crate::config::context::{At, Cx, Table};
use crate::config::pipeline::{AmiQuery, Source};
use crate::config::scope::Allow;
use crate::model::name::Name;
use crate::model::node::Architecture;
use crate::model::value::Value;

/// Reads the `source` blocks. Their names are declared already.
pub(super) fn sources(cx: &mut Cx, tables: &[Table<'_>]) -> BTreeMap<Name, Source> {
    let mut sources = BTreeMap::new();
    for table in tables {
        let mut amis = BTreeMap::new();
        let queries = cx.blocks(table, "ami");
        for query in &queries {
            let architecture = architecture(cx, &query.label());
            if let (Some(architecture), Some(found)) = (architecture, ami_query(cx, query)) {
                amis.insert(architecture, found);
            }
        }
        if queries.is_empty() {
            let help = "say how to find its AMI: `ami \"x86_64\" { … }` with `owners` and `name`, or `id`, or `ssm_parameter`".to_owned();
            cx.error(table.head.clone(), format!("{} has no `ami`", table.what), "", Some(help));
        }
        let docker = cx.string(table, "docker").and_then(|found| docker_image(cx, found));
        let ssh_username = cx.string(table, "ssh_username").map(|found| found.value);
        if let (Ok(name), Some(ssh_username)) = (Name::new(&table.label().value), ssh_username) {
            sources.insert(name.clone(), Source { name, amis, docker, ssh_username, span: table.head.clone() });
        }
    }
    sources
}

/// An architecture, with the other names of the same machines as help.
pub(super) fn architecture(cx: &mut Cx, found: &At<String>) -> Option<Architecture> {
    match found.value.parse() {
        Ok(architecture) => Some(architecture),
        Err(error) => {
            let help = match found.value.to_lowercase().as_str() {
                "amd64" | "x64" | "x86-64" | "x86" => Some("EC2 calls it `x86_64`".to_owned()),
                "aarch64" | "arm" => Some("EC2 calls it `arm64`".to_owned()),
                _ => None,
            };
            cx.error(found.span.clone(), error, "", help);
            None
        }
    }
}

fn docker_image(cx: &mut Cx, found: At<String>) -> Option<String> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '$' | '\\');
    if found.value.is_empty() || found.value.starts_with('-') || found.value.contains(odd) {
        cx.error(
            found.span,
            format!("`{}` is not a Docker image", found.value.escape_debug()),
            "",
            Some("`debian:12` or the like".to_owned()),
        );
        return None;
    }
    Some(found.value)
}

fn ami_query(cx: &mut Cx, table: &Table<'_>) -> Option<AmiQuery> {
    let id = cx.string(table, "id");
    let parameter = cx.string(table, "ssm_parameter");
    let owners = cx.strings(table, "owners");
    let name = cx.string(table, "name");
    let filters = filters(cx, table);
    let searches = ["owners", "name", "filters"].into_iter().find(|attribute| table.expr(attribute).is_some());
    let ways: Vec<&str> = ["id", "ssm_parameter"].into_iter().filter(|way| table.expr(way).is_some()).chain(searches).collect();
    match ways[..] {
        [] => {
            cx.error(
                table.head.clone(),
                format!("{} does not say how to find it", table.what),
                "",
                Some("`owners` and `name`, or `id`, or `ssm_parameter`".to_owned()),
            );
            None
        }
        ["id"] => {
            let id = id?;
            let hex = id.value.strip_prefix("ami-").unwrap_or_default();
            if !matches!(hex.len(), 8 | 17) || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
                cx.error(
                    id.span,
                    format!("`{}` is not the id of an AMI", id.value.escape_debug()),
                    "",
                    Some("`ami-` and 8 or 17 hex digits".to_owned()),
                );
                return None;
            }
            Some(AmiQuery::Id(id.value))
        }
        ["ssm_parameter"] => parameter.map(|found| AmiQuery::SsmParameter(found.value)),
        [_] => {
            if table.expr("owners").is_none() {
                let help = "without it, anybody's public image of that name would be taken: `owners = [\"136693071363\"]`".to_owned();
                cx.error(table.head.clone(), format!("{} needs `owners`", table.what), "", Some(help));
                return None;
            }
            for owner in &owners {
                let account = owner.value.len() == 12 && owner.value.bytes().all(|b| b.is_ascii_digit());
                if !account && !matches!(owner.value.as_str(), "amazon" | "self" | "aws-marketplace") {
                    let help = "an account id of 12 digits, `amazon`, `aws-marketplace` or `self`".to_owned();
                    cx.error(owner.span.clone(), format!("`{}` is not an owner", owner.value.escape_debug()), "", Some(help));
                }
            }
            Some(AmiQuery::Newest { owners: owners.into_iter().map(|o| o.value).collect(), name: name.map(|n| n.value), filters })
        }
        [first, second, ..] => {
            cx.error(
                table.key_span(second),
                format!("{} has both `{first}` and `{second}`", table.what),
                "",
                Some("one way to find it is enough".to_owned()),
            );
            None
        }
    }
}

fn filters(cx: &mut Cx, table: &Table<'_>) -> BTreeMap<String, Vec<String>> {
    let mut filters = BTreeMap::new();
    let Some(found) = cx.value(table, "filters", Allow::Literals) else { return filters };
    let Value::Map(map) = found.value else {
        cx.error(
            found.span,
            "`filters` takes a map: filter = value or list of values",
            "",
            Some("`filters = { \"tag:team\" = \"platform\" }`".to_owned()),
        );
        return filters;
    };
    for (name, value) in map {
        let values = match value {
            Value::String(one) => Some(vec![one]),
            Value::List(items) => {
                items.into_iter().map(|item| if let Value::String(text) = item { Some(text) } else { None }).collect::<Option<Vec<_>>>()
            }
            _ => None,
        };
        match values {
            Some(values) if !values.is_empty() => {
                filters.insert(name, values);
            }
            _ => cx.error(found.span.clone(), format!("filter `{name}` takes a string or a list of strings"), "", None),
        }
    }
    filters
}
