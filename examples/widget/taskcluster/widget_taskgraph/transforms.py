"""Transforms of the kinds here: they declare what a task gets to see."""

from taskgraph.transforms.base import TransformSequence

sources = TransformSequence()
outputs = TransformSequence()
wheel = TransformSequence()
after_tests = TransformSequence()


@sources.add
def add_checkout_and_tools(config, tasks):
    """Give each task the checkout in `repo`, and the tools locked in the file that `sources:` names, if any."""
    for task in tasks:
        lock = task.pop("sources", None)
        # The worker fetches the source of a recorded revision with the task's own scopes.
        task.setdefault("scopes", []).append("pushes:get-source:{project}")
        inputs = task["worker"].setdefault("inputs", [])
        inputs.append(
            {
                "name": "repo",
                "git": {"project": config.params["project"], "revision": config.params["head_rev"]},
                "unpack": {"to": "/build/repo", "writable": True},
            }
        )
        if lock:
            inputs.append(
                {
                    "name": "tools",
                    "pip": {"lock": {"input": "repo", "path": f"taskcluster/{lock}"}},
                    "mount": "/inputs/tools",
                }
            )
            task["worker"].setdefault("env", {})["PYTHONPATH"] = "/inputs/tools"
        yield task


def wheel_name(config):
    return f"widget-{config.params['version']}-py3-none-any.whl"


@outputs.add
def name_outputs(config, tasks):
    """Say which of the build's files is its output `wheel`."""
    for task in tasks:
        task["worker"]["outputs"] = {"wheel": f"public/build/{wheel_name(config)}"}
        yield task


@wheel.add
def add_wheel(config, tasks):
    """Give a task with `wheel: true` the wheel that the build made, importable and under /inputs/wheel."""
    file = wheel_name(config)
    for task in tasks:
        if task.pop("wheel", False):
            task.setdefault("dependencies", {})["build"] = "build-dist"
            task["worker"]["inputs"].append(
                {
                    "name": "wheel",
                    "task": {"label": "build-dist"},
                    "output": "wheel",
                    "mount": f"/inputs/wheel/{file}",
                }
            )
            task["worker"].setdefault("env", {})["PYTHONPATH"] = f"/inputs/wheel/{file}"
        yield task


@after_tests.add
def depend_on_tests(config, tasks):
    """Make each task wait for every task of the kind `test`."""
    for task in tasks:
        for label, upstream in config.kind_dependencies_tasks.items():
            if upstream.kind == "test":
                task.setdefault("dependencies", {})[label] = label
        yield task
