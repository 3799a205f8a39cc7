//! Holds the layer table of `src/lib.rs`: who may import whom, who may use which crate, and how long a file may be.
//!
//! Reads every token of `src/`, so grouped and inline paths count too. Invariant: a line of the table that no code needs is
//! allowed, an import that no line allows is not.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// Crates that only one place may use.
const OWNED_CRATES: &[(&str, &[&str])] = &[
    ("aws_sdk_ec2", &["src/aws/", "src/cli/client.rs"]),
    ("aws_sdk_autoscaling", &["src/aws/", "src/cli/client.rs"]),
    ("aws_sdk_elasticloadbalancing", &["src/aws/", "src/cli/client.rs"]),
    ("aws_sdk_elasticloadbalancingv2", &["src/aws/", "src/cli/client.rs"]),
    ("aws_sdk_codedeploy", &["src/aws/", "src/cli/client.rs"]),
    ("aws_sdk_cloudwatch", &["src/aws/", "src/cli/client.rs"]),
    ("aws_config", &["src/aws/canned.rs", "src/cli/client.rs"]),
    ("reqwest", &["src/run/gate/"]),
    ("duct", &["src/process/"]),
    ("object_store", &["src/store/"]),
    ("clap", &["src/cli/"]),
    ("indicatif", &["src/report/"]),
    ("granit_parser", &["src/syntax/"]),
    ("libyaml_safer", &["src/syntax/"]),
    ("hcl_edit", &["src/syntax/", "src/config/", "src/inputs/", "src/disk/"]),
];

const LONGEST_FILE: usize = 400;

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(&root.join("src"), &mut found);
    found.sort();
    assert!(found.len() > 20, "src/ was not found");
    found
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"), text)
        })
        .collect()
}

/// `src/plan/graph.rs` → `plan`; `src/event.rs` → `event`.
fn room(path: &str) -> String {
    let rest = path.strip_prefix("src/").unwrap();
    rest.split_once('/').map_or_else(|| rest.trim_end_matches(".rs"), |(room, _)| room).to_owned()
}

fn table() -> BTreeMap<String, Option<BTreeSet<String>>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let after = text.split_once("# Who may import whom").expect("lib.rs has the table").1;
    let block = after.split("```").nth(1).unwrap();
    let mut table = BTreeMap::new();
    for line in block.lines() {
        let Some((room, may)) = line.trim_start_matches("//!").trim().split_once(':') else { continue };
        let may = may.trim();
        let may = (may != "everything").then(|| may.split_whitespace().filter(|w| *w != "–").map(str::to_owned).collect());
        table.insert(room.to_owned(), may);
    }
    assert!(table.len() > 10, "the table was not read");
    table
}

/// Rooms named by `crate::room`, `crate::{a::x, b}`; and every identifier that begins a path (for the crates).
fn imports(stream: TokenStream, rooms: &mut BTreeSet<String>, heads: &mut BTreeSet<String>, supers: &mut usize) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let is_path_sep = |at: usize| {
        matches!((tokens.get(at), tokens.get(at + 1)), (Some(TokenTree::Punct(a)), Some(TokenTree::Punct(b)))
            if a.as_char() == ':' && b.as_char() == ':')
    };
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => imports(group.stream(), rooms, heads, supers),
            TokenTree::Ident(ident) if is_path_sep(at + 1) => {
                let name = ident.to_string();
                match tokens.get(at + 3) {
                    Some(TokenTree::Ident(next)) if name == "crate" => {
                        rooms.insert(next.to_string());
                    }
                    Some(TokenTree::Group(group)) if name == "crate" => {
                        let mut begins = true;
                        for inner in group.stream() {
                            match inner {
                                TokenTree::Ident(first) if begins => {
                                    rooms.insert(first.to_string());
                                    begins = false;
                                }
                                TokenTree::Punct(p) if p.as_char() == ',' => begins = true,
                                _ => {}
                            }
                        }
                    }
                    Some(TokenTree::Ident(next)) if name == "super" && next == "super" => *supers += 1,
                    _ => {}
                }
                heads.insert(name);
            }
            _ => {}
        }
    }
}

#[test]
fn every_room_imports_only_what_the_table_in_lib_rs_allows() {
    let table = table();
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        if room == "lib" {
            continue;
        }
        let (mut rooms, mut heads, mut supers) = (BTreeSet::new(), BTreeSet::new(), 0);
        let stream: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path} does not lex: {e}"));
        imports(stream, &mut rooms, &mut heads, &mut supers);
        if supers > 0 {
            wrong.push(format!("{path}: `super::super` hides the room that is meant"));
        }
        let Some(may) = table.get(&room) else {
            wrong.push(format!("{path}: room `{room}` is not in the table"));
            continue;
        };
        if let Some(may) = may {
            for other in rooms.iter().filter(|other| **other != room && !may.contains(*other)) {
                wrong.push(format!("{path}: `{room}` may not import `{other}`"));
            }
        }
        for (name, places) in OWNED_CRATES {
            if heads.contains(*name) && !places.iter().any(|p| path.starts_with(p)) {
                wrong.push(format!("{path}: `{name}` belongs to {places:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_owns_and_holds_one_thing() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if !text.starts_with("//!") {
            wrong.push(format!("{path}: does not open with `//!`"));
        }
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{path}: {lines} lines, more than {LONGEST_FILE}: it holds two things"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A memo holds as long as every answer of the disk does, so what follows a stage may ask nobody but the snapshot, which notes it.
#[test]
fn what_follows_a_stage_asks_the_disk_only_through_the_snapshot() {
    // These run before or after the following, or are what the snapshot is made of.
    const OTHERS: &[&str] = &[
        "ansible_cfg",
        "collect",
        "declared",
        "environment",
        "hash",
        "installed",
        "opened",
        "plugins",
        "requirements",
        "snapshot",
        "tests",
        "walk",
    ];
    const ASKING: &[&str] =
        &["fs::", "File::open", ".is_dir()", ".is_file()", ".exists()", ".is_symlink()", "canonicalize(", "read_dir(", "read_link("];
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let Some(name) = path.strip_prefix("src/inputs/").map(|rest| rest.split(['/', '.']).next().unwrap()) else { continue };
        if OTHERS.contains(&name) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (at, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for word in ASKING.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{path}:{}: `{word}` asks the disk past the snapshot", at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn no_room_hands_on_another_rooms_names() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        for line in text.lines().filter_map(|l| l.trim().strip_prefix("pub use crate::")) {
            if !line.starts_with(&format!("{room}::")) {
                wrong.push(format!("{path}: pub use crate::{line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
