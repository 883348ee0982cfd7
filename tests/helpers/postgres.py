# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throw-away PostgreSQL server for tests: in a temporary folder, on a unix socket and a
free port of the loopback interface, as an unprivileged user when the test runs as root."""
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

from ports import free_port

FOLDERS = ['/usr/lib/postgresql/15/bin'] + [
    f'/usr/lib/postgresql/{number}/bin' for number in (17, 16, 14, 13)]


def program(name):
    """The path of one of PostgreSQL's programs, None when it is not installed."""
    for folder in FOLDERS:
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    return None


def _unprivileged():
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam('postgres')
    except KeyError:
        user = pwd.getpwnam('nobody')
    return {'user': user.pw_uid, 'group': user.pw_gid, 'extra_groups': []}


class Postgres:
    """The server; started by the constructor, ended and removed by free().

    INITDB: further words for it; PRELOAD: helpers/full-disk.c as a module, and the folder
    of the server's data that fill() and make_room() are about."""

    def __init__(self, fsync=False, settings=(), initdb=(), preload=None):
        self.who = _unprivileged()
        self.folder = tempfile.mkdtemp(prefix='chargehost-pg-')
        os.chmod(self.folder, 0o755)
        if self.who:
            os.chown(self.folder, self.who['user'], self.who['group'])
        self.data = os.path.join(self.folder, 'data')
        self.port = free_port()
        self.dsn = f'host={self.folder} port={self.port} dbname=postgres user=chargehost'
        self.url = f'postgres://chargehost@localhost:{self.port}/postgres?sslmode=disable'
        self.process = None
        self.full = os.path.join(self.folder, 'full')
        self.env = None
        if preload:
            module, below = preload     # where the server's user can read it
            self.env = {**os.environ, 'LD_PRELOAD': shutil.copy(module, self.folder),
                        'FULL_DISK_WHEN': self.full,
                        'FULL_DISK_BELOW': os.path.join(self.data, below)}
        subprocess.run([program('initdb'), '-D', self.data, '-U', 'chargehost', '-A', 'trust',
                        '-E', 'UTF8', '--no-locale', '--no-sync', *initdb], check=True,
                       cwd=self.folder, stdout=subprocess.DEVNULL, **self.who)
        lines = ["listen_addresses = '127.0.0.1'", f'port = {self.port}',
                 f"unix_socket_directories = '{self.folder}'", 'max_connections = 80',
                 'shared_buffers = 32MB', f'fsync = {"on" if fsync else "off"}',
                 'log_min_messages = warning', "timezone = 'Asia/Shanghai'", *settings]
        path = os.path.join(self.data, 'postgresql.auto.conf')
        with open(path, 'a', encoding='utf-8') as file:
            file.write('\n'.join(lines) + '\n')
        self.start()

    def start(self, seconds=60):
        """Starts it (again) and waits until it takes connections."""
        with open(os.path.join(self.folder, 'server.log'), 'ab') as log:
            self.process = subprocess.Popen(
                [program('postgres'), '-D', self.data], cwd=self.folder, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, env=self.env, **self.who)
        end = time.monotonic() + seconds
        ready = [program('pg_isready'), '-q', '-h', self.folder, '-p', str(self.port)]
        while subprocess.run(ready, check=False).returncode != 0:
            if time.monotonic() > end or self.process.poll() is not None:
                with open(os.path.join(self.folder, 'server.log'), encoding='utf-8') as log:
                    raise AssertionError(f'PostgreSQL did not start:\n{log.read()}')

    def stop(self, number=signal.SIGINT):
        """A fast shutdown; connections are ended."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
        if self.process is not None:
            self.process.wait(60)
        self.process = None

    def kill(self):
        """SIGKILL to the postmaster and to all of its children."""
        pid = self.process.pid
        os.kill(pid, signal.SIGSTOP)
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
            children = [int(child) for child in file.read().split()]
        for child in children:
            os.kill(child, signal.SIGKILL)
        self.stop(signal.SIGKILL)
        os.unlink(os.path.join(self.data, 'postmaster.pid'))

    def fill(self):
        """From now on nothing below the preload's folder can grow."""
        with open(self.full, 'w', encoding='ascii'):
            pass

    def make_room(self):
        os.unlink(self.full)

    def ask(self, sql, *parameters, schema='chargehost'):
        """Rows as dictionaries; `?` stands for a parameter, which becomes a literal."""
        for value in parameters:
            text = str(value) if isinstance(value, (int, float)) \
                else "'" + str(value).replace("'", "''") + "'"
            sql = sql.replace('?', text, 1)
        wrapped = sql
        if re.match(r'\s*(select|with)\b', sql, re.IGNORECASE):
            wrapped = f"SELECT coalesce(json_agg(rows_), '[]') FROM ({sql}) AS rows_"
        done = subprocess.run(
            [program('psql'), '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', self.dsn,
             '-c', f'SET search_path = "{schema}"', '-c', wrapped],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f'{sql}: {done.stderr}')
        return done.stdout.strip()

    def free(self):
        """Ends it and removes its folder."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
