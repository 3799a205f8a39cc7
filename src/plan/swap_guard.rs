//! The guard: which (resource, attribute) a step of a swap may change, and what a Terraform plan would change beyond that.
//!
//! Pure, over what `terraform show -json` said (`tools::terraform` reads it). Looks at changes of resources only, never at drift, of
//! which a healthy swap has plenty. Invariant: what is not on the list is foreign, and a value that is not known is never taken for
//! the wanted one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::config::swap_spec::{Balancer, SwapSpec};
use crate::model::swap::{Colour, Field};
use crate::plan::swap::{Side, State, Values};
use crate::plan::swap_steps::Step;
use crate::plan::terraform_plan::{AttributeChange, Group, ResourceChange, TerraformPlan};

/// Something that a step must not do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// Resource, variable or file.
    pub address: String,
    /// Attribute; empty: the resource as a whole.
    pub attribute: String,
    /// What would happen to it.
    pub change: String,
}

/// Attributes that say from what instances of a group are made.
const TEMPLATES: &[&str] = &["launch_template", "launch_configuration", "mixed_instances_policy"];
const SIZES: &[&str] = &["min_size", "max_size"];
const BALANCERS: &[&str] = &["load_balancers", "target_group_arns", "traffic_source"];

/// What may change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Allowance {
    /// Colours whose launch template or configuration may change.
    templates: BTreeSet<Colour>,
    /// Attributes of the groups.
    groups: BTreeMap<Colour, BTreeSet<&'static str>>,
}

impl Allowance {
    fn group(&mut self, colour: Colour, lists: &[&[&'static str]]) {
        self.groups.entry(colour).or_default().extend(lists.iter().copied().flatten());
    }

    fn add(&mut self, step: Step, new: Colour) {
        let old = new.other();
        match step {
            Step::Start => {
                self.templates.insert(new);
                self.group(new, &[TEMPLATES, SIZES, BALANCERS]);
                self.group(old, &[&["min_size"]]);
            }
            Step::Join | Step::Return => self.group(new, &[BALANCERS]),
            Step::Leave | Step::Rejoin => self.group(old, &[BALANCERS]),
            Step::Finish | Step::Abandon => {
                self.group(new, &[SIZES]);
                self.group(old, &[SIZES]);
            }
        }
    }
}

/// What is about to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// This step; the state before it is applied in full.
    Step(Step, Colour),
    /// This step back from a state that may be applied in part.
    Back(Step, State),
    /// Whatever is missing of a state that is written down already.
    Settle(State),
}

impl Wish {
    fn allowance(self) -> Allowance {
        let mut allowance = Allowance::default();
        let into = |allowance: &mut Allowance, state: State| match state {
            // Forward it came from `left`, back from `started`, which may have been half applied.
            State::Steady { live } => {
                allowance.add(Step::Finish, live);
                allowance.add(Step::Start, live.other());
            }
            State::Started { new } => {
                allowance.add(Step::Start, new);
                allowance.add(Step::Return, new);
            }
            State::Joined { new } => {
                allowance.add(Step::Join, new);
                allowance.add(Step::Rejoin, new);
            }
            State::Left { new } => allowance.add(Step::Leave, new),
        };
        match self {
            Self::Step(step, new) => allowance.add(step, new),
            Self::Back(step, from) => {
                allowance.add(step, from.new_colour());
                into(&mut allowance, from);
            }
            Self::Settle(state) => into(&mut allowance, state),
        }
        allowance
    }

    /// Colours that must not be touched by a value that is known only after apply.
    fn live(self) -> BTreeSet<Colour> {
        match self {
            Self::Step(Step::Start | Step::Abandon, new) | Self::Back(Step::Start | Step::Abandon, State::Started { new }) => {
                BTreeSet::from([new.other()])
            }
            Self::Settle(State::Started { new }) => BTreeSet::from([new.other()]),
            Self::Settle(State::Steady { live }) => BTreeSet::from([live]),
            Self::Step(..) | Self::Back(..) | Self::Settle(_) => Colour::BOTH.into(),
        }
    }
}

/// Everything in `plan` that `wish` does not allow, and everything that the groups would not be afterwards. Empty: it may be applied.
pub fn judge(spec: &SwapSpec, plan: &TerraformPlan, wish: Wish, wanted: &Values) -> Vec<Foreign> {
    let allowance = wish.allowance();
    let mut foreign = shadowed(spec, plan, wanted);
    for change in &plan.changes {
        let colour = Colour::BOTH.into_iter().find(|c| spec.colour(*c).group == change.address);
        if let Some(colour) = colour {
            foreign.extend(of_group(change, colour, &allowance, &wish.live()));
            continue;
        }
        let may = allowance.templates.iter().any(|c| template(spec, plan, *c) == Some(&change.address));
        let shared = Colour::BOTH.into_iter().all(|c| template(spec, plan, c) == Some(&change.address));
        // Only deleted: nothing would be there to launch from.
        let gone = !change.deposed && change.actions == ["delete"];
        if !may || shared || gone {
            foreign.extend(whole(change));
        }
    }
    // What is listed above says more than that a group would end otherwise.
    if foreign.is_empty() {
        foreign.extend(Colour::BOTH.into_iter().flat_map(|colour| unlike(spec, plan, colour, wanted.of(colour))));
    }
    foreign
}

/// The launch template of a colour. Without one in the state, a colour has none that could be told from others.
fn template<'p>(spec: &SwapSpec, plan: &'p TerraformPlan, colour: Colour) -> Option<&'p String> {
    plan.before.get(&spec.colour(colour).group)?.template.as_ref()
}

fn of_group(change: &ResourceChange, colour: Colour, allowance: &Allowance, live: &BTreeSet<Colour>) -> Vec<Foreign> {
    if change.actions != ["update"] {
        return whole(change);
    }
    let allowed = allowance.groups.get(&colour);
    let foreign = |attribute: &&AttributeChange| {
        let listed = allowed.is_some_and(|names| names.contains(attribute.name.as_str()));
        !listed || (attribute.unknown && live.contains(&colour))
    };
    change.attributes.iter().filter(foreign).map(|attribute| one(&change.address, attribute)).collect()
}

fn one(address: &str, attribute: &AttributeChange) -> Foreign {
    Foreign { address: address.to_owned(), attribute: attribute.name.clone(), change: attribute.told() }
}

/// A resource that must not be touched at all: each attribute where it is updated, else what happens to it.
fn whole(change: &ResourceChange) -> Vec<Foreign> {
    if change.actions == ["update"] && !change.attributes.is_empty() {
        return change.attributes.iter().map(|attribute| one(&change.address, attribute)).collect();
    }
    vec![Foreign { address: change.address.clone(), attribute: String::new(), change: change.actions.join(", then ") }]
}

/// Variables that have another value in the plan than the tfvars say: something that wins over the file sets them.
fn shadowed(spec: &SwapSpec, plan: &TerraformPlan, wanted: &Values) -> Vec<Foreign> {
    let mut foreign = Vec::new();
    for (colour, field, name) in spec.variables() {
        let wanted = wanted.text(colour, field);
        let in_force = match plan.variables.get(name) {
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "not declared by the Terraform code".to_owned(),
        };
        if in_force != wanted {
            let change = format!("is {in_force} where the tfvars say {wanted}");
            foreign.push(Foreign { address: format!("var.{name}"), attribute: String::new(), change });
        }
    }
    foreign
}

/// Where a group would not be what the values say: `ignore_changes`, a module that computes its sizes, an ELB under another name.
fn unlike(spec: &SwapSpec, plan: &TerraformPlan, colour: Colour, wanted: &Side) -> Vec<Foreign> {
    let address = &spec.colour(colour).group;
    let Some(group) = plan.after.get(address) else {
        let change = "is not in Terraform's state".to_owned();
        return vec![Foreign { address: address.clone(), attribute: String::new(), change }];
    };
    let mut foreign = Vec::new();
    let mut say = |attribute: &str, change: String| {
        foreign.push(Foreign { address: address.clone(), attribute: attribute.to_owned(), change });
    };
    for (field, size) in [(Field::MinSize, group.min_size), (Field::MaxSize, group.max_size)] {
        let want = if field == Field::MinSize { wanted.min_size } else { wanted.max_size };
        if size != Some(want) {
            let is = size.map_or_else(|| "not known".to_owned(), |n| n.to_string());
            say(field.as_str(), format!("would be {is} where the tfvars say {want}"));
        }
    }
    if let Some(ami) = group.ami.as_ref().filter(|ami| wanted.min_size > 0 && **ami != wanted.ami_id) {
        say("image_id", format!("would be {ami} where the tfvars say {}", wanted.ami_id));
    }
    for balancer in [&spec.live, &spec.test] {
        let (attribute, has) = attached(group, balancer);
        let want = wanted.elb_name == balancer.value;
        if has != Some(want) {
            let name = balancer.target_group.as_ref().unwrap_or(&balancer.value);
            let is = match has {
                None => "is not known to be",
                Some(true) => "would be",
                Some(false) => "would not be",
            };
            say(attribute, format!("`{name}` {is} in it where the tfvars say \"{}\"", wanted.elb_name));
        }
    }
    foreign
}

/// Is a group on a load balancer; `None`: not known.
pub fn attached(group: &Group, balancer: &Balancer) -> (&'static str, Option<bool>) {
    match &balancer.target_group {
        Some(arn) => ("target_group_arns", group.target_groups.as_ref().map(|arns| arns.contains(arn))),
        None => ("load_balancers", group.load_balancers.as_ref().map(|names| names.contains(&balancer.value))),
    }
}

/// What makes Terraform wait for capacity, by group. On AWS the last step waits for as many instances as there were, has none, and
/// fails after ten minutes.
pub fn waits(spec: &SwapSpec, plan: &TerraformPlan) -> Vec<Foreign> {
    let mut found = Vec::new();
    for colour in Colour::BOTH {
        let address = &spec.colour(colour).group;
        for wait in plan.after.get(address).map(|group| group.waits.as_slice()).unwrap_or_default() {
            let (attribute, change) = wait.split_once(' ').unwrap_or((wait, ""));
            found.push(Foreign { address: address.clone(), attribute: attribute.to_owned(), change: change.to_owned() });
        }
    }
    found
}

/// A colour's four values as Terraform's state has them; `None`: its group is not there.
pub fn side(spec: &SwapSpec, group: &Group) -> Side {
    let on = |balancer: &Balancer| attached(group, balancer).1 == Some(true);
    let elb_name = [&spec.live, &spec.test].into_iter().filter(|b| on(b)).map(|b| b.value.as_str()).collect::<Vec<_>>().join("+");
    Side {
        ami_id: group.ami.clone().unwrap_or_default(),
        min_size: group.min_size.unwrap_or_default(),
        max_size: group.max_size.unwrap_or_default(),
        elb_name,
    }
}
