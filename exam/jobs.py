"""The gate to arq: a knock on the worker's door. A lost knock costs seconds; the rows are the record of work."""

import asyncio
import logging
from typing import Any, Final

import msgspec
from arq.connections import ArqRedis, RedisSettings, create_pool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = logging.getLogger("exam.jobs")

QUEUE: Final = "exam:grade"
encode_job = msgspec.msgpack.encode
"""Never pickle: whoever can write to Redis must not be able to run code in a worker."""


def decode_job(data: bytes) -> dict[str, Any]:
    """A job as arq reads it; a msgspec error for anything that is not MessagePack."""
    job: dict[str, Any] = msgspec.msgpack.decode(data, type=dict[str, Any])
    return job


def redis_settings(url: str) -> RedisSettings:
    """arq's connection settings for a URL: short time-outs, no retries of its own."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_timeout = 1
    settings.conn_retries = 0
    settings.retry = Retry(NoBackoff(), 0)
    return settings


class Door:
    """Where a web worker knocks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: ArqRedis | None = None

    async def knock(self) -> None:
        """Says that something is to be graded; one knock is enough for any number of submissions."""
        try:
            async with asyncio.timeout(1):
                await self._knock()
        except (RedisError, OSError, TimeoutError) as outage:
            log.warning("no knock (%s); the sweeper will find the work", type(outage).__name__)
            await self.close()

    async def _knock(self) -> None:
        if self._pool is None:
            self._pool = await create_pool(
                redis_settings(self._url), job_serializer=encode_job, job_deserializer=decode_job
            )
        # One id for all: while a knock waits to be heard, another says nothing new.
        await self._pool.enqueue_job("grade", _job_id="grade", _queue_name=QUEUE)

    async def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await pool.aclose()
