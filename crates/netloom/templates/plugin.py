#!/usr/bin/env python3
"""my-plugin: a CNI plugin in Python. It hands on what the plugins before it made.

docs: https://www.cni.dev/docs/spec
"""

import json
import os
import re
import sys

VERSIONS = ["0.4.0", "1.0.0", "1.1.0"]
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z")
# The variables that a command cannot do without.
NEEDED = {
    "ADD": ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"],
    "CHECK": ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"],
    "DEL": ["CNI_CONTAINERID", "CNI_IFNAME"],
    "GC": [],
    "STATUS": [],
}


class CniError(Exception):
    """How a plugin fails. Codes up to 99 are the specification's, from 100 on your own."""

    def __init__(self, code, msg):
        super().__init__(msg)
        self.code, self.msg = code, msg


def add(conf):
    """Does the work. Whatever it makes it has to remove again if it fails later on."""
    nothing = {"cniVersion": conf["cniVersion"], "interfaces": [], "ips": []}
    return conf.get("prevResult") or nothing


def check(conf):
    """Raises CniError if what ADD made is not there any more."""


def delete(conf):
    """Removes what ADD made. What is gone already is success: DEL may come more than once."""


def variables(command):
    """Refuses what no runtime should send."""
    if command not in NEEDED:
        commands = ", ".join([*NEEDED, "VERSION"])
        raise CniError(4, f"CNI_COMMAND is {command!r}, expected one of {commands}")
    for name in NEEDED[command]:
        if not os.environ.get(name):
            raise CniError(4, f"{name} is missing")
    container = os.environ.get("CNI_CONTAINERID", "x")
    if not NAME.match(container):
        raise CniError(4, f"CNI_CONTAINERID is {container!r}, expected letters, digits, _ . and -")
    interface = os.environ.get("CNI_IFNAME", "x")
    if interface in (".", "..") or len(interface) > 15 or re.search(r"[/:\s]", interface):
        raise CniError(4, f"CNI_IFNAME is {interface!r}, expected up to 15 bytes without / : and blanks")


def read(command):
    """The configuration on stdin."""
    try:
        conf = json.load(sys.stdin)
    except ValueError as error:
        raise CniError(6, f"the configuration on stdin is not JSON: {error}") from error
    if not isinstance(conf, dict):
        raise CniError(6, "the configuration on stdin is not an object")
    version = conf.get("cniVersion", "0.1.0")
    if version not in VERSIONS:
        raise CniError(1, f"cniVersion is {version!r}, expected one of {VERSIONS}")
    if command in ("GC", "STATUS") and version != "1.1.0":
        raise CniError(1, f"{command} is of cniVersion 1.1.0, not {version}")
    if not NAME.match(str(conf.get("name", ""))):
        raise CniError(7, f"name is {conf.get('name')!r}, expected letters, digits, _ . and -")
    return conf


def run(command):
    """The document for stdout, if there is one."""
    if command == "VERSION":
        return {"cniVersion": VERSIONS[-1], "supportedVersions": VERSIONS}
    variables(command)
    conf = read(command)
    if command == "ADD":
        return add(conf)
    if command == "CHECK":
        return check(conf)
    if command == "DEL":
        return delete(conf)
    return None  # GC has nothing to collect, and STATUS nothing to complain of.


def main():
    try:
        answer = run(os.environ.get("CNI_COMMAND", ""))
    except CniError as error:
        answer = {"cniVersion": VERSIONS[-1], "code": error.code, "msg": error.msg}
    if answer is not None:
        print(json.dumps(answer), flush=True)
    return 1 if answer and "code" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
