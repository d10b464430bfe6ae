"""A clock that a test sets: a library that is loaded before the C library and adds what a file says to the time of day."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t shift(void) {
    char text[32] = {0};
    int file = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    return size > 0 ? atol(text) : 0;
}

int clock_gettime(clockid_t which, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(which, at);
    if (!status && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) at->tv_sec += shift();
    return status;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


class ShiftedClock:
    """What a process needs in its environment to go by it, and how far it is off."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock-shift"
        self._library = folder / "clock-shift.so"
        compiler = shutil.which("cc") or shutil.which("gcc")
        assert compiler is not None, "needs a C compiler"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-x", "c", "-o", str(self._library), "-", "-ldl"],
            input=_SOURCE.encode(),
            check=True,
        )
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CLOCK_SHIFT": str(self._file)}

    def set(self, seconds: int) -> None:
        """Have the clock be so far ahead of the true time, or behind."""
        staged = self._file.with_suffix(".new")
        staged.write_text(f"{seconds}\n")
        staged.replace(self._file)
