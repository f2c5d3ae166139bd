"""Messages between the supervisors of one job: lines of a file in a folder that all of them can access.

Every line is an incident with a number. A supervisor whose process has failed writes the next number; the others read
the new number and restart their processes. If two fail together, they write the same number, or one of them finds the
other's, so one incident causes one restart of all.
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
    """Number of the incident; several lines may have the same number."""
    process: str
    """Name of the process that ended."""
    what: str
    """How it ended, in words."""
    code: int | None = None
    """None: all processes restart. Otherwise the job is over, and this is the exit code."""
    time: float = 0.0
    """Unix seconds."""


class Incidents:
    """One supervisor's view of the file; lines that are there at the start are not news.

    Args:
      path: the file; the same for every supervisor of the job.
      process: the name of this supervisor's process, shown to the others.
    """

    def __init__(self, path: str | os.PathLike[str], process: str) -> None:
        self.path = Path(path)
        self.process = process
        self._seen = max((incident.number for incident in self._read()), default=0)
        self._asked = 0.0

    def news(self) -> Incident | None:
        """A new incident reported by another supervisor; each is returned once. Reads the file once a second."""
        if time.monotonic() - self._asked < POLL_SECONDS:
            return None
        return self._news()

    def report(self, what: str, code: int | None = None) -> Incident | None:
        """Tells the others that this supervisor's process has ended.

        Args:
          what: how it ended, in words.
          code: None if all processes must restart; the exit code if the job is over.

        Returns:
          The incident of another process if it was reported first: it is the likely cause of this one.
        """
        first = self._news()
        if first is None or code is not None:  # the end of the job is news even after the incident
            self._seen += 1
        incident = Incident(number=self._seen, process=self.process, what=what, code=code, time=round(time.time(), 3))
        with contextlib.suppress(OSError):  # the others will notice later by themselves
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
        """Reads the file, opening it anew and never renaming it: so network file systems show what others wrote."""
        incidents = []
        with contextlib.suppress(OSError):
            for record in read_records(self.path):
                if isinstance(record.get("number"), int):
                    with contextlib.suppress(TypeError):  # not a line of ours
                        incidents.append(Incident(**record))
        return incidents
