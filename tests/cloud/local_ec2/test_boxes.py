# Owns: the tests that need Docker: a real boot, images that boot again, and clean-up however the server ends.
# Must not: pass without Docker: the server does not start then, and the test fails.
# Invariant: what these tests start carries the label of a server that they started.
"""Instances that are containers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

from local_ec2.__main__ import alive
from local_ec2.swapping import PATIENCE, Account, get
from local_ec2.testing import LAUNCHER, Running, ssh, until


class Boxes(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Running()
        cls.addClassCleanup(cls.server.end)
        cls.ec2 = cls.server.client()
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)

    def key(self, name: str) -> Path:
        path = self.folder / name
        path.write_text(self.ec2.create_key_pair(KeyName=name, KeyType="ed25519")["KeyMaterial"])
        path.chmod(0o600)
        return path

    def boot(self, image: str, key: Path, **more: Any) -> tuple[str, str]:
        began = time.monotonic()
        instance = self.ec2.run_instances(
            ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro", KeyName=key.name, **more
        )["Instances"][0]["InstanceId"]
        found = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        self.assertEqual(found["PublicIpAddress"], found["PrivateIpAddress"])
        until(lambda: ssh(key, found["PublicIpAddress"], "true").returncode == 0, PATIENCE)
        print(f"ssh after {time.monotonic() - began:.1f} s")
        return instance, found["PublicIpAddress"]

    def test_an_instance_boots_is_imaged_and_its_image_boots_with_another_key(self) -> None:
        first = self.key("first")
        script = "#!/bin/sh\necho from user data > /root/user-data\n"
        instance, address = self.boot(self.server.source, first, UserData=script)
        done = ssh(first, address, "cloud-init status --wait >/dev/null; systemctl is-system-running --wait; sudo cat /root/user-data; cat /proc/1/comm")
        self.assertEqual(done.stdout.split("\n")[:3], ["running", "from user data", "systemd"], done.stderr)
        done = ssh(first, address, "echo 10.1.1.1 db | sudo tee -a /etc/hosts; sudo mv /etc/hosts /etc/hosts.n; sudo mv /etc/hosts.n /etc/hosts; sudo touch /run/gone /root/kept")
        self.assertEqual(done.returncode, 0, done.stderr)

        self.ec2.stop_instances(InstanceIds=[instance])
        image = self.ec2.create_image(InstanceId=instance, Name="first")["ImageId"]
        self.ec2.terminate_instances(InstanceIds=[instance])
        self.assertEqual(self.server.control("GET", "left")["containers"], [])

        second = self.key("second")
        instance, address = self.boot(image, second)
        done = ssh(second, address, "sudo ls /root/kept /run/gone; grep -c db /etc/hosts; cat /home/admin/.ssh/authorized_keys | wc -l")
        self.assertEqual(done.stdout.split(), ["/root/kept", "1", "2"], "as on EC2, the first key is still in the image")

        copy = self.ec2.copy_image(SourceImageId=image, SourceRegion="ap-northeast-1", Name="copy")["ImageId"]
        self.ec2.terminate_instances(InstanceIds=[instance])
        self.ec2.deregister_image(ImageId=image)
        self.assertEqual(len(self.server.control("GET", "left")["docker_images"]), 1, "the copy still needs it")
        self.ec2.deregister_image(ImageId=copy)
        self.assertEqual(self.server.control("GET", "left")["docker_images"], [])

    def test_a_stopped_instance_starts_again(self) -> None:
        key = self.key("again")
        instance, _ = self.boot(self.server.source, key)
        self.ec2.stop_instances(InstanceIds=[instance])
        self.ec2.start_instances(InstanceIds=[instance])
        found = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        until(lambda: ssh(key, found["PublicIpAddress"], "true").returncode == 0, PATIENCE)
        self.ec2.terminate_instances(InstanceIds=[instance])


class CleanUp(unittest.TestCase):
    def start(self) -> Running:
        server = Running()
        self.addCleanup(server.process.stdout.close)
        self.addCleanup(server.process.wait)
        self.addCleanup(server.process.kill)
        ec2 = server.client()
        instance = ec2.run_instances(ImageId=server.source, MinCount=1, MaxCount=1, InstanceType="t3.micro")["Instances"][0]["InstanceId"]
        image = ec2.create_image(InstanceId=instance, Name="image")["ImageId"]
        ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.micro")
        self.assertEqual(len(server.docker_things()), 3)
        self.address = Account(server).balancer("elb")
        self.assertEqual(get(self.address)[0], 503)
        return server

    def assert_nothing_listens(self) -> None:
        with self.assertRaises(ConnectionRefusedError):
            get(self.address)

    def test_nothing_is_left_after_sigterm(self) -> None:
        server = self.start()
        self.assertEqual(server.end(), 0)
        self.assertEqual(server.docker_things(), [])
        self.assert_nothing_listens()

    def test_nothing_is_left_after_kill_9(self) -> None:
        server = self.start()
        os.kill(server.about["pid"], signal.SIGKILL)
        server.process.wait()
        until(lambda: not server.docker_things(), PATIENCE)
        self.assert_nothing_listens()

    def test_up_in_the_background_and_down(self) -> None:
        with tempfile.TemporaryDirectory() as state:
            up = [str(LAUNCHER), "up", "--background", "--state", state]
            first = json.loads(subprocess.run(up, stdout=subprocess.PIPE, check=True).stdout)
            again = json.loads(subprocess.run(up, stdout=subprocess.PIPE, check=True).stdout)
            self.assertEqual(first["pid"], again["pid"])
            env = subprocess.run([str(LAUNCHER), "env", "--state", state], stdout=subprocess.PIPE, text=True, check=True)
            self.assertIn(f"export AWS_ENDPOINT_URL={first['endpoint']}", env.stdout)
            subprocess.run([str(LAUNCHER), "down", "--state", state], check=True)
            self.assertFalse(alive(first["pid"]))
            self.assertEqual(sorted(os.listdir(state)), ["server.log"])


if __name__ == "__main__":
    unittest.main()
