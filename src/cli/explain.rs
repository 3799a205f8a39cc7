//! `ovenbird explain STAGE [KEY [KEY]]`: the key line by line, and the difference to an earlier one.
//!
//! Invariant: a difference is read off two manifests that are both known; where one is not, that is said, never guessed.

use std::fmt::Write as _;

use serde_json::json;

use crate::cli::args::{Common, ExplainArgs};
use crate::cli::failure::{Exit, Failure};
use crate::cli::history::History;
use crate::cli::output::Output;
use crate::cli::project::Project;
use crate::cli::survey::{self, Survey};
use crate::cli::world::World;
use crate::inputs::environment;
use crate::model::artifact::tags;
use crate::model::digest::StageKey;
use crate::plan::canonical;
use crate::plan::difference::{Change, difference};
use crate::plan::hit;
use crate::plan::inputs::Entry;
use crate::plan::manifest::InputManifest;
use crate::report::style::count;

/// Explains.
///
/// # Errors
/// No such stage or key; EC2 or the state do not answer.
pub async fn run(args: &ExplainArgs, common: &Common, world: &World, output: Output) -> Result<Exit, Failure> {
    let project = Project::read(common, world, output, false)?;
    let name = project.stage_named(&args.stage)?;
    let keyed = project.keyed(&std::collections::BTreeMap::new());
    let survey = Survey::open(project.pipeline(), world).await?;
    let images = survey.images(output).await?;
    let git_environment = environment::passed(&world.environment);
    let nodes: Vec<_> = keyed.iter().filter(|(node, _)| node.stage == name).collect();
    let mut text = String::new();
    let mut all = Vec::new();
    for (node, keyed) in nodes {
        let earlier = hit::earlier(&images, &project.pipeline().name, node);
        let known: Vec<StageKey> = keyed.stage_key.into_iter().chain(earlier.iter().map(|(_, key)| *key)).collect();
        let (old, new) = match (&args.key, &args.other) {
            (Some(old), Some(new)) => (Some(find(old, &known)?), Some(find(new, &known)?)),
            (Some(old), None) => (Some(find(old, &known)?), None),
            (None, _) => (earlier.iter().map(|(_, key)| *key).find(|key| Some(*key) != keyed.stage_key), None),
        };
        let new_manifest = match new {
            Some(key) if Some(key) != keyed.stage_key => survey::kept(&survey.state, &key).await?.map_err(unknown)?,
            _ => keyed.manifest.clone(),
        };
        let new_key = new.or(keyed.stage_key);
        let old_manifest = match old {
            Some(key) if Some(key) == keyed.stage_key => Ok(keyed.manifest.clone()),
            Some(key) => survey::kept(&survey.state, &key).await?,
            None => Err(String::new()),
        };
        let (old_manifest, why_not) = match old_manifest {
            Ok(manifest) => (Some(manifest), String::new()),
            Err(why) if args.key.is_some() => return Err(unknown(why)),
            Err(why) => (None, why),
        };
        let changes = old_manifest.as_ref().map(|old| difference(old, &new_manifest));
        let image = old.and_then(|key| earlier.iter().find(|(_, k)| *k == key)).map(|(image, _)| image.id.clone());
        let commits = earlier.iter().filter(|(_, key)| Some(*key) == old || Some(*key) == new);
        let history = History {
            root: &project.pipeline().root,
            env: &git_environment,
            commits: commits.filter_map(|(image, _)| image.tag(tags::GIT).map(str::to_owned)).collect(),
        };
        let diffs = match (&old_manifest, &changes) {
            (Some(old), Some(changes)) => history.differences(old, &new_manifest, changes).await,
            _ => std::collections::BTreeMap::new(),
        };
        if args.json {
            all.push(json!({
                "node": node, "key": new_key, "manifest": new_manifest, "missing": keyed.missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "against": old.map(|key| json!({ "key": key, "image": image, "manifest_known": old_manifest.is_some() })),
                "changes": changes, "diffs": diffs,
            }));
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        writeln!(text, "{node}  {}", new_key.map_or_else(|| "no key".to_owned(), |k| k.to_string()))
            .expect("writing to a String cannot fail");
        for missing in &keyed.missing {
            writeln!(text, "  not in the lock file: {missing}; `ovenbird update` pins it").expect("writing to a String cannot fail");
        }
        lines(&mut text, &new_manifest);
        against(&mut text, old, image.as_deref(), changes.as_deref(), &why_not);
        for line in diffs.values().flat_map(|diff| diff.lines()) {
            writeln!(text, "      {line}").expect("writing to a String cannot fail");
        }
    }
    if args.json {
        output.json(&all)?;
    } else {
        output.data(&text)?;
    }
    Ok(Exit::Done)
}

fn unknown(why: String) -> Failure {
    Failure::data(why).help("it is kept by the machine that built it; share the state with `state = \"s3://…\"`")
}

/// A key by its first digits.
fn find(text: &str, known: &[StageKey]) -> Result<StageKey, Failure> {
    let digits = text.trim_start_matches("sha256:");
    if let Ok(digest) = format!("sha256:{digits}").parse() {
        return Ok(StageKey(digest));
    }
    let mut found: Vec<StageKey> = known.iter().copied().filter(|k| digits.len() >= 4 && k.0.hex().starts_with(digits)).collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            // The present key is an image's too, once it is built.
            let mut all: Vec<String> = known.iter().map(StageKey::short).collect();
            all.dedup();
            Err(Failure::usage(format!("no key of this stage begins with `{text}`")).help(format!("known here: {}", all.join(", "))))
        }
        _ => Err(Failure::usage(format!("more than one key begins with `{text}`")).help("give more digits")),
    }
}

/// The manifest, a line an item.
fn lines(text: &mut String, manifest: &InputManifest) {
    let json = serde_json::to_value(manifest).expect("a manifest is always JSON");
    let mut rows = Vec::new();
    flatten("", &json, &mut rows);
    // Twenty places where Ansible looks and nothing is are one fact; `inputs` names them.
    let nothing = canonical::tree_digest(&[(String::new(), Entry::Absent)].into()).to_string();
    let all = rows.len();
    rows.retain(|(name, value)| !(name.starts_with("trees ") && *value == nothing));
    let absent = all - rows.len();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(48);
    for (name, value) in rows {
        writeln!(text, "  {name:width$}  {value}").expect("writing to a String cannot fail");
    }
    if absent > 0 {
        writeln!(text, "  and {} where nothing is; each counts when something appears", count(absent, "place"))
            .expect("writing to a String cannot fail");
    }
}

fn flatten(at: &str, value: &serde_json::Value, rows: &mut Vec<(String, String)>) {
    use serde_json::Value as Json;
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (name, value) in map {
                flatten(&if at.is_empty() { name.clone() } else { format!("{at} {name}") }, value, rows);
            }
        }
        Json::Null | Json::Object(_) => {}
        Json::Array(items) if items.is_empty() => {}
        Json::String(text) => rows.push((at.to_owned(), text.clone())),
        other @ (Json::Array(_) | Json::Bool(_) | Json::Number(_)) => rows.push((at.to_owned(), other.to_string())),
    }
}

fn against(text: &mut String, old: Option<StageKey>, image: Option<&str>, changes: Option<&[Change]>, why_not: &str) {
    let mut say = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    match (old, changes) {
        (None, _) => say("\n  no earlier image of it".to_owned()),
        (Some(key), None) => {
            say(format!("\n  against {} ({}): nothing can be said, {why_not}", image.unwrap_or("—"), key.short()));
        }
        (Some(key), Some([])) => say(format!("\n  against {} ({}): nothing differs", image.unwrap_or("—"), key.short())),
        (Some(key), Some(changes)) => {
            say(format!("\n  against {} ({}):", image.unwrap_or("—"), key.short()));
            for change in changes {
                say(format!("    {change}"));
            }
        }
    }
}
