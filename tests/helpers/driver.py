# SPDX-License-Identifier: LGPL-2.1-or-later
"""A customer of the REST interface who starts charges wherever a port is free, and asks
again with the same order number when the answer did not come."""
import random
import threading

FIRST = 82000000000001


class Driver:
    """Charges on GATEWAYS stand-alone devices with two ports each."""

    def __init__(self, host, seed, gateways, first=FIRST, name='K'):
        self.host = host
        self.random = random.Random(seed)
        self.places = [(str(first + i), port) for i in range(gateways) for port in (0, 1)]
        self.name = name
        self.accepted = set()   # answered with 202 or 200: must be in the store
        self.repeated = 0
        self.failure = None
        self.count = 0
        self.open = {}          # place → request without an answer so far
        self.running = {}       # place → order number that was accepted there
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def begin(self):
        self.thread.start()

    def end(self):
        self.ending.set()
        self.thread.join(60)

    def _run(self):
        try:
            while not self.ending.is_set():
                self._visit(self.random.choice(self.places))
                self.ending.wait(0.01)
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
            raise

    def _request(self, place):
        self.count += 1
        body = {'socket_no': 0, 'port_no': place[1], 'amount': self.random.choice((1, 3, 500)),
                'order_no': f'{self.name}{self.count:06d}'}
        if self.random.random() < 0.5:
            body.update(charge_mode=1, duration_minutes=self.random.choice((1, 1, 1, 2)))
        else:
            body.update(charge_mode=2, energy_wh=self.random.choice((10, 15, 20)))
        return body

    def _visit(self, place):
        order_no = self.running.get(place)
        if order_no and self.random.random() < 0.3:
            self._ask(place, 'stop_charge', {'order_no': order_no})
            return
        body = self.open.get(place)
        if body:
            self.repeated += 1
        else:
            body = self.open[place] = self._request(place)
        status = self._ask(place, 'start_charge', body)
        if status in (200, 202):
            self.accepted.add(body['order_no'])
            self.running[place] = body['order_no']
        if status is not None:
            del self.open[place]

    def _ask(self, place, what, body):
        """The status, None when there was no answer that says anything."""
        try:
            status, answer = self.host.post(f'/devices/{place[0]}/{what}', body, timeout=10)
        except (OSError, ValueError):
            return None     # refused, cut off: the daemon has died
        except Exception as error:  # pylint: disable=broad-except
            if type(error).__module__ == 'http.client':
                return None
            raise
        if status in (500, 401, 403):
            raise AssertionError(f'{what} {body}: {status} {answer}')
        return None if status == 503 and answer.get('code') == 50306 else status
