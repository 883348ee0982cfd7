# SPDX-License-Identifier: LGPL-2.1-or-later
"""A throw-away Redis for tests: in a temporary folder, on a unix socket and a free port of
the loopback interface. redis-check-rdb, run under another name, is the server."""
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from ports import free_port


def program(name):
    """The path of one of Redis' programs, None when it is not installed."""
    return shutil.which(name)


class Redis:
    """The server; started by the constructor, ended and removed by free()."""

    def __init__(self, *words):
        self.folder = tempfile.mkdtemp(prefix='chargehost-redis-')
        self.socket = os.path.join(self.folder, 'socket')
        self.port = free_port()
        self.url = f'redis://127.0.0.1:{self.port}'
        self.command = [
            program('redis-server') or 'redis-server', '--port', str(self.port),
            '--bind', '127.0.0.1', '--unixsocket', self.socket, '--save', '',
            '--dir', self.folder, '--loglevel', 'warning', *words]
        self.process = None
        self.start()

    def start(self):
        """Starts it, empty, and waits until it answers."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        pause = threading.Event()
        for _ in range(500):
            try:
                if self.ask('PING') == 'PONG':
                    return self
            except (OSError, subprocess.CalledProcessError):
                pass
            pause.wait(0.02)
        raise AssertionError('redis-server does not answer')

    def ask(self, *words):
        """What redis-cli prints."""
        done = subprocess.run(['redis-cli', '-s', self.socket, *words], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              timeout=30)
        return done.stdout.strip()

    def keys(self, pattern='*'):
        return sorted(line for line in self.ask('KEYS', pattern).splitlines() if line)

    def kill(self):
        """As a crash: nothing is kept."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def free(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
