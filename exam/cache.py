"""The gate to Redis: every key may vanish at any moment, and an outage looks like a miss. The only home of redis."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence
from typing import Final, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger("exam.cache")

T = TypeVar("T")

TIMEOUT: Final = 0.2
"""Seconds that a command may take; a healthy server needs less than a thousandth."""
LATE: Final = 0.05
LONGEST: Final = 2.0
"""Seconds that a command may take while this process itself is late: then it is not the server that hangs."""
PAUSE: Final = 1.0
"""Seconds for which a server that failed is left alone."""

# Counts a try and says for how many milliseconds the next one has to wait. One script, so that a hundred processes that
# try at once are counted a hundred times. The count fades after 15 minutes without a try.
_TRY: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'tries', 'open_at')
local open_at = tonumber(state[2] or '0')
if open_at > now then return open_at - now end
local tries = tonumber(state[1] or '0') + 1
local free = tonumber(ARGV[1])
local wait = 0
if tries >= free then wait = math.min(2 ^ (tries - free), tonumber(ARGV[2])) * 1000 end
redis.call('HSET', KEYS[1], 'tries', tries, 'open_at', now + wait)
redis.call('PEXPIRE', KEYS[1], 900000)
return 0
"""

# The values of some keys, and how often each was asked for in the present window of ARGV[1] seconds: one command for
# everybody who asks at the same moment, and a count that no number of processes can get round. A window's counts lie in
# 256 small hashes: a key and a timer for each would cost more than the look-up, one large hash a pause when it goes.
_LOOK: Final = """
local window = math.floor(redis.call('TIME')[1] / ARGV[1])
local found = {}
for place, key in ipairs(KEYS) do
  local counts = 'n:' .. window .. ':' .. string.byte(key, -1)
  local count = redis.call('HINCRBY', counts, string.sub(key, -9, -2), 1)
  if count == 1 and redis.call('HLEN', counts) == 1 then redis.call('EXPIRE', counts, ARGV[1]) end
  found[place * 2 - 1] = redis.call('GET', key)
  found[place * 2] = count
end
return found
"""


async def _within(work: Awaitable[T]) -> T:
    """What `work` gives within TIMEOUT seconds; a TimeoutError otherwise.

    A rush keeps the event loop busy for longer than that, and answers lie unread. To take this for an outage would send
    every look-up to PostgreSQL in the worst moment: where our own timer comes late, the server gets another turn.
    """
    task = asyncio.ensure_future(work)
    began = time.monotonic()
    try:
        while True:
            expected = time.monotonic() + TIMEOUT
            await asyncio.wait({task}, timeout=TIMEOUT)
            if task.done():
                return task.result()
            now = time.monotonic()
            if now - expected < LATE or now - began > LONGEST:
                raise TimeoutError
    finally:
        task.cancel()


class Store:
    """One Redis server behind a time-out and a breaker."""

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._client = Redis.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            max_connections=32,
        )
        self._try = self._client.register_script(_TRY)
        self._look = self._client.register_script(_LOOK)
        self._closed_until = 0.0
        self.outages = 0

    def _failed(self, outage: BaseException) -> None:
        if time.monotonic() >= self._closed_until:
            log.warning("%s does not answer (%s); going on without it", self._name, type(outage).__name__)
        self.outages += 1
        self._closed_until = time.monotonic() + PAUSE

    @property
    def resting(self) -> bool:
        """Whether the breaker is open: nothing is asked until the pause is over."""
        return time.monotonic() < self._closed_until

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values in the order of `keys`, None for what is not there."""
        if not self.resting:
            try:
                values: list[bytes | None] = await _within(self._client.mget(keys))
                return values
            except (RedisError, OSError, TimeoutError) as outage:
                self._failed(outage)
        return [None] * len(keys)

    async def look_up(self, keys: Sequence[bytes], window: int) -> list[tuple[bytes | None, int]]:
        """The values in the order of `keys`, each with its look-ups in this window; (None, 0) in an outage."""
        if not self.resting:
            try:
                found = await _within(self._look(keys=list(keys), args=[window]))
                return list(zip(found[::2], found[1::2], strict=True))
            except (RedisError, OSError, TimeoutError) as outage:
                self._failed(outage)
        return [(None, 0)] * len(keys)

    async def put_many(self, values: dict[bytes, bytes], seconds: int, *, only_new: bool = False) -> None:
        """Stores values for some seconds; with `only_new` a key that exists keeps its value."""
        if self.resting or not values:
            return
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for key, value in values.items():
                    pipe.set(key, value, ex=seconds, nx=only_new)
                await _within(pipe.execute())
        except (RedisError, OSError, TimeoutError) as outage:
            self._failed(outage)

    async def forget(self, *keys: bytes) -> None:
        if self.resting:
            return
        try:
            await _within(self._client.delete(*keys))
        except (RedisError, OSError, TimeoutError) as outage:
            self._failed(outage)

    async def count_try(self, key: bytes, free: int, most: int) -> float:
        """Counts one try; the seconds to wait, 0 if it may go on. The first are free, then 1, 2, 4 … `most`."""
        if self.resting:
            return 0.0
        try:
            return float(await _within(self._try(keys=[key], args=[free, most]))) / 1000
        except (RedisError, OSError, TimeoutError) as outage:
            self._failed(outage)
            return 0.0

    async def ping(self) -> bool:
        """Whether it answers now, whatever the breaker says."""
        try:
            await _within(self._client.ping())
            return True
        except (RedisError, OSError, TimeoutError):
            return False

    async def policy(self) -> str | None:
        """Its eviction policy; None where it does not answer or does not tell."""
        try:
            async with asyncio.timeout(1):
                found: dict[str, str] = await self._client.config_get("maxmemory-policy")
            return found.get("maxmemory-policy")
        except (RedisError, OSError, TimeoutError):
            return None

    async def close(self) -> None:
        await self._client.aclose()
