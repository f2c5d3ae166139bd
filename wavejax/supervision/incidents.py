"""What the supervisors of one job tell each other: a file of lines in the folder that all of them see.

Every line is an incident with a number. A supervisor whose process has failed writes the next number; the others, who
find a number that is new to them, start theirs again. Two that fail together write the same number, or one of them
finds the other's, so one incident is one restart for all.
"""

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from wavejax.documents import read_records

POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One line of the file."""

    number: int
    """Of the incident; several lines may have the same."""
    process: str
    """Whose process it was."""
    what: str
    """How it ended, in words."""
    code: int | None = None
    """None: all start again. Otherwise the job is over, and this is the exit code."""
    time: float = 0.0
    """Unix seconds."""


class Incidents:
    """The file as one supervisor sees it; what was there before is not news.

    Args:
      path: the file; every supervisor of the job has the same.
      process: the name of this supervisor's process, as the others are to read it.
    """

    def __init__(self, path: str | os.PathLike[str], process: str) -> None:
        self.path = Path(path)
        self.process = process
        self._seen = max((incident.number for incident in self._read()), default=0)
        self._asked = 0.0

    def news(self) -> Incident | None:
        """An incident that another supervisor has reported since; each is told once. Reads the file once a second."""
        if time.monotonic() - self._asked < POLL_SECONDS:
            return None
        return self._news()

    def report(self, what: str, code: int | None = None) -> Incident | None:
        """Tells the others that this supervisor's process has ended.

        Args:
          what: how, in words.
          code: None when all are to start again; the exit code where the job is over.

        Returns:
          The incident of another process, where that was reported first: this one is likely to have followed from it.
        """
        first = self._news()
        if first is None or code is not None:  # the end of the job is news to those who know the incident, too
            self._seen += 1
        incident = Incident(number=self._seen, process=self.process, what=what, code=code, time=round(time.time(), 3))
        with contextlib.suppress(OSError):  # the others find out by themselves, later
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(incident)) + "\n")
        return first

    def _news(self) -> Incident | None:
        self._asked = time.monotonic()
        unseen = [incident for incident in self._read() if incident.number > self._seen]
        if not unseen:
            return None
        self._seen = max(incident.number for incident in unseen)
        over = [incident for incident in unseen if incident.code is not None]
        return (over or unseen)[-1]

    def _read(self) -> list[Incident]:
        """Opened anew each time, and never replaced by a rename: so network file systems show what others wrote."""
        incidents = []
        with contextlib.suppress(OSError):
            for record in read_records(self.path):
                if isinstance(record.get("number"), int):
                    with contextlib.suppress(TypeError):  # a line of something else
                        incidents.append(Incident(**record))
        return incidents
