import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import decoding

V = 7


def table_step(table_VV):
    """A model whose next token depends on the last one alone; its carry counts the steps."""
    return lambda carry, token_B: (carry + 1, table_VV[token_B])


def keys(count, first=0):
    key = jax.random.key(3)
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(first, first + count))


@pytest.fixture
def table():
    return jax.random.normal(jax.random.key(0), (V, V)) * 2


def run(table, prompts, lengths, options, first=0):
    prompts = jnp.asarray(prompts, jnp.int32)
    lengths = jnp.asarray(lengths, jnp.int32)
    carry = jnp.zeros(len(prompts))
    row_keys = keys(len(prompts), first)
    return np.asarray(
        decoding.sample(table_step(table), carry, prompts, lengths, row_keys, options)
    )


def test_greedy_is_the_plain_loop(table):
    tokens = run(table, [[2], [5]], [1, 1], decoding.Options(length=9, temperature=0.0))
    for row in tokens:
        for before, after in zip(row[:-1], row[1:], strict=True):
            assert after == int(np.argmax(table[before]))


def test_prompts_are_kept_and_their_padding_has_no_influence(table):
    options = decoding.Options(length=6)
    short = run(table, [[1, 4]], [2], options)
    padded = run(table, [[1, 4, 0, 0, 0]], [2], options)
    np.testing.assert_array_equal(short[0], padded[0, : short.shape[1]])
    np.testing.assert_array_equal(short[0, :2], [1, 4])


def test_a_row_depends_on_its_key_alone(table):
    options = decoding.Options(length=20)
    together = run(table, [[1], [1], [3]], [1, 1, 1], options)
    np.testing.assert_array_equal(together[2:], run(table, [[3]], [1], options, first=2))
    assert np.any(together[0] != together[1])


def test_samples_follow_the_distribution(table):
    """The frequencies of the second token against its probabilities."""
    count = 4000
    tokens = run(table, [[2]] * count, [1] * count, decoding.Options(length=1, temperature=0.7))
    shares = np.bincount(tokens[:, 1], minlength=V) / count
    expected = jax.nn.softmax(table[2] / 0.7)
    assert np.abs(shares - expected).max() < 4 * 0.5 / np.sqrt(count)


def test_top_k_keeps_the_k_largest(table):
    kept = np.isfinite(decoding.truncate(table, 3, None))
    for row, logits in zip(kept, np.asarray(table), strict=True):
        assert set(np.flatnonzero(row)) == set(np.argsort(logits)[-3:])


def test_top_p_keeps_the_shortest_prefix_that_reaches_the_mass(table):
    kept = np.isfinite(decoding.truncate(table, None, 0.8))
    for row, probabilities in zip(kept, np.asarray(jax.nn.softmax(table)), strict=True):
        nucleus, mass = set(), 0.0
        for token in np.argsort(probabilities)[::-1]:
            if mass >= 0.8:
                break
            nucleus.add(int(token))
            mass += probabilities[token]
        assert set(np.flatnonzero(row)) == nucleus


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 1e-6}])
def test_the_smallest_choice_is_greedy(table, options):
    greedy = run(table, [[2]], [1], decoding.Options(length=12, temperature=0.0))
    np.testing.assert_array_equal(
        greedy, run(table, [[2]], [1], decoding.Options(length=12, **options))
    )


def test_problems_of_every_option():
    bad = decoding.Options(length=0, temperature=-1, top_k=0, top_p=1.5)
    assert [p.split()[0] for p in bad.problems()] == ["length", "temperature", "top_k", "top_p"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"beam": 3, "top_k": 2}, "a beam draws nothing"),
        ({"beam": 3, "top_p": 0.5}, "a beam draws nothing"),
        ({"beam": 3, "temperature": 0.7}, "a beam draws nothing"),
        ({"length_power": 0.6}, "length_power=0.6 is for the scores of a beam"),
        ({"min_length": 5, "length": 4}, "min_length=5 is more than the length of 4"),
    ],
)
def test_options_that_would_have_no_effect_are_problems(options, sentence):
    (problem,) = decoding.Options(**options).problems()
    assert problem.startswith(sentence)


def test_options_that_go_together_are_no_problem():
    for options in ({"beam": 3, "temperature": 0.0}, {"beam": 3, "length_power": 1.0}):
        assert not list(decoding.Options(min_length=4, length=4, **options).problems())


def likelihoods(table, length):
    """Every answer with its log-likelihood, token 0 being the end and the beginning."""
    log_p = np.asarray(jax.nn.log_softmax(table, -1))
    found, open_ones = {}, [((), 0.0)]
    for _ in range(length):
        longer = [
            ((*answer, token), score + log_p[answer[-1] if answer else 0, token])
            for answer, score in open_ones
            for token in range(V)
        ]
        found |= {answer: score for answer, score in longer if answer[-1] == 0}
        open_ones = [(answer, score) for answer, score in longer if answer[-1] != 0]
    return found | dict(open_ones)


def search(table, rows=1, **options):
    options = decoding.Options(**options)
    carry = jnp.zeros(rows * options.beam)
    first_B = jnp.zeros(rows, jnp.int32)
    return jax.device_get(decoding.beam(table_step(table), carry, first_B, 0, options))


def answer(table, options, rows=1):
    """Sampled answers [rows, length] that begin after token 0 and end with it."""
    begin, ones = jnp.zeros((rows, 1), jnp.int32), jnp.ones(rows, jnp.int32)
    tokens = decoding.sample(
        table_step(table), jnp.zeros(rows), begin, ones, keys(rows), options, end=0
    )
    return np.asarray(tokens)[:, 1:]


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_a_beam_that_holds_all_answers_is_exhaustive_search(table, power):
    length = 3
    every = likelihoods(table, length)
    ranked = sorted(every, key=lambda a: every[a] / len(a) ** power, reverse=True)
    found, scores = search(table, length=length, beam=len(every), length_power=power)
    for best, tokens, score in zip(ranked[:20], found[0], scores[0], strict=False):
        assert (*best, 0, 0, 0)[:length] == tuple(tokens)
        assert score == pytest.approx(every[best], rel=1e-4)


def test_a_least_length_leaves_the_best_of_the_longer_answers_and_their_likelihoods(table):
    length = 3
    eager = table.at[:, 0].add(3.0)
    every = {a: s for a, s in likelihoods(eager, length).items() if len(a) > 2}
    ranked = sorted(every, key=every.get, reverse=True)
    found, scores = search(eager, length=length, beam=len(every), min_length=2)
    for best, tokens, score in zip(ranked[:20], found[0], scores[0], strict=False):
        assert best == tuple(tokens)
        assert score == pytest.approx(every[best], rel=1e-4)


def test_equal_scores_go_to_the_candidate_and_token_that_come_first():
    """As greedy decoding does it, also among more tokens than are looked at one by one."""
    flat = jnp.zeros((700, 700)).at[:, 0].set(-1.0)
    tokens, _ = search(flat, length=2, beam=4)
    np.testing.assert_array_equal(tokens[0], [[1, 1], [1, 2], [1, 3], [1, 4]])


@pytest.mark.parametrize(("size", "count"), [(700, 3), (640, 4), (130, 1), (100, 9), (7, 7)])
def test_the_largest_are_those_of_a_full_sort_also_among_equals(size, count):
    x = jax.random.randint(jax.random.key(size), (5, size), 0, size // 4).astype(jnp.float32)
    x = x.at[0].set(-jnp.inf).at[1, :-1].set(-jnp.inf)
    values, places = decoding.largest(x, count)
    expected = np.argsort(-np.asarray(x), axis=-1, kind="stable")[:, :count]
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(np.asarray(x), expected, -1))


def test_problems_of_a_list():
    assert not list(decoding.Options(beam=3, n_best=3).problems())
    for bad in (decoding.Options(n_best=2), decoding.Options(beam=2, n_best=3)):
        assert "take a beam" in " ".join(bad.problems())


def test_a_beam_of_1_is_greedy(table):
    greedy = answer(table, decoding.Options(length=9, temperature=0.0))
    np.testing.assert_array_equal(search(table, length=9, beam=1)[0][0, 0], greedy[0])


def test_a_row_of_a_beam_depends_on_no_other(table):
    """Rows whose models differ: each finds what it finds alone."""
    tables = jnp.stack([table, table[::-1], -table])

    def step(carry, token_X):
        return carry, jax.vmap(lambda number, token: tables[number, token])(carry, token_X)

    options = decoding.Options(length=5, beam=3)
    together = decoding.beam(
        step, jnp.repeat(jnp.arange(3), 3), jnp.zeros(3, jnp.int32), 0, options
    )
    for row in range(3):
        alone = decoding.beam(step, jnp.full(3, row), jnp.zeros(1, jnp.int32), 0, options)
        np.testing.assert_array_equal(together[0][row], alone[0][0])
        np.testing.assert_allclose(together[1][row], alone[1][0], rtol=1e-6)


@pytest.mark.parametrize("beam", [None, 1, 3])
def test_no_answer_ends_before_its_least_length(table, beam):
    eager = table.at[:, 0].add(20.0)  # would end at once
    if beam is None:
        found = answer(eager, decoding.Options(length=6, min_length=3, temperature=0.0))
    else:
        found = search(eager, length=6, min_length=3, beam=beam)[0][:, 0]
    np.testing.assert_array_equal(found[0] == 0, [False] * 3 + [True] * 3)


def test_after_the_end_there_is_nothing_else(table):
    tokens = answer(table, decoding.Options(length=12), rows=200)
    ended = np.cumsum(tokens == 0, axis=1) > 0
    assert ended.any()
    assert np.all(tokens[ended] == 0)
