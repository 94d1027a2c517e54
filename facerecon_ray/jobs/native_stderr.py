"""What Ray's native part writes to stderr: kept from the terminal, but told where it ends the process."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

# Of a check that failed Ray writes one line, and a trace behind ***; of what cannot be caught, C++ writes two lines.
_TELL_IF_ENDED = r"""
read -r _ && exit
[ -e "$1" ] || exit
words='-e /^\*\*\*/q -e /.[IWE].[0-9]*.[0-9]*]/d -e s/^\[[^]]*]// -e p'
reason=$(sed -n $words "$1" | tail -n 3)
rm -f "$1"
[ -n "$reason" ] || exit
echo "error: starting Ray has ended this process:" $reason \
    "(look at the limits of this shell, ulimit -a, and container: address space, processes, memory)" >&2
"""


@contextmanager
def native_stderr() -> Iterator[IO[bytes]]:
    """A file that gets what is written to file descriptor 2 for the duration; `sys.stderr` stays what it was.

    A process that is aborted meanwhile cannot say why: a shell that waits for its end does.
    """
    with tempfile.NamedTemporaryFile() as said:
        saved = os.dup(2)
        shell = ["/bin/sh", "-fc", _TELL_IF_ENDED, "sh", said.name]
        witness = subprocess.Popen(shell, stdin=subprocess.PIPE, start_new_session=True)
        os.dup2(said.fileno(), 2)
        shown, sys.stderr = sys.stderr, os.fdopen(os.dup(saved), "w", buffering=1)
        try:
            yield said
        finally:
            sys.stderr.close()
            sys.stderr = shown
            os.dup2(saved, 2)
            os.close(saved)
            witness.communicate(b"\n")
