# Part of the Partita project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Two machines: network namespaces with an interface "wire" each, 10.77.0.1 and 10.77.0.2."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import select
import struct
import subprocess
import threading
import time

import pytest

ADDRESSES = ["10.77.0.1", "10.77.0.2"]


def ip(*words) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Cable(threading.Thread):
    """Carries packets between the two as late as it is told, or loses them.

    Kernels without netem cannot; a process that has the ends of two TUN devices can.
    """

    def __init__(self, machines, delay=0.0):
        super().__init__(daemon=True)
        self.delay, self.loses, self.over = delay, False, False
        self.ends = [self._end(number, name) for number, name in enumerate(machines)]

    @staticmethod
    def _end(number, machine) -> int:
        name = f"wire{os.getpid()}{number}"
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        tunsetiff, tun, no_information = 0x400454CA, 1, 0x1000
        fcntl.ioctl(end, tunsetiff, struct.pack("16sH", name.encode(), tun | no_information))
        ip("link", "set", name, "mtu", "65000", "netns", machine, "name", "wire")
        return end

    def run(self):
        waiting = collections.deque()  # (when, to, packet): all are equally late
        while not self.over:
            pause = max(0, waiting[0][0] - time.monotonic()) if waiting else 0.05
            for end in select.select(self.ends, [], [], min(pause, 0.05))[0]:
                packet = os.read(end, 65536)
                to = self.ends[1 - self.ends.index(end)]
                waiting.append((time.monotonic() + self.delay, to, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, to, packet = waiting.popleft()
                if not self.loses:
                    with contextlib.suppress(OSError):  # It is full, or down.
                        os.write(to, packet)

    def close(self):
        self.over = True
        self.join()
        for end in self.ends:
            os.close(end)


@contextlib.contextmanager
def two_machines(delay=None):
    """Yields the names of the namespaces and their cable: one of Cable, with a delay, or None
    for one of the kernel's."""
    names, cable = [f"partita{os.getpid()}{end}" for end in "ab"], None
    try:
        try:
            for name in names:
                ip("netns", "add", name)
            if delay is None:
                ip(
                    *("link", "add", "wire", "netns", names[0], "type", "veth"),
                    *("peer", "name", "wire", "netns", names[1]),
                )
            else:
                cable = Cable(names, delay)
            for name, address in zip(names, ADDRESSES):
                ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
                for device in ("wire", "lo"):
                    ip("-n", name, "link", "set", device, "up")
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("network namespaces need privileges, iproute2 and TUN devices")
        if cable:
            cable.start()
        yield names, cable
    finally:
        if cable:
            cable.close() if cable.ident else None
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)
