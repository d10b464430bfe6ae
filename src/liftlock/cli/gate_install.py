"""Puts the gate's hook into a repository, and proves with a canary push that it works.

Source: docs/how-to/gate.md
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

from liftlock.cli.failures import UsageError, VerificationFailedError
from liftlock.cli.gate_repository import GateRepository

MARK: Final = "# liftlock: made by `liftlock gate install` or `liftlock push install-hook`"
HOOKS: Final = Path("/usr/local/lib/liftlock-gate")
SEEN: Final = "canary seen"
CANARY_TIMEOUT_S: Final = 60


def agreed(settings: Mapping[str, Any], name: str, fail: str | None, *, defaults: bool) -> str:
    """Return what the hook does when gated does not answer: as the policy says, or stricter.

    Raises:
        UsageError: it would be laxer, or the policy names other repositories and not this one.
    """
    if settings["names"] and not settings["named"] and not defaults:
        raise UsageError(
            f"{name}: the policy does not name it, only {', '.join(settings['names'])[:500]}: correct --name, or say "
            "--defaults if its [defaults] are meant"
        )
    wanted: str = settings["fail"]
    if fail == "open" and wanted == "closed":
        raise UsageError(f'{name}: the policy says fail = "closed": leave --fail out, or change the policy')
    return fail or wanted


def stub(name: str, **values: str) -> str:
    """Return a hook's text with its settings filled in."""
    text = (resources.files("liftlock.gate.stubs") / name).read_text(encoding="utf-8")
    for setting, value in values.items():
        form = re.compile(rf"^{setting} = .*  # set by install$", re.MULTILINE)
        if len(form.findall(text)) != 1:
            raise UsageError(f"{name}: no setting {setting}")
        text = form.sub(f"{setting} = {value!r}".replace("\\", r"\\"), text)
    return text


def install(
    repository: GateRepository, name: str, run: Path, fail: str, hooks: Path, *, compiled: bool, force: bool
) -> Path:
    """Write the hook and return its path; what is there and is not liftlock's is replaced only with `force`.

    Raises:
        UsageError: there is another hook, git is not where it should be, or it can't be compiled.
    """
    values = {"SOCKET": str(run / "hook.sock"), "REPOSITORY": name, "FAIL": fail}
    if repository.kind == "git":
        git = shutil.which("git", path="/usr/bin:/usr/local/bin:/bin")
        if git is None:
            raise UsageError("git: not found in /usr/bin, /usr/local/bin or /bin")
        path = repository.folder / "hooks" / "pre-receive"
        if path.exists() and not force and MARK not in path.read_text(encoding="utf-8", errors="replace"):
            raise UsageError(
                f"{path} exists and is not liftlock's: call both from one script, or replace it with --force"
            )
        if compiled:
            _compile(path, {**values, "GIT": git, "MARK": MARK})
        else:
            body = stub("pre_receive.py", GIT=git, **values)
            _write(path, f"#!/usr/bin/python3 -SI\n{MARK}\n{body}", 0o755)
        return path
    return mercurial_hook(
        repository, "gate", "pretxnchangegroup", stub("mercurial_hook.py", **values), hooks, name, "gate"
    )


def mercurial_hook(
    repository: GateRepository, kind: str, event: str, text: str, hooks: Path, name: str, function: str
) -> Path:
    """Write a hook of Mercurial's into the folder `hooks` and name it in the repository's settings; return its path."""
    path = hooks / f"{kind}-{re.sub(r'[^A-Za-z0-9_-]', '_', name)}.py"
    _write(path, f"{MARK}\n{text}", 0o644)
    _precompile(path)
    settings = repository.folder / ".hg" / "hgrc"
    held = settings.read_text(encoding="utf-8") if settings.exists() else ""
    begin, end = f"# liftlock-{kind} begin\n", f"# liftlock-{kind} end\n"
    kept = re.sub(f"(?s){begin}.*?{end}", "", held)
    section = f"{begin}[hooks]\n{event}.liftlock-{kind} = python:{path}:{function}\n{end}"
    whole = kept + ("" if not kept or kept.endswith("\n") else "\n") + section
    like = settings if settings.exists() else repository.folder
    mode = settings.stat().st_mode & 0o777 if settings.exists() else 0o644
    _write(settings, whole, mode, like=like)
    return path


def install_mercurial_ring(folder: Path, project: str, drop_box: str | None, hooks: Path) -> Path:
    """Make pushes to a Mercurial repository ring for a project; return the hook's path.

    Raises:
        UsageError: the drop box is not on this machine: the hook would have nowhere to leave rings.
    """
    if drop_box is None:
        raise UsageError(
            "liftlock's drop box is not on this machine, and a Mercurial hook rings in no other way: liftlock's poll "
            "finds pushes without it"
        )
    text = stub("mercurial_ring.py", PROJECT=project, DROP_BOX=drop_box)
    return mercurial_hook(GateRepository.at(folder), "ring", "changegroup", text, hooks, project, "ring")


def _compile(path: Path, values: dict[str, str]) -> None:
    """Build the compiled git hook in its place."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise UsageError("cc: not found: install a C compiler, or use --client python")
    for setting, value in values.items():
        if not value.isascii() or not value.isprintable() or set(value) & set('"\\'):
            raise UsageError(f"{setting}: {value!r} can't be built into a compiled hook: use --client python")
    defines = [f'-D{setting}="{value}"' for setting, value in values.items() if setting != "FAIL"]
    source = resources.files("liftlock.gate.stubs") / "pre_receive.c"
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    done = subprocess.run(
        [
            compiler,
            *(
                "-std=gnu11",
                "-O2",
                "-Wall",
                "-fPIE",
                "-pie",
                "-fstack-protector-strong",
                "-D_FORTIFY_SOURCE=2",
            ),
            *("-Wl,-z,relro,-z,now", "-x", "c", "-o", str(staged), "-"),
            *defines,
            f"-DFAIL_CLOSED={int(values['FAIL'] == 'closed')}",
        ],
        input=source.read_bytes(),
        capture_output=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise UsageError(f"the hook could not be compiled: {done.stderr.decode('utf-8', 'replace')[-800:]}")
    staged.chmod(0o755)
    staged.replace(path)


def _precompile(path: Path) -> None:
    """Compile the hook for hg's own Python: pushers can't write there, and each push would compile it again."""
    found = subprocess.run(
        ["hg", "debuginstall", "-T", "{pythonexe}"], capture_output=True, text=True, check=False, timeout=60
    )
    if found.returncode == 0 and found.stdout.startswith("/"):
        subprocess.run([found.stdout, "-I", "-m", "py_compile", str(path)], check=False, timeout=60)


def _write(path: Path, text: str, mode: int, *, like: Path | None = None) -> None:
    """Write a file as a whole, with the owner of `like` where that is possible."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_text(text, encoding="utf-8")
    staged.chmod(mode)
    if like is not None and os.geteuid() == 0:
        owner = like.stat()
        os.chown(staged, owner.st_uid, owner.st_gid)
    staged.replace(path)


def canary_token() -> str:
    """Return a new token that a canary push carries."""
    return secrets.token_hex(16)


def push_canary(repository: GateRepository, token: str) -> None:
    """Push a commit with the token, as the repository's owner, and see the gate reject it.

    Nothing stays: the gate rejects it; where it does not, Mercurial has a second hook for this push that does, and git's
    ref is removed again.

    Raises:
        VerificationFailedError: the hook did not ask the gate, or the gate did not answer.
    """
    owner, identity = repository.folder.stat(), repository.as_owner()
    with tempfile.TemporaryDirectory(prefix="liftlock-canary-") as folder:
        os.chmod(folder, 0o700)
        if identity:
            os.chown(folder, owner.st_uid, owner.st_gid)
        steps = _git_steps if repository.kind == "git" else _mercurial_steps
        said = ""
        for command in steps(repository, folder, f"liftlock-canary-{token}"):
            done = subprocess.run(
                command,
                cwd=folder,
                env=_environment(folder),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=CANARY_TIMEOUT_S,
                check=False,
                **identity,
            )
            said = done.stdout + done.stderr
    if SEEN not in said:
        raise VerificationFailedError(
            f"{repository.folder}: a canary push was not rejected by the gate: {said.strip()[-800:] or 'no output'}"
        )


def _environment(home: str) -> dict[str, str]:
    names = ("GIT_AUTHOR", "GIT_COMMITTER")
    people = {f"{name}_{what}": "liftlock" for name in names for what in ("NAME", "EMAIL")}
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": home,
        "LC_ALL": "C",
        "HGPLAIN": "1",
        **({"HGRCPATH": os.environ["HGRCPATH"]} if "HGRCPATH" in os.environ else {}),
        **people,
    }


def _git_steps(repository: GateRepository, folder: str, message: str) -> list[list[str]]:
    ref = "refs/liftlock/canary"
    # The removal comes last and says nothing when the push was rejected, so its output is kept out of the verdict.
    push = f'git push --no-verify "$1" "HEAD:{ref}"; status=$?; [ $status = 0 ] && git push -q "$1" ":{ref}"; exit $status'
    return [
        ["git", "init", "--quiet", "--template=", "."],
        ["git", "commit", "--quiet", "--allow-empty", "--no-verify", "--message", message],
        ["sh", "-c", push, "sh", str(repository.folder)],
    ]


def _mercurial_steps(repository: GateRepository, folder: str, message: str) -> list[list[str]]:
    (Path(folder) / "canary").write_text(message, encoding="utf-8")
    os.chmod(Path(folder) / "canary", 0o644)
    never = "hooks.pretxnchangegroup.zz-liftlock-never=false"
    return [
        ["hg", "init", "."],
        ["hg", "commit", "--quiet", "--addremove", "--user", "liftlock", "--message", message],
        ["hg", "push", "--force", "--config", never, str(repository.folder)],
    ]
