#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""chargehostd --workers: several instances as one service on one port."""
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
import several  # noqa: E402
from bkv import Device  # noqa: E402
from chargehost import Process, main, wait_for  # noqa: E402
from several import Several  # noqa: E402


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Workers(Several):
    def crew(self, count=2, bus=None):
        self.several(0)
        host = several.Instance(1, self.folder, self.base, self.redis, bus, {
            'proto-bkv.min_spacing_ms': '10', 'tcp.flapping.enabled': 'false'}, self.log)
        host.create_key()
        host.device_port, web = free_port(), free_port()
        host.options['http.addr'] = f'127.0.0.1:{web}'
        host.options['server.id'] = 'crew'
        host.url = f'http://127.0.0.1:{web}'
        host.process = Process(host.command(['--workers', str(count)]),
                               env=host.environment(), log=self.log)
        self.ends.append(host.kill)
        host.process.expect(f'{count} workers ready', 60)
        return host

    def pids(self):
        """Server id → process of each instance that is registered."""
        return {name: int(self.redis.ask('HGET', f'server:{name}', 'pid') or 0)
                for name in self.redis.ask('ZRANGE', 'servers', '0', '-1').split()}

    def test_port_and_names(self):
        bus = self.bus()
        host = self.crew(3, bus)
        self.assertEqual(sorted(self.pids()), ['crew-1', 'crew-2', 'crew-3'])
        devices = []
        for n in range(24):
            device = Device(host.device_port, f'822412180001{n:02d}')
            self.ends.append(device.close)
            device.connect()
            device.status()
            devices.append(device)
        owners = {host.data(f'/api/v1/sessions/{device.ident}')['server_id']
                  for device in devices}
        self.assertGreater(len(owners), 1, 'the port is shared')
        for device in devices[:6]:      # whoever answers, the right one acts
            status, answer = host.post(f'/devices/{device.ident}/start_charge', {
                'socket_no': 0, 'port_no': 0, 'amount': 100, 'charge_mode': 1,
                'duration_minutes': 5, 'order_no': f'W{device.ident}'})
            self.assertEqual(status, 202, answer)
            device.wait('control')
        names = subprocess.run(['gdbus', 'call', '--address', bus.address, '--dest',
                                'org.freedesktop.DBus', '--object-path', '/', '--method',
                                'org.freedesktop.DBus.ListNames'],
                               stdout=subprocess.PIPE, text=True, check=True).stdout
        for number in (1, 2, 3):
            self.assertIn(f'org.chargehost.Host1.instance_crew_2d{number}', names)
        self.assertIn("'org.chargehost.Host1'", names)
        self.assertEqual(host.stop(), 0)
        self.assertEqual(self.redis.ask('ZRANGE', 'servers', '0', '-1'), '')

    def test_crash_and_rolling(self):
        host = self.crew(2)
        before = self.pids()
        os.kill(before['crew-2'], signal.SIGKILL)
        host.process.expect('worker 2 ended by signal 9')
        wait_for(lambda: self.pids().get('crew-2') not in (0, None, before['crew-2']),
                 'another worker 2', 60)
        host.process.signal(signal.SIGHUP)
        host.process.expect('configuration reloaded')
        before = self.pids()
        host.process.signal(signal.SIGUSR2)

        def answers():
            try:
                return host.get('/api/v1/devices')[0]
            except (OSError, urllib.error.URLError):
                return 0        # the connection was on the one that closes
        seen = set()
        while not any('all workers restarted' in line for line in host.process.lines):
            seen.add(answers())
            self.assertIsNone(host.process.child.poll())
        self.assertTrue(seen <= {200, 503, 0}, seen)
        self.assertIn(200, seen)
        wait_for(lambda: set(self.pids()) == {'crew-1', 'crew-2'}
                 and not set(self.pids().values()) & set(before.values()), 'new workers')
        self.assertEqual(host.stop(), 0)

    def test_refused_without_shared_servers(self):
        host = self.daemon(key=False)
        host.stop()
        done = subprocess.run(host.command(['--workers', '2']), env=host.environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertTrue(re.search('--workers needs .*not (kv-memory|store-sqlite)',
                                  done.stdout), done.stdout)


if __name__ == '__main__':
    if not several.are_there():
        print('PostgreSQL, Redis or their plugins are missing')
        sys.exit(several.SKIP)
    main()
