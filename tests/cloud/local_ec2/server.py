# Owns: one running local EC2: its id, folder, reaper, socket and thread.
# Must not: parse arguments, print, or handle signals (__main__.py does).
# Invariant: the reaper runs before the first container can exist, and `close` returns when nothing of this server is left.
"""Putting the parts together."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path
from typing import Any

# moto reads these when it is imported. Without the second it loads a thousand foreign images per region.
os.environ["MOTO_ACCOUNT_ID"] = "123456789012"
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

from moto.ec2.models import ec2_backends  # noqa: E402
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402

from . import ACCOUNT, codedeploy, elb as elb_module, elbv2 as elbv2_module, groups as groups_module  # noqa: E402
from . import images as images_module, instances as instances_module, sources, templates, terraform_gaps  # noqa: E402
from .activities import Activities  # noqa: E402
from .balancers import Balancers  # noqa: E402
from .boxes import Boxes, base_image  # noqa: E402
from .cbor import Cbor  # noqa: E402
from .control import Control  # noqa: E402
from .elb import Elb  # noqa: E402
from .elbv2 import Elbv2  # noqa: E402
from .front import Calls, Front  # noqa: E402
from .groups import Groups  # noqa: E402
from .images import Images  # noqa: E402
from .instances import Instances  # noqa: E402
from .knobs import Knobs  # noqa: E402
from .light import Light  # noqa: E402
from .metrics import Metrics  # noqa: E402
from .networks import Networks  # noqa: E402
from .scaler import Scaler  # noqa: E402
from .terraform import Terraform  # noqa: E402
from .watch import Watch, stopped  # noqa: E402


class CannotStart(RuntimeError):
    """Something that the server needs is not there; the message says what and what to do."""


class _Handler(MotoRequestHandler):
    def log_request(self, *_args: Any) -> None:
        """Calls are recorded by the front, with more in them than an access log has."""


class Server:
    """A local EC2 that answers. One per process: moto's state is global."""

    def __init__(self, port: int = 0, state: Path | None = None, instant: bool = False) -> None:
        self.id = uuid.uuid4().hex[:8]
        self.folder = Path(tempfile.mkdtemp(prefix="local-ec2-", dir=state))
        self._reaper = self._start_reaper()
        try:
            self._start(port, instant)
        except BaseException:
            self.close()
            raise

    def _start_reaper(self) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "local_ec2.reaper", self.id, str(self.folder)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ, start_new_session=True, cwd="/",
        )  # fmt: skip

    def _start(self, port: int, instant: bool) -> None:
        self.boxes = Boxes(self.id, self.folder)
        image = base_image()
        self.cgroups = None
        if not instant:
            if shutil.which("docker") is None:
                raise CannotStart("no `docker` on PATH; `make tools` installs it")
            self.cgroups = self.boxes.flags()[0]
            if not self.boxes.exists(image):
                raise CannotStart(f"Docker has no image `{image}`; `make tools` makes it")
        knobs, calls = Knobs(instant), Calls()
        self.images = Images(self.boxes, knobs)
        light = Light(self.folder, knobs, self.images, image)
        images_module.patch(self.images)
        self.networks = Networks(self.id, self.boxes.label, self.folder)
        instances_module.patch(Instances(self.boxes, knobs, self.images, light, self.networks))
        templates.patch()
        terraform_gaps.patch()
        self._scaling(knobs, instant)
        registered = sources.register(ec2_backends[ACCOUNT], image, self.images.docker_of)

        self.about: dict[str, Any] = {}
        control = Control(knobs, calls, self.images, self.boxes, light, self.balancers, self.networks, Terraform(self.about), self.about)
        front = Cbor(Front(DomainDispatcherApplication(create_backend_app), control, knobs, calls, self._answered))
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._http = make_server("127.0.0.1", port, front, threaded=True, request_handler=_Handler)
        self._http.daemon_threads = True
        endpoint = self.networks.endpoint = f"http://127.0.0.1:{self._http.server_port}"
        self.about.update(
            endpoint=endpoint, control=f"{endpoint}/_local", pid=os.getpid(), id=self.id,
            base_image=image, cgroups=self.cgroups, images=registered,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def _scaling(self, knobs: Knobs, instant: bool) -> None:
        self.balancers = Balancers(self.folder, knobs, instant)
        elb = Elb(self.balancers, knobs, self.folder)
        elb_module.patch(elb)
        elbv2 = Elbv2(self.balancers, knobs, self.folder)
        elbv2_module.patch(elbv2)
        activities = Activities()
        self.scaler = Scaler(self.balancers, knobs, activities)

        def phase(region: str, where: str, instance: str) -> str:
            return (elbv2 if where.startswith("arn:") else elb).phase(region, where, instance)

        self.scaler.phase = phase
        groups_module.patch(Groups(activities, phase))
        codedeploy.patch(codedeploy.CodeDeploy(knobs, self.scaler))
        Metrics(self.balancers)
        self.watch = Watch(self.id, self._died)

    def _died(self, instance_id: str) -> None:
        stopped(instance_id)
        self.scaler.wake()

    def _answered(self, service: str, action: str) -> None:
        """What follows a call in a moment instead of a tick."""
        if action.startswith("Describe"):
            return
        if service == "elasticloadbalancing":
            # The next call may ask for what this one did: a target that is draining, a listener that answers.
            self.balancers.wake()
            self.balancers.sync()
        elif service == "autoscaling":
            self.scaler.wake()
            if not self.balancers.instant:
                self.watch.start()

    def close(self) -> None:
        """Stop answering, then let the reaper remove everything; returns when it has."""
        if hasattr(self, "scaler"):
            self.scaler.close()
            self.balancers.close()
            self.networks.close()
        if hasattr(self, "_thread"):
            self._http.shutdown()
            self._http.server_close()
        if self._reaper.stdin is not None:
            self._reaper.stdin.close()
        self._reaper.wait()
