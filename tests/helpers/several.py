# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instances of the daemon that share one PostgreSQL and one Redis, and a balancer."""
import glob
import json
import os
import random
import select
import socket
import subprocess
import threading

import postgres
import redis
from bkv import Device
from chargehost import BUILD, Daemon, TestCase, wait_for

PLUGINS = [os.path.join(BUILD, 'plugins', name)
           for name in ('store-pgsql', 'kv-redis', 'proto-bkv')]
SKIP = 77
ID = '82241218000001'
QUICK = {'proto-bkv.min_spacing_ms': '10', 'proto-bkv.takeover_limit': '10000',
         'tcp.flapping.enabled': 'false'}


def are_there():
    """Whether both servers are installed, and the plugins built."""
    return (postgres.program('initdb') and redis.program('redis-server')
            and all(glob.glob(path + '/*.so') for path in PLUGINS))


def rows(server, sql):
    """Rows as dictionaries; what JSON has as objects is text, as in SQLite."""
    return [{name: json.dumps(value) if isinstance(value, (list, dict)) else value
             for name, value in row.items()} for row in json.loads(server.ask(sql))]


class Instance(Daemon):
    """One of several daemons that share a database and a kv."""

    def __init__(self, number, folder, base, cache, bus=None, options=None, log=None):
        self.number = number
        self.id = f'gw-{number}'
        self.base = base
        folder = os.path.join(folder, self.id)
        os.makedirs(folder, exist_ok=True)
        super().__init__(folder, bus, {
            'profile': 'production',
            'server.id': self.id,
            'plugins.path': ','.join(PLUGINS),
            'plugins.start': 'store-pgsql,kv-redis,proto-bkv',
            'database.dsn': base.dsn,
            'redis.url': cache.url,
            'database.pool_max': '8',
            'database.pool_min': '2',
            **(options or {})}, log)

    def migrate(self):
        """What an operator does before the first start: with this profile tables do not
        change by themselves."""
        done = subprocess.run(self.command(['--migrate-only']), env=self.environment(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)
        if done.returncode != 0:
            raise AssertionError(f'not migrated: {done.stderr}')

    def create_key(self, scopes='read,control,admin'):
        self.migrate()
        return super().create_key(scopes)

    def rows(self, sql, *parameters):
        if parameters:
            raise AssertionError('no parameters here')
        return rows(self.base, sql)

    @property
    def alive(self):
        return self.process is not None and self.process.child.poll() is None


class Several(TestCase):
    """N instances over one PostgreSQL and one Redis."""

    def several(self, count, options=None, bus=None, each=None):
        """EACH: from the number of an instance to options of its own."""
        self.base = postgres.Postgres(settings=['max_connections = 150'])
        self.ends.append(self.base.free)
        self.redis = redis.Redis()
        self.ends.append(self.redis.free)
        self.hosts = [Instance(n + 1, self.folder, self.base, self.redis, bus,
                               {**(options or {}), **(each(n + 1) if each else {})}, self.log)
                      for n in range(count)]
        key = self.hosts[0].create_key() if self.hosts else None
        for host in self.hosts:
            host.key = key
            host.start()
            self.ends.append(host.kill)
        return self.hosts

    def query(self, sql):
        return rows(self.base, sql)

    def state_of(self, order_no):
        found = self.query(
            f"SELECT status, provisional, energy_wh FROM orders WHERE order_no = '{order_no}'")
        return found[0] if found else None

    def wait_state(self, order_no, *states, seconds=60):
        return wait_for(lambda: (self.state_of(order_no) or {}).get('status') in states,
                        f'{order_no} in {states}, it is {self.state_of(order_no)}', seconds)


class Instances(Several):
    def two(self, **options):
        return self.several(2, {**QUICK, **options})

    def come(self, host, ident=ID, device=None):
        """The device is bound at this instance, and has reported its ports."""
        if device is None:
            device = Device(host.device_port, ident)
            self.ends.append(device.close)
        device.port = host.device_port
        device.connect()
        device.status()
        self.owner(host, ident)
        return device

    def owner(self, host, ident=ID):
        wait_for(lambda: self.session(host, ident).get('server_id') == host.id,
                 f'{ident} at {host.id}')

    def session(self, host, ident=ID):
        status, answer = host.get(f'/api/v1/sessions/{ident}')
        return answer['data'] if status == 200 else {}

    def start(self, host, order_no, wait_ms=0, port=0, ident=ID):
        return host.post(f'/devices/{ident}/start_charge', {
            'socket_no': 0, 'port_no': port, 'amount': 500, 'charge_mode': 1,
            'duration_minutes': 10, 'order_no': order_no, 'wait_ms': wait_ms})

    def stop(self, host, order_no, ident=ID):
        return host.post(f'/devices/{ident}/stop_charge', {'order_no': order_no})

    def commands(self, order_no, kind='StartCharge'):
        return self.query(
            f"SELECT status, result FROM outbound_queue WHERE order_no = '{order_no}' "
            f"AND type = '{kind}'")


class Balancer:
    """A port that connects each newcomer to one of the instances that live."""

    def __init__(self, hosts, seed=0):
        self.hosts = hosts
        self.random = random.Random(seed)
        self.pairs = {}         # socket → its other end
        self.lock = threading.Lock()
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.poll = select.epoll()
        self.poll.register(self.listener, select.EPOLLIN)
        self.sockets = {self.listener.fileno(): self.listener}
        self.ending = False
        self.moved = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _accept(self):
        near, _ = self.listener.accept()
        hosts = [host for host in self.hosts if host.alive and host.device_port]
        self.random.shuffle(hosts)
        for host in hosts:
            try:
                far = socket.create_connection(('127.0.0.1', host.device_port), timeout=2)
            except OSError:
                continue
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                one.settimeout(5)
                self.pairs[one] = other
                self.sockets[one.fileno()] = one
                self.poll.register(one, select.EPOLLIN)
            return
        near.close()

    def _drop(self, one):
        other = self.pairs.pop(one, None)
        for end in (one, other):
            if end is not None and end.fileno() >= 0:
                self.pairs.pop(end, None)
                self.sockets.pop(end.fileno(), None)
                self.poll.unregister(end)
                end.close()

    def _pass(self, one):
        try:
            data = one.recv(65536)
            if data:
                self.pairs[one].sendall(data)
                return
        except OSError:
            pass
        self._drop(one)

    def _run(self):
        while not self.ending:
            for fd, _ in self.poll.poll(0.2):
                with self.lock:
                    one = self.sockets.get(fd)
                    if one is self.listener:
                        self._accept()
                    elif one is not None:
                        self._pass(one)

    def move(self, share):
        """Cuts a share of the connections: their devices come again somewhere."""
        with self.lock:
            ends = self.random.sample(list(self.pairs), int(len(self.pairs) * share))
            for end in ends:
                if end in self.pairs:
                    self._drop(end)
                    self.moved += 1

    def stop(self):
        self.ending = True
        self.thread.join(10)
        for end in list(self.sockets.values()):
            end.close()


class Anyone:
    """A host that is any of the instances, as behind a balancer of HTTP."""

    def __init__(self, hosts, seed=0):
        self.hosts = hosts
        self.random = random.Random(seed)

    def _one(self):
        alive = [host for host in self.hosts if host.alive]
        return self.random.choice(alive or self.hosts)

    def request(self, *words, **more):
        return self._one().request(*words, **more)

    def get(self, *words, **more):
        return self._one().get(*words, **more)

    def post(self, *words, **more):
        return self._one().post(*words, **more)

    def rows(self, sql, *parameters):
        return self.hosts[0].rows(sql, *parameters)
