#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""chargehostd --workers: several instances as one service on one port."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
import fleet  # noqa: E402
import several  # noqa: E402
from bkv import Device  # noqa: E402
from chargehost import CTL, DAEMON, Process, main, wait_for  # noqa: E402
from crowd import Crowd  # noqa: E402
from ports import free_port, free_ports  # noqa: E402

GATEWAYS = 40


class Workers(Crowd):
    def crew(self, count=2, bus=None, program=None, **options):
        self.several(0)
        host = several.Instance(1, self.folder, self.base, self.redis, bus, {
            'proto-bkv.min_spacing_ms': '10', 'tcp.flapping.enabled': 'false', **options},
            self.log)
        host.create_key()
        host.device_port, web = free_port(), free_port()
        host.options['http.addr'] = f'127.0.0.1:{web}'
        host.options['server.id'] = 'crew'
        host.url = f'http://127.0.0.1:{web}'
        command = host.command(['--workers', str(count)])
        host.process = Process([program or command[0], *command[1:]],
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
        self.check_ctl(bus)
        self.assertEqual(host.stop(), 0)
        self.assertEqual(self.redis.ask('ZRANGE', 'servers', '0', '-1'), '')

    def ctl(self, bus, *words, status=0):
        done = subprocess.run([CTL, '--bus', bus.address, '--json', *words],
                              env={**os.environ, 'LC_ALL': 'C.UTF-8'}, text=True,
                              capture_output=True, timeout=60, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return json.loads(done.stdout) if status == 0 else done.stderr

    def check_ctl(self, bus):
        """Each is reached by its server id; one of them has the common name."""
        pids = self.pids()
        listed = self.ctl(bus, 'instances')
        self.assertEqual({one['server_id']: one['pid'] for one in listed}, pids)
        first = [one['server_id'] for one in listed if one['default']]
        self.assertEqual(len(first), 1)
        self.assertEqual(self.ctl(bus, 'status')['server_id'], first[0])
        for name in pids:
            self.assertEqual(self.ctl(bus, '--instance', name, 'status')['server_id'], name)
        self.ctl(bus, 'log-level', 'debug', '--instance=crew-2')
        self.assertIn("no instance 'crew-9'",
                      self.ctl(bus, 'status', '--instance', 'crew-9', status=3))

    def monitor(self, bus, host, workers):
        """Follows newcomers by the common name, for which all the workers wait in a row."""
        wait_for(lambda: len(self.ctl(bus, 'instances')) == workers, 'the names on the bus')
        process = Process([CTL, '--bus', bus.address, '--json', 'monitor', 'device.registered'],
                          env={**os.environ, 'LC_ALL': 'C.UTF-8'}, log=self.log)
        self.ends.append(process.kill)
        self.newcomers = iter(range(1, 10000))
        self.check_monitor(process, host)
        return process

    def check_monitor(self, monitor, host):
        """It goes on with whoever has the name now."""
        at = len(monitor.lines)

        def heard():
            device = Device(host.device_port, f'8224999900{next(self.newcomers):04d}')
            device.connect()
            device.close()
            return len(monitor.lines) > at
        wait_for(heard, 'an event of the workers')
        self.assertTrue(all('device.registered' in line for line in monitor.lines),
                        monitor.lines)

    def test_crash_and_rolling(self):
        bus = self.bus()
        host = self.crew(2, bus)
        monitor = self.monitor(bus, host, 2)
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
        self.check_monitor(monitor, host)
        self.assertEqual(host.stop(), 0)

    def put_program(self, source):
        """As a package manager does: a new file takes the old one's name."""
        path = os.path.join(self.folder, 'chargehostd')
        shutil.copy(source, path + '.new')
        os.replace(path + '.new', path)
        return path

    def runs(self, path, *pids):
        """Whether all these processes run the file that is at the path now."""
        now = os.stat(path)
        return all((there.st_dev, there.st_ino) == (now.st_dev, now.st_ino)
                   for there in (os.stat(f'/proc/{pid}/exe') for pid in pids))

    def test_new_program(self):
        """SIGUSR2 brings in the program at the path, in the supervisor too; one that does
        not start changes nothing."""
        path = self.put_program(DAEMON)
        host = self.crew(2, program=path)
        device = Device(host.device_port, '82241218000001')
        self.ends.append(device.close)
        device.connect()
        main_pid, before = host.process.child.pid, self.pids()
        self.assertTrue(self.runs(path, main_pid, *before.values()))

        self.put_program(shutil.which('false'))
        host.process.signal(signal.SIGUSR2)
        host.process.expect('not good; no worker is restarted')
        self.assertEqual(self.pids(), before)
        self.assertEqual(host.get('/live')[0], 200)
        device.heartbeat()
        device.wait('heartbeat_ack')

        self.put_program(DAEMON)
        self.assertFalse(self.runs(path, main_pid))
        host.process.signal(signal.SIGUSR2)
        host.process.expect('all workers restarted', 60)
        self.assertIsNone(host.process.child.poll())
        after = self.pids()
        self.assertEqual(set(after), {'crew-1', 'crew-2'})
        self.assertFalse(set(after.values()) & set(before.values()))
        self.assertTrue(self.runs(path, main_pid, *after.values()))
        os.kill(after['crew-1'], signal.SIGKILL)    # it still looks after them
        host.process.expect('worker 1 ended by signal 9')
        wait_for(lambda: self.pids().get('crew-1') not in (0, None, after['crew-1']),
                 'another worker 1', 60)
        self.assertEqual(host.stop(), 0)

    def test_metrics_of_each(self):
        """Each worker counts for itself, at a port of its own."""
        first = free_ports(3)
        host = self.crew(3, **{'metrics.addr': f'127.0.0.1:{first}'})
        for number in (1, 2, 3):
            with urllib.request.urlopen(
                    f'http://127.0.0.1:{first + number - 1}/metrics') as answer:
                self.assertIn(f'chargehost_server_info{{server_id="crew-{number}"}} 1',
                              answer.read().decode())
        self.assertEqual(host.stop(), 0)

    def test_rolling_under_traffic(self):
        """Devices charge and customers come while one worker after the other is replaced:
        no command, no event and no report is lost, none happens twice."""
        self.draw()
        self.anyone = self.crew(2, **fleet.OPTIONS)
        self.hosts = [self.anyone]
        self.sim = self.simulator(self.anyone, GATEWAYS, self.sim_options)
        self.drive(self.anyone, GATEWAYS, 'KL')
        self.busy(10)
        self.anyone.process.signal(signal.SIGUSR2)
        self.anyone.process.expect('all workers restarted', 60)
        self.busy(15)
        self.finish()
        self.check_all()

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
