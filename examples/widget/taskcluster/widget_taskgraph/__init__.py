"""What widget adds to taskgraph: a kind of worker, the sources of a task, and the in-tree actions."""

from importlib import import_module

MODULES = (
    "worker",
    "check",
    "actions.retrigger",
    "actions.add_tasks",
    "actions.backfill",
    "actions.create_test_task",
    "actions.create_loaner",
    "actions.purge_caches",
    "actions.retrigger_decision",
    "actions.release_promotion",
)


def register(graph_config):
    """Called by taskgraph (`register:` in config.yml): each module registers itself when it is imported."""
    for module in MODULES:
        import_module(f"{__name__}.{module}")
