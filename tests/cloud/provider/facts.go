// Owns: what the real provider does and no schema says, by hand, for the resources that it serves: what replaces, defaults,
// versions that follow a change, validators that a swap can run into. From the sources of hashicorp/aws 6.
// Must not: repeat the schema. Invariant: paths are checked against it when it is loaded (schema.go).

package main

import "strings"

type facts struct {
	id       string // what `terraform import` is given, beside `id`
	version  int64  // of the state
	replace  []string
	defaults map[string]any
	// Blocks that are optional and computed: without one in the configuration, what there is stays.
	kept []string
	// Computed again as soon as anything but `except` changes; with `only`, if that attribute is true.
	follows   map[string]follow
	oneOf     [][]string
	conflicts [][2]string
	rules     map[string][]rule
	sensitive []string
}

type follow struct {
	only   string
	except []string
}

// everything: all arguments but tags replace.
var everything = []string{"*"}

const group = "autoscaling_group_name"

var table = map[string]facts{
	"aws_autoscaling_group": {
		id: "name", version: 1, replace: []string{"name", "name_prefix", "initial_lifecycle_hook"},
		oneOf:     [][]string{{"launch_configuration", "launch_template", "mixed_instances_policy"}},
		conflicts: [][2]string{{"name", "name_prefix"}, {"availability_zones", "vpc_zone_identifier"}, {"load_balancers", "traffic_source"}, {"target_group_arns", "traffic_source"}},
		kept:      []string{"availability_zone_distribution", "capacity_reservation_specification"},
		defaults: map[string]any{
			"force_delete": false, "force_delete_warm_pool": false, "health_check_grace_period": 300,
			"ignore_failed_scaling_activities": false, "metrics_granularity": "1Minute", "protect_from_scale_in": false,
			"wait_for_capacity_timeout": "10m",
		},
		rules: map[string][]rule{
			"name": {length(1, 255)}, "name_prefix": {length(0, 255-26)}, "wait_for_capacity_timeout": {isDuration},
			"launch_template[].name":    {length(3, 128), matching(`^[a-zA-Z0-9().\-/_]+$`, "must only contain letters, digits and ( ) . - / _")},
			"launch_template[].id":      {length(1, 255), matching(`^lt-`, "must begin with 'lt-'")},
			"launch_template[].version": {matching(`^(\$Latest|\$Default|[0-9]+)$`, "must be a version number, $Latest or $Default")},
		},
	},
	"aws_autoscaling_policy": {
		id: "name", replace: []string{"name", group},
		defaults: map[string]any{"enabled": true, "policy_type": "SimpleScaling"},
		rules: map[string][]rule{
			"policy_type": {oneOf("SimpleScaling", "StepScaling", "TargetTrackingScaling", "PredictiveScaling")},
		},
	},
	"aws_cloudwatch_metric_alarm": {
		id: "alarm_name", version: 1, replace: []string{"alarm_name"},
		defaults: map[string]any{"actions_enabled": true, "treat_missing_data": "missing"},
		rules: map[string][]rule{
			"alarm_name": {length(0, 255)},
			"comparison_operator": {oneOf("GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold",
				"LessThanLowerOrGreaterThanUpperThreshold", "LessThanLowerThreshold", "GreaterThanUpperThreshold")},
			"statistic": {oneOf("SampleCount", "Average", "Sum", "Minimum", "Maximum")},
		},
	},
	"aws_codedeploy_app": {
		id: "name", replace: []string{"compute_platform"}, defaults: map[string]any{"compute_platform": "Server"},
		rules: map[string][]rule{"name": {length(1, 100)}, "compute_platform": {oneOf("Server", "Lambda", "ECS")}},
	},
	"aws_codedeploy_deployment_group": {
		id: "deployment_group_name", kept: []string{"blue_green_deployment_config"},
		defaults: map[string]any{
			"deployment_config_name": "CodeDeployDefault.OneAtATime", "outdated_instances_strategy": "UPDATE", "termination_hook_enabled": false,
			"deployment_style[].deployment_option": "WITHOUT_TRAFFIC_CONTROL", "deployment_style[].deployment_type": "IN_PLACE",
		},
		rules: map[string][]rule{"app_name": {length(1, 100)}, "deployment_group_name": {length(1, 100)}},
	},
	"aws_elb": {
		id: "name", replace: []string{"name", "name_prefix", "internal"}, kept: []string{"health_check"},
		conflicts: [][2]string{{"name", "name_prefix"}},
		defaults: map[string]any{
			"connection_draining": false, "connection_draining_timeout": 300, "cross_zone_load_balancing": true,
			"desync_mitigation_mode": "defensive", "idle_timeout": 60, "access_logs[].enabled": true, "access_logs[].interval": 60,
		},
		rules: map[string][]rule{"name": balancerName, "name_prefix": {length(0, 6)}},
	},
	"aws_iam_instance_profile": {
		id: "name", replace: []string{"name", "name_prefix", "path"}, conflicts: [][2]string{{"name", "name_prefix"}},
		defaults: map[string]any{"path": "/"}, rules: map[string][]rule{"name": iamName(128)},
	},
	"aws_iam_role": {
		id: "name", replace: []string{"name", "name_prefix", "path"}, conflicts: [][2]string{{"name", "name_prefix"}},
		defaults: map[string]any{"force_detach_policies": false, "max_session_duration": 3600, "path": "/"},
		rules:    map[string][]rule{"name": iamName(64), "assume_role_policy": {isJSON}},
	},
	"aws_launch_configuration": {
		id: "name", replace: everything, defaults: map[string]any{"enable_monitoring": true},
		conflicts: [][2]string{{"name", "name_prefix"}, {"user_data", "user_data_base64"}},
	},
	"aws_launch_template": {
		replace: []string{"name", "name_prefix"}, kept: []string{"metadata_options"},
		conflicts: [][2]string{{"name", "name_prefix"}, {"default_version", "update_default_version"}, {"security_group_names", "vpc_security_group_ids"}},
		follows: map[string]follow{
			"latest_version":  {except: []string{"name", "name_prefix", "description", "default_version", "update_default_version"}},
			"default_version": {except: []string{"name", "name_prefix", "description"}, only: "update_default_version"},
		},
		rules: map[string][]rule{
			"name": {length(3, 128), matching(`^[a-zA-Z0-9().\-/_]+$`, "must only contain letters, digits and ( ) . - / _")}, "user_data": {isBase64},
			"metadata_options[].http_tokens": {oneOf("optional", "required")},
		},
	},
	"aws_lb": {
		id: "arn", replace: []string{"name", "name_prefix", "internal", "load_balancer_type", "customer_owned_ipv4_pool"},
		conflicts: [][2]string{{"name", "name_prefix"}}, kept: []string{"subnet_mapping"},
		defaults: map[string]any{
			"client_keep_alive": 3600, "desync_mitigation_mode": "defensive", "drop_invalid_header_fields": false,
			"enable_cross_zone_load_balancing": false, "enable_deletion_protection": false, "enable_http2": true,
			"enable_tls_version_and_cipher_suite_headers": false, "enable_waf_fail_open": false, "enable_xff_client_port": false,
			"enable_zonal_shift": false, "idle_timeout": 60, "load_balancer_type": "application", "preserve_host_header": false,
			"xff_header_processing_mode": "append",
		},
		rules: map[string][]rule{"name": balancerName, "load_balancer_type": {oneOf("application", "network", "gateway")}},
	},
	"aws_lb_listener": {
		id: "arn", replace: []string{"load_balancer_arn"}, kept: []string{"mutual_authentication"},
		sensitive: []string{"default_action[].authenticate_oidc[].client_secret"},
	},
	"aws_lb_target_group": {
		id:        "arn",
		replace:   []string{"name", "name_prefix", "port", "protocol", "protocol_version", "target_type", "vpc_id", "ip_address_type"},
		conflicts: [][2]string{{"name", "name_prefix"}},
		kept:      []string{"health_check", "stickiness", "target_failover", "target_group_health", "target_health_state"},
		defaults: map[string]any{
			"deregistration_delay": "300", "lambda_multi_value_headers_enabled": false, "proxy_protocol_v2": false, "slow_start": 0,
			"target_type": "instance", "health_check[].enabled": true, "health_check[].healthy_threshold": 3, "health_check[].interval": 30,
			"health_check[].port": "traffic-port", "health_check[].protocol": "HTTP", "health_check[].unhealthy_threshold": 3,
		},
		rules: map[string][]rule{"name": balancerName, "name_prefix": {length(0, 6)}, "target_type": {oneOf("instance", "ip", "lambda", "alb")}},
	},
	"aws_security_group": {
		version: 1, replace: []string{"name", "name_prefix", "description", "vpc_id"}, conflicts: [][2]string{{"name", "name_prefix"}},
		defaults: map[string]any{"description": "Managed by Terraform", "revoke_rules_on_delete": false},
		rules:    map[string][]rule{"name": {length(0, 255), notMatching(`^sg-`, "cannot begin with sg-")}},
	},
}

func (f facts) paths() (out []string) {
	add := func(all ...string) {
		for _, one := range all {
			if one != "" && one != everything[0] {
				out = append(out, one)
			}
		}
	}
	add(f.id)
	add(f.replace...)
	add(f.kept...)
	add(f.sensitive...)
	add(sorted(f.defaults)...)
	add(sorted(f.rules)...)
	for name, one := range f.follows {
		add(name, one.only)
		add(one.except...)
	}
	for _, names := range f.oneOf {
		add(names...)
	}
	for _, pair := range f.conflicts {
		add(pair[0], pair[1])
	}
	return out
}

func (f facts) replaces(name string) bool {
	all := len(f.replace) == 1 && f.replace[0] == everything[0]
	return name == "region" || contains(f.replace, name) || all && !strings.HasPrefix(name, "tags")
}
