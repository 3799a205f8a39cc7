# Owns: what an instance finds at its first boot: the NoCloud seed, cloud-init's local configuration, the command line of PID 1.
# Must not: run anything or know Docker's flags; it only writes files into a folder and gives back text.
# Invariant: nothing here ends in an image: the folder is mounted, and a mount is not committed.
"""The cloud-init seed of one instance."""

from __future__ import annotations

import json
from pathlib import Path

DEFAULT_USER = "admin"
"""Login of the Debian AMIs on EC2; cloud-init's own default for Debian would be `debian`."""

# Units that cost seconds at boot or wait for hardware that a container has not. systemd in a container reads its own
# arguments as the kernel command line, so they are masked without touching the image's file system.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "cloud-init-hotplugd.socket",
    "console-getty.service",
    "dev-hugepages.mount",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "getty-static.service",
    "ifupdown-pre.service",
    "networking.service",
    "ntpsec.service",
    "rescue-ssh.target",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-hwdb-update.service",
    "systemd-modules-load.service",
    "systemd-networkd.service",
    "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-udev-trigger.service",
    "systemd-udevd.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
)

# apt_configure is left out on purpose: it would rewrite sources.list, and the base image's points at a mirror that can be
# reached from here. Modules without anything to do cost a millisecond, so the useful ones stay.
CLOUD_CFG = {
    "datasource_list": ["NoCloud"],
    "network": {"config": "disabled"},
    "preserve_hostname": True,
    "disable_root": True,
    "ssh_pwauth": False,
    "ssh_deletekeys": True,
    "ssh_genkeytypes": ["ed25519"],
    "package_update": False,
    "package_upgrade": False,
    "users": ["default"],
    "system_info": {
        "distro": "debian",
        "default_user": {
            "name": DEFAULT_USER,
            "gecos": "Debian",
            "lock_passwd": True,
            "groups": ["adm", "audio", "cdrom", "dialout", "dip", "floppy", "plugdev", "sudo", "video"],
            "sudo": ["ALL=(ALL) NOPASSWD:ALL"],
            "shell": "/bin/bash",
        },
    },
    "cloud_init_modules": ["bootcmd", "write-files", "ca-certs", "users-groups", "ssh"],
    "cloud_config_modules": ["runcmd"],
    "cloud_final_modules": ["package-update-upgrade-install", "scripts-per-once", "scripts-per-boot", "scripts-per-instance", "scripts-user", "final-message"],
}

KEEP_HOSTS = "mkdir -p /var/lib/local-ec2 && cp -p /etc/hosts /var/lib/local-ec2/hosts"
"""Run before the disk is committed; see BOOT."""

# Docker mounts these three files, and a mount cannot be replaced: every role that writes /etc/hosts or /etc/resolv.conf
# would fail with EBUSY here and work on EC2. So they become plain files before systemd starts. A hosts file that an image
# brings along is kept, but for our own line in it; the other two are made anew at each boot, as DHCP does on EC2.
BOOT = r"""
cat /etc/resolv.conf > /run/resolv.conf.docker 2>/dev/null
for f in resolv.conf hosts hostname; do umount /etc/$f 2>/dev/null; done
[ -L /etc/resolv.conf ] || cat /run/resolv.conf.docker > /etc/resolv.conf
ip=$(ip -4 -brief address show eth0 2>/dev/null | sed 's/.* \([0-9.]*\)\/.*/\1/')
[ -n "$ip" ] || ip=$(hostname -I 2>/dev/null | cut -d' ' -f1)
hostname "ip-$(echo "${ip:-127-0-0-1}" | tr . -)"
hostname > /etc/hostname
[ -e /var/lib/local-ec2/hosts ] && cp -p /var/lib/local-ec2/hosts /etc/hosts
[ -s /etc/hosts ] || printf '127.0.0.1 localhost\n::1 localhost\n' > /etc/hosts
sed -i '/# local EC2$/d' /etc/hosts
echo "${ip:-127.0.1.1} $(hostname) # local EC2" >> /etc/hosts
exec /sbin/init "$@"
"""


def init_command() -> list[str]:
    """Arguments after the image's name: prepares /etc, then becomes systemd."""
    return ["-c", BOOT, "init", *(f"systemd.mask={unit}" for unit in MASKED)]


def write_seed(folder: Path, instance_id: str, public_key: str | None, user_data: bytes | None) -> None:
    """Write the files that the container gets mounted: `nocloud/` and `local-ec2.cfg`."""
    nocloud = folder / "nocloud"
    nocloud.mkdir(parents=True, exist_ok=True)
    keys = [line for line in (public_key or "").splitlines() if line.strip()]
    meta = {"instance-id": instance_id, "public-keys": keys}
    (nocloud / "meta-data").write_text(json.dumps(meta) + "\n")
    (nocloud / "user-data").write_bytes(user_data or b"")
    (nocloud / "vendor-data").write_bytes(b"")
    # JSON is YAML, and needs no YAML library here.
    (folder / "local-ec2.cfg").write_text(json.dumps(CLOUD_CFG, indent=1) + "\n")
