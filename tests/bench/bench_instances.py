#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a second instance adds: heartbeats with replies over one PostgreSQL and one Redis.

One instance pinned to one core, then two pinned to two; several rounds, the best of each.
Prints the answers per second, those per second of the instances' own processor time, and
the ratios. With two cores the load shares them with the second instance: what is left to
the two is less than twice a core, and the processor times tell how much.
Wants a release build; nothing here passes or fails.

usage: bench_instances.py [DEVICES [IN-FLIGHT [SECONDS [ROUNDS]]]]
"""
import os
import resource
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'helpers'))
import postgres   # noqa: E402
import redis   # noqa: E402
import several   # noqa: E402
from chargehost import BUILD, Process   # noqa: E402

LOAD = os.path.join(BUILD, 'tests', 'bench', 'heartbeats')
# The command log is off: what it writes would occupy PostgreSQL, on the same cores.
OPTIONS = {'tcp.limiting.enabled': 'false', 'tcp.flapping.enabled': 'false',
           'cmd_log.enabled': 'false'}


def cpu_s(host):
    """Processor seconds of an instance so far."""
    with open(f'/proc/{host.process.child.pid}/stat', encoding='ascii') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def measure(hosts, devices, in_flight, seconds):
    """Answers per second, and per second of processor time of the instances."""
    ports = ','.join(str(host.device_port) for host in hosts)
    load = Process([LOAD, ports, str(devices), str(in_flight), str(seconds)])
    try:
        load.expect('^ready', 120)
        before, began = sum(cpu_s(host) for host in hosts), time.monotonic()
        found = load.expect(r'^(\d+) answers/s, own processor time ([\d.]+)', seconds + 60)
        used, took = sum(cpu_s(host) for host in hosts) - before, time.monotonic() - began
    finally:
        load.kill()
    rate = int(found.group(1))
    return rate, rate * took / used, float(found.group(2)) / seconds


def crew(count, folder, base, cache):
    """Instances, each pinned to a core of its own."""
    hosts = []
    for core in range(count):
        host = several.Instance(core + 1, folder, base, cache, options=OPTIONS)
        if host.key is None and not hosts:
            host.create_key('read')
        host.start()
        os.sched_setaffinity(host.process.child.pid, {core})
        for thread in os.listdir(f'/proc/{host.process.child.pid}/task'):
            os.sched_setaffinity(int(thread), {core})
        hosts.append(host)
    return hosts


def rounds(count, given, base, cache):
    """The best round of COUNT instances."""
    devices, in_flight, seconds, times = given
    best = (0, 0, 0)
    for _ in range(times):
        folder = tempfile.mkdtemp(prefix='chargehost-bench-')
        hosts = []
        try:
            hosts = crew(count, folder, base, cache)
            best = max(best, measure(hosts, devices, in_flight, seconds))
        finally:
            for host in hosts:
                host.kill()
            shutil.rmtree(folder, ignore_errors=True)
    print(f'{count} instance(s): {best[0]} answers/s, {best[1]:.0f} per processor second, '
          f'the load itself took {best[2]:.2f} of a core', flush=True)
    return best


def main():
    given = [int(word) for word in sys.argv[1:5]]
    given += [1000, 128, 5, 3][len(given):]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    base, cache = postgres.Postgres(), redis.Redis()
    try:
        one = rounds(1, given, base, cache)
        two = rounds(2, given, base, cache)
    finally:
        cache.free()
        base.free()
    print(f'two to one: {two[0] / one[0]:.2f} in answers per second, '
          f'{2 * two[1] / one[1]:.2f} by processor time')


if __name__ == '__main__':
    main()
