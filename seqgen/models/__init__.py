"""Networks without losses, one file each: `Options` and `make(options, spec) -> Linen module`.

A sequence model is called as (inputs, carry, length_B, train) -> (carry, outputs) and has
`initial_carry(batch_size)`. A model that generates also has
`start(inputs) -> (context, carry)` and `step(context, carry, token_B) -> (carry, logits_BV)`.
"""
