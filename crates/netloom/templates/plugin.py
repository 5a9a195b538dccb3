#!/usr/bin/env python3
"""my-plugin: a CNI plugin in Python. It hands on what the plugins before it made.

docs: https://www.cni.dev/docs/spec
"""

import json
import os
import sys

VERSIONS = ["0.4.0", "1.0.0", "1.1.0"]


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


def run(command, conf):
    """The document for stdout, if there is one."""
    if command == "VERSION":
        return {"cniVersion": VERSIONS[-1], "supportedVersions": VERSIONS}
    if conf.get("cniVersion") not in VERSIONS:
        raise CniError(1, f"cniVersion is {conf.get('cniVersion')!r}, expected one of {VERSIONS}")
    if command == "ADD":
        return add(conf)
    if command == "CHECK":
        return check(conf)
    if command == "DEL":
        return delete(conf)
    if command in ("GC", "STATUS"):
        return None
    raise CniError(4, f"CNI_COMMAND is {command!r}, expected ADD, CHECK, DEL, GC, STATUS or VERSION")


def main():
    conf = {}
    try:
        conf = json.load(sys.stdin)
        answer = run(os.environ.get("CNI_COMMAND", ""), conf)
    except json.JSONDecodeError as error:
        answer = {"code": 6, "msg": f"the configuration on stdin is not JSON: {error}"}
    except CniError as error:
        answer = {"code": error.code, "msg": error.msg}
    if answer is not None:
        answer.setdefault("cniVersion", conf.get("cniVersion", "0.1.0"))
        print(json.dumps(answer))
    return 1 if answer and "code" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
