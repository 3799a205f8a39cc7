//! `swap status`: tfvars, Terraform's state and live AWS side by side, with every difference named.
//!
//! Pure. Invariant: what could not be asked is shown as such, never as equal.

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::model::swap::{Colour, Field};
use crate::plan::swap::{Side, State, Values};
use crate::report::style::{Text, Tone, clean};

/// What `swap status` found.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// The swap.
    pub swap: String,
    /// State by the tfvars; `None`: irregular.
    pub state: Option<State>,
    /// It in words, or why there is none.
    pub says: Vec<String>,
    /// The marker's line.
    pub marker: Option<String>,
    /// What the tfvars say.
    pub tfvars: Option<Values>,
    /// What Terraform's state has; an error where it cannot be asked.
    pub terraform: Result<Values, String>,
    /// What AWS has.
    pub aws: Result<Live, String>,
    /// Differences, a line each.
    pub differences: Vec<String>,
    /// What is under way, or was left by a run that was killed.
    pub notes: Vec<String>,
    /// What brings it on.
    pub next: String,
}

/// The two groups as they are.
#[derive(Debug, Clone, Serialize)]
pub struct Live {
    /// Blue.
    pub blue: LiveSide,
    /// Green.
    pub green: LiveSide,
}

impl Live {
    /// One colour.
    pub fn of(&self, colour: Colour) -> &LiveSide {
        match colour {
            Colour::Blue => &self.blue,
            Colour::Green => &self.green,
        }
    }
}

/// A group as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LiveSide {
    /// AMIs of its instances.
    pub amis: Vec<String>,
    /// Minimum.
    pub min_size: u32,
    /// Maximum.
    pub max_size: u32,
    /// Load balancers of the swap that it is on, by their values.
    pub elb_names: Vec<String>,
    /// Instances in service.
    pub in_service: usize,
    /// Instances in any other state of their life.
    pub others: Vec<String>,
    /// Instances healthy on each load balancer of the swap: value, healthy, all of this group.
    pub health: Vec<(String, usize, usize)>,
}

/// Differences between the three, a line each.
pub fn differences(tfvars: &Values, terraform: Option<&Values>, aws: Option<&Live>) -> Vec<String> {
    let mut found = Vec::new();
    for colour in Colour::BOTH {
        let wanted = tfvars.of(colour);
        // An idle colour's template may still name what it ran last.
        let on = wanted.max_size > 0;
        for field in Field::ALL {
            let want = tfvars.text(colour, field);
            if let Some(has) = terraform.map(|values| values.text(colour, field)).filter(|has| *has != want) {
                found.push(format!("{colour}_{} is {want:?} in the tfvars and {has:?} in Terraform's state", field.as_str()));
            }
            let live = aws.map(|live| live.of(colour));
            let has = match (field, live) {
                (Field::AmiId, Some(live)) if on && !live.amis.is_empty() => live.amis.join("+"),
                (Field::MinSize, Some(live)) => live.min_size.to_string(),
                (Field::MaxSize, Some(live)) => live.max_size.to_string(),
                (Field::ElbName, Some(live)) => live.elb_names.join("+"),
                (Field::AmiId, _) | (_, None) => continue,
            };
            if has != want {
                found.push(format!("{colour}_{} is {want:?} in the tfvars and {has:?} on AWS", field.as_str()));
            }
        }
        if let Some(live) = aws.map(|live| live.of(colour)) {
            let running = live.in_service + live.others.len();
            if !on && running > 0 {
                found.push(format!("{colour} is off in the tfvars and has {running} instances on AWS"));
            }
            if u32::try_from(live.in_service).is_ok_and(|n| n < wanted.min_size) {
                found.push(format!("{colour} has {} instances in service, and a minimum of {}", live.in_service, wanted.min_size));
            }
        }
    }
    found
}

impl Status {
    /// As people read it.
    pub fn render(&self, colour: bool, width: usize) -> String {
        let mut text = String::new();
        let mut say = |line: Text| text.push_str(&(line.render(colour) + "\n"));
        for line in &self.says {
            let tone = if self.state.is_some() { Tone::Strong } else { Tone::Bad };
            say(Text::new().add(Tone::Strong, format!("{}  ", self.swap)).add(tone, line));
        }
        for line in self.marker.iter().chain(&self.notes) {
            say(Text::new().add(Tone::Dim, format!("  {line}")));
        }
        say(Text::new());
        for line in self.table(width).lines() {
            say(Text::plain(line));
        }
        say(Text::new());
        for (who, error) in [("Terraform", self.terraform.as_ref().err()), ("AWS", self.aws.as_ref().err())] {
            if let Some(error) = error {
                say(Text::new().add(Tone::Bad, format!("{who} could not be asked")).add(Tone::Plain, format!(": {error}")));
            }
        }
        for difference in &self.differences {
            say(Text::new().add(Tone::Warn, "differs").add(Tone::Plain, format!("  {difference}")));
        }
        if self.differences.is_empty() && self.terraform.is_ok() && self.aws.is_ok() {
            say(Text::new().add(Tone::Good, "the same everywhere"));
        }
        say(Text::new().add(Tone::Plain, &self.next));
        text
    }

    fn table(&self, width: usize) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        table.set_header(["", "tfvars", "Terraform", "AWS"]);
        let side = |of: &Side, field: Field| match field {
            Field::AmiId => of.ami_id.clone(),
            Field::MinSize => of.min_size.to_string(),
            Field::MaxSize => of.max_size.to_string(),
            Field::ElbName => format!("{:?}", of.elb_name),
        };
        for colour in Colour::BOTH {
            for field in Field::ALL {
                let live = self.aws.as_ref().map_or_else(|_| "?".to_owned(), |live| live_text(live.of(colour), field));
                table.add_row([
                    format!("{colour}_{}", field.as_str()),
                    self.tfvars.as_ref().map_or_else(|| "?".to_owned(), |values| side(values.of(colour), field)),
                    self.terraform.as_ref().map_or_else(|_| "?".to_owned(), |values| side(values.of(colour), field)),
                    clean(&live),
                ]);
            }
        }
        // Two spaces between columns where there is room; with one, three AMI ids fit into 80 columns, and none is broken.
        let gap = if width < 90 { 1 } else { 2 };
        for (n, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if n == 3 { 0 } else { gap }));
        }
        table.trim_fmt()
    }
}

fn live_text(live: &LiveSide, field: Field) -> String {
    match field {
        Field::AmiId if live.amis.is_empty() => "no instance".to_owned(),
        Field::AmiId => live.amis.join(" + "),
        Field::MinSize => {
            let others = if live.others.is_empty() { String::new() } else { format!(", {}", live.others.join(", ")) };
            format!("{}, {} in service{others}", live.min_size, live.in_service)
        }
        Field::MaxSize => live.max_size.to_string(),
        Field::ElbName if live.elb_names.is_empty() => "\"\"".to_owned(),
        Field::ElbName => {
            let health = live.health.iter().filter(|(name, ..)| live.elb_names.contains(name));
            health.map(|(name, healthy, all)| format!("{name:?}, {healthy} of {all} healthy")).collect::<Vec<_>>().join("; ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::swap_tests::steady;

    #[test]
    fn every_difference_is_named() {
        let tfvars = steady(Colour::Blue, 2, 4, "");
        let same = |c: Colour| {
            let side = tfvars.of(c);
            let elb_names = Some(side.elb_name.clone()).filter(|name| !name.is_empty()).into_iter().collect();
            let in_service = usize::try_from(side.min_size).unwrap();
            LiveSide { min_size: side.min_size, max_size: side.max_size, elb_names, in_service, ..LiveSide::default() }
        };
        let live = Live { blue: same(Colour::Blue), green: same(Colour::Green) };
        assert_eq!(differences(&tfvars, Some(&tfvars), Some(&live)), [""; 0]);
        let mut terraform = tfvars.clone();
        terraform.green.elb_name = "elb-test".to_owned();
        let mut other = live.clone();
        other.blue.in_service = 1;
        other.blue.amis = vec!["ami-1".to_owned(), "ami-2".to_owned()];
        other.green.others = vec!["i-1 Terminating".to_owned()];
        let wanted = [
            "blue_ami_id is \"ami-00000000000000001\" in the tfvars and \"ami-1+ami-2\" on AWS",
            "blue has 1 instances in service, and a minimum of 2",
            "green_elb_name is \"\" in the tfvars and \"elb-test\" in Terraform's state",
            "green is off in the tfvars and has 1 instances on AWS",
        ];
        assert_eq!(differences(&tfvars, Some(&terraform), Some(&other)), wanted);
    }

    #[test]
    fn no_ami_is_broken_on_a_terminal_of_80_columns() {
        let ami = "ami-0123456789abcdef0";
        let mut values = steady(Colour::Green, 2, 4, "elb-test");
        (values.blue.ami_id, values.green.ami_id) = (ami.to_owned(), ami.to_owned());
        let live = || LiveSide { amis: vec![ami.to_owned()], ..LiveSide::default() };
        let status = Status {
            swap: "production".to_owned(),
            state: None,
            says: Vec::new(),
            marker: None,
            tfvars: Some(values.clone()),
            terraform: Ok(values),
            aws: Ok(Live { blue: live(), green: live() }),
            differences: Vec::new(),
            notes: Vec::new(),
            next: String::new(),
        };
        for width in [80, 100] {
            let text = status.render(false, width);
            assert_eq!(text.matches(ami).count(), 6, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        }
    }

    #[test]
    fn what_could_not_be_asked_is_not_called_the_same() {
        let status = Status {
            swap: "production".to_owned(),
            state: None,
            says: vec!["irregular".to_owned()],
            marker: None,
            tfvars: None,
            terraform: Err("no credentials".to_owned()),
            aws: Err("timeout".to_owned()),
            differences: Vec::new(),
            notes: Vec::new(),
            next: "mend it".to_owned(),
        };
        let text = status.render(false, 100);
        assert!(text.contains("Terraform could not be asked: no credentials") && !text.contains("same everywhere"), "{text}");
    }
}
