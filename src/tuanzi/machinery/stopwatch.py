"""A time limit for deciding: a command that does not end must not stop a campus (issue 2, section 2).

Deciding is pure Python on the main thread, so a signal can end it between two bytecodes; the overlay is thrown
away and nothing happened. Where signals cannot be used (another thread) there is no limit.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType

# Our choice: how exact the limit is, and at most sixteen signals for each second of processor at the usual limit.
RINGS_IN_LIMIT = 4


class OutOfTime(BaseException):
    """The command being decided has used up its time; not an Exception, so that no rule catches it by accident."""


class Stopwatch:
    """Raises OutOfTime inside whatever runs between `start` and `stop` and uses more of the processor than the limit.

    limit_s: seconds of processor for one command. While the process computes, in whatever thread, a signal comes four
    times in a limit of what it has used; a house with nothing to do is not woken. The first signal that finds a command
    begins to count what the command itself uses, so it is ended after its limit and mostly half of it at most, and
    never before, however busy the machine is; on a very busy one signals come late (measured: by 0.1 s of processor).
    Starting and stopping cost an assignment each.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._most_s = limit_s
        self._number = 0
        self._running = False
        self._watched = -1
        self._used_s = 0.0
        self._armed = False

    def arm(self) -> None:
        """Begin to watch. Only the main thread can; on any other this does nothing."""
        if threading.current_thread() is threading.main_thread() and not self._armed:
            every_s = self._limit_s / RINGS_IN_LIMIT
            signal.signal(signal.SIGPROF, self._ring)
            signal.siginterrupt(signal.SIGPROF, False)  # whichever thread it comes to goes on with its system call
            signal.setitimer(signal.ITIMER_PROF, every_s, every_s)
            self._armed = True

    def disarm(self) -> None:
        """Stop watching."""
        if self._armed:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, signal.SIG_IGN)  # one may be on its way, and would end the process
            self._armed = False

    def start(self, limits: int = 1) -> None:
        """A command begins, which may use so many times the limit."""
        self._most_s = self._limit_s * limits
        self._number += 1
        self._running = True

    def stop(self) -> None:
        """The command has ended."""
        self._running = False

    def _ring(self, signal_number: int, frame: FrameType | None) -> None:
        if not self._running:
            return
        if self._watched != self._number:
            self._watched = self._number
            self._used_s = time.thread_time()
        elif time.thread_time() - self._used_s >= self._most_s:
            self._running = False
            raise OutOfTime


_WATCHES: list[Stopwatch] = []


def shared(limit_s: float) -> Stopwatch:
    """The process's one stopwatch: there is only one SIGPROF, and only one command is decided at a time."""
    if not _WATCHES:
        _WATCHES.append(Stopwatch(limit_s))
    return _WATCHES[0]
