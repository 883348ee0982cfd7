#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the daemon starts, reloads and stops."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.environ['CHARGEHOST_TEST_SOURCE'], 'tests', 'helpers'))
from chargehost import Daemon, Process, main, wait_for  # noqa: E402
from walk import Walk  # noqa: E402


class Started(Walk):
    def refused(self, *more, config=None):
        """What a daemon says that does not start; its exit status is not 0."""
        daemon = Daemon(self.folder, options={})
        command = daemon.command()
        if config is not None:
            path = os.path.join(self.folder, 'chargehost.yaml')
            with open(path, 'w', encoding='utf-8') as file:
                file.write(config)
            command += ['--config', path]
        done = subprocess.run(command + list(more), env=daemon.environment(), timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertGreaterEqual(done.returncode, 0, done.stdout)    # no crash
        self.assertNotIn('Sanitizer', done.stdout)
        return done.stdout

    def test_order_and_time(self):
        self.world()
        lines = self.host.process.lines
        ready = [line for line in lines if 'ready after' in line]
        print('#', ready[0].split('ready', 1)[1], flush=True)
        self.assertEqual(len(ready), 1)
        # the devices come last (2.14)
        names = [line for line in lines if 'REST on' in line or 'listening on' in line]
        self.assertLess(names.index([n for n in names if 'REST on' in n][0]),
                        names.index([n for n in names if 'listening on' in n][0]))
        self.assertEqual(self.host.stop(), 0)

    def test_unknown_key(self):
        """Named with file, line and the nearest that there is, whatever is asked for."""
        for asked in ([], ['--check-config'], ['--print-config'], ['--describe-config']):
            said = self.refused(*asked, config='tcp:\n  listners: 127.0.0.1:0\n')
            self.assertIn('chargehost.yaml:2', said)
            self.assertIn('tcp.listners', said)
            self.assertIn('tcp.listeners', said)

    def test_wrong_values(self):
        said = self.refused(config='orders:\n  stop_rounds: many\n')
        self.assertIn('chargehost.yaml:2', said)
        self.assertIn('stop_rounds', said)
        said = self.refused('--set', 'proto-bkv.window=0')
        self.assertIn('proto-bkv.window', said)
        said = self.refused(config='tcp: [\n')
        self.assertIn('chargehost.yaml:', said)

    def test_unknown_environment(self):
        daemon = Daemon(self.folder)
        env = daemon.environment()
        env['CHARGEHOST_TCP_LISTNERS'] = '127.0.0.1:0'
        done = subprocess.run(daemon.command(), env=env, timeout=60, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('CHARGEHOST_TCP_LISTNERS', done.stdout)

    def test_environment(self):
        daemon = Daemon(self.folder)
        daemon.environment = lambda plain=daemon.environment: {
            **plain(), 'CHARGEHOST_TARIFF_PRICE_PER_KWH_CENT': '77'}
        daemon.create_key()
        daemon.start()
        self.ends.append(daemon.kill)
        _, answer = daemon.get('/api/v1/admin/config')
        self.assertIn('77', str(answer))
        self.assertEqual(daemon.stop(), 0)

    def test_state_is_taken(self):
        """A second daemon on the same state is refused, the first goes on."""
        self.world()
        said = self.refused()
        self.assertRegex(said, r'(?i)another|already|in use|locked')
        self.assertIn(self.host.state, said)
        self.assertTrue(self.online())
        self.charging('A')

    def test_port_is_taken(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            place = f'127.0.0.1:{taken.getsockname()[1]}'
            for key in ('tcp.listeners', 'http.addr'):
                said = self.refused('--set', f'{key}={place}')
                self.assertIn(place, said)
                self.assertRegex(said, r'(?i)in use')

    def test_state_cannot_be_made(self):
        with open(os.path.join(self.folder, 'file'), 'w', encoding='utf-8'):
            pass
        said = self.refused('--set', f'app.state_dir={self.folder}/file/state')
        self.assertIn('file/state', said)

    def lose(self, name):
        """Where the file of the state directory is kept meanwhile."""
        kept = os.path.join(self.folder, name)
        shutil.move(os.path.join(self.host.state, name), kept)
        return kept

    def test_lost_database(self):
        """A state directory that was in use does not begin anew without a word."""
        self.world()
        self.charging('A')
        self.host.kill()
        path = os.path.join(self.host.state, 'chargehost.db')
        kept = self.lose('chargehost.db')
        said = self.refused()
        self.assertIn('chargehost.db-wal is there', said)
        log = self.lose('chargehost.db-wal')
        for _ in range(2):
            said = self.refused()
            self.assertIn('has worked with one', said)
            self.assertIn('store migrate --new-database', said)
        self.refused('--migrate-check')
        self.refused('--create-key', 'x')
        with open(path, 'wb'):
            pass
        self.assertIn('has worked with one', self.refused())

        shutil.move(kept, path)
        shutil.move(log, path + '-wal')
        self.host.start()
        self.assertEqual(self.order('A')['order_no'], 'A')
        self.assertEqual(self.host.stop(), 0)

        os.unlink(path)
        done = subprocess.run(self.host.command(['--migrate-only', '--new-database']),
                              env=self.host.environment(), timeout=60, check=False)
        self.assertEqual(done.returncode, 0)
        self.host.create_key()
        self.host.start()
        self.assertEqual(self.host.get('/api/v1/orders/A')[0], 404)

    def test_asking_changes_nothing(self):
        """Whoever may not write the state directory may ask about the configuration."""
        with open(os.path.join(self.folder, 'file'), 'w', encoding='utf-8'):
            pass
        for asked in ('--check-config', '--print-config', '--describe-config'):
            for place in ('file/state', 'made'):
                daemon = Daemon(self.folder)
                done = subprocess.run(
                    daemon.command([asked, '--set', f'app.state_dir={self.folder}/{place}']),
                    env=daemon.environment(), timeout=60, stdout=subprocess.PIPE, check=False)
                self.assertEqual(done.returncode, 0)
        self.assertFalse(os.path.exists(os.path.join(self.folder, 'made')))

    def test_plugin_is_not_there(self):
        said = self.refused('--set', f'plugins.path={self.folder}')
        self.assertRegex(said, 'store|kv')

    def test_without_a_bus(self):
        """No bus is no reason not to start, an address that leads nowhere neither."""
        for bus in ('none', f'unix:path={self.folder}/nowhere'):
            host = self.daemon(options={'dbus.bus': bus}, key=False)
            self.assertEqual(host.get('/health/live')[0], 200)
            self.assertEqual(host.stop(), 0)

    def test_one_line_commands(self):
        daemon = Daemon(self.folder)
        for arguments, status, words in ((['--version'], 0, 'chargehostd'),
                                         (['--help'], 0, '--check-config'),
                                         (['--check-config'], 0, ''),
                                         (['--print-config'], 0, 'listeners'),
                                         (['--migrate-only'], 0, ''),
                                         (['--nonsense'], 2, 'nonsense'),
                                         (['nonsense'], 2, 'nonsense')):
            done = subprocess.run(daemon.command(arguments), env=daemon.environment(),
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=60, check=False)
            self.assertEqual(done.returncode, status, (arguments, done.stdout))
            self.assertIn(words, done.stdout)
            self.assertNotIn('Sanitizer', done.stdout)


class Reloaded(Walk):
    def configured(self, text, **more):
        """A daemon with a configuration file."""
        self.config = os.path.join(self.folder, 'chargehost.yaml')
        self.write(text)
        daemon = Daemon(self.folder, options=more, log=self.log)
        daemon.create_key()
        plain = daemon.command
        daemon.command = lambda extra=(): plain(['--config', self.config, *extra])
        daemon.start()
        self.ends.append(daemon.kill)
        self.host = daemon

    def write(self, text):
        with open(self.config, 'w', encoding='utf-8') as file:
            file.write(text)

    def price(self):
        """What a new order costs."""
        number = f'P{len(self.ends)}{self.count()}'
        self.start(number)
        self.until(number, 'charging')
        order = self.order(number)
        self.device.finish()
        self.until(number, 'completed')
        return order['price_per_kwh_cent']

    def test_good_and_bad(self):
        """F36: a file with an error changes nothing, and the line is named."""
        self.configured('tariff:\n  price_per_kwh_cent: 60\n',
                        **{'proto-bkv.min_spacing_ms': '10'})
        self.device = self.connect()
        self.assertEqual(self.price(), 60)
        at = len(self.host.process.lines)
        self.write('tariff:\n  price_per_kwh_cent: 70\n')
        self.host.process.signal(signal.SIGHUP)
        self.host.process.expect('configuration reloaded', start=at)
        self.assertEqual(self.price(), 70)
        for text in ('tariff:\n  price_per_kwh_cent: 80\n  prise: 1\n',
                     'tariff:\n  price_per_kwh_cent: dear\n', 'tariff: [\n'):
            at = len(self.host.process.lines)
            self.write(text)
            self.host.process.signal(signal.SIGHUP)
            said = self.host.process.expect('not reloaded.*', start=at).group(0)
            self.assertIn('chargehost.yaml:', said)
            self.assertEqual(self.price(), 70)
        os.unlink(self.config)
        at = len(self.host.process.lines)
        self.host.process.signal(signal.SIGHUP)
        self.host.process.expect('not reloaded', start=at)
        self.assertEqual(self.price(), 70)
        self.assertEqual(self.host.stop(), 0)

    def test_many_while_charging(self):
        """Reloads disturb nobody."""
        self.configured('tariff:\n  price_per_kwh_cent: 60\n',
                        **{'proto-bkv.min_spacing_ms': '10'})
        self.device = self.connect()
        self.charging('A')
        for n in range(30):
            at = len(self.host.process.lines)
            self.write(f'tariff:\n  price_per_kwh_cent: {60 + n % 3}\n')
            self.host.process.signal(signal.SIGHUP)
            self.host.process.expect('reloaded', start=at)
        self.device.finish(energy=1000, minutes=10)
        order = self.until('A', 'completed')
        self.assertEqual(order['electricity_cent'], 60)     # frozen when it was made
        self.check_rules()


class Stopped(Walk):
    def ended(self, seconds=30):
        self.host.process.child.wait(seconds)
        self.host.process.reader.join(5)
        return self.host.process.child.returncode

    def test_in_order(self):
        """2.15: devices are closed, the rest is stored, the status is 0."""
        device = self.world()
        self.charging('A')
        self.host.process.signal(signal.SIGTERM)
        self.assertEqual(self.ended(), 0)
        wait_for(lambda: device.closed, 'the end of the connection')
        self.assertNotIn('not finished in time', '\n'.join(self.host.process.lines))
        self.host.start()
        device.connect()
        self.until('A', 'charging')

    def test_command_in_flight(self):
        """A start that was written waits for its answer before the device is closed."""
        device = self.world()
        start = self.start_unanswered()
        self.host.process.signal(signal.SIGTERM)
        self.host.process.expect('stopping')
        device.obey(start)
        self.assertEqual(self.ended(), 0)
        self.assertEqual(self.row('A')['status'] in (2, 10), True, dict(self.row('A')))
        self.assertEqual(self.row('A')['wire_order'], '00000001')
        self.host.start()
        device.connect()
        self.until('A', 'charging')
        self.assertEqual(len(device.controls()), 1)
        self.check_rules()

    def test_no_answer(self):
        """A device that never answers does not hold the end up for ever."""
        device = self.world(shutdown__timeout='2s')
        self.start_unanswered()
        self.host.process.signal(signal.SIGTERM)
        self.assertEqual(self.ended(), 0)
        device.mute = set()
        device.outlets[0, 0].charge(5)
        self.host.start()
        device.connect()
        self.until('A', 'charging', wire_order='00000005')
        self.assertEqual(len(device.controls()), 1)
        self.check_rules()

    def test_second_signal(self):
        """The second SIGTERM ends it at once."""
        device = self.world(shutdown__lb_grace='20s')
        self.charging('A')
        self.host.process.signal(signal.SIGTERM)
        self.host.process.expect('stopping')
        self.assertIsNone(self.host.process.child.poll())
        self.host.process.signal(signal.SIGTERM)
        self.assertEqual(self.ended(10), 0)
        self.host.start()
        device.connect()
        self.until('A', 'charging')

    def test_while_it_stops(self):
        """New starts are refused with 503 and when to come again; stops still pass."""
        device = self.world(shutdown__lb_grace='3s')
        self.charging('A')
        self.host.process.signal(signal.SIGTERM)
        self.host.process.expect('stopping')
        self.assertEqual(self.host.get('/ready')[0], 503)
        answer = self.start('B', 503, port=1)
        self.assertEqual(answer['code'], 50306)
        self.assertEqual(self.ended(), 0)
        self.assertEqual(len(device.controls()), 1)

    def test_with_a_crowd(self):
        """Many devices, reports and requests at the moment of the signal."""
        self.world(shutdown__evict_rate=100000)
        devices = [self.connect(f'82241219{n:06d}') for n in range(40)]
        for device in devices:
            self.charging(f'C{device.ident}', device=device)
        gate = threading.Event()

        def busy():
            while not gate.is_set():
                try:
                    self.host.get('/api/v1/orders')
                except (OSError, ValueError):
                    return
        asking = threading.Thread(target=busy)
        asking.start()
        for device in devices[:20]:
            device.finish(energy=9, minutes=3)
        self.host.process.signal(signal.SIGTERM)
        status = self.ended()
        gate.set()
        asking.join(30)
        self.assertEqual(status, 0)
        acknowledged = [d for d in devices[:20] if d.counts['end_ack']]
        for device in acknowledged:
            self.assertEqual(self.row(f'C{device.ident}')['energy_wh'], 9)
        self.host.start()
        for device in devices[:20]:
            device.close()
            at = device.counts['end_ack']
            device.connect()
            device.end(1, 9, 3)
            device.wait('end_ack', at + 1)
            self.until(f'C{device.ident}', 'completed', provisional=False, energy_wh=9)
        self.check_rules()

    def test_while_it_starts(self):
        """A signal before it is ready."""
        daemon = Daemon(self.folder, log=self.log)
        for pause in (0, 0.02, 0.05, 0.1, 0.2, 0.4):
            process = Process(daemon.command(), env=daemon.environment(), log=self.log)
            self.ends.append(process.kill)
            threading.Event().wait(pause)
            process.signal(signal.SIGTERM)
            process.child.wait(60)
            process.reader.join(5)
            self.assertIn(process.child.returncode, (0, -signal.SIGTERM))
            self.assertNotIn('Sanitizer', '\n'.join(process.lines))

    def test_interrupt(self):
        """SIGINT is SIGTERM."""
        self.world()
        self.host.process.signal(signal.SIGINT)
        self.assertEqual(self.ended(), 0)


if __name__ == '__main__':
    main()
