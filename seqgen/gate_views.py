"""What the gates of a model do while it reads one input, step by step: the notes' layers.

The input is a prompt, character by character for text, or an example of the data; each recurrent
layer has a picture of its own. `diagnose.py` asks.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from ml_collections import config_dict

from seqgen import alignment, gradient_flow, gradient_pictures
from seqgen import config as configs
from seqgen.errors import UsageError
from seqgen.gradient_flow import Lens
from seqgen.objectives import Batch

SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥"}  # as a picture can show them


class Given(NamedTuple):
    """An input whose layers are drawn over time, and what its steps are called."""

    batch: Batch
    read: list[str] | None  # by steps of the input
    written: list[str] | None  # by steps of an answer: what a decoder reads before each
    answered: bool  # whether the decoder has something to write: a prompt has no answer


def given(
    config: config_dict.ConfigDict, spec: dict[str, Any], batch: Batch, prompt: str | None
) -> Given:
    """The prompt, or the first example. Raises UsageError for a prompt of no tokens."""
    if prompt is None:
        batch = {name: array[:1] for name, array in batch.items()}
    else:
        data = configs.part("dataset", config.dataset.name)
        if spec["inputs"]["kind"] != "token" or not hasattr(data, "encode"):
            raise UsageError(f"--prompt is for text, and dataset {spec['dataset']} reads none")
        tokens_T = np.asarray(data.encode(spec, prompt), np.int32)
        if len(tokens_T) < 2:
            raise UsageError("the prompt has too few steps to be followed: give at least two")
        batch = prompted(batch, tokens_T)
    read = written = None
    answers = spec["targets"]["per"] == "answer"
    if spec["inputs"]["kind"] == "token":
        length = int(batch["length_B"][0]) if "length_B" in batch else batch["inputs"].shape[1]
        read = names(spec.get("vocabulary"), np.asarray(batch["inputs"][0, :length]))
    if answers and prompt is None:
        before = np.append(0, np.asarray(batch["targets"][0, :-1]))
        written = names(spec["target_vocabulary"], before)
    return Given(batch, read, written, answered=not answers or prompt is None)


def prompted(batch: Batch, tokens_T: np.ndarray) -> Batch:
    """One row of these inputs, like those of the batch; its targets are of no account."""
    tokens_BT = jnp.asarray(tokens_T)[None]
    row = {name: array[:1] for name, array in batch.items() if name not in ("mask_BT", "inputs")}
    if row["targets"].shape[1:2] == batch["inputs"].shape[1:2]:  # one for each step
        kept = row["targets"].shape[2:]
        row["targets"] = jnp.zeros((1, len(tokens_T), *kept), row["targets"].dtype)
    if "length_B" in row:
        row["length_B"] = jnp.full(1, len(tokens_T), row["length_B"].dtype)
    return {"inputs": tokens_BT, **row}


def names(vocabulary: Any, ids: np.ndarray) -> list[str] | None:
    if vocabulary is None:
        return None
    if isinstance(vocabulary, list):
        words = [str(vocabulary[i]) for i in ids]
    else:
        words = alignment.tokens(vocabulary, ids)
    return [SIGNS.get(word, word) for word in words]


def drawn(lens: Lens, params: Any, shown: Given, title: str) -> Iterator[tuple[str, bytes]]:
    """(name of a layer, picture of what its gates do over time)."""
    found, flows = lens.look(params, shown.batch)
    for path in gradient_flow.in_order(found):
        decodes = path.startswith("decoder")
        tokens = shown.written if decodes else shown.read
        if decodes and not shown.answered:
            continue
        layer = lens.layers[path]
        arrays = gradient_flow.over_time(layer, gradient_flow.told(layer, found[path]))
        real_T = np.asarray(flows[path].real)[:, 0]
        order = slice(None, None, -1 if layer.reverse else 1)  # as it is read, not as it is walked
        arrays = {name: array_TD[real_T][order] for name, array_TD in arrays.items()}
        yield path, gradient_pictures.layers(arrays, tokens, f"{path} of {title}")
