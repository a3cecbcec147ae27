"""Logs: one JSON object a line, with what happened and where, never with answers, codes, tokens or values."""

import datetime as dt
import json
import logging
import sys
import traceback


class JsonLines(logging.Formatter):
    """Time, level, logger and message; of an exception its class and its places, not its text, which may quote data."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            failure = record.exc_info[1]
            line["exception"] = type(failure).__name__
            frames = traceback.extract_tb(failure.__traceback__)
            line["at"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
        return json.dumps(line, ensure_ascii=False)


def start_logging(*, debug: bool = False) -> None:
    """Sends everything to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.DEBUG if debug else logging.INFO, handlers=[handler], force=True)
    for quiet in ("arq", "asyncio", "uvicorn"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
