"""System calls that Python 3.11 does not offer, by ctypes: each raises OSError with the kernel's own errno."""

from __future__ import annotations

import ctypes
import os
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
CLONE_NEWIPC = 0x08000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_SLAVE = 1 << 14, 1 << 19
MNT_DETACH = 2
NS_GET_USERNS = 0xB701  # ioctl(2) on a namespace descriptor: the user namespace that owns it (linux/nsfs.h)

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 1, 2, 4, 8
_SYS_OPENAT2 = 437  # the same number on every architecture (linux 5.6)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` (CLONE_NEW…) name for new ones."""
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Enter the namespace behind `descriptor`, which must be of `kind` (CLONE_NEW…)."""
    _check(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    _check(_libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), target)


def unmount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), flags), target)


def openat2(directory: int, path: str, flags: int, resolve: int) -> int:
    """Return a descriptor of `path`, looked up from `directory` under the rules `resolve` (RESOLVE_…)."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, resolve)
    name = os.fsencode(path)
    if b"\0" in name:
        raise OSError(22, "the path holds a NUL", path)
    result = _libc.syscall(_SYS_OPENAT2, directory, name, how, ctypes.c_size_t(len(how)))
    return _check(result, path)


def set_dumpable(*, dumpable: bool) -> None:
    """Let, or don't let, others of this uid look into this process (ptrace, /proc/PID/environ, core dumps)."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, int(dumpable), 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def set_no_new_privileges() -> None:
    """Have no program that this process or its children execute gain rights by a setuid bit or file capabilities."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send signal `number` to this process when the thread that forked it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def keep_capabilities(kept: tuple[int, ...]) -> None:
    """Give up, for good and for all children, every capability but `kept` (numbers of linux/capability.h).

    Of those, what is not there is not gained.
    """
    last = int(_read("/proc/sys/kernel/cap_last_cap"))
    for number in range(last + 1):
        if number not in kept:
            _check(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), "prctl(PR_CAPBSET_DROP)")
    mask = sum(1 << number for number in kept) & _permitted()
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, struct.pack("6I", low, low, 0, high, high, 0)), "capset")


def _permitted() -> int:
    """Return the capabilities that this process has, as a bit mask; a container may have taken some."""
    found = [line for line in _read("/proc/self/status").splitlines() if line.startswith("CapPrm:")]
    return int(found[0].split()[1], 16)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()
