"""Reads pickles that only name tensors, and refuses all others.

The standard `pickle.Unpickler` calls what a file tells it to call. Here `pickletools` reads the
instructions and this module carries out the few that containers and numbers take. Calls reach only the
constructors that the caller hands in; a BUILD, which could set attributes, is read and dropped.
"""

import io
import pickletools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_INSTRUCTIONS = 500_000
"""A ResNet101's checkpoint with its optimizer's state has some fifty thousand."""


class RefusedError(ValueError):
    """The pickle asks for something else than tensors; the message names it."""


class ForeignNameError(RefusedError):
    """What it asks for is a class or function that is not allowed."""


class DamagedError(ValueError):
    """The bytes are no pickle, or not all of one."""


# Instructions that push their argument as it is.
_VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
    )
)
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


def read_pickle(
    stream: io.BytesIO,
    constructors: Mapping[str, Any] | None = None,
    load_persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Reads one pickle, of any protocol, and leaves the stream behind it.

    Args:
        stream: stands at the pickle's first byte. No more of it is kept than what it holds.
        constructors: "module.name" -> what the pickle gets for that name. Only callables can be
            called, with whatever arguments the pickle has.
        load_persistent: makes something of a persistent id; without it they are refused.

    Raises:
        RefusedError: the pickle names, calls or does something that is not in `constructors`.
        DamagedError: it is damaged or ends too soon, or a constructor does not accept its arguments.
    """
    machine = _Machine(constructors or {}, load_persistent)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count >= MAX_INSTRUCTIONS:
                raise RefusedError(f"it has more than {MAX_INSTRUCTIONS} pickle instructions")
            machine.step(opcode.name, argument)
        return machine.result()
    except (RefusedError, DamagedError):
        raise
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as e:
        raise DamagedError(f"its pickle is damaged or cut short ({e})") from e


class _Machine:
    """The stack and the memo of a pickle that is being read."""

    def __init__(
        self, constructors: Mapping[str, Any], load_persistent: Callable[[Any], Any] | None
    ):
        self._constructors = constructors
        self._load_persistent = load_persistent
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self._stack) != 1:
            raise DamagedError(f"its pickle ends with {len(self._stack)} objects, expected one")
        return self._stack[0]

    def step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            start = len(stack) - _TUPLES[name]
            if start < 0 or any(item is _MARK for item in stack[start:]):
                raise DamagedError("its pickle takes more from the stack than there is")
            stack[start:] = [tuple(stack[start:])]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._top()
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self._memo[argument])
        elif name == "GLOBAL":
            stack.append(self._named(argument.replace(" ", ".")))
        else:
            self._step_rarer(name, argument)

    def _step_rarer(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "FRAME" | "STOP":
                pass
            case "MARK":
                stack.append(_MARK)
            case "MEMOIZE":
                self._memo[len(self._memo)] = self._top()
            case "POP":
                stack.pop()
            case "TUPLE":
                stack.append(tuple(self._marked()))
            case "LIST":
                stack.append(self._marked())
            case "DICT":
                stack.append(_pairs(self._marked()))
            case "APPEND":
                item = self._pop()
                _of_kind(self._top(), list).append(item)
            case "APPENDS":
                items = self._marked()
                _of_kind(self._top(), list).extend(items)
            case "SETITEM":
                value, key = self._pop(), self._pop()
                _of_kind(self._top(), dict).update(checked_mapping([(key, value)]))
            case "SETITEMS":
                entries = _pairs(self._marked())
                _of_kind(self._top(), dict).update(entries)
            case "STACK_GLOBAL":
                attribute, module = _of_kind(self._pop(), str), _of_kind(self._pop(), str)
                stack.append(self._named(f"{module}.{attribute}"))
            case "REDUCE":
                arguments, constructor = _of_kind(self._pop(), tuple), self._pop()
                if not callable(constructor):
                    raise DamagedError("its pickle calls something that cannot be called")
                stack.append(constructor(*arguments))
            case "BUILD":
                # A state dict's `_metadata`, and hooks of parameters: no tensor is in them.
                self._pop()
            case "BINPERSID":
                if self._load_persistent is None:
                    raise RefusedError("it refers to data outside of its pickle")
                stack.append(self._load_persistent(self._pop()))
            case "INST":
                self._named(argument.replace(" ", "."))
                raise RefusedError("it uses the pickle instruction INST")
            case _:
                raise RefusedError(f"it uses the pickle instruction {name}")

    def _named(self, name: str) -> Any:
        if name not in self._constructors:
            raise ForeignNameError(f"it asks for {name}")
        return self._constructors[name]

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise DamagedError("its pickle takes more from the stack than there is")
        return self._stack[-1]

    def _pop(self) -> Any:
        item = self._top()
        self._stack.pop()
        return item

    def _marked(self) -> list[Any]:
        """Takes all that lies above the last mark, and the mark."""
        items: list[Any] = []
        while (item := self._stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]


def _of_kind(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise DamagedError(
            f"its pickle has a {type(value).__name__} where a {kind.__name__} belongs"
        )
    return value


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return checked_mapping(list(zip(items[::2], items[1::2], strict=True)))


def checked_mapping(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A dictionary of `pairs`, whose keys must be text or whole numbers.

    To hash a tuple in a tuple in a tuple, a million times over, would end the process.

    Raises:
        DamagedError: a key is something else.
    """
    mapping = {}
    for key, value in pairs:
        if not isinstance(key, str | int):
            raise DamagedError(f"its pickle has a {type(key).__name__} as a key")
        mapping[key] = value
    return mapping
