# Owns: what ansible/library/release_publish.py promises, against moto's S3. Must not: look into the module, but for the archive it makes.
"""Publishing a release and pointing at it."""

import io
import logging
import os
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import boto3
import yaml
from harness import LIBRARY, run_module
from moto.server import ThreadedMotoServer

sys.path.insert(0, str(LIBRARY))
import release_publish

REGION = "ap-northeast-1"


class Publish(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        cls.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        cls.server.start()
        host, port = cls.server.get_host_and_port()
        cls.environment = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION, "AWS_CONFIG_FILE": os.devnull}
        cls.patched = mock.patch.dict(os.environ, cls.environment)
        cls.patched.start()
        cls.s3 = boto3.client("s3")

    @classmethod
    def tearDownClass(cls):
        cls.patched.stop()
        cls.server.stop()

    def setUp(self):
        self.bucket = f"b-{self._testMethodName}"[:60].replace("_", "-")
        self.s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.source = Path(folder.name)
        (self.source / "app.py").write_text("print(1)\n", encoding="utf-8")

    def publish(self, release, source=True, check=False, url=None):
        """In this process: boto3 takes a second to load, and one test runs the module as Ansible does."""
        asked = {"release": release, "source": str(self.source) if source else None, "url": url or f"s3://{self.bucket}/app", "root": "/srv/app"}
        try:
            return release_publish.publish(SimpleNamespace(params=asked, check_mode=check))
        except release_publish.Refused as refused:
            return {"msg": str(refused)}

    def read(self, path):
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=f"app/{path}")["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None

    def pointed_at(self):
        pointer = self.read("latest/manifest.yml")
        return pointer and yaml.safe_load(pointer)["dest"].rpartition("/")[2]

    def test_a_release_is_published_pointed_at_and_the_same_again_is_no_change(self):
        first = self.publish("v1")
        self.assertEqual((first["changed"], first["uploaded"], first["before"]), (True, True, None))
        self.assertEqual(first["manifest_url"], f"s3://{self.bucket}/app/releases/v1/manifest.yml")
        self.assertEqual(self.read("latest/manifest.yml"), self.read("releases/v1/manifest.yml"))
        os.utime(self.source / "app.py", (1, 1))
        self.assertEqual({key: value for key, value in self.publish("v1").items() if key in ("changed", "uploaded")}, {"changed": False, "uploaded": False})
        with tarfile.open(fileobj=io.BytesIO(self.read("releases/v1/app.tar.gz"))) as archive:
            self.assertEqual(archive.getnames(), ["RELEASE", "app.py"])
            self.assertEqual(archive.extractfile("RELEASE").read(), b"v1\n")

    def test_going_back_needs_no_source(self):
        self.publish("v1")
        (self.source / "app.py").write_text("print(2)\n", encoding="utf-8")
        self.publish("v2")
        back = self.publish("v1", source=False)
        self.assertEqual((back["changed"], back["uploaded"], back["before"], self.pointed_at()), (True, False, "v2", "v1"))

    def test_a_release_does_not_change(self):
        self.publish("v1")
        (self.source / "app.py").write_text("print(2)\n", encoding="utf-8")
        self.assertIn("was published before with other content", self.publish("v1")["msg"])

    def test_the_pointer_stays_when_the_archive_is_not_what_the_manifest_says(self):
        self.publish("v1")
        self.publish("v2")
        self.s3.put_object(Bucket=self.bucket, Key="app/releases/v1/app.tar.gz", Body=b"half")
        self.assertIn("the pointer stays", self.publish("v1", source=False)["msg"])
        self.s3.delete_object(Bucket=self.bucket, Key="app/releases/v1/app.tar.gz")
        self.assertIn("reads as nothing", self.publish("v1", source=False)["msg"])
        self.assertEqual(self.pointed_at(), "v2")

    def test_check_mode_uploads_and_moves_nothing(self):
        self.assertTrue(self.publish("v1", check=True)["changed"])
        self.assertIsNone(self.read("releases/v1/manifest.yml"))
        self.assertIsNone(self.pointed_at())

    def test_wrong_names_sources_and_releases_that_are_not_there(self):
        for release in ("", "../v1", "image", "latest", "a b"):
            self.assertIn("is no name of a release", self.publish(release)["msg"])
        self.assertIn("was never published", self.publish("v7", source=False)["msg"])
        (self.source / "RELEASE").write_text("mine", encoding="utf-8")
        self.assertIn("has a file RELEASE", self.publish("v1")["msg"])
        self.assertIn("is no place for releases", self.publish("v1", url="https://x/y")["msg"])
        for file in self.source.iterdir():
            file.unlink()
        self.assertIn("is empty", self.publish("v1")["msg"])

    def test_as_ansible_runs_it(self):
        done = run_module("release_publish", {"release": "v1", "source": str(self.source), "url": f"s3://{self.bucket}/app"})
        self.assertEqual((done["changed"], self.pointed_at()), (True, "v1"))
        self.assertTrue(run_module("release_publish", {"release": "v2", "url": f"s3://{self.bucket}/app"})["failed"])


if __name__ == "__main__":
    unittest.main()
