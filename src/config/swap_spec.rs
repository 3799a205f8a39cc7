//! [`SwapSpec`]: a `swap` block in types: colours with their variables and groups, load balancers, how it is recorded and applied.
//!
//! Gates are read by who waits for them. Invariant: the eight variables have eight names, the two groups two addresses, and live and
//! test are two load balancers, so a value can always be told from another.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::pipeline::Swap;
use crate::model::name::Name;
use crate::model::swap::{Colour, Field};
use crate::model::traffic::LoadBalancer;
use crate::model::value::Value;

/// A load balancer: `"elb-prd"`, or `{ value = "…", target_group = "arn:…" }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balancer {
    /// What stands in `<colour>_elb_name`. Without a target group: the classic load balancer's name.
    pub value: String,
    /// ARN of the ALB's target group.
    pub target_group: Option<String>,
}

impl Balancer {
    /// What instances are attached to.
    pub fn load_balancer(&self) -> LoadBalancer {
        match &self.target_group {
            Some(arn) => LoadBalancer::TargetGroup(arn.clone()),
            None => LoadBalancer::Classic(self.value.clone()),
        }
    }
}

/// One colour of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColourSpec {
    /// Terraform address of its Auto Scaling group.
    pub group: String,
    /// Terraform variable of each value.
    pub variables: BTreeMap<Field, String>,
}

/// Where a step is written down before it is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// In git where the folder is in a work tree, else nowhere.
    Auto,
    /// In git.
    Git,
    /// Nowhere.
    None,
}

/// Who applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// ovenbird, by Terraform.
    Terraform,
    /// CI, when it sees the push.
    External,
}

/// A `swap` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapSpec {
    /// Its name.
    pub name: Name,
    /// Whose AMI.
    pub stage: Name,
    /// Swap that the AMI must have been through.
    pub requires: Option<Name>,
    /// Terraform folder, relative to the root.
    pub directory: PathBuf,
    /// tfvars file, relative to the root.
    pub tfvars: PathBuf,
    /// In service.
    pub live: Balancer,
    /// For tests.
    pub test: Balancer,
    /// Blue.
    pub blue: ColourSpec,
    /// Green.
    pub green: ColourSpec,
    /// Record.
    pub record: Record,
    /// Who applies.
    pub apply: Apply,
    /// `terraform` or `tofu`.
    pub command: String,
    /// Workspace; `None`: the one that is selected.
    pub workspace: Option<String>,
}

impl SwapSpec {
    /// Reads a block that `config::swap` has checked.
    ///
    /// # Errors
    /// One line for each thing that does not fit together.
    pub fn of(swap: &Swap) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        let text = |path: &str| match swap.settings.get(path) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) | None => None,
        };
        let balancer = |name: &str| match swap.settings.get(name) {
            Some(Value::Map(map)) => {
                let of = |key: &str| match map.get(key) {
                    Some(Value::String(text)) => text.clone(),
                    Some(_) | None => String::new(),
                };
                Balancer { value: of("value"), target_group: Some(of("target_group")) }
            }
            Some(_) | None => Balancer { value: text(name).unwrap_or_default(), target_group: None },
        };
        let colour = |colour: Colour| {
            let mapped = match swap.settings.get(&format!("{colour}.variables")) {
                Some(Value::Map(map)) => map.clone(),
                Some(_) | None => BTreeMap::new(),
            };
            let name = |field: Field| match mapped.get(field.as_str()) {
                Some(Value::String(name)) => name.clone(),
                Some(_) | None => format!("{colour}_{}", field.as_str()),
            };
            ColourSpec {
                group: text(&format!("{colour}.group")).unwrap_or_default(),
                variables: Field::ALL.into_iter().map(|field| (field, name(field))).collect(),
            }
        };
        let spec = Self {
            name: swap.name.clone(),
            stage: swap.stage.clone(),
            requires: swap.requires.clone(),
            directory: swap.directory.clone(),
            tfvars: swap.directory.join(&swap.tfvars),
            live: balancer("live"),
            test: balancer("test"),
            blue: colour(Colour::Blue),
            green: colour(Colour::Green),
            record: match text("record").as_deref() {
                Some("git") => Record::Git,
                Some("none") => Record::None,
                Some(_) | None => Record::Auto,
            },
            apply: if text("apply").as_deref() == Some("external") { Apply::External } else { Apply::Terraform },
            command: text("terraform.command").unwrap_or_else(|| "terraform".to_owned()),
            workspace: text("terraform.workspace").filter(|name| !name.is_empty()),
        };
        if spec.live.value == spec.test.value {
            wrong.push(format!("`live` and `test` are both `{}`", spec.live.value));
        }
        for (name, balancer) in [("live", &spec.live), ("test", &spec.test)] {
            if balancer.value.is_empty() || balancer.target_group.as_deref() == Some("") {
                wrong.push(format!("`{name}` names no load balancer"));
            }
        }
        if spec.live.target_group.is_some() && spec.live.target_group == spec.test.target_group {
            wrong.push("`live` and `test` have the same target group".to_owned());
        }
        if spec.blue.group == spec.green.group {
            wrong.push(format!("both colours have the group `{}`", spec.blue.group));
        }
        for (colour, of) in [(Colour::Blue, &spec.blue), (Colour::Green, &spec.green)] {
            if !of.group.split('.').any(|part| part == "aws_autoscaling_group") {
                wrong.push(format!("`{}` of {colour} is not the address of an `aws_autoscaling_group`", of.group));
            }
        }
        let mut names: Vec<&String> = spec.blue.variables.values().chain(spec.green.variables.values()).collect();
        names.sort();
        for pair in names.windows(2).filter(|pair| pair[0] == pair[1]) {
            wrong.push(format!("two values have the variable `{}`", pair[0]));
        }
        if wrong.is_empty() { Ok(spec) } else { Err(wrong) }
    }

    /// One colour.
    pub fn colour(&self, colour: Colour) -> &ColourSpec {
        match colour {
            Colour::Blue => &self.blue,
            Colour::Green => &self.green,
        }
    }

    /// Terraform addresses of both groups.
    pub fn groups(&self) -> [&str; 2] {
        [&self.blue.group, &self.green.group]
    }

    /// The variable of a value.
    pub fn variable(&self, colour: Colour, field: Field) -> &str {
        &self.colour(colour).variables[&field]
    }

    /// The eight variables: blue's, then green's.
    pub fn variables(&self) -> impl Iterator<Item = (Colour, Field, &str)> {
        Colour::BOTH.into_iter().flat_map(move |colour| Field::ALL.into_iter().map(move |f| (colour, f, self.variable(colour, f))))
    }
}
