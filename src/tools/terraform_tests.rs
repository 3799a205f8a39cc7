//! Plans as `terraform show -json` writes them, cut to what is read, through the parser and the guard.
//!
//! Invariant: each case begins from a plan of a step that the guard lets through, and spoils one thing.

use serde_json::{Value as Json, json};

use super::*;
use crate::model::swap::Colour;
use crate::plan::swap::{State, Values};
use crate::plan::swap_guard::{Foreign, Wish, judge, waits as capacity_waits};
use crate::plan::swap_steps::{Goal, Move, Step, next};
use crate::plan::swap_tests::{spec, steady};

const BLUE: &str = "module.web.aws_autoscaling_group.blue";
const GREEN: &str = "module.web.aws_autoscaling_group.green";

fn group_values(values: &Values, colour: Colour) -> Json {
    let side = values.of(colour);
    let balancers: Vec<&str> = [side.elb_name.as_str()].into_iter().filter(|name| !name.is_empty()).collect();
    json!({
        "name": format!("web-{colour}"), "min_size": side.min_size, "max_size": side.max_size, "load_balancers": balancers,
        "target_group_arns": [], "wait_for_capacity_timeout": "0", "desired_capacity": 2, "min_elb_capacity": null,
        "launch_template": [{ "id": format!("lt-{colour}"), "version": "1" }],
    })
}

fn template_values(values: &Values, colour: Colour) -> Json {
    json!({ "id": format!("lt-{colour}"), "name": format!("web-{colour}"), "image_id": values.of(colour).ami_id, "user_data": "c2VjcmV0", "latest_version": 1 })
}

fn module(values: &Values) -> Json {
    let resource = |kind: &str, name: Colour, values: Json| json!({ "address": format!("module.web.{kind}.{name}"), "mode": "managed", "type": kind, "values": values });
    let all: Vec<Json> = Colour::BOTH
        .into_iter()
        .flat_map(|c| {
            [resource("aws_autoscaling_group", c, group_values(values, c)), resource("aws_launch_template", c, template_values(values, c))]
        })
        .collect();
    json!({ "root_module": { "child_modules": [{ "address": "module.web", "resources": all }] } })
}

fn changed(address: &str, before: &Json, after: &Json, unknown: &Json) -> Json {
    json!({ "address": address, "change": { "actions": ["update"], "before": before, "after": after, "after_unknown": unknown, "before_sensitive": {}, "after_sensitive": {} } })
}

/// The plan from these values to those.
fn plan(before: &Values, after: &Values) -> Json {
    let mut changes = Vec::new();
    for colour in Colour::BOTH {
        let (old, new) = (template_values(before, colour), template_values(after, colour));
        let template_changes = old != new;
        if template_changes {
            let address = format!("module.web.aws_launch_template.{colour}");
            changes.push(changed(&address, &old, &new, &json!({ "latest_version": true })));
        }
        let (old, mut new) = (group_values(before, colour), group_values(after, colour));
        let unknown = if template_changes { json!({ "launch_template": [{ "version": true }] }) } else { json!({}) };
        if template_changes {
            new["launch_template"] = json!([{ "id": format!("lt-{colour}") }]);
        }
        if old != new {
            changes.push(changed(&format!("module.web.aws_autoscaling_group.{colour}"), &old, &new, &unknown));
        }
    }
    changes.push(json!({ "address": "aws_elb.live", "change": { "actions": ["no-op"], "before": {}, "after": {}, "after_unknown": {} } }));
    let variables: serde_json::Map<String, Json> =
        spec().variables().map(|(c, f, name)| (name.to_owned(), json!({ "value": after.text(c, f) }))).collect();
    let expressions = json!({ "wait_for_capacity_timeout": { "constant_value": "0" } });
    json!({
        "format_version": "1.2", "resource_changes": changes, "variables": variables,
        "prior_state": { "values": module(before) }, "planned_values": module(after),
        "configuration": { "root_module": { "module_calls": { "web": { "module": { "resources": [
            { "address": "aws_autoscaling_group.blue", "expressions": expressions }, { "address": "aws_autoscaling_group.green", "expressions": expressions },
        ] } } } } },
    })
}

fn walk() -> Vec<(State, Values, Move)> {
    let goal = Goal { ami: "ami-00000000000000002".to_owned(), serving: 3, run: "r".to_owned() };
    let (mut state, mut values, mut marker) = (State::Steady { live: Colour::Blue }, steady(Colour::Blue, 2, 4, ""), None);
    let mut found = Vec::new();
    for _ in 0..4 {
        let step = next(&spec(), state, &values, marker.as_ref(), &goal).unwrap();
        found.push((state, values, step.clone()));
        (state, values, marker) = (step.to, step.values, step.marker);
    }
    found
}

fn judged(json: &Json, wish: Wish, wanted: &Values) -> Vec<String> {
    let plan = parse_plan(&format!("\nwarning\n{json}"), &[BLUE, GREEN]).unwrap();
    let line = |f: Foreign| format!("{} {}: {}", f.address.trim_start_matches("module.web."), f.attribute, f.change);
    judge(&spec(), &plan, wish, wanted).into_iter().map(line).collect()
}

#[test]
fn the_four_steps_pass_and_each_passes_as_nothing_else() {
    for (n, (_, before, step)) in walk().into_iter().enumerate() {
        let json = plan(&before, &step.values);
        for (m, other) in Step::FORWARD.into_iter().enumerate() {
            let found = judged(&json, Wish::Step(other, Colour::Green), &step.values);
            // Step 1 may put the new colour anywhere; that it is on test then is one of the wanted values.
            let wider = other == Step::Start && step.step == Step::Join;
            assert_eq!(found.is_empty(), n == m || wider, "{} as {other}: {found:?}", step.step);
        }
        assert_eq!(judged(&json, Wish::Settle(step.to), &step.values), [""; 0], "{} when it is settled", step.step);
    }
}

#[test]
fn what_a_step_must_not_do_is_told_by_resource_and_attribute() {
    type Spoil = fn(&mut Json);
    let cases: [(usize, Spoil, &[&str]); 14] = [
        (0, |j| other_change(j, "aws_cloudwatch_metric_alarm.cpu", &["delete"]), &["aws_cloudwatch_metric_alarm.cpu : delete"]),
        (0, |j| other_change(j, "aws_s3_bucket.logs", &["create"]), &["aws_s3_bucket.logs : create"]),
        (
            1,
            |j| other_change(j, "module.web.aws_launch_template.blue", &["update"]),
            &["aws_launch_template.blue user_data: (not shown) → (not shown)"],
        ),
        (
            1,
            |j| other_change(j, "module.web.aws_launch_template.green", &["update"]),
            &["aws_launch_template.green user_data: (not shown) → (not shown)"],
        ),
        (0, |j| other_change(j, "module.web.aws_launch_template.green", &["delete"]), &["aws_launch_template.green : delete"]),
        (1, |j| set(j, GREEN, "desired_capacity", &json!(5)), &["aws_autoscaling_group.green desired_capacity: 2 → 5"]),
        (
            1,
            |j| set(j, GREEN, "instance_refresh", &json!([{ "strategy": "Rolling" }])),
            &["aws_autoscaling_group.green instance_refresh: null → [{\"strategy\":\"Rolling\"}]"],
        ),
        (0, |j| set(j, GREEN, "name", &json!("web-x")), &["aws_autoscaling_group.green name: \"web-green\" → \"web-x\""]),
        (0, |j| set(j, BLUE, "max_size", &json!(9)), &["aws_autoscaling_group.blue max_size: 4 → 9"]),
        (
            0,
            |j| j["variables"]["green_ami_id"]["value"] = json!("ami-other"),
            &["var.green_ami_id : is ami-other where the tfvars say ami-00000000000000002"],
        ),
        (
            0,
            |j| drop(j["variables"].as_object_mut().unwrap().remove("blue_max_size")),
            &["var.blue_max_size : is not declared by the Terraform code where the tfvars say 4"],
        ),
        (
            0,
            |j| j["resource_changes"][1]["change"]["actions"] = json!(["delete", "create"]),
            &["aws_autoscaling_group.blue : delete, then create"],
        ),
        (0, |j| unknown_min_of_blue(j), &["aws_autoscaling_group.blue min_size: 2 → (known after apply)"]),
        (
            2,
            |j| j["planned_values"]["root_module"]["child_modules"][0]["resources"][0]["values"]["load_balancers"] = json!(["elb-prd"]),
            &["aws_autoscaling_group.blue load_balancers: `elb-prd` would be in it where the tfvars say \"\""],
        ),
    ];
    let walk = walk();
    for (n, spoil, wanted) in cases {
        let (_, before, step) = &walk[n];
        let mut json = plan(before, &step.values);
        if n == 0 {
            // Blue's group first, as the table counts.
            json["resource_changes"].as_array_mut().unwrap().sort_by_key(|c| !c["address"].as_str().unwrap().ends_with("blue"));
            json["resource_changes"].as_array_mut().unwrap().insert(0, json!({ "address": "x", "change": { "actions": ["no-op"] } }));
        }
        spoil(&mut json);
        assert_eq!(judged(&json, Wish::Step(step.step, Colour::Green), &step.values), *wanted);
    }
}

fn other_change(json: &mut Json, address: &str, actions: &[&str]) {
    let change =
        json!({ "address": address, "change": { "actions": actions, "before": { "user_data": "a" }, "after": { "user_data": "b" } } });
    json["resource_changes"].as_array_mut().unwrap().retain(|c| c["address"] != address);
    json["resource_changes"].as_array_mut().unwrap().push(change);
}

fn set(json: &mut Json, address: &str, attribute: &str, value: &Json) {
    let changes = json["resource_changes"].as_array_mut().unwrap();
    let change = changes.iter_mut().find(|c| c["address"] == address).unwrap();
    change["change"]["after"][attribute] = value.clone();
}

fn unknown_min_of_blue(json: &mut Json) {
    let changes = json["resource_changes"].as_array_mut().unwrap();
    let change = changes.iter_mut().find(|c| c["address"] == BLUE).unwrap();
    change["change"]["after_unknown"] = json!({ "min_size": true });
    change["change"]["after"].as_object_mut().unwrap().remove("min_size");
}

#[test]
fn a_value_that_may_be_secret_is_named_and_not_told() {
    let entry = json!({ "address": "a.b", "change": { "actions": ["update"], "before": { "token": "old" }, "after": { "token": "new" }, "after_sensitive": { "token": true } } });
    let found = change(&entry).unwrap().unwrap();
    assert_eq!((found.attributes[0].before.as_str(), found.attributes[0].after.as_str()), ("(not shown)", "(not shown)"));
}

#[test]
fn whatever_waits_for_capacity_is_found() {
    let (_, before, step) = walk().swap_remove(0);
    let mut json = plan(&before, &step.values);
    let found = |json: &Json| {
        let plan = parse_plan(&json.to_string(), &[BLUE, GREEN]).unwrap();
        capacity_waits(&spec(), &plan).into_iter().map(|f| format!("{} {}", f.attribute, f.change)).collect::<Vec<_>>()
    };
    assert_eq!(found(&json), [""; 0]);
    let values = &mut json["planned_values"]["root_module"]["child_modules"][0]["resources"][0]["values"];
    values["wait_for_capacity_timeout"] = Json::Null;
    values["min_elb_capacity"] = json!(1);
    let code = &mut json["configuration"]["root_module"]["module_calls"]["web"]["module"]["resources"][0]["expressions"];
    code["desired_capacity"] = json!({ "references": ["var.n"] });
    let wanted = [
        "wait_for_capacity_timeout is \"10m\", and has to be \"0\"",
        "min_elb_capacity is 1, and must not be set",
        "desired_capacity is set, and must not be: it resets a group that was scaled out",
    ];
    assert_eq!(found(&json), wanted);
}

#[test]
fn a_state_gives_both_groups_with_ami_and_load_balancers() {
    let values = steady(Colour::Green, 2, 4, "elb-test");
    let found = parse_state(&json!({ "values": module(&values) }).to_string(), &[BLUE, GREEN]).unwrap();
    let side = |address: &str| crate::plan::swap_guard::side(&spec(), &found[address]);
    assert_eq!((side(GREEN), side(BLUE)), (values.green, values.blue));
    assert!(parse_state("{}", &[BLUE]).unwrap().is_empty());
    assert!(parse_state("no state", &[BLUE]).is_err());
}

#[test]
fn who_holds_the_state_is_read_from_the_error() {
    let said = "\n╷\n│ Error: Error acquiring the state lock\n│ \n│ Error message: resource temporarily unavailable\n│ Lock Info:\n│   ID:        9b0c\n│   Path:      terraform.tfstate\n│   Operation: OperationTypeApply\n│   Who:       ci@build-7\n│   Version:   1.11.4\n│   Created:   2026-11-22 11:00:00.1 +0000 UTC\n";
    let lock = state_lock(said).unwrap();
    assert_eq!((lock.id.as_str(), lock.who.as_str(), lock.operation.as_str()), ("9b0c", "ci@build-7", "OperationTypeApply"));
    assert_eq!(state_lock("Error: no such thing"), None);
    let addresses = ["module.web[\"a.b\"].aws_autoscaling_group.blue[0]", BLUE].map(unindexed);
    assert_eq!(addresses, [BLUE, BLUE]);
}
