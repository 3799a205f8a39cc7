# Owns: load balancers for Terraform: classic ones, and version 2 with target groups and listeners.
# Must not: register instances; groups do. Invariant: what the API keeps in attributes of its own is read from there.
"""Where requests come in."""

from __future__ import annotations

from typing import Any

from .terraform import Attributes, Call, Gone, Refused, Resource, first, given, pairs, unpaired


def listener_of(block: Attributes) -> dict[str, Any]:
    return {
        "Protocol": block["lb_protocol"].upper(), "LoadBalancerPort": block["lb_port"],
        "InstanceProtocol": block["instance_protocol"].upper(), "InstancePort": block["instance_port"],
        **given(SSLCertificateId=block.get("ssl_certificate_id")),
    }  # fmt: skip


class Classic(Resource):
    title = "ELB Classic Load Balancer"
    gone = ("LoadBalancerNotFound",)
    HANDLED = (
        "subnets", "availability_zones", "security_groups", "listener", "health_check", "internal", "connection_draining",
        "connection_draining_timeout", "cross_zone_load_balancing", "idle_timeout",
    )  # fmt: skip

    def create(self, call: Call) -> None:
        planned, name = call.planned, call.name("tf-lb-")
        call.only(*self.HANDLED, "desync_mitigation_mode")
        call.client("elb").create_load_balancer(
            LoadBalancerName=name, Listeners=[listener_of(one) for one in planned["listener"]],
            **given(
                Subnets=planned.get("subnets"), AvailabilityZones=None if planned.get("subnets") else planned.get("availability_zones"),
                SecurityGroups=planned.get("security_groups"), Scheme="internal" if planned.get("internal") else None, Tags=call.tags(),
            ),
        )  # fmt: skip
        call.made.update(id=name, name=name)
        call.planned |= call.made
        self._attributes(call)
        self._health_check(call)

    @staticmethod
    def _attributes(call: Call) -> None:
        planned = call.planned
        draining = {"Enabled": bool(planned.get("connection_draining")), "Timeout": planned.get("connection_draining_timeout") or 300}
        call.client("elb").modify_load_balancer_attributes(
            LoadBalancerName=call.id,
            LoadBalancerAttributes={
                "ConnectionDraining": draining, "CrossZoneLoadBalancing": {"Enabled": bool(planned.get("cross_zone_load_balancing"))},
                "ConnectionSettings": {"IdleTimeout": planned.get("idle_timeout") or 60},
            },
        )  # fmt: skip

    @staticmethod
    def _health_check(call: Call) -> None:
        if check := first(call.planned.get("health_check")):
            call.client("elb").configure_health_check(
                LoadBalancerName=call.id,
                HealthCheck={
                    "Target": check["target"], "Interval": check["interval"], "Timeout": check["timeout"],
                    "HealthyThreshold": check["healthy_threshold"], "UnhealthyThreshold": check["unhealthy_threshold"],
                },
            )  # fmt: skip

    def read(self, call: Call) -> Attributes:
        elb = call.client("elb")
        one = elb.describe_load_balancers(LoadBalancerNames=[call.id])["LoadBalancerDescriptions"][0]
        attributes = elb.describe_load_balancer_attributes(LoadBalancerName=call.id)["LoadBalancerAttributes"]
        tags = unpaired(elb.describe_tags(LoadBalancerNames=[call.id])["TagDescriptions"][0]["Tags"])
        check = one.get("HealthCheck") or {}
        listeners = [one["Listener"] for one in one["ListenerDescriptions"]]
        # As written: AWS answers in capitals, and the real provider compares without case.
        case = {text.upper(): text for block in call.prior.get("listener") or [] for text in (block["lb_protocol"], block["instance_protocol"])}
        return {
            "id": call.id, "name": call.id, "arn": f"arn:aws:elasticloadbalancing:{call.region}:123456789012:loadbalancer/{call.id}",
            "dns_name": one["DNSName"], "zone_id": one.get("CanonicalHostedZoneNameID") or "Z14GRHDCWA56QT", "internal": one.get("Scheme") == "internal",
            "subnets": one.get("Subnets") or call.prior.get("subnets"), "availability_zones": one.get("AvailabilityZones") or [],
            "security_groups": one.get("SecurityGroups") or call.prior.get("security_groups"),
            "instances": [instance["InstanceId"] for instance in one["Instances"]],
            "source_security_group": (one.get("SourceSecurityGroup") or {}).get("GroupName"),
            "listener": [
                {
                    "lb_port": each["LoadBalancerPort"], "lb_protocol": case.get(each["Protocol"].upper(), each["Protocol"].lower()),
                    "instance_port": each["InstancePort"],
                    "instance_protocol": case.get(each["InstanceProtocol"].upper(), each["InstanceProtocol"].lower()),
                    "ssl_certificate_id": each.get("SSLCertificateId") or None,
                }
                for each in listeners
            ],
            "health_check": [
                {
                    "target": check["Target"], "interval": check["Interval"], "timeout": check["Timeout"],
                    "healthy_threshold": check["HealthyThreshold"], "unhealthy_threshold": check["UnhealthyThreshold"],
                }
            ] if check else [],
            "connection_draining": attributes["ConnectionDraining"]["Enabled"],
            "connection_draining_timeout": attributes["ConnectionDraining"].get("Timeout") or call.prior.get("connection_draining_timeout") or 300,
            "cross_zone_load_balancing": attributes["CrossZoneLoadBalancing"]["Enabled"],
            "idle_timeout": attributes["ConnectionSettings"]["IdleTimeout"],
            "desync_mitigation_mode": "defensive", **call.read_tags(tags),
        }  # fmt: skip

    def update(self, call: Call) -> None:
        call.only(*self.HANDLED)
        elb, planned, prior = call.client("elb"), call.planned, call.prior
        if call.changed("listener"):
            new, old = planned["listener"], prior["listener"]
            if lost := [one["lb_port"] for one in old if one not in new]:
                elb.delete_load_balancer_listeners(LoadBalancerName=call.id, LoadBalancerPorts=lost)
            if more := [listener_of(one) for one in new if one not in old]:
                elb.create_load_balancer_listeners(LoadBalancerName=call.id, Listeners=more)
        if call.changed("connection_draining", "connection_draining_timeout", "cross_zone_load_balancing", "idle_timeout"):
            self._attributes(call)
        if call.changed("health_check"):
            self._health_check(call)
        if call.changed("security_groups"):
            elb.apply_security_groups_to_load_balancer(LoadBalancerName=call.id, SecurityGroups=planned["security_groups"])
        if call.changed("subnets"):
            before, after = set(prior.get("subnets") or []), set(planned.get("subnets") or [])
            if before - after:
                elb.detach_load_balancer_from_subnets(LoadBalancerName=call.id, Subnets=sorted(before - after))
            if after - before:
                elb.attach_load_balancer_to_subnets(LoadBalancerName=call.id, Subnets=sorted(after - before))
        more, less = call.tag_changes()
        if less:
            elb.remove_tags(LoadBalancerNames=[call.id], Tags=[{"Key": key} for key in less])
        if more:
            elb.add_tags(LoadBalancerNames=[call.id], Tags=pairs(more))

    def delete(self, call: Call) -> None:
        call.client("elb").delete_load_balancer(LoadBalancerName=call.id)


def read_v2_tags(call: Call) -> Attributes:
    found = call.client("elbv2").describe_tags(ResourceArns=[call.id])["TagDescriptions"]
    return call.read_tags(unpaired(found[0]["Tags"]) if found else {})


def retag_v2(call: Call) -> None:
    more, less = call.tag_changes()
    if less:
        call.client("elbv2").remove_tags(ResourceArns=[call.id], TagKeys=less)
    if more:
        call.client("elbv2").add_tags(ResourceArns=[call.id], Tags=pairs(more))


class Balancer(Resource):
    title = "ELBv2 Load Balancer"
    gone = ("LoadBalancerNotFound",)
    HANDLED = ("subnets", "security_groups", "internal", "load_balancer_type", "ip_address_type")

    def create(self, call: Call) -> None:
        call.only(*self.HANDLED)
        planned, name = call.planned, call.name("tf-lb-")
        answer = call.client("elbv2").create_load_balancer(
            Name=name, Type=planned["load_balancer_type"], Scheme="internal" if planned.get("internal") else "internet-facing",
            **given(Subnets=planned.get("subnets"), SecurityGroups=planned.get("security_groups"), IpAddressType=planned.get("ip_address_type"), Tags=call.tags()),
        )  # fmt: skip
        call.made.update(id=answer["LoadBalancers"][0]["LoadBalancerArn"], arn=answer["LoadBalancers"][0]["LoadBalancerArn"])

    def read(self, call: Call) -> Attributes:
        one = call.client("elbv2").describe_load_balancers(LoadBalancerArns=[call.id])["LoadBalancers"][0]
        return {
            "id": call.id, "arn": call.id, "arn_suffix": call.id.split(":loadbalancer/")[-1], "name": one["LoadBalancerName"], "dns_name": one["DNSName"],
            "zone_id": one.get("CanonicalHostedZoneId"), "internal": one["Scheme"] == "internal", "load_balancer_type": one["Type"], "vpc_id": one["VpcId"],
            "subnets": [zone["SubnetId"] for zone in one["AvailabilityZones"]], "security_groups": one.get("SecurityGroups") or [],
            "ip_address_type": one.get("IpAddressType"), **read_v2_tags(call),
        }  # fmt: skip

    def update(self, call: Call) -> None:
        call.only(*self.HANDLED)
        if call.changed("security_groups"):
            call.client("elbv2").set_security_groups(LoadBalancerArn=call.id, SecurityGroups=call.planned["security_groups"])
        if call.changed("subnets"):
            call.client("elbv2").set_subnets(LoadBalancerArn=call.id, Subnets=call.planned["subnets"])
        retag_v2(call)

    def delete(self, call: Call) -> None:
        call.client("elbv2").delete_load_balancer(LoadBalancerArn=call.id)


class TargetGroup(Resource):
    title = "ELBv2 Target Group"
    gone = ("TargetGroupNotFound",)
    CHECK = {
        "enabled": "HealthCheckEnabled", "interval": "HealthCheckIntervalSeconds", "path": "HealthCheckPath", "port": "HealthCheckPort",
        "protocol": "HealthCheckProtocol", "timeout": "HealthCheckTimeoutSeconds", "healthy_threshold": "HealthyThresholdCount",
        "unhealthy_threshold": "UnhealthyThresholdCount",
    }  # fmt: skip
    HANDLED = ("port", "protocol", "vpc_id", "target_type", "health_check", "deregistration_delay", "protocol_version")

    def _check(self, call: Call) -> dict[str, Any]:
        check = first(call.planned.get("health_check"))
        said = given(**{key: check.get(name) for name, key in self.CHECK.items()})
        return said | ({"Matcher": {"HttpCode": check["matcher"]}} if check.get("matcher") else {})

    def create(self, call: Call) -> None:
        call.only(*self.HANDLED)
        planned, name = call.planned, call.name("tf-")
        answer = call.client("elbv2").create_target_group(
            Name=name, TargetType=planned["target_type"],
            **given(Protocol=planned.get("protocol"), Port=planned.get("port"), VpcId=planned.get("vpc_id"), ProtocolVersion=planned.get("protocol_version"), Tags=call.tags()),
            **self._check(call),
        )  # fmt: skip
        arn = answer["TargetGroups"][0]["TargetGroupArn"]
        call.made.update(id=arn, arn=arn)
        call.planned |= call.made
        self._delay(call)

    @staticmethod
    def _delay(call: Call) -> None:
        attributes = [{"Key": "deregistration_delay.timeout_seconds", "Value": call.planned["deregistration_delay"]}]
        call.client("elbv2").modify_target_group_attributes(TargetGroupArn=call.id, Attributes=attributes)

    def read(self, call: Call) -> Attributes:
        elbv2 = call.client("elbv2")
        one = elbv2.describe_target_groups(TargetGroupArns=[call.id])["TargetGroups"][0]
        attributes = unpaired(elbv2.describe_target_group_attributes(TargetGroupArn=call.id)["Attributes"])
        check = {name: one.get(key) for name, key in self.CHECK.items()} | {"matcher": (one.get("Matcher") or {}).get("HttpCode")}
        return {
            "id": call.id, "arn": call.id, "arn_suffix": call.id.split(":")[-1], "name": one["TargetGroupName"], "port": one.get("Port"),
            "protocol": one.get("Protocol"), "vpc_id": one.get("VpcId"), "target_type": one["TargetType"], "protocol_version": one.get("ProtocolVersion"),
            "load_balancer_arns": one.get("LoadBalancerArns", []), "health_check": [check],
            "deregistration_delay": attributes["deregistration_delay.timeout_seconds"], **read_v2_tags(call),
        }  # fmt: skip

    def update(self, call: Call) -> None:
        call.only(*self.HANDLED)
        if call.changed("health_check"):
            call.client("elbv2").modify_target_group(TargetGroupArn=call.id, **self._check(call))
        if call.changed("deregistration_delay"):
            self._delay(call)
        retag_v2(call)

    def delete(self, call: Call) -> None:
        call.client("elbv2").delete_target_group(TargetGroupArn=call.id)


class Listener(Resource):
    title = "ELBv2 Listener"
    gone = ("ListenerNotFound",)

    @staticmethod
    def _actions(call: Call) -> list[dict[str, Any]]:
        actions = []
        for block in call.planned["default_action"]:
            if block["type"] != "forward" or not block.get("target_group_arn"):
                raise Refused("the local EC2 carries out listeners that forward to one `target_group_arn`, and no others")
            actions.append({"Type": "forward", "TargetGroupArn": block["target_group_arn"]})
        return actions

    def create(self, call: Call) -> None:
        call.only("load_balancer_arn", "port", "protocol", "default_action")
        answer = call.client("elbv2").create_listener(
            LoadBalancerArn=call.planned["load_balancer_arn"], DefaultActions=self._actions(call),
            **given(Port=call.planned.get("port"), Protocol=call.planned.get("protocol"), Tags=call.tags()),
        )  # fmt: skip
        arn = answer["Listeners"][0]["ListenerArn"]
        call.made.update(id=arn, arn=arn)

    def read(self, call: Call) -> Attributes:
        found = call.client("elbv2").describe_listeners(ListenerArns=[call.id])["Listeners"]
        if not found:
            raise Gone
        one = found[0]
        actions = [
            {"type": each["Type"], "target_group_arn": each.get("TargetGroupArn"), "order": each.get("Order") or order}
            for order, each in enumerate(one["DefaultActions"], 1)
        ]
        return {
            "id": call.id, "arn": call.id, "load_balancer_arn": one["LoadBalancerArn"], "port": one.get("Port"), "protocol": one.get("Protocol"),
            "default_action": actions, **read_v2_tags(call),
        }  # fmt: skip

    def update(self, call: Call) -> None:
        call.only("load_balancer_arn", "port", "protocol", "default_action")
        call.client("elbv2").modify_listener(
            ListenerArn=call.id, Port=call.planned["port"], Protocol=call.planned["protocol"], DefaultActions=self._actions(call)
        )
        retag_v2(call)

    def delete(self, call: Call) -> None:
        call.client("elbv2").delete_listener(ListenerArn=call.id)


RESOURCES = {"aws_elb": Classic(), "aws_lb": Balancer(), "aws_lb_target_group": TargetGroup(), "aws_lb_listener": Listener()}
