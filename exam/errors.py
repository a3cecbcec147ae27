"""Every refusal: its status, its stable code and its sentence. Rendered in one place per audience.

The table in docs/candidate-protocol.md, section 4, lists the ones a client meets.
"""

import random
from typing import ClassVar


class Refusal(Exception):
    """A request that is understood and not done; `extra` fields go into the JSON body beside error and message."""

    status: ClassVar[int] = 400
    error: ClassVar[str] = "malformed"
    message: str = "This request is not of the expected form. Nothing was changed."

    def __init__(self, message: str | None = None, **extra: object) -> None:
        super().__init__(message or self.message)
        if message:
            self.message = message
        self.extra = extra
        self.retry_after: int | None = None


class Malformed(Refusal):
    pass


class NoSession(Refusal):
    status = 401
    error = "no_session"
    message = "You are not logged in here, or no longer. Log in again; answers that were safe stay safe."


class WrongLogin(Refusal):
    status = 401
    error = "wrong_login"
    message = "The number or the code is not right. Look at the hall ticket and try again."


class NotAllowed(Refusal):
    status = 403
    error = "not_allowed"
    message = "Your account may not do this."


class ForeignOrigin(Refusal):
    status = 403
    error = "foreign_origin"
    message = "This request came from another site and was not carried out."


class OtherBrowser(Refusal):
    status = 403
    error = "safe_browser"
    message = (
        "This exam has to be opened in Safe Exam Browser, with the file of this exam. What was saved is safe. "
        "If you are in Safe Exam Browser, speak to the invigilator."
    )


class NothingHere(Refusal):
    """What does not exist and what is somebody else's: both look the same."""

    status = 404
    error = "nothing_here"
    message = "There is nothing here for you."


class WrongMethod(Refusal):
    status = 405
    error = "wrong_method"
    message = "This address does not do that."


class Conflict(Refusal):
    """Something in the state of things forbids it now."""

    status = 409
    error = "conflict"
    message = "The server already holds something else under this number. Your page will send the answer anew."


class TooEarly(Conflict):
    error = "too_early"
    message = "The exam has not opened yet. Please wait; the page starts by itself when it opens."


class TooLate(Conflict):
    error = "too_late"
    message = "The last moment to start has passed. Please speak to the invigilator."


class OtherDevice(Conflict):
    error = "other_device"
    message = "This exam was begun on another device. You can continue here; the other one then stops."


class StaleDevice(Conflict):
    error = "stale_device"
    message = "The exam goes on at another device. What was written here since is kept for the district to look at."


class Ended(Conflict):
    error = "ended"
    message = "This exam has ended. Load the page again to see the receipt."


class Gap(Conflict):
    error = "gap"
    message = "An answer before this one has not arrived yet. Your page will send it again."


class NotStarted(Conflict):
    error = "not_started"
    message = "The exam has not been started on the server yet."


class UnknownEpoch(Conflict):
    error = "unknown_epoch"
    message = "This page does not belong to the attempt any more. Load it again."


class TooManyKept(Conflict):
    error = "too_many_kept"
    message = "No more late answers can be kept. Please speak to the invigilator."


class NotPossible(Conflict):
    """A staff act that the state of things forbids; the message says which."""

    error = "not_possible"
    message = "This is not possible now."


class TooLarge(Refusal):
    status = 413
    error = "too_large"
    message = "This is too much at once. Nothing was changed."


class WrongType(Refusal):
    status = 415
    error = "wrong_type"
    message = "The body has to be application/json."


class NotInPaper(Refusal):
    status = 422
    error = "not_in_paper"
    message = "This answer does not belong to the paper and could not be taken. Your other answers are not affected."


class Wait(Refusal):
    status = 429
    error = "wait"
    message = "Too many tries. Wait a moment, then try again."

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.retry_after = max(1, round(seconds))


class Unavailable(Refusal):
    """The service cannot do it now; the same request works later. Retry-After is spread at random."""

    status = 503
    error = "unavailable"
    message = (
        "The server cannot take this just now. Your answers are kept on this device; the page tries again by itself."
    )

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = random.randint(1, 4)  # noqa: S311  spreading retries, not a secret
