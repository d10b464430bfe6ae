"""The system call filter of every sandbox, as the bytes that bubblewrap loads.

It denies what reaches parts of the kernel that builds don't need: mounts and namespaces, other processes, keys, BPF,
io_uring, raw terminals, exotic sockets, setuid bits. The rest of the interface is allowed: compilers and test suites
use nearly all of it. Foreign architectures (x32, i386) are killed by libseccomp's default.

Source: docs/explanation/sandbox.md; seccomp(2)
"""

from __future__ import annotations

import errno
import functools
import os
from typing import Any

_DENIED = (
    "mount umount umount2 pivot_root chroot setns unshare ptrace process_vm_readv process_vm_writev kcmp bpf "
    "perf_event_open userfaultfd kexec_load kexec_file_load init_module finit_module delete_module create_module "
    "keyctl add_key request_key swapon swapoff reboot acct quotactl syslog open_by_handle_at name_to_handle_at lookup_dcookie nfsservctl settimeofday stime clock_settime "
    "clock_settime64 clock_adjtime clock_adjtime64 adjtimex iopl ioperm vhangup uselib ustat sysfs _sysctl "
    "modify_ldt fanotify_init fanotify_mark move_pages migrate_pages mbind set_mempolicy vm86 "
    "vm86old"
)
# Newer calls have one number on every architecture, and older versions of libseccomp lack their names: io_uring_setup,
# io_uring_enter, io_uring_register; open_tree, move_mount, fsopen, fsconfig, fsmount, fspick; pidfd_getfd;
# process_madvise; mount_setattr, quotactl_fd; set_mempolicy_home_node; open_tree_attr.
_DENIED_NUMBERS = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443, 450, 467)
_UNKNOWN_NUMBERS = (435, 437)  # clone3, openat2
_FCHMODAT2 = 452
_NEW_NAMESPACES = (
    0x00000080,
    0x00020000,
    0x02000000,
    0x04000000,
    0x08000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
_TERMINAL_REQUESTS = (0x5412, 0x541C, 0x541D)  # TIOCSTI, TIOCLINUX, TIOCCONS
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK; the network namespace is closed anyway
_LAST_FAMILY = 46
_SETUID, _SETGID = 0o4000, 0o2000
_O_CREAT, _O_TMPFILE = 0o100, 0o20000000


@functools.cache
def filter_program() -> bytes:
    """Return the filter as BPF instructions.

    Raises:
        RuntimeError: libseccomp is not installed (from pyseccomp, at import).
    """
    import pyseccomp as sc  # noqa: PLC0415 - its import fails where libseccomp is absent, and the probe tells

    program = sc.SyscallFilter(sc.ALLOW)
    refused = sc.ERRNO(errno.EPERM)
    for name in _DENIED.split():
        _add(program, refused, name)
    for number in _DENIED_NUMBERS:
        program.add_rule(refused, number)
    # Programs fall back from these two: their arguments lie in memory, where a filter can't look.
    for number in _UNKNOWN_NUMBERS:
        program.add_rule(sc.ERRNO(errno.ENOSYS), number)
    for flag in _NEW_NAMESPACES:
        program.add_rule(refused, "clone", sc.Arg(0, sc.MASKED_EQ, flag, flag))
    for request in _TERMINAL_REQUESTS:
        # The kernel looks at 32 bits only, so the upper half must not hide the request.
        program.add_rule(refused, "ioctl", sc.Arg(1, sc.MASKED_EQ, 0xFFFFFFFF, request))
    for family in range(_LAST_FAMILY):
        if family not in _FAMILIES:
            program.add_rule(
                sc.ERRNO(errno.EAFNOSUPPORT), "socket", sc.Arg(0, sc.MASKED_EQ, 0xFFFFFFFF, family)
            )
    program.add_rule(sc.ERRNO(errno.EAFNOSUPPORT), "socket", sc.Arg(0, sc.GE, _LAST_FAMILY))
    _refuse_setuid(program, sc)
    return _export(program)


def open_program() -> int:
    """Return a descriptor from which the filter reads, from its start, for one launch; the caller's to close."""
    descriptor = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    os.write(descriptor, filter_program())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _refuse_setuid(program: Any, sc: Any) -> None:
    """Refuse to give any file the setuid or setgid bit, by changing its mode or by creating it so."""
    refused = sc.ERRNO(errno.EPERM)
    for bit in (_SETUID, _SETGID):
        for call, position in (
            ("chmod", 1),
            ("fchmod", 1),
            ("fchmodat", 2),
            ("creat", 1),
            ("mknod", 1),
            ("mknodat", 2),
        ):
            _add(program, refused, call, sc.Arg(position, sc.MASKED_EQ, bit, bit))
        program.add_rule(refused, _FCHMODAT2, sc.Arg(2, sc.MASKED_EQ, bit, bit))
        for call, position in (("open", 1), ("openat", 2)):
            for creating in (_O_CREAT, _O_TMPFILE):
                flags = sc.Arg(position, sc.MASKED_EQ, creating, creating)
                _add(program, refused, call, flags, sc.Arg(position + 1, sc.MASKED_EQ, bit, bit))


def _add(program: Any, action: int, name: str, *conditions: Any) -> None:
    """Add a rule; a call that this architecture or libseccomp does not have needs none."""
    import pyseccomp as sc  # noqa: PLC0415 - see filter_program

    try:
        number = sc.resolve_syscall(sc.system_arch(), name)
    except ValueError:
        return
    if isinstance(number, int) and number >= 0:
        program.add_rule(action, number, *conditions)


def _export(program: Any) -> bytes:
    descriptor = os.memfd_create("seccomp-build", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w+b") as file:
        program.export_bpf(file)
        file.flush()
        file.seek(0)
        return file.read()
