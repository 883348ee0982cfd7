# SPDX-License-Identifier: LGPL-2.1-or-later
"""A TCP proxy that spoils the network between the daemon and a server: it delays bytes,
swallows them, or cuts what is connected and lets nobody in."""
import socket
import threading
import time


class Proxy:
    """Forwards connections of its port to PORT; `mode` is pass, drop or cut."""

    def __init__(self, port):
        self.target = port
        self.mode = 'pass'
        self.delay = 0.0        # seconds for each piece of data, both ways
        self.links = []
        self.lock = threading.Lock()
        self.ending = False
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while not self.ending:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.mode == 'cut':
                near.close()
                continue
            try:
                far = socket.create_connection(('127.0.0.1', self.target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for link in (near, far):
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.links += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source, sink):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if self.delay:
                    time.sleep(self.delay)
                if self.mode == 'drop':     # neither this nor anything behind it arrives
                    continue
                sink.sendall(data)
        except OSError:
            pass
        self._close(source, sink)

    def _close(self, *links):
        for link in links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            link.close()
            with self.lock:
                if link in self.links:
                    self.links.remove(link)

    def drop(self):
        """From now on nothing arrives, and nobody is told."""
        self.mode = 'drop'

    def cut(self):
        """Every connection is reset, and no new one is made."""
        self.mode = 'cut'
        with self.lock:
            links = list(self.links)
        self._close(*links)

    def mend(self):
        """As it was; what was swallowed is lost, so its connections are, too."""
        lossy = self.mode == 'drop'
        self.mode, self.delay = 'pass', 0.0
        if lossy:
            with self.lock:
                links = list(self.links)
            self._close(*links)

    def free(self):
        self.ending = True
        self.cut()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
