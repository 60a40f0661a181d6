"""A request that a server ends, which wakes it while it waits for connections."""

from __future__ import annotations

import os
import threading


class StopRequest:
    """Is made once, by any thread or a signal handler. `fileno`: for a selector; readable as soon as it was made."""

    def __init__(self) -> None:
        self.made = False
        self._read, self._write = os.pipe()
        self._lock = threading.RLock()  # a signal handler may come while its own thread holds it

    def fileno(self) -> int:
        return self._read

    def make(self) -> None:
        """Ask for the end. Repeating it changes nothing, also when the server has ended."""
        with self._lock:
            if not self.made:
                self.made = True
                os.write(self._write, b".")

    def close(self) -> None:
        """Close the pipe, which a thread that has just asked is perhaps still writing to: that is waited for."""
        with self._lock:
            self.made = True
            os.close(self._read)
            os.close(self._write)
