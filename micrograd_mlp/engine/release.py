"""Freeing a long chain of nodes where the stack is short, as it is for Python in a browser.

Python frees a node, then its parents, then theirs, each inside the call for the one before. WebAssembly's
stack ends after some thousand such calls. `release` as the nodes' `__del__` frees them one after
another instead.
"""

from __future__ import annotations

from typing import Any

_queue: list[tuple[Any, ...]] = []
_is_releasing = False


def release(node: Any) -> None:
    """Free what only this node refers to, without a call inside a call.

    The outermost call empties the queue. Dropping a node's parents there calls `release` for those that
    nothing else refers to, and these calls only add to the queue.
    """
    global _is_releasing
    _queue.append(getattr(node, "parents", ()))  # a node whose constructor raised has none
    node.parents = ()
    if _is_releasing:
        return
    _is_releasing = True
    try:
        while _queue:
            _queue.pop()
    finally:
        _is_releasing = False
