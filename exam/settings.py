"""Settings: names and values from the environment, read once, typed, failing at start. No secret has a default."""

import os
from collections.abc import Mapping
from hashlib import sha256
from hmac import digest

import msgspec


class SettingsError(Exception):
    """A setting is missing or makes no sense; the message names it."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parts are and what may differ between two deployments."""

    database_url: str
    """The owner of the schema: migrations only. The other roles default to this URL with their role set."""
    database_web_url: str = ""
    database_staff_url: str = ""
    database_author_url: str = ""
    database_grading_url: str = ""
    redis_state_url: str
    redis_cache_url: str
    secret_key: str
    """At least 32 random bytes in hex; keys for access codes and form tokens are derived from it."""
    receipt_key: str
    """An Ed25519 private key: 32 random bytes in hex."""
    former_receipt_keys: str = ""
    """The public keys of receipt keys that were in use before, in hex, parted by blanks: what they signed stays so."""
    public_origin: str
    """Scheme, host and port that people see; https turns on Secure cookies."""
    time_zone: str = "Asia/Kolkata"
    """Decides on which day, and so in which partition, an exam lies."""
    partition_months: int = 6
    save_connections: int = 4
    web_connections: int = 4
    staff_connections: int = 3
    max_candidates: int = 0
    """How many may sit at once on this deployment, as its own load test found; more are not pinned without a reason.
    0: not measured, so nothing is refused."""
    debug: bool = False

    def url_of(self, role: str) -> str:
        """The URL for `web`, `staff`, `author` or `grading`, or the owner's where it has none of its own."""
        return str(getattr(self, f"database_{role}_url")) or self.database_url

    def derived(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose only: HMAC-SHA256 of its name under the secret key."""
        return digest(bytes.fromhex(self.secret_key), purpose.encode(), sha256)

    @property
    def former_public_keys(self) -> list[bytes]:
        """The public keys of former receipt keys, 32 bytes each."""
        return [bytes.fromhex(public) for public in self.former_receipt_keys.split()]

    @property
    def tls(self) -> bool:
        return self.public_origin.startswith("https://")


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process. Raises SettingsError with a sentence that names what is wrong."""
    names = [field.name for field in msgspec.structs.fields(Settings)]
    given = {name: environ[name.upper()] for name in names if environ.get(name.upper())}
    required = [f.name for f in msgspec.structs.fields(Settings) if f.required]
    missing = [name.upper() for name in required if name not in given]
    if missing:
        raise SettingsError(f"Set {', '.join(missing)} in the environment. `exam demo` sets everything by itself.")
    try:
        settings = msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as wrong:
        raise SettingsError(f"A setting does not make sense: {wrong}") from None
    for name, value in (("SECRET_KEY", settings.secret_key), ("RECEIPT_KEY", settings.receipt_key)):
        try:
            size = len(bytes.fromhex(value))
        except ValueError:
            size = 0
        if size < 32 or (name == "RECEIPT_KEY" and size != 32):
            raise SettingsError(f"{name} has to be 32 random bytes in hex, for instance from `openssl rand -hex 32`.")
    try:
        former = {len(public) for public in settings.former_public_keys}
    except ValueError:
        former = {0}
    if former - {32}:
        raise SettingsError("FORMER_RECEIPT_KEYS has to be public keys as /check/key.json has them, parted by blanks.")
    if not settings.public_origin.startswith(("http://", "https://")):
        raise SettingsError("PUBLIC_ORIGIN has to be the address people type, for instance https://exam.example.in")
    return settings
