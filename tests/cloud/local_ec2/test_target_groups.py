# Owns: the tests of target groups and application load balancers, with containers and HAProxy. Must not: pass without either.
# Invariant: no test waits for a time, only for a state.
"""Groups behind target groups, as a client sees them."""

from __future__ import annotations

import ssl
import unittest
import urllib.request

from botocore.exceptions import ClientError

from local_ec2.swapping import PATIENCE, Account, Clients, get
from local_ec2.testing import Running, until


class TargetGroups(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Running()
        cls.addClassCleanup(cls.server.end)
        cls.account = Account(cls.server)
        for colour in ("blue", "green"):
            cls.account.template(colour, cls.account.light(colour), colour)

    def setUp(self) -> None:
        self.addCleanup(self.server.control, "DELETE", "knobs")

    def test_a_swap_by_hand_through_target_groups_fails_no_request(self) -> None:
        account = self.account
        live, test = account.target_group("tg-prd"), account.target_group("tg-test")
        balancer, address = account.application_balancer("alb")
        account.listen(balancer, 80, {"Type": "forward", "TargetGroupArn": live})
        account.listen(balancer, 8080, {"Type": "forward", "TargetGroupArn": test})
        account.group("alb-blue", "blue", 2, TargetGroupARNs=[live])
        account.group("alb-green", "green", 0, TargetGroupARNs=[test])
        blue = account.wait_targets(live, "alb-blue", 2)
        with Clients(address) as clients:
            account.resize("alb-green", 2)
            green = account.wait_targets(test, "alb-green", 2)
            self.assertIn('"colour": "green"', get(address, port=8080)[1])
            self.assertEqual(clients.colours["green"], 0)
            account.asg.attach_load_balancer_target_groups(AutoScalingGroupName="alb-green", TargetGroupARNs=[live])
            account.asg.detach_load_balancer_target_groups(AutoScalingGroupName="alb-green", TargetGroupARNs=[test])
            account.wait_targets(live, "alb-green", 2)
            account.asg.detach_load_balancer_target_groups(AutoScalingGroupName="alb-blue", TargetGroupARNs=[live])
            seen = until(lambda: {one for one, state in account.targets(live).items() if state == ("draining", "Target.DeregistrationInProgress")}, PATIENCE)
            self.assertLessEqual(seen, set(blue))
            until(lambda: set(account.targets(live)) == set(green), PATIENCE)
            account.resize("alb-blue", 0)
            account.wait_size("alb-blue", 0)
            before = clients.colours["green"]
            until(lambda: clients.colours["green"] > before + 40, PATIENCE)
        self.assertEqual(clients.failed, [])
        print(f"{clients.colours.total()} requests, longest {clients.longest * 1000:.0f} ms")
        account.clear("alb-blue", "alb-green")

    def test_a_sick_target_is_unhealthy_with_its_reason(self) -> None:
        account = self.account
        arn = account.target_group("tg-sick")
        account.group("sick", "blue", 1, TargetGroupARNs=[arn])
        until(lambda: [*account.targets(arn).values()] == [("unused", "Target.NotInUse")], PATIENCE)
        balancer, address = account.application_balancer("alb-sick")
        account.listen(balancer, 80, {"Type": "forward", "TargetGroupArn": arn})
        account.wait_targets(arn, "sick", 1)
        for mode, reason in (("500", "Target.ResponseCodeMismatch"), ("refuse", "Target.FailedHealthChecks"), ("hang", "Target.Timeout")):
            with self.subTest(mode=mode):
                self.server.knobs(behave={"group": "sick", "mode": mode})
                until(lambda reason=reason: [*account.targets(arn).values()] == [("unhealthy", reason)], PATIENCE)
                self.assertEqual(get(address)[0], 503)
        account.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
        self.assertEqual([*account.targets(arn).values()], [("unused", "Target.NotInUse")])
        account.clear("sick")

    def test_rules_are_followed_in_their_order(self) -> None:
        account = self.account
        arn = account.target_group("tg-rules")
        balancer, address = account.application_balancer("alb-rules")
        listener = account.listen(balancer, 80, {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": 'nothing "here"', "ContentType": "text/plain"}})
        redirect = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}
        teapot = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}}
        for priority, values, action in ((20, ["/api/*"], teapot), (10, ["/api/v?"], {"Type": "forward", "TargetGroupArn": arn}), (30, ["/old"], redirect)):
            conditions = [{"Field": "path-pattern", "Values": values}]
            account.elbv2.create_rule(ListenerArn=listener, Priority=priority, Conditions=conditions, Actions=[action])
        self.assertEqual(get(address), (404, 'nothing "here"'))
        self.assertEqual(get(address, "/api/other")[0], 418)
        self.assertEqual(get(address, "/api/v1")[0], 503, "forwarded, to nobody")
        self.assertEqual(get(address, "/old")[0], 301)
        with self.assertRaises(ClientError) as caught:
            account.listen(account.application_balancer("alb-other")[0], 80, {"Type": "forward", "TargetGroupArn": arn})
        self.assertEqual(caught.exception.response["Error"]["Code"], "TargetGroupAssociationLimit")

    def test_a_tls_listener_speaks_tls_with_its_own_certificate(self) -> None:
        account = self.account
        balancer, address = account.application_balancer("alb-tls")
        certificate = self.server.client(service="acm").request_certificate(DomainName="shop.example")["CertificateArn"]
        hello = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "hello", "ContentType": "text/plain"}}
        account.elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": certificate}], DefaultActions=[hello])
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with urllib.request.urlopen(f"https://{address}/", context=trusting, timeout=30) as answer:
            self.assertEqual(answer.read(), b"hello")
        with self.assertRaises(OSError) as caught:
            urllib.request.urlopen(f"https://{address}/", timeout=30)
        self.assertIn("CERTIFICATE_VERIFY_FAILED", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
