"""What a function can reach besides its arguments: Values, and numbers that may change.

A recorded graph holds operations on Values. Everything else that `f` reads is in it as it was then. So
`check` moves the Values that f can reach, and in each call a program looks whether numbers have changed.

f reaches its closure, its defaults, the globals and attributes that its code names, what is in lists, tuples
and dicts of those, and what functions of the user reach that are found there. Libraries are not searched.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import site
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np

from micrograd_mlp.engine.value import Constant, Value
from micrograd_mlp.nn.modules import MLP, Layer, Neuron

MOST_VISITED = 10_000  # things that are searched for Values
MOST_WATCHED = 20  # places: a call takes a microsecond to look at them
MOST_ELEMENTS = 50  # of a list, a dict or an array that is watched
MOST_HARMLESS = 3  # changes of a place that did not matter: then it is no longer watched
LIBRARIES = sys.stdlib_module_names | {"micrograd_mlp", "numpy"}
INSTALLED = (*site.getsitepackages(), site.getusersitepackages())  # where the other libraries are
PLAIN = (int, float, complex, str, bytes, bool, type(None), np.generic)
GONE = "<nothing>"


class Place(NamedTuple):
    """Where f finds something that may be replaced.

    Attributes:
        name: how the user's program calls it.
        get: gives what is there now; it raises an error if there is nothing any more.
    """

    name: str
    get: Callable[[], Any]


ACTIVATIONS = Place("the activation of a neuron", functools.partial(getattr, Neuron, "edition"))


class Reached:
    """What f can reach.

    Attributes:
        values: leaves, which the user's program may change.
        places: where a call looks for changes, those nearest to f.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        self.values: dict[Value, None] = {}
        self.places: list[Place] = []
        self._names = {"__call__": None}  # in the code of f and of the functions that it reaches
        self._owners: list[tuple[str, Any]] = []  # whose attributes may have these names; or globals
        self._seen: dict[Any, Any] = {}  # what was found, which keeps it alive
        self._found: list[tuple[str, Any]] = []  # it has not been searched yet
        self._search(f)
        self._n_harmless: Counter[Place] = Counter()
        self.remember()

    # Changes

    def remember(self) -> None:
        """Take what is in the places now for unchanged."""
        self._gets = [place.get for place in self.places]
        self._before = list(map(_content, self._gets))

    def has_changed(self) -> bool:
        """Whether there are other numbers in the places than when they were remembered."""
        try:
            return [get() for get in self._gets] != self._before
        except Exception:  # a name is gone, or what is there can't be compared
            return True

    def changes(self) -> list[tuple[Place, str]]:
        """The places with other numbers, and what has happened there."""
        pairs = zip(self.places, self._before)
        return [(place, _described(place, before)) for place, before in pairs if not _is_same(place, before)]

    def accept(self) -> None:
        """Remember what is there now, since it makes no difference; what changes often is left out."""
        self._n_harmless.update([place for place, _ in self.changes()])
        self.places = [place for place in self.places if self._n_harmless[place] < MOST_HARMLESS]
        self.remember()

    # Searching: from f outwards, so that what is near is watched first.

    def _search(self, f: Callable[..., Any]) -> None:
        function, owner = (f.__func__, f.__self__) if isinstance(f, MethodType) else (f, f)
        if isinstance(function, FunctionType):  # also one of the package, such as that which `fit` compiles
            self._search_code(function)
            self._seen[id(function)] = function
        self._found.append(("self", owner))
        while self._found:
            found, self._found = self._found, []
            for name, thing in found:
                if len(self._seen) < MOST_VISITED:
                    self._search_in(name, thing)
            for prefix, owner in self._owners:
                self._look_up_names(prefix, owner)
        del self.places[MOST_WATCHED:], self._seen, self._owners

    def _look_up_names(self, prefix: str, owner: Any) -> None:
        """Look for the names that are in the code as globals, or as attributes."""
        for name in self._names:
            if (id(owner), name) in self._seen:
                continue
            self._seen[id(owner), name] = owner
            if isinstance(owner, dict):
                self._enter(name, functools.partial(owner.__getitem__, name))
            else:
                self._enter_attribute(f"{prefix}.{name}", owner, name)

    def _enter_attribute(self, name: str, owner: Any, attribute: str) -> None:
        found = inspect.getattr_static(owner, attribute, GONE)
        if found is GONE:
            return
        is_plain = isinstance(found, MemberDescriptorType) or not hasattr(type(found), "__get__")
        if is_plain or _own(owner).get(attribute) is found:
            self._enter(name, functools.partial(getattr, owner, attribute))
        else:  # a method or a property
            self._found.append((name, getattr(found, "fget", found)))

    def _enter(self, name: str, get: Callable[[], Any]) -> None:
        """Note a place, and search what is there."""
        thing = _content(get)
        if thing is not GONE and not _is_of_a_library(thing):
            self.places.append(Place(name, get))
        self._found.append((name, thing))

    def _search_in(self, name: str, thing: Any) -> None:
        """Note what can be reached from here."""
        if isinstance(thing, PLAIN) or id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing
        if isinstance(thing, Value):
            self._enter_value(name, thing)
        elif isinstance(thing, (list, tuple, set, dict, np.ndarray)):
            self._search_elements(name, thing)
        elif isinstance(thing, MethodType):
            self._found += [(name, thing.__func__), ("self", thing.__self__)]
        elif isinstance(thing, functools.partial):
            self._found += [(name, thing.func), (name, thing.args), (name, thing.keywords)]
        elif inspect.getattr_static(thing, "__wrapped__", GONE) is not GONE:
            self._found.append((name, thing.__wrapped__))
        elif isinstance(thing, FunctionType) and not _is_of_a_library(thing):
            self._search_code(thing)
        elif not inspect.isroutine(thing) and not _is_of_a_library(thing):
            self._owners.append((name, thing))
        if isinstance(thing, (Neuron, Layer, MLP)):
            self.values |= dict.fromkeys(thing.parameters())
            if ACTIVATIONS not in self.places:
                self.places.append(ACTIVATIONS)

    def _enter_value(self, name: str, value: Value) -> None:
        if isinstance(value, Constant):
            self.places.append(Place(f"{name}.data", functools.partial(getattr, value, "_data")))
        elif not value.parents:
            self.values[value] = None

    def _search_elements(self, name: str, container: Any) -> None:
        if isinstance(container, np.ndarray):
            if container.size <= MOST_ELEMENTS:
                self.places.append(Place(name, container.tobytes))
            container = container.ravel().tolist() if container.dtype == object else []
        elif len(container) <= MOST_ELEMENTS and not isinstance(container, tuple):
            self.places.append(Place(name, container.copy))
        elements = container.values() if isinstance(container, dict) else container
        elements = itertools.islice(elements, MOST_VISITED)
        self._found += [(f"{name}[...]", thing) for thing in elements if not isinstance(thing, PLAIN)]

    def _search_code(self, function: FunctionType) -> None:
        code = function.__code__
        self._names |= dict.fromkeys(_names_in(code))
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            self._enter(name, functools.partial(getattr, cell, "cell_contents"))
        self._owners += [("", function.__globals__), (function.__name__, function)]
        self._found += [("a default", function.__defaults__), ("a default", function.__kwdefaults__)]


def _own(owner: Any) -> Mapping[str, Any]:
    """What is in an object itself, and not in its class."""
    try:
        own: Mapping[str, Any] = object.__getattribute__(owner, "__dict__")
    except AttributeError:
        return {}
    return own


def _names_in(code: CodeType) -> Iterator[str]:
    """The globals and attributes that code names, also that of functions within."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _is_of_a_library(thing: Any) -> bool:
    """Whether it is a function, a class or a module of a library, which stays as it is."""
    if isinstance(thing, FunctionType):  # a decorated function says that it is from the user's module
        module = thing.__globals__.get("__name__")
    elif isinstance(thing, ModuleType):
        module = thing.__name__
    elif isinstance(thing, type) or inspect.isroutine(thing):
        module = getattr(thing, "__module__", None)
    else:
        return False
    return str(module).partition(".")[0] in LIBRARIES or _is_installed(thing)


def _is_installed(thing: Any) -> bool:
    """Whether the file that a function, a class or a module is from has been installed."""
    try:
        return inspect.getfile(thing).startswith(INSTALLED)
    except (TypeError, OSError):  # it is built in, or from a prompt
        return False


def _content(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except Exception:
        return GONE


def _is_same(place: Place, before: Any) -> bool:
    try:
        return [_content(place.get)] == [before]  # of lists, the same object is equal to itself
    except Exception:
        return False


def _described(place: Place, before: Any) -> str:
    """With the numbers, where they can be read."""
    now = _content(place.get)
    numbers = before if isinstance(before, list) else [before]
    is_readable = isinstance(before, dict) or all(isinstance(number, PLAIN) for number in numbers)
    if isinstance(before, bytes) or not is_readable:
        return f"{place.name} has changed"
    return f"{place.name} was {before!r:.60} and is {now!r:.60}"
