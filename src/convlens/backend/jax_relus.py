"""ReLUs on JAX that pass back other gradients than theirs: the function's program is gone through, step by step."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from convlens.backend import unchanged_relus

INLINE = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "custom_jvp_call": "call_jaxpr"}
INLINE |= {"core_call": "call_jaxpr", "remat2": "jaxpr", "checkpoint": "jaxpr", "remat": "jaxpr"}
SPREAD = ("broadcast_in_dim", "convert_element_type", "copy", "reshape", "squeeze", "stop_gradient")


@jax.custom_vjp
def _guided(x: Any) -> Any:
    return jax.numpy.maximum(x, 0)


_guided.defvjp(
    lambda x: (jax.numpy.maximum(x, 0), x > 0),
    lambda on, gradient: (jax.numpy.where(on, jax.numpy.maximum(gradient, 0), 0),),
)


@jax.custom_vjp
def _deconvnet(x: Any) -> Any:
    return jax.numpy.maximum(x, 0)


_deconvnet.defvjp(lambda x: (jax.numpy.maximum(x, 0), None), lambda _, gradient: (jax.numpy.maximum(gradient, 0),))
RULES = {"guided": _guided, "deconvnet": _deconvnet}


def with_relus(fn: Callable, rule: str) -> Callable:
    """The same function, in which max(x, 0) passes back what the rule says, however it is spelled.

    Raises:
        ModelError: none is found, or one lies within a loop or a branch.
    """

    def run(*arguments: Any) -> Any:
        program, shapes = jax.make_jaxpr(fn, return_shape=True)(*arguments)
        replaced: list[Any] = []
        leaves = jax.tree.leaves(arguments)
        values = _run(program.jaxpr, program.consts, leaves, [False] * len(leaves), RULES[rule], replaced)[0]
        if not replaced:
            raise unchanged_relus("there is none in this network")
        return jax.tree.unflatten(jax.tree.structure(shapes), values)

    return run


def _run(
    program: Any, consts: Sequence[Any], values: Sequence[Any], zeros: Sequence[bool], relu: Callable, replaced: list
) -> tuple[list[Any], list[bool]]:
    """What a program puts out, and which of that are known to be zeros."""
    known: dict[Any, tuple[Any, bool]] = {}

    def read(atom: Any) -> tuple[Any, bool]:
        return (atom.val, _is_zero(atom.val)) if hasattr(atom, "val") else known[atom]

    known |= {var: (value, _is_zero(value)) for var, value in zip(program.constvars, consts, strict=True)}
    known |= {var: pair for var, *pair in zip(program.invars, values, zeros, strict=True)}
    for step in program.eqns:
        pairs = [read(atom) for atom in step.invars]
        inputs, empty = [value for value, _ in pairs], [zero for _, zero in pairs]
        name = step.primitive.name
        if name == "max" and any(empty):
            replaced.append(step)
            outputs, none = [relu(inputs[0 if empty[1] else 1])], [False]
        elif name in INLINE and not _is_of_its_own(step):
            inner = step.params[INLINE[name]]
            consts = inner.consts if hasattr(inner, "consts") else ()
            outputs, none = _run(getattr(inner, "jaxpr", inner), consts, inputs, empty, relu, replaced)
        else:
            if name not in INLINE and list(_relus(step)):
                raise unchanged_relus(
                    f"one lies within a {name} of the network's, where JAX does not let it be changed"
                )
            bound = step.primitive.get_bind_params(step.params)
            functions, options = bound if isinstance(bound, tuple) else ((), bound)  # a tuple before JAX 0.10
            outputs = step.primitive.bind(*functions, *inputs, **options)
            outputs = list(outputs) if step.primitive.multiple_results else [outputs]
            none = [name in SPREAD and empty[0]] * len(outputs)
        known |= {var: pair for var, *pair in zip(step.outvars, outputs, none, strict=True)}
    outputs = [read(atom) for atom in program.outvars]
    return [value for value, _ in outputs], [empty for _, empty in outputs]


def _is_zero(value: Any) -> bool:
    return not isinstance(value, jax.core.Tracer) and np.ndim(value) == 0 and bool(np.asarray(value) == 0)


def _is_of_its_own(step: Any) -> bool:
    """Whether a function has a maximum with 0 in it without being a ReLU, or none: softplus, hard_sigmoid."""
    if step.primitive.name == "custom_jvp_call":
        kinds = {one.primitive.name for one in _leaves(step)}
        return "max" not in kinds or not kinds <= {"max", "min"}
    return step.params.get("name", "").startswith("hard_")


def _relus(step: Any) -> Iterator[Any]:
    """The maxima with 0 in the programs that a step runs."""
    for own in _leaves(step):
        if own.primitive.name == "max" and any(_is_zero(atom.val) for atom in own.invars if hasattr(atom, "val")):
            yield own


def _leaves(step: Any) -> Iterator[Any]:
    """The steps of the programs that a step runs, and of those that these run, but not those that only run others."""
    for inner in jax.tree.leaves(list(step.params.values()), is_leaf=lambda one: hasattr(one, "eqns")):
        for own in getattr(inner, "eqns", ()):
            below = list(_leaves(own))
            yield from below or [own]
