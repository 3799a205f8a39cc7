#!/usr/bin/python
# Owns: a release in S3: its archive, its manifest, and the pointer to the latest one. Runs where boto3 is, with whatever credentials that has.
# Must not: change a release that is there, or move the pointer before what it will point at was read back and found right.
# Invariant: equal sources make equal archives, so publishing the same release again changes nothing.
"""Ansible module: publish a release, or point at one that was published."""

import gzip
import hashlib
import io
import os
import re
import tarfile

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    import boto3
    import yaml
    from botocore.exceptions import BotoCoreError, ClientError

    MISSING = None
except ImportError as error:
    MISSING = error

DOCUMENTATION = """
module: release_publish
short_description: Publishes a release to S3 and moves the latest pointer to it
options:
  release: {type: str, required: true, description: Its name; letters, digits, dot, hyphen, underscore.}
  source: {type: path, description: "Folder with the release's files. Without it the release must have been published before, which is how one goes back."}
  url: {type: str, required: true, description: "Where releases are, C(s3://bucket/app)."}
  root: {type: path, default: /srv/app, description: "Folder on the nodes that holds releases/ and current."}
"""

EXAMPLES = """
- release_publish: {release: "2026-11-22.1", source: build/app, url: "s3://acme-releases/app"}
- release_publish: {release: "2026-11-20.3", url: "s3://acme-releases/app"}
"""

RETURN = """
manifest_url: {type: str, returned: always, description: What the event is to name.}
checksum: {type: str, returned: always, description: SHA-256 of the archive.}
uploaded: {type: bool, returned: always, description: Whether the release is new.}
before: {type: str, returned: always, description: "Release that the pointer named before; null when there was no pointer."}
"""


class Refused(Exception):
    """Why the pointer was not moved."""


class Bucket:
    """Objects below one folder of a bucket; every write is read back."""

    def __init__(self, url):
        found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]+)/(.+?)/?", url)
        if not found:
            raise Refused(f"`{url}` is no place for releases, wanted s3://bucket/folder")
        self.bucket, self.folder = found.groups()
        self.client = boto3.client("s3")

    def url(self, path):
        return f"s3://{self.bucket}/{self.folder}/{path}"

    def read(self, path):
        try:
            return self.client.get_object(Bucket=self.bucket, Key=f"{self.folder}/{path}")["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise

    def write(self, path, data):
        self.client.put_object(Bucket=self.bucket, Key=f"{self.folder}/{path}", Body=data)
        if self.read(path) != data:
            raise Refused(f"{self.url(path)} was written, and reads back as something else")


def archive_of(source, release):
    """tar.gz of a folder and a file RELEASE; no times, owners or orders of this machine in it."""
    if not os.path.isdir(source):
        raise Refused(f"the source `{source}` is no folder")
    names = []
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        names += [os.path.relpath(os.path.join(folder, name), source) for name in [*folders, *files] if not name.endswith(".pyc")]
    if "RELEASE" in names:
        raise Refused(f"the source `{source}` has a file RELEASE; that one is written here")
    if not names:
        raise Refused(f"the source `{source}` is empty: a release's name is given once, and this one would be spent")
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", filename="", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted([*names, "RELEASE"]):
            entry = tarfile.TarInfo(name) if name == "RELEASE" else archive.gettarinfo(os.path.join(source, name), name)
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if name == "RELEASE":
                content = f"{release}\n".encode()
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))
            elif entry.isfile():
                entry.mode = 0o755 if entry.mode & 0o100 else 0o644
                with open(os.path.join(source, name), "rb") as file:
                    archive.addfile(entry, file)
            else:
                entry.mode = 0o755
                archive.addfile(entry)
    return out.getvalue()


def manifest_of(bucket, release, checksum, root):
    """In the format of stretcher's manifests. `mv` puts the whole release there by one rename, or nothing."""
    program = "/usr/local/sbin/app-release"
    return {
        "src": bucket.url(f"releases/{release}/app.tar.gz"),
        "checksum": checksum,
        "dest": f"{root}/releases/{release}",
        "sync_strategy": "mv",
        "commands": {
            "pre": [f"{program} prepare {release}"],
            "post": [f"{program} switch {release}"],
            "success": [f"{program} prune"],
            "failure": [f"test -e {root}/.incoming/served-already || logger --tag app-release 'release {release} was not taken'"],
        },
    }


def loaded(data, url):
    manifest = yaml.safe_load(data)
    if not isinstance(manifest, dict) or not {"src", "checksum", "dest"} <= set(manifest):
        raise Refused(f"{url} is no manifest with src, checksum and dest")
    return manifest


def named_in(manifest):
    return manifest["dest"].rstrip("/").rpartition("/")[2]


def upload(bucket, asked, check_mode):
    """Manifest's bytes and whether it is new."""
    release, path = asked["release"], f"releases/{asked['release']}"
    archive = archive_of(asked["source"], release)
    checksum = hashlib.sha256(archive).hexdigest()
    there = bucket.read(f"{path}/manifest.yml")
    if there is not None:
        known = loaded(there, bucket.url(f"{path}/manifest.yml"))["checksum"]
        if known != checksum:
            raise Refused(f"release `{release}` was published before with other content ({known[:12]}, this is {checksum[:12]}); a release does not change, take another name")
        return there, False
    data = yaml.safe_dump(manifest_of(bucket, release, checksum, asked["root"]), sort_keys=False).encode()
    if not check_mode:
        bucket.write(f"{path}/app.tar.gz", archive)
        bucket.write(f"{path}/manifest.yml", data)
    return data, True


def publish(module):
    asked, bucket = module.params, Bucket(module.params["url"])
    release = asked["release"]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", release) or release in ("image", "latest"):
        raise Refused(f"`{release}` is no name of a release: letters, digits, dot, hyphen and underscore, and neither `image` nor `latest`")
    path = f"releases/{release}/manifest.yml"
    uploaded = False
    if asked["source"]:
        data, uploaded = upload(bucket, asked, module.check_mode)
    else:
        data = bucket.read(path)
        if data is None:
            raise Refused(f"there is no {bucket.url(path)}: release `{release}` was never published; say its source")
    manifest = loaded(data, bucket.url(path))
    if not (uploaded and module.check_mode):
        archive = bucket.read(f"releases/{release}/app.tar.gz")
        seen = hashlib.sha256(archive).hexdigest() if archive is not None else "nothing"
        if seen != manifest["checksum"]:
            raise Refused(f"the archive of `{release}` reads as {seen[:12]}, its manifest says {manifest['checksum'][:12]}; the pointer stays")
    pointer = bucket.read("latest/manifest.yml")
    if pointer != data and not module.check_mode:
        bucket.write("latest/manifest.yml", data)
    return {
        "changed": uploaded or pointer != data,
        "manifest_url": bucket.url(path),
        "checksum": manifest["checksum"],
        "uploaded": uploaded,
        "before": None if pointer is None else named_in(loaded(pointer, bucket.url("latest/manifest.yml"))),
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "release": {"type": "str", "required": True},
            "source": {"type": "path"},
            "url": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/srv/app"},
        },
        supports_check_mode=True,
    )
    if MISSING:
        module.fail_json(msg=missing_required_lib("boto3 and PyYAML"), exception=str(MISSING))
    try:
        module.exit_json(**publish(module))
    except Refused as refused:
        module.fail_json(msg=str(refused))
    except (BotoCoreError, ClientError) as error:
        module.fail_json(msg=f"S3: {error}")


if __name__ == "__main__":
    main()
