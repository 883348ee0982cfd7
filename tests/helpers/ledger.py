# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the database must say after a test: the rules that hold for every order."""
import json

STATES = ('pending', 'confirmed', 'charging', 'completed', 'timeout', 'cancelled', 'failed',
          'stopped', 'cancelling', 'stopping', 'interrupted')
TERMINAL = ('completed', 'timeout', 'cancelled', 'failed', 'stopped')

ORDERS = '''SELECT o.*, d.phy_id FROM orders o JOIN devices d ON d.id = o.device_id'''
OPEN = 'SELECT count(*) AS n FROM orders WHERE status IN (0,1,2,8,9,10)'


def wire_order(report):
    """The key of a charge on the wire of BKV (gateway 0.4)."""
    return f"{report['socket']:02X}{report['port']:02X}{report['business_no']:04X}"


def report(device, number, energy, minutes):
    """The end report of a charge on the first outlet, as a simulator's log has it."""
    return {'gateway': device, 'socket': 0, 'port': 0, 'business_no': number,
            'energy_wh': energy, 'duration_min': minutes}


def amounts(order):
    """Electricity, service and total by the tariff of the order (gateway 1.4)."""
    energy = order['energy_wh']
    if energy <= 0:
        return 0, 0, 0
    electricity = (energy * order['price_per_kwh_cent'] + 500) // 1000
    service = (electricity * order['service_fee_permille'] + 500) // 1000
    total = electricity + service
    limit = order['amount_limit_cent']
    return electricity, service, total if limit is None else min(total, limit)


def state(order):
    return STATES[order['status']]


def show(order):
    """One line about an order for the message of a failure."""
    history = ' '.join(f"{STATES[entry['status']]}({entry['reason']})"
                       for entry in json.loads(order['status_history']))
    return (f"{order['order_no']} {order['phy_id']} {order['socket_no']}/{order['port_no']} "
            f"wire {order['wire_order']} {order['source']} {state(order)} "
            f"provisional {order['provisional']} {order['energy_wh']} Wh "
            f"{order['duration_s']} s {order['failure_reason']}: {history}")


class Ledger:
    """Collects what is wrong instead of ending at the first fault."""

    def __init__(self, host):
        self.host = host
        self.faults = []
        self.orders = host.rows(ORDERS + ' ORDER BY o.id')

    def fault(self, text):
        self.faults.append(text)

    def check_all(self, reports):
        """What holds once every charge is over: REPORTS are the acknowledged ones."""
        self.check_terminal()
        self.check_amounts()
        self.check_events()
        self.check_reports(reports)

    def check_terminal(self):
        for order in self.orders:
            if state(order) not in TERMINAL:
                self.fault(f'open for ever: {show(order)}')

    def check_amounts(self):
        for order in self.orders:
            if order['end_time'] is None or state(order) not in TERMINAL:
                continue
            if order['status'] in (4, 5):  # never charged
                continue
            want = amounts(order)
            have = (order['electricity_cent'], order['service_cent'], order['amount_cent'])
            if want != have:
                self.fault(f'amounts {have}, by the tariff {want}: {show(order)}')

    def check_events(self):
        """Sequence 1 to n without gaps, and what may come once comes once."""
        rows = self.host.rows('SELECT order_no, sequence_no, event_type FROM events '
                              'WHERE order_no IS NOT NULL ORDER BY order_no, sequence_no')
        by_order = {}
        for row in rows:
            by_order.setdefault(row['order_no'], []).append(row)
        for order in self.orders:
            events = by_order.pop(order['order_no'], [])
            numbers = [event['sequence_no'] for event in events]
            types = [event['event_type'] for event in events]
            if numbers != list(range(1, len(numbers) + 1)):
                self.fault(f'sequence {numbers}: {show(order)}')
            if not types or types[0] != 'order.created':
                self.fault(f'events begin with {types[:1]}: {show(order)}')
            for once in ('order.created', 'charging.ended', 'order.completed',
                         'order.stopped', 'order.failed', 'order.timeout'):
                if types.count(once) > 1:
                    self.fault(f'{types.count(once)} events {once}: {show(order)}')
            if types.count('charging.started') > 1 + types.count('order.recovered'):
                self.fault(f'started twice: {types}: {show(order)}')
        for order_no in by_order:
            self.fault(f'events of an order that is not there: {order_no}')

    def check_reports(self, reports):
        """Every acknowledged end report is there once, with its figures."""
        by_key = {}
        for order in self.orders:
            for key in (order['wire_order'], order['alias_wire_order']):
                if key:
                    by_key.setdefault((order['phy_id'], key), []).append(order)
        for report in reports:
            found = by_key.get((report['gateway'], wire_order(report)), [])
            if len(found) != 1:
                self.fault(f'{len(found)} orders of the acknowledged {report}: '
                           + '; '.join(show(order) for order in found))
                continue
            order = found[0]
            if (state(order) not in ('completed', 'stopped') or order['provisional']
                    or order['energy_wh'] != report['energy_wh']
                    or order['duration_s'] != report['duration_min'] * 60):
                self.fault(f'acknowledged {report}, stored {show(order)}')

    def check_sources(self):
        """No charge but those that were ordered: no simulated device starts one itself."""
        for order in self.orders:
            if order['source'] == 'local':
                self.fault(f'a charge that nobody ordered: {show(order)}')
