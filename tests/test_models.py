"""What every sequence model promises, over the model, the kind of input and the stack."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import run
from seqgen.errors import UsageError
from seqgen.layers import Recurrent
from seqgen.models import encoder_decoder, many_to_many, many_to_one, one_to_many
from seqgen.testing import check_generate

B, T, V, E = 3, 7, 5, 4
STACKS = [
    {},
    {"cell": "gru", "num_layers": 2, "residual": True},
    {"cell": "rnn", "normalize": True},
    {"cell": "min_gru", "embedding_size": 6},
]


def spec(kind, per):
    return {
        "dataset": "test",
        "inputs": {"kind": kind, "size": V if kind == "token" else E},
        "targets": {"kind": "category", "size": V, "per": per},
        "streamed": False,
    }


def inputs_of(kind, key=0):
    if kind == "token":
        return jax.random.randint(jax.random.key(key), (B, T), 0, V)
    return jax.random.normal(jax.random.key(key), (B, T, E))


def built(module, kind, **options):
    per = "step" if module is many_to_many else "sequence"
    model = module.make(module.Options(hidden_size=6, **options), spec(kind, per))
    return model, model.init(jax.random.key(1), inputs_of(kind))


@pytest.mark.parametrize("kind", ["token", "real"])
@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("module", [many_to_many, many_to_one])
def test_longer_padding_changes_nothing(module, stack, kind):
    model, variables = built(module, kind, **stack)
    inputs, length_B = inputs_of(kind), jnp.array([7, 3, 5])
    padding = inputs_of(kind, key=9)
    longer = jnp.concatenate([inputs, padding], axis=1)
    _, short = model.apply(variables, inputs, None, length_B)
    _, long = model.apply(variables, longer, None, length_B)
    np.testing.assert_allclose(short, long[:, :T] if module is many_to_many else long, atol=1e-6)


@pytest.mark.parametrize("kind", ["token", "real"])
@pytest.mark.parametrize("stack", STACKS)
def test_two_pieces_with_the_carry_are_one_pass(stack, kind):
    model, variables = built(many_to_many, kind, **stack)
    inputs = inputs_of(kind)
    _, whole = model.apply(variables, inputs)
    carry, first = model.apply(variables, inputs[:, :3])
    _, second = model.apply(variables, inputs[:, 3:], carry)
    np.testing.assert_allclose(whole, jnp.concatenate([first, second], axis=1), atol=1e-6)


@pytest.mark.parametrize("stack", STACKS)
def test_writing_has_every_property(stack):
    data = spec("token", "step") | {"length": T}
    check_generate(many_to_many.make(many_to_many.Options(hidden_size=6, **stack), data), data)


def test_many_to_one_reads_the_last_real_step_in_both_directions():
    model, variables = built(many_to_one, "real", bidirectional=True)
    inputs, length_B = inputs_of("real"), jnp.array([7, 3, 5])
    _, together = model.apply(variables, inputs, None, length_B)
    for row, length in enumerate((7, 3, 5)):
        _, alone = model.apply(variables, inputs[row : row + 1, :length])
        np.testing.assert_allclose(together[row], alone[0], atol=1e-6)


@pytest.mark.parametrize("residual", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.parametrize("bidirectional", [pytest.param(False, marks=pytest.mark.slow), True])
def test_what_many_to_one_reads_is_the_top_layers_output(residual, bidirectional):
    options = {"num_layers": 2, "residual": residual, "bidirectional": bidirectional}
    model, variables = built(many_to_one, "real", **options)
    stack = Recurrent(many_to_one.Options(hidden_size=6, **options))
    below, output = (variables["params"][name] for name in ("recurrent", "output"))
    inputs, lengths = inputs_of("real"), (7, 3, 5)
    _, outputs = model.apply(variables, inputs, None, jnp.array(lengths))
    for row, length in enumerate(lengths):
        _, h_BTD = stack.apply({"params": below}, inputs[row : row + 1, :length])
        ends = jnp.concatenate([h_BTD[0, -1, :6], h_BTD[0, 0, 6:]])
        expected = ends @ output["kernel"] + output["bias"]
        np.testing.assert_allclose(outputs[row], expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["token", "real"])
@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_a_pooled_row_is_what_it_is_alone(pooling, recurrent, kind):
    options = {"pooling": pooling, "recurrent": recurrent, "bidirectional": True}
    model, variables = built(many_to_one, kind, embedding_size=6, **options)
    inputs, padding = inputs_of(kind), inputs_of(kind, key=9)
    longer = jnp.concatenate([inputs, padding], axis=1)
    _, together = model.apply(variables, longer, None, jnp.array([7, 3, 5]))
    for row, length in enumerate((7, 3, 5)):
        _, alone = model.apply(variables, inputs[row : row + 1, :length])
        np.testing.assert_allclose(together[row], alone[0], atol=1e-6)


@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_an_empty_row_is_a_number_and_leaves_the_gradient_finite(pooling, recurrent):
    model, variables = built(many_to_one, "real", pooling=pooling, recurrent=recurrent)

    def total(variables):
        return jnp.sum(model.apply(variables, inputs_of("real"), None, jnp.array([7, 0, 5]))[1])

    value, grads = jax.value_and_grad(total)(variables)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    # nothing but the output's bias speaks of a row without steps
    _, outputs = model.apply(variables, inputs_of("real"), None, jnp.zeros(B, int))
    np.testing.assert_array_equal(outputs, np.zeros_like(outputs))


@pytest.mark.parametrize("pooling", ["mean", "max", "attention"])
def test_a_bag_does_not_see_the_order_and_a_recurrent_stack_does(pooling):
    inputs = inputs_of("real")
    for recurrent in (False, True):
        model, variables = built(many_to_one, "real", pooling=pooling, recurrent=recurrent)
        _, outputs = model.apply(variables, inputs)
        _, shuffled = model.apply(variables, inputs[:, np.array([3, 0, 6, 2, 5, 1, 4])])
        assert np.allclose(outputs, shuffled, atol=1e-6) == (not recurrent)


@pytest.mark.parametrize("output_bias", [True, False])
@pytest.mark.parametrize("module", [many_to_many, many_to_one])
def test_without_its_bias_the_output_is_linear_in_the_state(module, output_bias):
    model, variables = built(module, "real", output_bias=output_bias)
    assert ("bias" in variables["params"]["output"]) == output_bias
    ones = jax.tree.map(jnp.ones_like, variables)  # a bias begins at zero
    _, of_zeros = model.apply(ones, inputs_of("real"), None, jnp.zeros(B, int))
    np.testing.assert_array_equal(of_zeros, np.full_like(of_zeros, output_bias))


def test_without_recurrence_the_last_real_input_is_all_that_is_read():
    model, variables = built(many_to_one, "real", recurrent=False)
    inputs, length_B = inputs_of("real"), jnp.full(B, 3)
    slope = jax.grad(lambda x: model.apply(variables, x, None, length_B)[1].sum())(inputs)
    assert np.any(slope[:, 2]) and not np.any(np.delete(slope, 2, axis=1))
    (problem,) = many_to_one.Options(pooling="attnetion").problems()
    assert "did you mean 'attention'" in problem


def test_step_dropout_zeroes_whole_steps():
    options = {"step_dropout": 0.5, "recurrent": False, "pooling": "max"}
    model, variables = built(many_to_one, "real", **options)
    ones, kept = jnp.ones((1, 1, E)), set()
    for key in range(20):  # the only step is there for all features, or for none
        rngs = {"dropout": jax.random.key(key)}
        _, outputs = model.apply(variables, ones, train=True, rngs=rngs)
        kept.add(tuple(np.asarray(outputs[0]).round(5)))
    kernel_DV = variables["params"]["output"]["kernel"]
    assert kept == {(0.0,) * V, tuple(np.asarray(2 * kernel_DV.sum(axis=0)).round(5))}


def test_tied_embedding_is_one_matrix():
    options = {"embedding_size": 6, "tie_embedding": True}
    _, variables = built(many_to_many, "token", **options)
    names = jax.tree_util.tree_leaves_with_path(variables["params"])
    assert sum(leaf.shape in ((V, 6), (6, V)) for _, leaf in names) == 1
    for wrong in ({"embedding_size": 3}, {"embedding_size": 128, "bidirectional": True}):
        (problem,) = many_to_many.Options(tie_embedding=True, **wrong).problems()
        assert "tie_embedding" in problem


def test_a_tied_embedding_needs_one_vocabulary_of_inputs_and_targets():
    options = many_to_many.Options(embedding_size=128, tie_embedding=True)
    fewer = spec("token", "step") | {"targets": {"kind": "category", "size": V - 1, "per": "step"}}
    for wrong in (fewer, spec("real", "step")):
        with pytest.raises(UsageError, match="tie_embedding needs tokens"):
            many_to_many.make(options, wrong)


@pytest.mark.parametrize("facts", [{"start": "x"}, {"streamed": True}])
def test_a_walk_back_from_the_next_tokens_is_refused(facts):
    options = many_to_many.Options(bidirectional=True)
    with pytest.raises(UsageError, match="whose targets are its next inputs"):
        many_to_many.make(options, spec("token", "step") | facts)
    many_to_many.make(options, spec("token", "step"))  # tagging


@pytest.mark.parametrize(
    ("option", "module"),
    [
        ("input_dropout", many_to_many),
        ("output_dropout", many_to_many),
        ("input_dropout", many_to_one),
        ("step_dropout", many_to_one),
        ("output_dropout", many_to_one),
    ],
)
def test_dropout_acts_in_training_only_and_keeps_the_mean_of_what_it_drops(option, module):
    model, variables = built(module, "real", **{option: 0.4})
    inputs = inputs_of("real")
    rngs = [{"dropout": jax.random.key(k)} for k in (0, 1)]
    a, b = (model.apply(variables, inputs, train=True, rngs=r)[1] for r in rngs)
    assert np.any(a != b)
    plain, again = (model.apply(variables, inputs, rngs=r)[1] for r in rngs)
    np.testing.assert_array_equal(plain, again)


def test_a_model_for_other_targets_names_the_right_one():
    with pytest.raises(UsageError, match="use many_to_one"):
        many_to_many.make(many_to_many.Options(), spec("token", "sequence"))
    with pytest.raises(UsageError, match="use many_to_many"):
        many_to_one.make(many_to_one.Options(), spec("token", "step"))


@pytest.mark.parametrize("kind", ["vector", "image"])
@pytest.mark.parametrize("module", [many_to_one, many_to_many, one_to_many, encoder_decoder])
def test_no_sequence_model_takes_data_without_steps(module, kind):
    inputs = {"kind": kind, **({"size": 2} if kind == "vector" else {"shape": [8, 8, 1]})}
    data = spec("token", "sequence") | {"inputs": inputs}
    with pytest.raises(UsageError, match=f"no sequence model is for {kind} inputs, which have no"):
        module.make(module.Options(), data)
    assert run.steps_of(data) == 1  # what a run's layout divides by
