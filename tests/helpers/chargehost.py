# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon, the simulator and a private bus as processes for integration tests.

Everything runs in a temporary folder on ports that the kernel chooses, and is ended by
its process id, also when a test fails.
"""
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

from postgres import Postgres
from redis import Redis

BUILD = os.environ['CHARGEHOST_TEST_BUILD']
SOURCE = os.environ['CHARGEHOST_TEST_SOURCE']
DAEMON = os.path.join(BUILD, 'host', 'chargehostd')
CTL = os.path.join(BUILD, 'host', 'ctl', 'chargehostctl')
SIM = os.path.join(BUILD, 'host', 'sim', 'chargehost-sim')
# CHARGEHOST_TEST_STORE=pgsql: tests run over a PostgreSQL server of their own.
STORE = os.environ.get('CHARGEHOST_TEST_STORE', 'sqlite')
# CHARGEHOST_TEST_KV=redis: over a Redis of their own.
KV = os.environ.get('CHARGEHOST_TEST_KV', 'memory')
STARTED = [f'store-{STORE}', f'kv-{KV}', 'proto-bkv']
PLUGINS = [os.path.join(BUILD, 'plugins', name) for name in STARTED]


class Timeout(AssertionError):
    """Something that had to happen did not."""


def wait_for(condition, what, seconds=30):
    """Asks again until the answer is true; the last answer is returned."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Timeout(f'{what} did not happen within {seconds} s')
        pause.wait(0.02)


class Process:
    """A child whose output is kept line by line."""

    def __init__(self, command, env=None, log=None):
        self.lines = []
        self.log = log
        self.changed = threading.Condition()
        self.child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=env, text=True, errors='replace')
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.child.stdout:
            with self.changed:
                self.lines.append(line.rstrip('\n'))
                self.changed.notify_all()
            if self.log:
                self.log.write(line)
                self.log.flush()

    def expect(self, pattern, seconds=30, start=0):
        """The first line from START on that matches."""
        regex = re.compile(pattern)
        end = time.monotonic() + seconds
        at = start
        with self.changed:
            while True:
                while at < len(self.lines):
                    found = regex.search(self.lines[at])
                    if found:
                        return found
                    at += 1
                left = end - time.monotonic()
                if left <= 0 or (self.child.poll() is not None and not self.reader.is_alive()):
                    tail = '\n'.join(self.lines[-30:])
                    raise Timeout(f'no line matches {pattern!r}; last lines:\n{tail}')
                self.changed.wait(min(left, 0.5))

    def signal(self, number):
        if self.child.poll() is None:
            self.child.send_signal(number)

    def stop(self, seconds=30):
        """SIGTERM, then SIGKILL; the exit status."""
        self.signal(signal.SIGTERM)
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            tail = '\n'.join(self.lines[-30:])
            raise Timeout(f'did not end within {seconds} s; last lines:\n{tail}') from None
        finally:
            self._close()
        return status

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait()
        self._close()

    def _close(self):
        self.reader.join(5)
        for pipe in (self.child.stdin, self.child.stdout):
            try:
                pipe.close()
            except OSError:     # what was to be written finds nobody
                pass


class Bus:
    """A private message bus."""

    def __init__(self, folder):
        self.socket = os.path.join(folder, 'bus')
        config = os.path.join(folder, 'bus.conf')
        with open(config, 'w', encoding='utf-8') as file:
            file.write(f'''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={self.socket}</listen>
<auth>EXTERNAL</auth><policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>''')
        self.process = Process(['dbus-daemon', f'--config-file={config}', '--nofork',
                                '--print-address'])
        self.process.expect('unix:path')
        self.address = f'unix:path={self.socket}'

    def stop(self):
        self.process.kill()


class Daemon:
    """chargehostd with the in-memory kv and SQLite, or with PostgreSQL, or with Redis."""

    def __init__(self, folder, bus=None, options=None, log=None, postgres=None, redis=None):
        self.postgres = postgres
        self.redis = redis
        self.folder = folder
        self.bus = bus
        self.options = dict(options or {})
        self.log = log
        self.process = None
        self.url = None
        self.device_port = None
        self.key = None
        self.state = os.path.join(folder, 'state')

    def command(self, extra=()):
        options = {
            'app.state_dir': self.state,
            'tcp.listeners': f'127.0.0.1:{self.device_port or 0}',
            'http.addr': '127.0.0.1:0',
            'dbus.bus': self.bus.address if self.bus else 'none',
            'plugins.path': ','.join(PLUGINS),
            'plugins.development': 'true',
            'plugins.start': ','.join(STARTED),
            'shutdown.lb_grace': '0s',
            'logging.format': 'human',
            'logging.level': os.environ.get('CHARGEHOST_TEST_LOG_LEVEL', 'info'),
            'tcp.limiting.rate_per_second': '100000',
            'tcp.limiting.rate_burst': '100000',
            'ratelimit.per_key_per_min': '10000000',
            'ratelimit.global_per_min': '10000000',
            'ratelimit.burst': '100000',
        }
        if self.postgres:
            options['database.dsn'] = self.postgres.dsn
        if self.redis:
            options['redis.url'] = self.redis.url
        options.update(self.options)
        command = [DAEMON]
        for name, value in options.items():
            command += ['--set', f'{name}={value}']
        return command + list(extra)

    def environment(self):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith('CHARGEHOST_') or name.startswith('CHARGEHOST_TEST')}
        env['CHARGEHOST_TEST_SCANNER'] = os.path.join(BUILD, 'host', 'chargehost-plugin-scan')
        return env

    def start(self, seconds=60):
        self.process = Process(self.command(), env=self.environment(), log=self.log)
        found = self.process.expect(
            r'ready after .*devices on [^ ]*?:(\d+).*REST on (http://[^ ,]+)', seconds)
        self.device_port = int(found.group(1))
        self.url = found.group(2).rstrip('/')
        return self

    def create_key(self, scopes='read,control,admin'):
        """A key made while the daemon does not run."""
        done = subprocess.run(
            self.command(['--create-key', 'test', '--scopes', scopes]),
            env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f'no key: {done.stderr}')
        self.key = done.stdout.strip().splitlines()[-1]
        return self.key

    def request(self, method, path, body=None, key=None, headers=None, timeout=30):
        """Status and JSON of a request."""
        request = urllib.request.Request(self.url + path, method=method)
        key = self.key if key is None else key
        if key:
            request.add_header('X-API-Key', key)
            request.add_header('X-Internal-API-Key', key)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.add_header('Content-Type', 'application/json')
        try:
            with urllib.request.urlopen(request, data, timeout) as answer:
                return answer.status, _json(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, _json(error.read())

    def get(self, path, **more):
        return self.request('GET', path, **more)

    def post(self, path, body=None, **more):
        return self.request('POST', path, body if body is not None else {}, **more)

    def data(self, path):
        status, answer = self.get(path)
        if status != 200:
            raise AssertionError(f'GET {path}: {status} {answer}')
        return answer['data']

    def rows(self, sql, *parameters):
        """Reads the database beside the daemon."""
        if self.postgres:
            return json.loads(self.postgres.ask(sql, *parameters))
        path = os.path.join(self.state, 'chargehost.db')
        with sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=10) as base:
            base.row_factory = sqlite3.Row
            return base.execute(sql, parameters).fetchall()

    def journal(self, name='journal.log'):
        """Bytes of what waits for the store."""
        path = os.path.join(self.state, name)
        return os.path.getsize(path) if os.path.exists(path) else 0

    def metric(self, text):
        """The sum of the series that begin so, 0 when there is none."""
        _, page = self.get('/metrics')
        return sum(float(line.rsplit(' ', 1)[1]) for line in page.splitlines()
                   if line.startswith(text) and not line.startswith('#'))

    def check(self, name):
        """One of the checks of its health."""
        return self.get('/health')[1]['checks'][name]

    def online(self, device):
        status, answer = self.get(f'/devices/{device}/online')
        return (status == 200 and answer['data']['presence'] == 'online'
                and answer['data']['online'])

    def stop(self):
        return self.process.stop() if self.process else 0

    def kill(self):
        if self.process:
            self.process.kill()


def _json(data):
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors='replace')


class Simulator:
    """chargehost-sim."""

    def __init__(self, folder, port, gateways=1, options=(), log=None):
        self.folder = os.path.join(folder, 'sim')
        os.makedirs(self.folder, exist_ok=True)
        self.ack_log = os.path.join(self.folder, 'acknowledged.jsonl')
        self.summary = os.path.join(self.folder, 'summary.json')
        self.process = Process(
            [SIM, '--server', f'127.0.0.1:{port}', '--gateways', str(gateways),
             '--state', self.folder, '--ack-log', self.ack_log,
             '--summary-json', self.summary, *options], log=log)

    def tell(self, line):
        self.process.child.stdin.write(line + '\n')
        self.process.child.stdin.flush()

    def acknowledged(self):
        """End reports that the server acknowledged."""
        if not os.path.exists(self.ack_log):
            return []
        with open(self.ack_log, encoding='utf-8') as file:
            return [json.loads(line) for line in file if line.strip()]

    def quiet(self):
        """Whether every report that was made is acknowledged."""
        start = len(self.process.lines)
        self.tell('status')
        line = self.process.expect(r'ends (\d+) made, (\d+) acknowledged', start=start)
        return line.group(1) == line.group(2)

    def stop(self):
        return self.process.stop()


class TestCase(unittest.TestCase):
    """A temporary folder, and an end to every process that the test started."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='chargehost-test-')
        self.ends = []
        self.postgres = None
        self.redis = None
        self.log = open(os.path.join(self.folder, 'log'), 'w+', encoding='utf-8')
        self.addCleanup(self._clean)

    def _clean(self):
        for end in reversed(self.ends):
            try:
                end()
            except Exception as error:  # pylint: disable=broad-except
                print(f'# while ending: {error}', file=sys.stderr)
        failed = any(error for _, error in getattr(self._outcome, 'errors', []) if error)
        result = getattr(self._outcome, 'result', None)
        failed = failed or bool(result and (result.failures or result.errors))
        if failed:
            self.log.seek(0)
            print(''.join(self.log.readlines()[-200:]), file=sys.stderr)
        self.log.close()
        keep = os.environ.get('CHARGEHOST_TEST_KEEP')
        if failed and keep:     # the log and the database, to look at
            shutil.copytree(self.folder, keep, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns('bus', 'control'))
        shutil.rmtree(self.folder, ignore_errors=True)

    def bus(self):
        bus = Bus(self.folder)
        self.ends.append(bus.stop)
        return bus

    def daemon(self, bus=None, options=None, key=True):
        daemon = Daemon(self.folder, bus, options, self.log, self.database(), self.kv())
        if key:
            daemon.create_key()
        daemon.start()
        self.ends.append(daemon.kill)
        return daemon

    def database(self):
        """The PostgreSQL server of the test, None with SQLite."""
        if STORE == 'pgsql' and self.postgres is None:
            self.postgres = Postgres()
            self.ends.append(self.postgres.free)
        return self.postgres

    def kv(self):
        """The Redis of the test, None with the kv in memory."""
        if KV == 'redis' and self.redis is None:
            self.redis = Redis()
            self.ends.append(self.redis.free)
        return self.redis

    def simulator(self, daemon, gateways=1, options=()):
        simulator = Simulator(self.folder, daemon.device_port, gateways, options, self.log)
        self.ends.append(simulator.process.kill)
        return simulator

    def wait_order(self, daemon, order_no, states, seconds=60):
        """The order when it has come to one of the states."""
        def look():
            status, answer = daemon.get(f'/api/v1/orders/{order_no}')
            return answer['data'] if status == 200 and answer['data']['status'] in states else None
        return wait_for(look, f'order {order_no} in {states}', seconds)


def main():
    """Runs the tests of a file; output for people, the exit status for the runner."""
    unittest.main(module='__main__', verbosity=2)
