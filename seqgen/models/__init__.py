"""Networks without losses, one file each: `Options` and `make(options, spec) -> Linen module`.

A sequence model is called as (inputs, carry, length_B, train) -> (carry, outputs) and has
`initial_carry(batch_size)`. A model that generates also has
`start(inputs) -> (context, carry)` and `step(context, carry, token_B) -> (carry, logits_BV)`. A
model that answers is also called with the `targets`, and reads those before each step.
"""

from typing import Any


def has_steps(spec: dict[str, Any]) -> bool:
    """Whether inputs of that spec are sequences, not pictures or vectors as a whole."""
    return spec["inputs"]["kind"] not in ("image", "vector")


def fitting(spec: dict[str, Any]) -> str:
    """Which sequence model is for data of that spec, as the end of a sentence."""
    if spec["targets"]["per"] == "answer":
        return "use one_to_many" if spec["inputs"]["kind"] == "image" else "use encoder_decoder"
    if not has_steps(spec):
        return f"no sequence model is for {spec['inputs']['kind']} inputs, which have no steps"
    return {"sequence": "use many_to_one", "step": "use many_to_many"}[spec["targets"]["per"]]
