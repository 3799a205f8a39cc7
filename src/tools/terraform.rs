//! Terraform and `OpenTofu`: command lines, and what `show -json` says of a plan or a state.
//!
//! Values travel in variable files, never in arguments. Invariant: a part of the JSON that is not understood is an error or "not
//! known", never "unchanged".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::plan::terraform_plan::{AttributeChange, Group, ResourceChange, TerraformPlan};
use crate::process::command::CommandLine;

/// How Terraform is called for one environment.
#[derive(Debug, Clone)]
pub struct Terraform {
    /// `terraform` or `tofu`, found on the caller's PATH.
    pub program: PathBuf,
    /// Folder of the environment, absolute.
    pub folder: PathBuf,
    /// The caller's environment: providers take their credentials from names that nobody can list.
    pub env: BTreeMap<String, String>,
    /// Workspace.
    pub workspace: Option<String>,
}

impl Terraform {
    fn command(&self) -> CommandLine {
        // Arguments that a shell adds unseen could aim, replace or unlock.
        let env = self.env.iter().filter(|(name, _)| !name.starts_with("TF_CLI_ARGS"));
        let command = CommandLine::new(&self.program, &self.folder).envs(env);
        let command = command.env("TF_IN_AUTOMATION", "1").env("TF_INPUT", "0").env("CHECKPOINT_DISABLE", "1");
        match &self.workspace {
            Some(workspace) => command.env("TF_WORKSPACE", workspace),
            None => command,
        }
    }

    /// `terraform plan -out`. `files` are variable files, of which the later win. `targets` limit it.
    pub fn plan(&self, out: &Path, files: &[PathBuf], targets: &[String], wait_for_lock: u64) -> CommandLine {
        let files = files.iter().map(|file| format!("-var-file={}", file.display()));
        let targets = targets.iter().map(|target| format!("-target={target}"));
        let lock = format!("-lock-timeout={wait_for_lock}s");
        self.command().args(["plan", "-input=false", "-no-color", &lock]).args(files).args(targets).arg(format!("-out={}", out.display()))
    }

    /// `terraform show -json` of a saved plan.
    pub fn show(&self, plan: &Path) -> CommandLine {
        self.command().args(["show", "-json", "-no-color"]).arg(plan)
    }

    /// `terraform show -json` of the state.
    pub fn show_state(&self) -> CommandLine {
        self.command().args(["show", "-json", "-no-color"])
    }

    /// `terraform apply` of a saved plan.
    pub fn apply(&self, plan: &Path, wait_for_lock: u64) -> CommandLine {
        let lock = format!("-lock-timeout={wait_for_lock}s");
        self.command().args(["apply", "-input=false", "-no-color", &lock]).arg(plan)
    }

    /// `terraform force-unlock`, for a lock that a killed Terraform of ours left.
    pub fn unlock(&self, id: &str) -> CommandLine {
        self.command().args(["force-unlock", "-force", id])
    }
}

/// JSON that is not what Terraform writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("what `terraform show -json` said is not understood: {0}")]
pub struct NotUnderstood(pub String);

/// Attributes whose values may hold secrets, or are too long for anybody to read.
const NOT_TOLD: &[&str] = &["user_data", "user_data_base64"];
/// Characters of a value that are shown; a list with the ARN of a target group, which is told from another at its end, is shorter.
const SHOWN: usize = 120;

/// `show -json` of a plan.
///
/// # Errors
/// It is not a plan.
pub fn parse_plan(text: &str, groups: &[&str]) -> Result<TerraformPlan, NotUnderstood> {
    let json = parse(text)?;
    if json["errored"] == Json::Bool(true) {
        return Err(NotUnderstood("the plan is of a run that failed".to_owned()));
    }
    // Terraform leaves the list out when there is no resource at all.
    let changes = match json.get("resource_changes") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(list)) => list.iter().map(change).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect(),
        Some(_) => return Err(NotUnderstood("`resource_changes` is no list".to_owned())),
    };
    let variables = json["variables"].as_object().into_iter().flatten().map(|(name, of)| (name.clone(), of["value"].clone())).collect();
    let before = resources(&json["prior_state"]["values"]);
    let after = resources(&json["planned_values"]);
    let settings = configured(&json["configuration"]["root_module"], "");
    let of_groups = |of: &BTreeMap<String, Json>, planned: bool| {
        let found = groups.iter().filter_map(|address| {
            let values = of.get(*address)?;
            // Which template a colour has is what the state says: the plan may not know the new id yet.
            let template = template(before.get(*address)?, &before);
            let mut group = group(values, template.as_ref().and_then(|address| of.get(address)));
            group.template = template;
            if planned {
                group.waits = waits(values, settings.get(&unindexed(address)));
            }
            Some(((*address).to_owned(), group))
        });
        found.collect::<BTreeMap<_, _>>()
    };
    Ok(TerraformPlan { changes, variables, before: of_groups(&before, false), after: of_groups(&after, true) })
}

/// `show -json` of a state: the two groups by address.
///
/// # Errors
/// It is not a state.
pub fn parse_state(text: &str, groups: &[&str]) -> Result<BTreeMap<String, Group>, NotUnderstood> {
    let json = parse(text)?;
    let all = resources(&json["values"]);
    let found = groups.iter().filter_map(|address| {
        let values = all.get(*address)?;
        let template = template(values, &all);
        let mut group = group(values, template.as_ref().and_then(|address| all.get(address)));
        group.template = template;
        Some(((*address).to_owned(), group))
    });
    Ok(found.collect())
}

fn parse(text: &str) -> Result<Json, NotUnderstood> {
    // A warning about its settings may stand before the JSON.
    let from = text.find('{').ok_or_else(|| NotUnderstood("there is no JSON in it".to_owned()))?;
    serde_json::from_str(&text[from..]).map_err(|error| NotUnderstood(error.to_string()))
}

/// One entry of `resource_changes`; `None`: nothing happens to a real thing.
fn change(entry: &Json) -> Result<Option<ResourceChange>, NotUnderstood> {
    let missing = |what: &str| NotUnderstood(format!("an entry of `resource_changes` has no {what}"));
    let address = entry["address"].as_str().ok_or_else(|| missing("address"))?.to_owned();
    let change = &entry["change"];
    let actions = change["actions"].as_array().ok_or_else(|| missing("actions"))?;
    let actions: Vec<String> = actions.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    // Reading a data source changes nothing.
    if actions == ["no-op"] || actions == ["read"] {
        return Ok(None);
    }
    if actions.is_empty() {
        return Err(missing("actions"));
    }
    let attributes = differences(change);
    Ok(Some(ResourceChange { address, actions, deposed: entry.get("deposed").is_some(), attributes }))
}

fn differences(change: &Json) -> Vec<AttributeChange> {
    let object = |name: &str| change[name].as_object().cloned().unwrap_or_default();
    let (before, after, unknown) = (object("before"), object("after"), object("after_unknown"));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).chain(unknown.keys()).collect();
    let mut found = Vec::new();
    for name in names {
        let is_unknown = unknown.get(name).is_some_and(holds_true);
        let (old, new) = (before.get(name).unwrap_or(&Json::Null), after.get(name).unwrap_or(&Json::Null));
        if old == new && !is_unknown {
            continue;
        }
        let secret = [&change["before_sensitive"], &change["after_sensitive"]]
            .into_iter()
            .any(|of| of == &Json::Bool(true) || holds_true(&of[name]));
        let show = |value: &Json| if secret || NOT_TOLD.contains(&name.as_str()) { "(not shown)".to_owned() } else { shown(value) };
        found.push(AttributeChange { name: name.clone(), before: show(old), after: show(new), unknown: is_unknown });
    }
    found
}

fn holds_true(value: &Json) -> bool {
    match value {
        Json::Bool(is) => *is,
        Json::Array(items) => items.iter().any(holds_true),
        Json::Object(map) => map.values().any(holds_true),
        Json::Null | Json::Number(_) | Json::String(_) => false,
    }
}

fn shown(value: &Json) -> String {
    let text = match value {
        Json::String(text) => format!("{text:?}"),
        other => other.to_string(),
    };
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain(['…']).collect() }
}

/// Every managed resource of a state's or a plan's `values`, by address.
fn resources(values: &Json) -> BTreeMap<String, Json> {
    fn walk(module: &Json, found: &mut BTreeMap<String, Json>) {
        for resource in module["resources"].as_array().into_iter().flatten() {
            if resource["mode"] == "managed"
                && let Some(address) = resource["address"].as_str()
            {
                let mut values = resource["values"].clone();
                // Told apart by it below.
                values["_type"] = resource["type"].clone();
                found.insert(address.to_owned(), values);
            }
        }
        for child in module["child_modules"].as_array().into_iter().flatten() {
            walk(child, found);
        }
    }
    let mut found = BTreeMap::new();
    walk(&values["root_module"], &mut found);
    found
}

/// Address of the launch template or configuration that a group is made from.
fn template(group: &Json, all: &BTreeMap<String, Json>) -> Option<String> {
    let mixed = &group["mixed_instances_policy"][0]["launch_template"][0]["launch_template_specification"][0];
    let templates = [&group["launch_template"][0], mixed];
    let ids = templates.iter().flat_map(|of| [&of["id"], &of["launch_template_id"]]).filter_map(Json::as_str);
    let names = templates.iter().flat_map(|of| [&of["name"], &of["launch_template_name"]]).filter_map(Json::as_str);
    let configuration = group["launch_configuration"].as_str();
    let wanted: BTreeSet<(&str, &str, &str)> = ids
        .map(|id| ("aws_launch_template", "id", id))
        .chain(names.map(|name| ("aws_launch_template", "name", name)))
        .chain(configuration.map(|name| ("aws_launch_configuration", "name", name)))
        .filter(|(_, _, value)| !value.is_empty())
        .collect();
    let is = |values: &Json| wanted.iter().any(|(kind, attribute, value)| values["_type"] == *kind && values[*attribute] == *value);
    all.iter().find(|(_, values)| is(values)).map(|(address, _)| address.clone())
}

fn group(values: &Json, template: Option<&Json>) -> Group {
    let size = |name: &str| values[name].as_u64().and_then(|n| u32::try_from(n).ok());
    // An attribute that is not in `values` is known only after apply.
    let names = |name: &str| {
        let list = values.get(name)?;
        Some(list.as_array().into_iter().flatten().filter_map(Json::as_str).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    };
    Group {
        name: values["name"].as_str().map(str::to_owned),
        min_size: size("min_size"),
        max_size: size("max_size"),
        load_balancers: names("load_balancers"),
        target_groups: names("target_group_arns"),
        ami: template.and_then(|template| template["image_id"].as_str()).map(str::to_owned),
        template: None,
        waits: Vec::new(),
    }
}

/// `name value` of each setting that makes Terraform wait for instances, or that resets a group that was scaled out.
fn waits(values: &Json, configured: Option<&Json>) -> Vec<String> {
    let mut found = Vec::new();
    let timeout = values["wait_for_capacity_timeout"].as_str().unwrap_or("10m");
    if !["0", "0s", "0m"].contains(&timeout) {
        found.push(format!("wait_for_capacity_timeout is \"{timeout}\", and has to be \"0\""));
    }
    for name in ["min_elb_capacity", "wait_for_elb_capacity"] {
        if let Some(n) = values[name].as_u64().filter(|n| *n > 0) {
            found.push(format!("{name} is {n}, and must not be set"));
        }
    }
    // The attribute is computed, too: only the code tells whether somebody set it.
    let set =
        configured.and_then(|settings| settings.get("desired_capacity")).is_some_and(|of| of.get("constant_value") != Some(&Json::Null));
    if set {
        found.push("desired_capacity is set, and must not be: it resets a group that was scaled out".to_owned());
    }
    found
}

/// Expressions of every resource in the code, by address without indexes.
fn configured(module: &Json, prefix: &str) -> BTreeMap<String, Json> {
    let mut found = BTreeMap::new();
    for resource in module["resources"].as_array().into_iter().flatten() {
        if let Some(address) = resource["address"].as_str() {
            found.insert(format!("{prefix}{address}"), resource["expressions"].clone());
        }
    }
    for (name, call) in module["module_calls"].as_object().into_iter().flatten() {
        found.extend(configured(&call["module"], &format!("{prefix}module.{name}.")));
    }
    found
}

/// `module.web["a"].aws_x.y[0]` → `module.web.aws_x.y`.
fn unindexed(address: &str) -> String {
    let mut depth = 0_usize;
    let keep = |c: &char| {
        if *c == '[' {
            depth += 1;
        }
        let kept = depth == 0;
        if *c == ']' {
            depth = depth.saturating_sub(1);
        }
        kept
    };
    address.chars().filter(keep).collect()
}

/// The lines of an error as Terraform says it, without the frame that it draws around them; empty ones left out.
pub fn unframed(said: &str) -> impl DoubleEndedIterator<Item = &str> {
    said.lines().map(|line| line.trim_start_matches(['│', '╷', '╵', '|', ' ']).trim()).filter(|line| !line.is_empty())
}

/// A lock on the state that Terraform could not get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateLock {
    /// Its id, for `force-unlock`.
    pub id: String,
    /// `user@host`
    pub who: String,
    /// `OperationTypeApply` ….
    pub operation: String,
    /// When it was taken, as Terraform writes it.
    pub created: String,
}

/// The lock that an error of Terraform's tells of; `None`: it failed for something else.
pub fn state_lock(said: &str) -> Option<StateLock> {
    let (_, info) = said.split_once("Error acquiring the state lock")?;
    let value = |name: &str| unframed(info).find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned()).unwrap_or_default();
    Some(StateLock { id: value("ID:"), who: value("Who:"), operation: value("Operation:"), created: value("Created:") })
}

#[cfg(test)]
#[path = "terraform_tests.rs"]
mod tests;
