"""What a compiled program holds, read from its text (HLO): memory traffic, convolutions, collectives."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

_BITS = {"pred": 8, "token": 0, "opaque": 0}
_SHAPE = re.compile(r"\b(pred|token|opaque|[a-z]+[0-9]+[a-z0-9]*)\[([0-9,]*)\]")
_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (.*)$")
_OPERATION = re.compile(r"^([\w\-]+)\((.*)$")
_OPERAND = re.compile(r"%([\w.\-]+)")
_TARGET = re.compile(r'custom_call_target="([^"]+)"')
_CALLED = re.compile(r"(?:to_apply=|calls=|true_computation=|branch_computations=\{)%([\w.\-]+)")
_KIND = re.compile(r'"kind":"(__[\w$]+)"')

# They name memory and move none.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "iota"}
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")


class Instruction(NamedTuple):
    """One line of a computation.

    Attributes:
        name: of its result.
        shape: of its result, as text; a tuple's in parentheses.
        operation: such as "fusion".
        rest: of the line, operands first.
    """

    name: str
    shape: str
    operation: str
    rest: str

    @property
    def operands(self) -> list[str]:
        """Names of what it reads."""
        return _OPERAND.findall(self.rest[: _closing(self.rest, 1)])


def _closing(text: str, depth: int) -> int:
    """Where the parenthesis closes that is open `depth` deep at the start; the end, if nowhere."""
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position
    return len(text)


def shape_bytes(shape: str) -> int:
    """Bytes of an array, or of all arrays of a tuple, such as "(f32[2,3]{1,0}, s32[])"."""
    total = 0
    for kind, sizes in _SHAPE.findall(shape):
        digits = re.search(r"\d+", kind)
        bits = _BITS.get(kind, int(digits.group()) if digits else 0)
        count = 1
        for size in filter(None, sizes.split(",")):
            count *= int(size)
        total += (count * bits + 7) // 8
    return total


def computations(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """The instructions of each computation, and the entry's name."""
    found: dict[str, list[Instruction]] = {}
    entry, current = "", None
    for line in text.splitlines():
        if line.endswith("{") and "->" in line and " = " not in line.partition("(")[0]:
            name = line.removeprefix("ENTRY ").lstrip().lstrip("%")
            current = re.split(r"[ (]", name, maxsplit=1)[0]
            found[current] = []
            if line.startswith("ENTRY"):
                entry = current
        elif line.startswith("}"):
            current = None
        elif current is not None and (match := _INSTRUCTION.match(line)):
            found[current].append(_read(*match.groups()))
    return found, entry


def _read(name: str, rest: str) -> Instruction:
    if rest.startswith("("):
        end = _closing(rest, 0)
        shape, rest = rest[: end + 1], rest[end + 1 :].lstrip()
    else:
        shape, _, rest = rest.partition(" ")
    match = _OPERATION.match(rest)
    operation, rest = match.groups() if match else (rest, "")
    return Instruction(name, shape, operation, rest)


def executed(text: str) -> Iterator[tuple[Instruction, dict[str, str]]]:
    """The instructions that run one after the other, each with the shapes of its computation.

    Called computations are gone into, and the first branch of a condition; fusions are not: what is
    inside of them stays in registers.
    """
    found, entry = computations(text)

    def walk(name: str) -> Iterator[tuple[Instruction, dict[str, str]]]:
        shapes = {instruction.name: instruction.shape for instruction in found[name]}
        for instruction in found[name]:
            called = _CALLED.search(instruction.rest)
            if instruction.operation in ("call", "conditional") and called:
                yield from walk(called.group(1))
            else:
                yield instruction, shapes

    yield from walk(entry)


def memory_traffic(text: str) -> int:
    """Bytes that the program moves if every kernel reads each operand once and writes its result once.

    Caches and registers can save some of it, and a kernel that reads an operand again needs more.
    """
    return sum(
        shape_bytes(instruction.shape)
        + sum(shape_bytes(shapes.get(name, "")) for name in instruction.operands)
        for instruction, shapes in executed(text)
        if instruction.operation not in _FREE
    )


def convolutions(text: str) -> dict[str, int]:
    """How many convolutions there are, by what computes them and what is fused into them.

    On GPUs cuDNN's calls by their name ("with bias", "with ReLU", "with side input" where the call
    does these too), elsewhere plain "convolution" and "fused convolution"; "kernels" counts all
    kernels of the program, "elementwise fusions" those that no library computes.
    """
    count: Counter[str] = Counter()
    inside, _ = computations(text)
    for instruction, _ in executed(text):
        if instruction.operation not in _FREE:
            count["kernels"] += 1
        target = _TARGET.search(instruction.rest)
        called = _CALLED.search(instruction.rest)
        kind = _KIND.search(instruction.rest)
        if target and "conv" in target.group(1).lower():
            count[_describe(target.group(1), instruction)] += 1
        elif instruction.operation == "convolution":
            count["convolution"] += 1
        elif instruction.operation == "fusion" and called:
            parts = Counter(part.operation for part in inside[called.group(1)])
            if parts["convolution"]:
                name = kind.group(1) if kind else "fused"
                count[f"{name} convolution of {sum(parts.values())} operations"] += 1
            elif not kind:
                count["elementwise fusions"] += 1
    return dict(sorted(count.items()))


def _describe(target: str, instruction: Instruction) -> str:
    parts = [target]
    if "Bias" in target:
        # Input, kernel and bias; a fourth one is added before the activation.
        parts += ["with bias"] if len(instruction.operands) > 2 else []
        parts += ["with side input"] if len(instruction.operands) > 3 else []
    if re.search(r'"activation_mode":"(kRelu|RELU)', instruction.rest):
        parts.append("with ReLU")
    if graph := re.search(r'"serialized_graph":"([^"]*)"', instruction.rest):
        parts.append(f"graph {re.sub(r'[0-9]+:', '', graph.group(1))[:60]}")
    return ", ".join(parts)


def collectives(text: str) -> list[tuple[str, int]]:
    """Kind and bytes of each collective's result, in the order of the program.

    A start and its end are one. Of a tuple (several arrays in one) all parts count.
    """
    found = []
    for instruction, _ in executed(text):
        kind = instruction.operation.removesuffix("-start")
        if kind in COLLECTIVES:
            shape = instruction.shape
            if instruction.operation == "all-gather-start":
                # A pair: what goes in, and what comes out.
                shape = shape.rpartition(", ")[2]
            found.append((kind, shape_bytes(shape)))
    return found


def flops_of(lowered: Any) -> float:
    """Floating-point operations of a program before optimisation: 2 a multiplication with its addition."""
    cost = lowered.cost_analysis()
    if isinstance(cost, list):
        cost = cost[0]
    return float((cost or {}).get("flops", float("nan")))
