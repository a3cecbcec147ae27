"""The exam hall for Locust: `locust -f loadtest/locustfile.py --host http://127.0.0.1:8000 --candidates 2000`.

Candidates sit a whole exam: they log in, wait, press Start at the same moment, answer, revise and flag, lose their
line, reload, go on at another device, submit or let the clock end it, and wait for their receipt. Invigilators and
district admins look at their pages. The hall has to be filled by `loadtest.seeding` (`python -m loadtest.rush --hold`
does it); districts have 30/25/20/15/10 % of the candidates there and slots 60/30/10 %. What comes back is judged by
`loadtest.protocol`; thresholds.json sets the exit code, and an error in a scenario is a failure.
"""

import itertools
import math
import re
import socket
import ssl
import time
from typing import Any, Final
from urllib.parse import urlsplit

import gevent  # type: ignore[import-untyped]
from locust import FastHttpUser, between, task
from locust.env import Environment
from locust.exception import StopUser

from loadtest import protocol
from loadtest.crowd import PUT_OFF, crowd, fail, hooks, listen
from loadtest.day import ROLES, staff_email
from loadtest.protocol import Call, PutOff, Reply, Unexpected
from loadtest.seeding import SHARES
from loadtest.sitter import Sitter, chance
from loadtest.thresholds import AT_T0

MOST_TROUBLES: Final = 10
QUARTER: Final = 2**62

listen()


def prepare(environment: Environment, **_: Any) -> None:
    """Reads the options before anybody comes: members of staff are few and counted, the rest are candidates."""
    options: Any = environment.parsed_options
    crowd.epoch = options.epoch or time.time()
    Invigilator.fixed_count = math.ceil(options.staff * 0.8)
    DistrictAdmin.fixed_count = options.staff - Invigilator.fixed_count
    absent = [user for user in (Invigilator, DistrictAdmin) if not options.staff_password or not user.fixed_count]
    environment.user_classes = [user for user in environment.user_classes if user not in absent]


hooks.init.add_listener(prepare)


# Candidates -----------------------------------------------------------------------------------------------------


class Candidate(FastHttpUser):
    """One candidate with one connection, from the log-in to the receipt."""

    weight = 100
    concurrency = 2
    network_timeout = connection_timeout = 30.0
    insecure = False
    sitter: Sitter

    def on_start(self) -> None:
        options: Any = self.environment.parsed_options
        number = crowd.next_number()
        if number is None:
            fail(self, "scenario", "more users than --candidates")
            raise StopUser
        # Statuses are judged by the protocol, not by the client.
        vars(self.client.client)["valid_response_codes"] = frozenset(range(100, 600))
        self.sitter = Sitter(number, (options.think[0], options.think[1]))
        crowd.sitters.append(self.sitter)
        self.dice = chance(number, 0, 0)
        self.call(self.sitter.log_in())
        late = self.now() > self.sitter.opens_at
        self.wait_for_opening()
        pressed = time.perf_counter()
        suffix = "" if late else AT_T0
        self.call(protocol.PRESS_START, f"start{suffix}")
        if not self.sitter.sheet:
            self.call(self.sitter.paper(), f"paper{suffix}")
        self.environment.events.request.fire(
            request_type="", name=f"question 1{suffix}", response_time=(time.perf_counter() - pressed) * 1000,
            response_length=0, exception=None, context={}, start_time=time.time(), url="", response=None,
        )  # fmt: skip
        left = self.sitter.deadline - self.now()
        self.submits = self.dice % QUARTER < options.submit_share * QUARTER
        window = min(60.0, left / 10)
        self.stops_at = self.sitter.deadline - 0.5 - (window * (self.dice % 1000) / 1000 if self.submits else 0)
        gevent.sleep(min(self.sitter.think(), max(0.0, self.stops_at - self.now())))

    def wait_time(self) -> float:
        """The candidate thinks, but not beyond the end."""
        return min(self.sitter.think(), max(0.0, self.stops_at - self.now()))

    def now(self) -> float:
        """The server's time."""
        return time.time() + self.sitter.offset

    def wait_for_opening(self) -> None:
        """The waiting room: fetches the sealed paper, reads the sitting now and then, and goes with everybody else."""
        if self.sitter.sealed and (left := self.sitter.opens_at - self.now()) > 2:
            gevent.sleep((left - 2) * (self.dice >> 8 & 0xFFFF) / 0x10000)
            self.call(self.sitter.sealed_paper())
        while True:
            opening = crowd.barrier(self.sitter.opens_at, self.sitter.offset)
            left = self.sitter.opens_at - self.now()
            if opening.wait(60 + self.dice % 30 if left > 95 else None):
                return
            self.call(protocol.READ_SITTING)

    def call(self, call: Call, name: str | None = None) -> None:
        """Asks until it is answered as promised; every trouble on the way is a failure."""
        for _ in range(MOST_TROUBLES):
            pause = 1.0
            with self.client.request(**call.keywords(name), catch_response=True) as response:
                try:
                    if not response.status_code:
                        raise Unexpected(call.operation, f"no answer: {type(response.error).__name__}")
                    self.sitter.took(call.operation, reply_of(response))
                    response.success()
                    return
                except PutOff as later:
                    pause = later.seconds
                    if call.operation in (protocol.SAVE, protocol.SUBMIT):
                        response.failure(later)
                    else:
                        crowd.tally.put_off_one(name or call.operation)
                        response.request_meta["name"] += PUT_OFF
                        response.success()
                except Unexpected as wrong:
                    response.failure(wrong)
            gevent.sleep(pause)
        fail(self, name or call.operation, "gave up")
        self.leave()

    def leave(self) -> None:
        """The candidate goes; the run ends with the last of them if it was asked to."""
        crowd.ended += 1
        if crowd.ended == self.environment.parsed_options.quit_after:
            gevent.spawn(self.environment.runner.quit)
        raise StopUser

    @task(60)
    def answer(self) -> None:
        """Answers an item, or changes an earlier answer."""
        if self.now() >= self.stops_at - 0.05:
            self.end()
        self.sitter.write()
        self.call(self.sitter.save())

    @task(2)
    def answer_on_a_new_connection(self) -> None:
        """The line was cut while the candidate was thinking."""
        self.client.client.clientpool.close()
        self.answer()

    @task(2)
    def answer_unheard(self) -> None:
        """The line is cut after the request: the page never hears the answer, and repeats the save."""
        if self.now() >= self.stops_at - 2:
            self.answer()
            return
        self.sitter.write()
        call = self.sitter.save()
        address = urlsplit(str(self.host))
        tls = address.scheme == "https"
        with socket.create_connection((address.hostname, address.port or (443 if tls else 80)), timeout=30) as plain:
            line = ssl.create_default_context().wrap_socket(plain, server_hostname=address.hostname) if tls else plain
            line.sendall(call.wire(address.netloc.encode(), self.sitter.cookie))
            gevent.sleep(self.dice % 100 / 1000)
        self.call(call, "save, repeated")

    @task(2)
    def reload(self) -> None:
        """The page is loaded again: everything that was safe has to be in the sitting."""
        self.call(protocol.READ_SITTING)
        self.answer()

    @task(1)
    def change_device(self) -> None:
        """Goes on at another device, if there is a change left: log-in, take-over, sitting, paper."""
        self.call(protocol.READ_SITTING)
        if self.sitter.takeovers_left > 0 and self.now() < self.stops_at - 2:
            self.client.client.clientpool.close()
            self.client.cookiejar.clear()
            self.call(self.sitter.log_in(), "login")
            self.call(protocol.TAKE_OVER)
            self.call(protocol.READ_SITTING)
            self.call(self.sitter.paper())
        self.answer()

    def end(self) -> None:
        """Submits with the last answer, or waits for the clock to seal; then for the receipt."""
        if self.submits:
            self.sitter.write()
            self.call(self.sitter.submit())
            self.leave()
        # As the page does: a first look when the grace is over, then every ten seconds or so.
        gevent.sleep(max(0.0, self.sitter.deadline + self.sitter.grace - self.now()) + 1 + self.dice % 8000 / 1000)
        patience = self.now() + 180
        while not (self.sitter.ended and self.sitter.digest):
            self.call(protocol.READ_SITTING)
            if self.now() > patience:
                fail(self, "receipt", "no receipt three minutes after the end")
                self.leave()
            gevent.sleep(0 if self.sitter.digest else 8 + self.dice % 4000 / 1000)
        self.leave()


def reply_of(response: Any) -> Reply:
    """A response of Locust's client as the protocol reads it."""
    head = "".join(f"\r\n{name}: {value}" for name, value in response.headers.items())
    return Reply(response.status_code, f"{head}\r\n".encode("latin-1"), response.content or b"")


# Staff ----------------------------------------------------------------------------------------------------------


class Staff(FastHttpUser):
    """A member of staff who looks at pages that exist."""

    abstract = True
    wait_time = between(20, 40)
    role = ""
    places = itertools.count()

    def on_start(self) -> None:
        place = next(self.places)
        gevent.sleep(place * 2)  # a password costs the server a while on purpose; nobody logs in by the dozen
        district_id = SHARES[place % len(SHARES)][0]
        form = {
            "email": staff_email(self.role, district_id),
            "password": self.environment.parsed_options.staff_password,
        }
        with self.client.post(
            "/staff/login", data=form, name="staff login", allow_redirects=False, catch_response=True
        ) as response:
            if response.status_code != 303 or not len(self.client.cookiejar):
                response.failure(f"{response.status_code} and no session")
                raise StopUser
        self.slots = re.findall(r"/staff/slots/(\d+)", self.page("/staff", "staff start"))
        if not self.slots:
            fail(self, "staff start", "no slot on the page")
            raise StopUser

    def page(self, path: str, name: str) -> str:
        """The text of a page; anything but a whole page is a failure, and then it is empty."""
        with self.client.get(path, name=name, catch_response=True) as response:
            text = response.text or ""
            if response.status_code == 200 and "</html>" in text:
                return text
            response.failure(f"{response.status_code} and no whole page")
            return ""

    @task(4)
    def board(self) -> None:
        self.people = re.findall(r"/people/(\d+)", self.page(f"/staff/slots/{self.slots[0]}/day", "staff board"))
        if self.people:
            gevent.sleep(3)
            one = self.people[int(time.time()) % len(self.people)]
            self.page(f"/staff/slots/{self.slots[0]}/people/{one}", "staff person")

    @task(1)
    def slots_page(self) -> None:
        self.page("/staff/slots", "staff slots")


class Invigilator(Staff):
    """Watches the board of a slot and looks at single people."""

    role = ROLES[0]
    places = itertools.count()
    weight = 1


class DistrictAdmin(Staff):
    """Looks at slots, exams and the log of the district, and at the board."""

    role = ROLES[1]
    places = itertools.count()
    weight = 1

    @task(1)
    def exams(self) -> None:
        self.page("/staff/exams", "staff exams")

    @task(1)
    def log_page(self) -> None:
        self.page("/staff/audit", "staff log")
