"""Compiling beside what runs already, so that a program is there when it is first called."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import jax


@contextlib.contextmanager
def compiler() -> Iterator[Executor]:
    """A thread that compiles, for `compiled`; what it has not begun by the end it leaves."""
    with ThreadPoolExecutor(1) as thread:
        try:
            yield thread
        finally:
            thread.shutdown(wait=False, cancel_futures=True)


def compiled(compiler: Executor, jitted: jax.stages.Wrapped, *arguments: Any) -> Callable[..., Any]:
    """The function, its program for such arguments compiled meanwhile; a call waits for that.

    arguments: as they will be, or their shapes and placement. Others find their own program, as
    always. What is wrong with the function is raised where it is called.
    """
    program = compiler.submit(lambda: jitted.lower(*arguments).compile())

    def call(*arguments: Any) -> Any:
        with contextlib.suppress(Exception):
            program.result()
        return jitted(*arguments)

    return call


def placed(shapes: Any, sharding: jax.sharding.Sharding) -> Any:
    """Shapes of arrays that will be there."""
    return jax.tree.map(lambda leaf: leaf.update(sharding=sharding), shapes)
