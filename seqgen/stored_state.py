"""One saved state: a pytree of arrays goes into a directory and comes back bit for bit, or not.

`checkpoint.py` says which directory. Orbax stores the arrays under the leaves' names, and only this
file knows that. The manifest has the shape and dtype of each leaf, the SHA-256 of every file, what
the caller adds, and its own SHA-256: Orbax alone does not notice a flipped bit in an array.
"""

import errno
import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from seqgen import backend, run_directory
from seqgen.errors import Failure, UsageError
from seqgen.interrupt import SIGNALS

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
DAMAGE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO)  # of the files, not of the access


class DamageError(Exception):
    """A directory does not hold what was saved; the message says where."""


def snapshot(state: Any) -> tuple[dict[str, dict[str, Any]], dict[str, np.ndarray]]:
    """The leaves' descriptions for the manifest, and copies of them on the host, by name.

    The copies share nothing with the state, whose arrays may be donated at once. Raises TypeError
    for a leaf that is no array, typed key or Python number.
    """
    leaves = named(state)
    for leaf in leaves.values():
        if isinstance(leaf, jax.Array):
            leaf.copy_to_host_async()
    descriptions, arrays = {}, {}
    for name, leaf in leaves.items():
        descriptions[name] = _described(leaf)
        if _is_key(leaf):
            descriptions[name]["key"] = str(jax.random.key_impl(leaf))
            leaf = jax.random.key_data(leaf)
        arrays[name] = np.array(leaf)
        if arrays[name].dtype.kind in "OSU":
            raise TypeError(f"{name} is a {type(leaf).__name__}; a state is made of arrays")
    return descriptions, arrays


def process_of_its_own() -> ProcessPoolExecutor:
    """A process where `write` works: among those of one run, Orbax's save waits for all of them.

    It is spared the signals that the run handles, and ends with it.
    """
    apart = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    return ProcessPoolExecutor(1, apart, _set_apart)


def write_apart(apart: ProcessPoolExecutor, *arguments: Any) -> None:
    """As `write`, with the same arguments, in such a process; raises what it was caused by."""
    error = apart.submit(_tried, *arguments).result()
    if error is not None:  # raised there, it would come back caused by a printed traceback
        raise error


def _tried(*arguments: Any) -> BaseException | None:
    try:
        write(*arguments)
    except Exception as error:
        return cause(error)
    return None


def _set_apart() -> None:
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    jax.config.update("jax_platforms", "cpu")  # the accelerators are the run's


def _end_with_the_run() -> None:
    """Also where that is killed: what it was given to do would never come."""
    multiprocessing.parent_process().join()
    os._exit(1)


def write(directory: Path, arrays: Mapping[str, np.ndarray], body: Mapping[str, Any]) -> None:
    """Fills an empty directory; all is on the disk when this returns. `body` joins the manifest."""
    context = ocp.Context()
    context.array.saving.use_compression = False  # weights are noise, nothing would be gained
    context.memory.deepcopy_host_arrays = False  # they are copies already
    # Else a directory that can't be made leaves threads that keep the process for five minutes.
    context.asynchronous.create_directories_asynchronously = False
    with context:  # Orbax refuses arrays without elements; their description says all there is
        ocp.save(directory / "arrays", {n: array for n, array in arrays.items() if array.size})
    paths = sorted(directory.rglob("*"))
    for path in paths:
        run_directory.sync(path)
    files = {
        str(path.relative_to(directory)): run_directory.file_digest(path)
        for path in paths
        if path.is_file()
    }
    body = {"schema_version": SCHEMA_VERSION, **body, "files": files}
    content = run_directory.canonical_json({**body, "digest": run_directory.digest(body)})
    run_directory.write_bytes(directory / MANIFEST, content)


def manifest(directory: Path) -> dict[str, Any]:
    """The manifest, which vouches for itself. Raises DamageError; the files are not looked at."""
    try:
        found = run_directory.read_json(directory / MANIFEST)
        body = {name: value for name, value in found.items() if name != "digest"}
        sound = found["digest"] == run_directory.digest(body)
    except (UsageError, AttributeError, KeyError, ValueError) as error:
        raise DamageError(str(error)) from error
    if not sound:
        raise DamageError(f"{MANIFEST} does not match its own digest")
    return found


def verify(directory: Path) -> dict[str, Any]:
    """The manifest, after checking every file against it.

    Raises DamageError, or UsageError for the format of another version.
    """
    found = manifest(directory)
    if found["schema_version"] != SCHEMA_VERSION:
        raise UsageError(
            f"{directory} has format {found['schema_version']}; this version reads {SCHEMA_VERSION}"
        )
    for name, digest in found["files"].items():
        try:
            same = run_directory.file_digest(directory / name) == digest
        except OSError as error:
            if error.errno not in DAMAGE:
                raise
            raise DamageError(f"{name}: {error.strerror}") from error
        if not same:
            raise DamageError(f"{name} is not what was saved")
    return found


def load(directory: Path, target: Any) -> tuple[Any, dict[str, Any]]:
    """(the state in the form of `target`, the manifest).

    Raises DamageError, UsageError if the target does not fit, Failure if the arrays can't be read.
    """
    found = verify(directory)
    wanted, stored = named(target), found["leaves"]
    _check_fit(directory, target, wanted, stored)
    abstract = {
        name: _abstract(wanted[name]) if name in wanted else ocp.PLACEHOLDER
        for name, description in stored.items()
        if 0 not in description["shape"]
    }
    context = ocp.Context()
    _by_this_process(context)
    try:
        with context:
            arrays = ocp.load(directory / "arrays", abstract)
    except Exception as error:
        raise Failure(f"{directory} is sound but can't be read: {cause(error)}") from error
    leaves = [_like(leaf, arrays.get(name), stored[name]) for name, leaf in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(target), leaves), found


def _by_this_process(context: ocp.Context) -> None:
    """Else Orbax waits for the other processes of a run, which may have nothing to do with it."""
    context.multiprocessing.primary_host = jax.process_index()
    context.multiprocessing.active_processes = {jax.process_index()}


def cause(error: BaseException) -> BaseException:
    """What an error began with: Orbax wraps it in others that say less."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by the names on their way, "a/b/c". Raises ValueError for one twice."""
    paths = jax.tree.leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}
    if len(named) < len(paths):
        raise ValueError("two leaves of the state have the same name, as {'a': {'b'}} and {'a/b'}")
    return named


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _on_host(leaf: Any) -> bool:
    return isinstance(leaf, (np.ndarray, np.generic, bool, int, float, complex))


def _described(leaf: Any) -> dict[str, Any]:
    if not hasattr(leaf, "dtype"):
        leaf = np.asarray(leaf)
    return {"shape": list(leaf.shape), "dtype": str(leaf.dtype)}


def _check_fit(
    directory: Path, target: Any, wanted: Mapping[str, Any], stored: Mapping[str, Any]
) -> None:
    children = jax.tree.leaves_with_path(target, is_leaf=lambda node: node is not target)
    fields = {jax.tree_util.keystr(path[:1], simple=True) for path, _ in children}
    problems = [f"{name} is in this model alone" for name in wanted if name not in stored]
    problems += [
        f"{name} is in the checkpoint alone"
        for name in stored
        if name not in wanted and name.startswith(tuple(f"{field}/" for field in fields))
    ]
    for name in [name for name in wanted if name in stored]:
        there = {field: stored[name][field] for field in ("shape", "dtype")}
        here = _described(wanted[name])
        if there != here:
            problems.append(
                f"{name} is {tuple(there['shape'])} {there['dtype']} in the checkpoint and "
                f"{tuple(here['shape'])} {here['dtype']} in this model"
            )
        elif _needs_x64(wanted[name]):
            problems.append(f"{name} is {there['dtype']}, which needs jax_enable_x64")
    if problems:
        more = f" (and {len(problems) - 3} more differences)" if len(problems) > 3 else ""
        raise UsageError(f"{directory} does not fit: {'; '.join(problems[:3])}{more}")


def _needs_x64(leaf: Any) -> bool:
    if _on_host(leaf) or _is_key(leaf):
        return False
    return jax.dtypes.canonicalize_dtype(leaf.dtype) != leaf.dtype


def _sharding(leaf: Any) -> jax.sharding.Sharding:
    return getattr(leaf, "sharding", None) or jax.sharding.SingleDeviceSharding(
        jax.local_devices()[0]
    )


def _abstract(leaf: Any) -> Any:
    if _is_key(leaf):
        data = jax.eval_shape(jax.random.key_data, leaf)
        return np.empty(data.shape, data.dtype)
    if _on_host(leaf):
        return np.empty_like(leaf)
    if not _sharding(leaf).is_fully_addressable:  # `_like` places it
        return np.empty(leaf.shape, leaf.dtype)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=_sharding(leaf))


def _like(leaf: Any, array: Any, description: Mapping[str, Any]) -> Any:
    if array is None:  # it has no elements
        abstract = _abstract(leaf)
        array = np.zeros(abstract.shape, abstract.dtype)
    if _is_key(leaf):
        data = backend.placed(array, _sharding(leaf))
        return jax.random.wrap_key_data(data, impl=description["key"])
    if isinstance(leaf, np.ndarray):
        return array
    if isinstance(leaf, np.generic):
        return array[()]
    if _on_host(leaf):
        return array.item()
    return backend.placed(array, _sharding(leaf))
