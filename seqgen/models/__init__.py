"""Networks without losses, one file each: `Options` and `make(options, spec) -> Linen module`.

A sequence model is called as (inputs, carry, length_B, train) -> (carry, outputs) and has
`initial_carry(batch_size)`. A model that generates also has
`start(inputs) -> (context, carry)` and `step(context, carry, token_B) -> (carry, logits_BV)`. A
model that answers is also called with the `targets`, and reads those before each step.
"""

from typing import Any


def fitting(spec: dict[str, Any]) -> str:
    """The sequence model for data of that spec."""
    if spec["targets"]["per"] == "answer":
        return "one_to_many" if spec["inputs"]["kind"] == "image" else "encoder_decoder"
    return {"sequence": "many_to_one", "step": "many_to_many"}[spec["targets"]["per"]]
