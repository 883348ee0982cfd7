#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a device costs: a fleet connects to the daemon, both as processes over TCP.

Prints the time from the first connection to the last first answer, and the daemon's
memory a device: resident set with the fleet less that of the idle daemon, divided by
the devices. Wants a release build; nothing here passes or fails.

usage: bench_fleet.py [DEVICES [SECONDS [SOCKETS [COMMAND...]]]]
COMMAND goes before the daemon's (a profiler).
"""
import os
import re
import resource
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'helpers'))
from chargehost import Daemon, Process, SIM   # noqa: E402


class Profiled(Daemon):
    """A daemon that may run under another program."""
    wrapper = []

    def command(self, extra=()):
        return self.wrapper + super().command(extra)


def memory(daemon):
    """Kilobytes of the process by name."""
    with open(f'/proc/{daemon.process.child.pid}/status', encoding='ascii') as file:
        return {name: int(value) for name, value in
                re.findall(r'^(VmRSS|VmHWM|RssAnon|RssFile):\s+(\d+) kB', file.read(), re.M)}


def metric(daemon, name):
    """The value of a series without labels, or 0."""
    _, text = daemon.get('/metrics')
    found = re.search(rf'^{name} ([0-9.e+]+)$', str(text), re.M)
    return float(found.group(1)) if found else 0.0


def connect(daemon, devices, sockets):
    """The simulator, and the seconds until every device had its first answer."""
    began = time.monotonic()
    sim = Process([SIM, '--server', f'127.0.0.1:{daemon.device_port}', '--gateways',
                   str(devices), '--sockets', str(sockets), '--rate', '100000',
                   '--log', 'none'])
    last = 0
    while True:
        start = len(sim.lines)
        sim.child.stdin.write('status\n')
        sim.child.stdin.flush()
        ready = int(sim.expect(r'gateways, (\d+) ready', start=start).group(1))
        took = time.monotonic() - began
        if ready != last:
            print(f'{took:6.2f} s  {ready} ready', flush=True)
        if ready >= devices:
            return sim, took
        last = ready
        threading.Event().wait(0.1)


def report(devices, before, after, kv):
    """The figures a device."""
    def bytes_each(name):
        return (after[name] - before[name]) * 1024 / devices
    print(f'idle daemon      {before["VmRSS"] / 1024:.1f} MiB, with {devices} devices '
          f'{after["VmRSS"] / 1024:.1f} MiB (at most {after["VmHWM"] / 1024:.1f} MiB)')
    print(f'memory a device  {bytes_each("VmRSS"):.0f} bytes, of them heap '
          f'{bytes_each("RssAnon"):.0f}, kv {kv:.0f} '
          f'(peak {(after["VmHWM"] - before["VmHWM"]) * 1024 / devices:.0f})')


def main():
    given = sys.argv[1:4]
    devices, seconds, sockets = (int(x) for x in given + ['10000', '20', '0'][len(given):])
    Profiled.wrapper = sys.argv[4:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    folder = tempfile.mkdtemp(prefix='chargehost-bench-')
    daemon = Profiled(folder)
    sim = None
    try:
        daemon.create_key('read')
        daemon.start()
        idle = metric(daemon, 'chargehost_kv_used_memory_bytes')
        threading.Event().wait(2)
        before = memory(daemon)
        sim, took = connect(daemon, devices, sockets)
        print(f'first answers    {devices} in {took:.2f} s')
        threading.Event().wait(seconds)
        after = memory(daemon)
        kv = metric(daemon, 'chargehost_kv_used_memory_bytes') - idle
        report(devices, before, after, kv / devices)
        sim.stop()
        sim = None
        daemon.stop()
    finally:
        if sim is not None:
            sim.kill()
        daemon.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == '__main__':
    main()
