//! Changes in the Terraform code that are not the swap's: refused by the guard with a table, and the way back is open all the same.
//!
//! Invariant: after a refusal no byte of the tfvars is another, and nothing was applied.

use crate::swap::proof;
use crate::swap::stage::{ENVIRONMENT, Stage, TFVARS};

/// What is changed: file, text, text instead (nothing to look for: appended), what the table names.
type Foreign = (&'static str, &'static str, &'static str, &'static str);

const MAIN: &str = "terraform/environments/local/main.tf";
const NETWORK: &str = "terraform/environments/local/network.tf";
const BALANCERS: &str = "terraform/environments/local/balancers.tf";
const SHADOW: &str = "terraform/environments/local/zz.auto.tfvars";
const MODULE: &str = "terraform/modules/bluegreen/main.tf";
const SCALING: &str = "terraform/modules/bluegreen/scaling.tf";
const CODEDEPLOY: &str = "terraform/modules/bluegreen/codedeploy.tf";
const BLUE: &str = "min_size                  = var.blue.min_size\n";
const GREEN: &str = "min_size                  = var.green.min_size\n";

#[rustfmt::skip]
const CHANGES: &[Foreign] = &[
    (MAIN, "", "\nresource \"aws_security_group\" \"other\" {\n  name = \"other\"\n}\n", "aws_security_group.other"),
    (MAIN, "CONSUL_SERVER = \"consul.local\"", "CONSUL_SERVER = \"consul.other\"", "user_data"),
    (SHADOW, "", "blue_max_size = 9\n", "zz.auto.tfvars"),
    // In the proof.
    (MODULE, BLUE, "min_size                  = var.blue.min_size\n  desired_capacity          = 3\n", "desired_capacity"),
    (MODULE, GREEN, "min_size                  = var.green.min_size\n  desired_capacity          = 0\n", "desired_capacity"),
    (MODULE, BLUE, "min_size                  = var.blue.min_size\n  instance_refresh {\n    strategy = \"Rolling\"\n  }\n", "instance_refresh"),
    (SCALING, "resource \"aws_cloudwatch_metric_alarm\" \"cpu_low\" {\n  for_each = local.groups", "resource \"aws_cloudwatch_metric_alarm\" \"cpu_low\" {\n  for_each = {}", "aws_cloudwatch_metric_alarm.cpu_low"),
    (MAIN, "tags = { environment = \"local\" }", "tags = { environment = \"local\", team = \"platform\" }", "tags_all"),
    (BALANCERS, "    timeout             = 2\n    healthy_threshold   = 2\n    unhealthy_threshold = 2\n  }\n}\n\nresource \"aws_lb\"", "    timeout             = 3\n    healthy_threshold   = 2\n    unhealthy_threshold = 2\n  }\n}\n\nresource \"aws_lb\"", "health_check"),
    (BALANCERS, "connection_draining         = true", "connection_draining         = false", "connection_draining"),
    (NETWORK, "description = \"HTTP\"", "description = \"Web\"", "aws_security_group.web"),
    (NETWORK, "cidr_blocks = [\"10.0.0.0/8\"]", "cidr_blocks = [\"0.0.0.0/0\"]", "aws_security_group.web"),
    (MAIN, "  codedeploy_role_arn       = aws_iam_role.codedeploy.arn", "  instance_type             = \"t3.medium\"\n  codedeploy_role_arn       = aws_iam_role.codedeploy.arn", "instance_type"),
    (MODULE, "max_size                  = var.blue.max_size", "max_size                  = var.blue.max_size + 1", "max_size"),
    (MODULE, "name                      = \"${var.name}-blue\"", "name                      = \"${var.name}-azure\"", "aws_autoscaling_group.blue"),
    (MODULE, "  wait_for_capacity_timeout = \"0\"", "  wait_for_capacity_timeout = \"10m\"", "wait_for_capacity_timeout"),
    (MODULE, GREEN, "min_size                  = var.green.min_size\n  termination_policies      = [\"OldestInstance\"]\n", "termination_policies"),
    (MODULE, GREEN, "min_size                  = var.green.min_size\n  default_cooldown          = 60\n", "default_cooldown"),
    (CODEDEPLOY, "deployment_option = \"WITHOUT_TRAFFIC_CONTROL\"", "deployment_option = \"WITH_TRAFFIC_CONTROL\"", "aws_codedeploy_deployment_group.both"),
    (MAIN, "health_check_grace_period = var.health_check_grace_period", "health_check_grace_period = 61", "health_check_grace_period"),
];

fn change(stage: &Stage, (file, from, to, _): Foreign) {
    if from.is_empty() {
        let text = std::fs::read_to_string(stage.project.path(file)).unwrap_or_default();
        stage.project.write(file, &format!("{text}{to}"));
    } else {
        stage.project.edit(file, from, to);
    }
}

fn put_back(stage: &Stage) {
    stage.git(&["checkout", "--quiet", "--", "terraform"]);
    stage.git(&["clean", "--quiet", "--force", "terraform"]);
}

/// Two at rest; in the proof twenty, at rest and in the middle, and back from there.
pub fn foreign_changes(stage: &Stage) {
    assert_eq!(CHANGES.len(), 20);
    let middle: &[u32] = if proof() { &[0, 1] } else { &[0] };
    for foreign in &CHANGES[..if proof() { 20 } else { 2 }] {
        for steps in middle {
            if *steps == 1 {
                stage.swap(0, &["next"]);
            }
            let before = (stage.project.read(TFVARS), stage.project.read(&format!("{ENVIRONMENT}/terraform.tfstate")));
            change(stage, *foreign);
            stage.swap(65, &["next"]).said(foreign.3).said("nothing was written");
            let after = (stage.project.read(TFVARS), stage.project.read(&format!("{ENVIRONMENT}/terraform.tfstate")));
            assert_eq!(after, before, "{foreign:?}");
            if *steps == 1 {
                stage.swap(0, &["rollback"]);
            }
            put_back(stage);
        }
        assert_eq!(stage.stands(), "steady blue", "{foreign:?}");
    }
}
