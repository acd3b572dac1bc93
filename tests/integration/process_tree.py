"""The processes that one has started, as Linux lists them."""

from pathlib import Path


def children(pid):
    """Return the ids of the processes that a process has started and not yet waited for."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found += map(int, (thread / "children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):  # the thread, or all of it, has ended
            continue
    return sorted(found)


def descendants(pid):
    """Return the ids of the processes that a process has started, and of those below them."""
    return [found for child in children(pid) for found in (child, *descendants(child))]
