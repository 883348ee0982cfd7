# SPDX-License-Identifier: LGPL-2.1-or-later
"""A BKV gateway frame by frame, for walks in which the test decides what the device does.

The simulator plays devices that behave; this one answers only as it is told to.
"""
import collections
import socket
import struct
import threading

ICCID = '89860000000000000001'
FIRMWARE = '200.1.17'

ON = 0x90       # on line and charging
IDLE = 0x80
FULL = 0xB0     # status in an end report: the target is reached
CUT = 0x10      # the power was cut

Frame = collections.namedtuple('Frame', 'name msg_id payload')


def encode(ident, cmd, payload, msg_id=0, up=True):
    """The bytes of a frame (bkv 2.1)."""
    body = (struct.pack('>HHIB', len(payload) + 17, cmd, msg_id, 1 if up else 0)
            + bytes.fromhex(ident) + payload)
    return (b'\xFC\xFE' if up else b'\xFC\xFF') + body + bytes([sum(body) & 0xFF]) + b'\xFC\xEE'


def inner(sub, payload):
    """Inner length and sub-command (bkv 5.1)."""
    return struct.pack('>HB', len(payload), sub) + payload


def item(tag, value):
    return bytes([len(value) + 2, 1, tag]) + value


def heartbeat(ident, iccid=ICCID):
    return encode(ident, 0, iccid.encode() + FIRMWARE.encode().ljust(8, b'\0') + b'\x1c')


class Control:
    """A start or stop as it came (bkv 9.1)."""

    def __init__(self, frame):
        (self.socket, self.port, self.on, self.mode, self.minutes,
         self.energy) = struct.unpack('>BBBBHH', frame.payload)
        self.msg_id = frame.msg_id

    @property
    def place(self):
        return self.socket, self.port


class Outlet:
    """What an outlet reports."""

    def __init__(self):
        self.status = IDLE
        self.number = 0
        self.power = 0      # 0.1 W
        self.energy = 0     # Wh
        self.minutes = 0

    def charge(self, number, energy=0, minutes=0, power=1200):
        self.status, self.number = ON, number
        self.energy, self.minutes, self.power = energy, minutes, power

    def idle(self, status=IDLE):
        self.__init__()
        self.status = status


class Device:
    """A gateway with sockets of two outlets. Answers queries and obeys starts and stops;
    `mute` names what it leaves unanswered, `control` replaces what it does."""

    NAMES = {(0x0000, None): 'heartbeat_ack', (0x0015, 0x07): 'control',
             (0x0015, 0x1D): 'query', (0x0015, 0x0C): 'end_ack', (0x0015, 0x02): 'end_echo',
             (0x1000, 0x1017): 'status_ack', (0x1000, 0x1011): 'param_set',
             (0x0005, 0x08): 'net_refresh', (0x0015, 0x1B): 'voice'}

    def __init__(self, port, ident='82241218000001', sockets=(0,)):
        self.port = port
        self.ident = ident
        self.sockets = sockets
        self.outlets = {(s, p): Outlet() for s in sockets for p in (0, 1)}
        self.mute = set()
        self.control = self.obey
        self.next_number = 1
        self.frames = []        # everything that came
        self.counts = collections.Counter()
        self.changed = threading.Condition()
        self.link = None
        self.reader = None

    # ---- connection ----

    def connect(self, quiet=False):
        """QUIET: without heartbeat, so that the server does not know who it is."""
        self.link = socket.create_connection(('127.0.0.1', self.port), timeout=30)
        self.link.settimeout(None)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = threading.Thread(target=self._read, args=(self.link,), daemon=True)
        self.reader.start()
        if not quiet:
            at = self.counts['heartbeat_ack']
            self.heartbeat()
            self.wait('heartbeat_ack', at + 1)
        return self

    def close(self):
        if self.link is None:
            return
        link, self.link = self.link, None
        try:
            link.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        link.close()
        self.reader.join(5)

    def send(self, data):
        link = self.link
        if link is not None:        # closed while an answer was on its way
            link.sendall(data)

    @property
    def closed(self):
        """Whether the server has closed."""
        return self.reader is not None and not self.reader.is_alive()

    def _read(self, link):
        data = b''
        try:
            while True:
                more = link.recv(65536)
                if not more:
                    return
                data += more
                while len(data) >= 4 and len(data) >= struct.unpack('>H', data[2:4])[0] + 4:
                    size = struct.unpack('>H', data[2:4])[0] + 4
                    self._take(data[:size])
                    data = data[size:]
        except OSError:
            return

    def _take(self, data):
        cmd, msg_id = struct.unpack('>HI', data[4:10])
        payload = data[18:-3]
        sub = None
        if cmd in (0x0005, 0x0015):
            sub, payload = payload[2], payload[3:]
        elif cmd == 0x1000:
            sub = struct.unpack('>H', payload[3:5])[0]
        frame = Frame(self.NAMES.get((cmd, sub), f'{cmd:04X}/{sub}'), msg_id, payload)
        with self.changed:
            self.frames.append(frame)
            self.counts[frame.name] += 1
            self.changed.notify_all()
        if frame.name == 'control' and 'control' not in self.mute:
            self.control(Control(frame))
        elif frame.name == 'query' and 'query' not in self.mute:
            self.answer_query(frame)

    # ---- what it says ----

    def heartbeat(self):
        self.send(heartbeat(self.ident))

    def _report(self, cmd, sub, payload, msg_id=0):
        self.send(encode(self.ident, cmd, inner(sub, payload), msg_id))

    def answer_query(self, frame):
        number = frame.payload[0]
        if number not in self.sockets:
            return
        ports = b''
        for port in (0, 1):
            o = self.outlets[number, port]
            ports += struct.pack('>BBHHHHHH', port, o.status, o.number, 2280, o.power,
                                 o.power // 3, o.energy, o.minutes)
        self._report(0x0015, 0x1C, struct.pack('>BHbB', number, 0xFFFF, 25, 30) + ports,
                     frame.msg_id)

    def status(self, number=0):
        """A status report of a socket (bkv 8.4)."""
        inside = (item(0x4A, bytes([number])) + item(0x3E, b'\xFF\xFF') + item(0x07, b'\x19')
                  + item(0x96, b'\x1E'))
        for port in (0, 1):
            o = self.outlets[number, port]
            inside += item(0x5B, item(0x08, bytes([port])) + item(0x09, bytes([o.status]))
                           + item(0x0A, struct.pack('>H', o.number))
                           + item(0x95, struct.pack('>H', 2280))
                           + item(0x0B, struct.pack('>H', o.power))
                           + item(0x0C, struct.pack('>H', o.power // 3))
                           + item(0x0D, struct.pack('>H', o.energy))
                           + item(0x0E, struct.pack('>H', o.minutes)))
        payload = (item(0x01, b'\x10\x17') + item(0x02, bytes(8))
                   + item(0x03, bytes.fromhex(self.ident)) + item(0x94, inside))
        self.send(encode(self.ident, 0x1000, payload))

    def end(self, number, energy, minutes, place=(0, 0), status=FULL, power=3):
        """An end report (bkv 10.1)."""
        self._report(0x0015, 0x02, struct.pack('>BHbBBBHHHHH', place[0], 0xFFFF, 29, 30,
                                               place[1], status, number, power, 1, energy,
                                               minutes))

    def answer(self, control, result=1, number=0):
        """The answer to a start or stop (bkv 9.2)."""
        self._report(0x0015, 0x07, struct.pack('>BBBH', result, *control.place, number),
                     control.msg_id)

    # ---- what it does ----

    def obey(self, control):
        """A device that behaves."""
        outlet = self.outlets[control.place]
        if control.on and outlet.status != ON:
            outlet.charge(self.next_number)
            self.next_number += 1
            self.answer(control, 1, outlet.number)
            self.status(control.socket)
        elif not control.on and outlet.status == ON:
            number, energy, minutes = outlet.number, outlet.energy, outlet.minutes
            outlet.idle()
            self.answer(control, 1, number)
            self.end(number, energy, minutes, control.place, ON)
        else:
            self.answer(control, 0, 0)

    def refuse(self, control):
        self.answer(control, 0, 0)

    def finish(self, place=(0, 0), energy=None, minutes=None):
        """The charge ends by itself; its number."""
        outlet = self.outlets[place]
        number = outlet.number
        energy = outlet.energy if energy is None else energy
        minutes = outlet.minutes if minutes is None else minutes
        outlet.idle()
        self.end(number, energy, minutes, place)
        return number

    # ---- what came ----

    def wait(self, name, count=1, seconds=30):
        """Waits until COUNT frames of this name have come in all; the last of them."""
        with self.changed:
            done = self.changed.wait_for(lambda: self.counts[name] >= count, seconds)
            if not done:
                raise AssertionError(f'{self.counts[name]} of {count} {name} came; '
                                     f'last: {self.frames[-10:]}')
            return [f for f in self.frames if f.name == name][count - 1]

    def controls(self):
        """All starts and stops that came."""
        return [Control(f) for f in list(self.frames) if f.name == 'control']
