#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a device costs: a fleet connects to the daemon, both as processes over TCP.

Prints the time from the first connection to the last first answer, of devices that send
their heartbeat at once (heartbeats.c); then, with a daemon of its own and the simulator,
whose devices wait, report and answer queries as real ones, the daemon's memory a device:
resident set with the fleet less that of the idle daemon, divided by the devices.
Wants a release build; nothing here passes or fails.

Where the bytes of one of 10,000 devices without sockets are, 2960 in all:
  798  kv: session 432, its connection 128, generation 96, two indexes 144
  703  core: record 384, two ports 192, ICCID twice 64, session 48
  487  BKV: gateway 160, two outlets 208, sockets heard 32, connection 80
  341  connection 325, its address 16
  105  tables of the kv: names 53, what expires 52
   81  tables of devices and gateways by id, places of timers
  170  what does not grow with devices: the heap of Lua, pages that SQLite keeps
  275  pages of the heap of which the burst of connecting left parts in use; 30 with
       G_SLICE=always-malloc, as the service has it

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

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'helpers'))
from chargehost import BUILD, Daemon, Process, SIM   # noqa: E402

HEARTBEATS = os.path.join(BUILD, 'tests', 'bench', 'heartbeats')


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


def first_answers(daemon, devices):
    """Prints the seconds until every device had its first answer."""
    load = Process([HEARTBEATS, str(daemon.device_port), str(devices), '1', '0'])
    try:
        took = load.expect(r'^ready after ([\d.]+) s', 120).group(1)
        print(f'first answers    {devices} in {took} s', flush=True)
    finally:
        load.kill()


def connect(daemon, devices, sockets):
    """The simulator, when all its devices are ready."""
    sim = Process([SIM, '--server', f'127.0.0.1:{daemon.device_port}', '--gateways',
                   str(devices), '--sockets', str(sockets), '--rate', '100000',
                   '--log', 'none'])
    while True:
        start = len(sim.lines)
        sim.child.stdin.write('status\n')
        sim.child.stdin.flush()
        ready = int(sim.expect(r'gateways, (\d+) ready', start=start).group(1))
        if ready >= devices:
            return sim
        threading.Event().wait(0.1)


def measure_memory(daemon, devices, seconds, sockets):
    """Prints the memory a device, some seconds after all were ready."""
    idle = metric(daemon, 'chargehost_kv_used_memory_bytes')
    threading.Event().wait(2)
    before = memory(daemon)
    sim = connect(daemon, devices, sockets)
    try:
        threading.Event().wait(seconds)
        after = memory(daemon)
        kv = metric(daemon, 'chargehost_kv_used_memory_bytes') - idle
        report(devices, before, after, kv / devices)
    finally:
        sim.kill()


def report(devices, before, after, kv):
    """The figures a device."""
    def bytes_each(name):
        return (after[name] - before[name]) * 1024 / devices
    print(f'idle daemon      {before["VmRSS"] / 1024:.1f} MiB, with {devices} devices '
          f'{after["VmRSS"] / 1024:.1f} MiB (at most {after["VmHWM"] / 1024:.1f} MiB)')
    print(f'memory a device  {bytes_each("VmRSS"):.0f} bytes, of them heap '
          f'{bytes_each("RssAnon"):.0f}, kv {kv:.0f} '
          f'(peak {(after["VmHWM"] - before["VmHWM"]) * 1024 / devices:.0f})')


def with_daemon(measure, *arguments):
    """A daemon for one measurement."""
    folder = tempfile.mkdtemp(prefix='chargehost-bench-')
    daemon = Profiled(folder)
    try:
        daemon.create_key('read')
        daemon.start()
        measure(daemon, *arguments)
        daemon.stop()
    finally:
        daemon.kill()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    given = sys.argv[1:4]
    devices, seconds, sockets = (int(x) for x in given + ['10000', '20', '0'][len(given):])
    Profiled.wrapper = sys.argv[4:]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with_daemon(first_answers, devices)
    with_daemon(measure_memory, devices, seconds, sockets)


if __name__ == '__main__':
    main()
