# Owns: the tests of regions as networks: addresses, who reaches whom, the API as instances see it, and AMIs of Docker images.
# Must not: pass without Docker. Invariant: what these tests start carries the label of a server that they started.
"""Several clouds on one machine."""

from __future__ import annotations

import os
import signal
import subprocess
import unittest
from typing import Any

from local_ec2.swapping import PATIENCE
from local_ec2.testing import NEWEST, Running, until

REGIONS = ("ap-northeast-1", "us-west-2")

# By the name that SDKs use, with the CA of the machine: Python checks both.
ASK = """
import sys, urllib.request as u
body = b'Action=DescribeInstances&Version=2016-11-15'
scope = 'AWS4-HMAC-SHA256 Credential=test/20261122/%s/ec2/aws4_request, SignedHeaders=host, Signature=0' % sys.argv[1]
print(u.urlopen(u.Request('https://ec2.%s.amazonaws.com/' % sys.argv[1], body, {'Authorization': scope}), timeout=20).read().decode())
"""
REACH = "import socket, sys\ntry: socket.create_connection((sys.argv[1], 22), 2); print('reached')\nexcept OSError: print('not')\n"


def user_data(answer: Any, region: str) -> str:
    hosts = [f"      {address} {name}" for name, address in answer["regions"][region]["hosts"].items()]
    lines = ["#cloud-config", "ca_certs:", "  trusted:", "    - |", *(f"      {line}" for line in answer["ca"].splitlines())]
    lines += ["write_files:", "  - path: /etc/hosts", "    append: true", "    content: |", *hosts]
    return "\n".join(lines) + "\n"


class Networks(unittest.TestCase):
    def setUp(self) -> None:
        self.server = Running()
        self.addCleanup(self.server.end)

    def boot(self, region: str, answer: Any) -> tuple[str, dict[str, Any]]:
        ec2 = self.server.client(region)
        # The base as an AMI that nobody built: a Docker image made into one.
        image = self.server.control("POST", "images", {"docker": self.server.about["base_image"], "region": region, "tags": {"kind": "dry"}})["id"]
        self.assertEqual(ec2.describe_images(Owners=["self"])["Images"][0]["Tags"], [{"Key": "kind", "Value": "dry"}])
        run = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro", UserData=user_data(answer, region))
        instance = run["Instances"][0]["InstanceId"]
        found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        return f"{instance}-{self.server.about['id']}", found

    def inside(self, box: str, *command: str) -> str:
        done = subprocess.run(["docker", "exec", box, *command], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def test_regions_are_apart_and_meet_on_the_public_network(self) -> None:
        answer = self.server.control("POST", "networks", {"regions": list(REGIONS)})
        self.assertIn("there are networks already", self.server.control("POST", "networks", {"regions": ["us-east-1"]})["error"])
        (one, here), (other, there) = (self.boot(region, answer) for region in REGIONS)
        self.assertEqual(len({here["PrivateIpAddress"], here["PublicIpAddress"], there["PrivateIpAddress"], there["PublicIpAddress"]}), 4)
        for box, found in ((one, here), (other, there)):
            # Status 2 is "done, with warnings"; a machine that still boots says `running`.
            self.assertIn("done", self.inside(box, "cloud-init", "status", "--wait"))
            for interface, address in (("eth0", found["PrivateIpAddress"]), ("eth1", found["PublicIpAddress"])):
                self.assertIn(f" {address}/", self.inside(box, "ip", "-brief", "address", "show", interface))
            self.assertEqual(self.inside(box, "hostname").strip(), f"ip-{found['PrivateIpAddress'].replace('.', '-')}")
        until(lambda: self.inside(one, "python3", "-c", REACH, there["PublicIpAddress"]).strip() == "reached", PATIENCE)
        self.assertEqual(self.inside(one, "python3", "-c", REACH, there["PrivateIpAddress"]).strip(), "not")
        for box in (one, other):
            for region, found in zip(REGIONS, (here, there), strict=True):
                self.assertIn(f"<privateIpAddress>{found['PrivateIpAddress']}<", self.inside(box, "python3", "-c", ASK, region))

        s3 = self.server.client(service="s3")
        s3.create_bucket(Bucket="releases", CreateBucketConfiguration={"LocationConstraint": REGIONS[0]})
        s3.put_object(Bucket="releases", Key="app/latest", Body=b"the latest")
        fetch = "import sys, urllib.request as u; print(u.urlopen(u.Request(sys.argv[1], headers={'Authorization': SCOPE}), timeout=20).read())"
        fetch = fetch.replace("SCOPE", repr("AWS4-HMAC-SHA256 Credential=test/20261122/ap-northeast-1/s3/aws4_request, SignedHeaders=host, Signature=0"))
        url = f"{answer['regions']['us-west-2']['endpoint']}/releases/app/latest"
        self.assertEqual(self.inside(other, "python3", "-c", fetch, url).strip(), "b'the latest'")

    def test_nothing_is_left_after_kill_9(self) -> None:
        self.server.control("POST", "networks", {"regions": [REGIONS[0]]})
        source = self.server.about["images"][REGIONS[0]][NEWEST]
        self.server.client().run_instances(ImageId=source, MinCount=1, MaxCount=1, InstanceType="t3.micro")
        self.assertEqual(len(self.server.docker_things()), 3, "two networks and a container")
        os.kill(self.server.about["pid"], signal.SIGKILL)
        self.server.process.wait()
        until(lambda: not self.server.docker_things(), PATIENCE)


if __name__ == "__main__":
    unittest.main()
