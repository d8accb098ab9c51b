"""The computational graph: its rules, its bookkeeping, its pictures, and one step of logistic regression."""

import copy
import gc
import itertools
import pickle

import numpy as np
import pytest
from gradcheck import check_gradient
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from gdlogit import graph
from gdlogit.graph import Node, backward, draw, exp, log, logistic_step, logsumexp, show, sigmoid, softplus, trace


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def textbook():
    x, y, z = Node(1, "x"), Node(3, "y"), Node(-3, "z")
    p = (x + y).named("p")
    f = (p * z).named("f")
    return x, y, z, p, f


# --- The rules -------------------------------------------------------------------------------------------

SHAPES = [
    ((), ()),
    ((3, 4), (3, 4)),
    ((3, 4), ()),
    ((), (4,)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((2, 1, 4), (3, 1)),
]
PRODUCTS = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (6, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)),
]  # fmt: skip
ONE = [(), (4,), (3, 4)]
AXES = [None, 0, 1, -1, (0, 2), (2, 0, 1)]

# operation -> cases of (formula, shapes of its operands); operands are drawn between 0.5 and 2
CASES = {
    "{} + {}": [(lambda x, y: x + y, shapes) for shapes in SHAPES],
    "{} - {}": [(lambda x, y: x - y, shapes) for shapes in SHAPES],
    "{} * {}": [(lambda x, y: x * y, shapes) for shapes in SHAPES],
    "{} / {}": [(lambda x, y: x / y, shapes) for shapes in SHAPES],
    "{} @ {}": [(lambda x, y: x @ y, shapes) for shapes in PRODUCTS],
    "-{}": [(lambda x: -x, [shape]) for shape in ONE],
    "{} ** {k}": [(lambda x, k=k: x**k, [shape]) for shape in ONE for k in (0, 1, 2, 3, -1, 0.5)],
    "exp({})": [(exp, [shape]) for shape in ONE],
    "log({})": [(log, [shape]) for shape in ONE],
    "sigmoid({})": [(lambda x: sigmoid(3 * x - 3), [shape]) for shape in ONE],
    "softplus({})": [(lambda x: softplus(3 * x - 3), [shape]) for shape in ONE],
    "{}.T": [(lambda x: x.T, [shape]) for shape in [(3, 4), (2, 3, 4)]],
    "{}[index]": [
        (lambda x, index=index: x[index], [(3, 4)])
        for index in [
            1, (1, 2), slice(None, -1), (slice(None), [0, 0, 3]), ([0, 1, 1], [2, 3, 3]), np.eye(3, 4) > 0
        ]
    ],
    "sum({})": [
        (lambda x, axis=axis, keepdims=keepdims: x.sum(axis, keepdims), [(2, 3, 4)])
        for axis in AXES for keepdims in (False, True)
    ] + [(lambda x: x.sum(), [()])],
    "logsumexp({})": [
        (lambda x, axis=axis, keepdims=keepdims: logsumexp(x, axis, keepdims), [(2, 3, 4)])
        for axis in AXES for keepdims in (False, True)
    ] + [(logsumexp, [()])],
}  # fmt: skip


def check_formula(formula, arrays, rng):
    """Check the derivative of a random mixture of the formula's entries, with respect to each operand."""
    mix = rng.standard_normal(formula(*map(Node, arrays)).value.shape)
    for i, array in enumerate(arrays):

        def mixture(x, i=i):
            x = Node(x)
            return x, (mix * formula(*arrays[:i], x, *arrays[i + 1 :])).sum()

        def value(x, mixture=mixture):
            return mixture(x)[1].value

        def gradient(x, mixture=mixture):
            x, f = mixture(x)
            return backward(f)[x]

        check_gradient(value, gradient, array, rng)


def test_every_operation_has_cases():
    assert CASES.keys() == graph.OPERATIONS.keys()


@pytest.mark.parametrize("operation", CASES)
def test_every_rule_agrees_with_central_differences(operation, rng):
    for formula, shapes in CASES[operation]:
        arrays = [rng.uniform(0.5, 2.0, shape) for shape in shapes]
        assert operation in {node.operation for node in backward(formula(*map(Node, arrays)).sum())}
        check_formula(formula, arrays, rng)


@pytest.mark.parametrize("operation", CASES)
def test_a_wrong_rule_is_caught(operation, rng, monkeypatch):
    forward, rule = graph.OPERATIONS[operation]

    def wrong(*args, **options):
        first, *others = rule(*args, **options)
        return 1.001 * first + 1e-3, *others

    monkeypatch.setitem(graph.OPERATIONS, operation, (forward, wrong))
    formula, shapes = CASES[operation][-1]
    with pytest.raises(AssertionError, match=r"it gives .*\d.*, central differences give .*\d"):
        check_formula(formula, [rng.uniform(0.5, 2.0, shape) for shape in shapes], rng)


def test_one_wrong_entry_of_a_gradient_is_caught(rng):
    theta = rng.standard_normal((20, 3))
    check_gradient(lambda t: np.sum(t**3), lambda t: 3 * t**2, theta, rng)
    planted = 1e-3 * (np.arange(60).reshape(20, 3) == 17)
    with pytest.raises(AssertionError, match="the gradient is wrong"):
        check_gradient(lambda t: np.sum(t**3), lambda t: 3 * t**2 + planted, theta, rng)
    with pytest.raises(AssertionError, match=r"gradient has shape \(60,\), theta has \(20, 3\)"):
        check_gradient(lambda t: np.sum(t**3), lambda t: 3 * t.ravel() ** 2, theta, rng)


def test_numbers_and_arrays_may_stand_on_either_side(rng):
    x = Node(rng.uniform(1, 2, (2, 2)))
    a = rng.uniform(1, 2, (2, 2))
    for ours, theirs in [
        (a + x, a + x.value), (a - x, a - x.value), (a * x, a * x.value), (a / x, a / x.value),
        (x + a, x.value + a), (x * a, x.value * a), (a @ x, a @ x.value),
        (x - a, x.value - a), (x / a, x.value / a), (x @ a, x.value @ a), (1 / x, 1 / x.value),
        (np.float64(2) - x, 2 - x.value), ([1, 2] * x, [1, 2] * x.value),
    ]:  # fmt: skip
        np.testing.assert_array_equal(ours.value, theirs)


def test_derivatives_stay_finite_and_exact_at_huge_scores():
    z = Node([-1000.0, -40.0, 0.0, 40.0, 1000.0])
    np.testing.assert_allclose(backward(softplus(z).sum())[z], [0, np.exp(-40), 0.5, 1, 1], rtol=1e-15)
    np.testing.assert_allclose(backward(sigmoid(z).sum())[z], [0, np.exp(-40), 0.25, np.exp(-40), 0], rtol=1e-15)
    f = logsumexp(z)
    assert f.value == 1000
    np.testing.assert_array_equal(backward(f)[z], [0, 0, 0, 0, 1])


def test_the_zeroth_power_is_flat_even_at_zero():
    x = Node([0.0, 2.0])
    np.testing.assert_array_equal(backward((x**0).sum())[x], [0, 0])
    with pytest.raises(TypeError, match="unsupported operand"):
        x**x


# --- The graph -------------------------------------------------------------------------------------------


def test_textbook_example():
    x, y, z, p, f = textbook()
    assert (p.value, f.value) == (4, -12)
    assert backward(f) == {x: -3, y: -3, z: 4, p: -3, f: 1}


def test_a_node_used_twice_counts_twice():
    x = Node(3.0)
    assert backward(x * x)[x] == 6
    assert backward(x - x)[x] == 0
    assert backward(x + x + x)[x] == 3


def test_diamond_sums_over_both_paths():
    x = Node(2.0)
    a = x * 3
    assert backward(a * exp(a) + a)[x] == pytest.approx(3 * (np.exp(6) * 7 + 1), rel=1e-15)


def test_a_ladder_of_diamonds_takes_linear_time():
    x = f = Node(1.0)
    for _ in range(500):  # 2**500 paths
        f = 0.5 * f + 0.5 * f
    assert backward(f)[x] == 1


def test_repeated_backward_calls_agree():
    x, _, z, p, f = textbook()
    first = backward(f)
    first[x] += 100  # the result belongs to the caller
    assert backward(f) == backward(f) == {**first, x: -3}
    assert backward(p)[x] == 1
    assert z not in backward(p)


def test_constants_have_no_derivative():
    x, c = Node(2.0), Node(5.0, "c", "constant")
    f = 3 * x * c
    assert set(backward(f)) == {x, *f.parents[:1], f}


def test_values_are_copied_and_frozen():
    array = np.ones(3)
    x = Node(array)
    array[0] = 7
    np.testing.assert_array_equal(x.value, [1, 1, 1])
    with pytest.raises(ValueError, match="read-only"):
        x.value[0] = 7


def test_a_graph_survives_pickling_and_can_be_continued():
    f = pickle.loads(pickle.dumps(textbook()[-1]))
    g = (f * f).named("g")
    derivatives = {node.name: value for node, value in backward(g).items()}
    assert derivatives == {"x": 72, "y": 72, "z": -96, "p": 72, "f": -24, "g": 1}


def test_backward_asks_for_a_seed_when_the_output_is_not_scalar():
    x = Node(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"scalar output, got one of shape \(2, 3\)"):
        backward(2 * x)
    with pytest.raises(ValueError, match=r"shape of the output, \(2, 3\), got \(3,\)"):
        backward(2 * x, seed=np.ones(3))
    seed = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(backward(2 * x, seed)[x], 2 * seed)


def test_a_long_chain_needs_no_recursion():
    x = f = Node(1.0, "x")
    for _ in range(100_000):
        f = f + 1e-5
    assert f.value == pytest.approx(2)
    derivatives = backward(f)
    assert derivatives[x] == 1
    assert repr(f) == "Node('', operation='2 + 1e-05', value=2)"
    assert copy.copy(f) is copy.deepcopy(f) is f
    del derivatives, f
    gc.collect()


def test_softmax_cross_entropy_with_penalty_agrees_with_the_hand_derived_gradient(rng):
    n, p, k, C = 50, 4, 3, 0.7
    X, y = rng.standard_normal((n, p)), rng.integers(k, size=n)
    theta = Node(rng.standard_normal((p + 1, k)), "theta")
    Z = X @ theta[:-1] + theta[-1]
    loss = (logsumexp(Z, axis=1) - Z[np.arange(n), y]).sum() / n
    J = loss + (theta[:-1] ** 2).sum() / (2 * C * n)

    e = np.exp(Z.value)
    dZ = (e / e.sum(axis=1, keepdims=True) - np.eye(k)[y]) / n
    by_hand = np.vstack([X.T @ dZ + theta.value[:-1] / (C * n), dZ.sum(axis=0)])
    np.testing.assert_allclose(backward(J)[theta], by_hand, rtol=1e-12, atol=1e-15)


# --- The graph, shown ------------------------------------------------------------------------------------


def test_trace_shows_the_textbook_example():
    assert [line.split() for line in trace(textbook()[-1]).splitlines()] == [
        ["node", "operation", "value", "derivative"],
        ["x", "variable", "1", "df/dx", "=", "-3"],
        ["y", "variable", "3", "df/dy", "=", "-3"],
        ["z", "variable", "-3", "df/dz", "=", "4"],
        ["p", "x", "+", "y", "4", "df/dp", "=", "-3"],
        ["f", "p", "*", "z", "-12", "df/df", "=", "1"],
    ]


def test_trace_writes_unnamed_nodes_and_constants_so_that_they_can_be_read():
    w = Node(np.arange(10.0), "w")
    text = trace((2 * w[2:4] ** 2 + np.ones((3, 2))).sum())
    for piece in [
        "w[index]",
        "v1 ** 2",
        "2 * v2",
        "v3 + array(3, 2)",
        "sum(v4)",
        "(10,): 0..9",
        "dv5/dv5 = 1",
    ]:
        assert piece in text
    assert "constant" not in text
    assert "c     constant   3" in trace(w.sum() * Node(3, "c", "constant"))


def test_a_node_shows_its_formula_by_the_names_of_its_operands():
    x, y, f = Node(1.0, "x"), Node([2.0, 4.0], "y"), Node(np.ones((2, 2)))
    assert repr((x / y).named("q")) == "Node('q', operation='x / y', value=[0.5 0.25])"
    assert repr(x**2) == "Node('', operation='x ** 2', value=1)"
    assert repr(y @ f) == "Node('', operation='y @ array(2, 2)', value=[6 6])"
    assert repr(x) == "Node('x', operation='variable', value=1)"


def test_a_table_and_a_step_show_themselves_as_they_print():
    step = logistic_step([[1.0, 2.0, -1.0]], [1, 1, 0], [0.5])
    table = trace(step.graph)
    assert repr(table) == str(table)
    assert table.startswith("node ")
    assert table.count("\n") > 5
    assert repr(step) == str(step)
    assert str(step).startswith("forward\n")
    assert step[0] is step.z


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text()]


def assert_readable(ax):
    """Assert that no two texts overlap, that all are inside the figure, and that no arrow runs over one."""
    figure = ax.figure
    figure.canvas.draw()
    shown = [text for text in [*ax.texts, *ax.get_legend().get_texts()] if text.get_text()]
    extents = {text: text.get_window_extent() for text in shown}
    for one, other in itertools.combinations(shown, 2):
        overlap = extents[one].intersection(extents[one], extents[other])
        assert overlap is None or min(overlap.size) < 2, f"{one.get_text()!r} over {other.get_text()!r}"
    paths = [patch.get_path() for patch in ax.patches if hasattr(patch, "get_arrowstyle")]
    strokes = [path.codes != path.CLOSEPOLY for path in paths]  # closing vertices stand at (0, 0)
    arrows = [
        type(p)(p.vertices[on], p.codes[on]).transformed(ax.transData) for p, on in zip(paths, strokes, strict=True)
    ]
    for text, extent in extents.items():
        assert figure.bbox.x0 <= extent.x0 < extent.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= extent.y0 < extent.y1 <= figure.bbox.y1, text
        for arrow in arrows:
            assert not arrow.intersects_bbox(extent, filled=False), f"arrow over {text.get_text()!r}"


def test_draw_shows_the_textbook_example(pyplot):
    f = textbook()[-1]
    ax = draw(f)
    assert sorted(texts(ax)) == sorted(
        ["x", "y", "z", "p = x + y", "f = p * z", "1", "3", "-3", "4", "-12"]
        + ["df/dx = -3", "df/dy = -3", "df/dz = 4", "df/dp = -3", "df/df = 1"]
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "value (forward)",
        "derivative (backward)",
    ]
    assert_readable(ax)
    _, given = pyplot.subplots()
    assert draw(f, given) is given
    assert_readable(given)


def test_drawn_colours_differ_in_grey(pyplot):
    from matplotlib.colors import to_rgb

    grey = [np.dot([0.299, 0.587, 0.114], to_rgb(color)) for color in (show.FORWARD, show.BACKWARD)]
    assert grey[1] - grey[0] > 0.25
    assert {text.get_color() for text in draw(textbook()[-1]).texts} == {
        show.FORWARD,
        show.BACKWARD,
        "black",
    }


def test_draw_orders_nodes_from_left_to_right(pyplot):
    x = {text.get_text(): text.get_position()[0] for text in draw(textbook()[-1]).texts}
    assert x["x"] == x["y"] < x["p = x + y"] == x["z"] < x["f = p * z"]


def tangle():
    """Arrows over several columns, in both directions, and a node used by many."""
    u, y = Node(2.0, "u"), Node([1.0, 0.0, 1.0], "Y", "constant")
    a = sigmoid(u * u - 3 + y).named("A")
    b = -(y * log(a) + (1 - y) * log(1 - a))
    return (b.sum() * u + exp(u) / a.sum()).named("f")


@pytest.mark.parametrize(
    "output",
    [
        lambda: Node(2.0, "u"),
        tangle,
        lambda: logistic_step([[1.0, 2.0, -1.0], [0.0, 1.0, 1.0]], [1, 1, 0], [0.1, -0.2]).graph,
        lambda: logistic_step(np.eye(30, 50), np.zeros((1, 50)), np.ones((30, 1)), [[2.5]]).graph,
    ],
    ids=["one node", "tangle", "logistic step", "logistic step, columns"],
)
def test_drawn_graphs_are_readable(output, pyplot):
    assert_readable(draw(output()))


# --- One step of logistic regression ---------------------------------------------------------------------


def by_formula(X, Y, w, b, alpha):
    """Go through the textbook's formulas, with flat arrays."""
    m = X.shape[1]
    Z = w @ X + b
    A = 1 / (1 + np.exp(-Z))
    L = -(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    dA = -Y / A + (1 - Y) / (1 - A)
    dw, db = X @ (A - Y) / m, np.sum(A - Y) / m
    return {
        "z": Z, "a": A, "loss": L, "cost": L.mean(), "da": dA, "dz": A - Y, "dw": dw, "db": db,
        "w": w - alpha * dw, "b": b - alpha * db,
    }  # fmt: skip


@pytest.fixture(scope="module")
def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X).T, y


@pytest.mark.parametrize("columns", [False, True], ids=["flat", "columns"])
def test_logistic_step_is_the_textbook(columns, rng, breast_cancer):
    X, Y = breast_cancer
    w, b = 0.1 * rng.standard_normal(len(X)), 0.3
    theirs = by_formula(X, Y, w, b, alpha=0.5)
    ours = logistic_step(X, Y[np.newaxis], w[:, np.newaxis], [[b]], 0.5) if columns else logistic_step(X, Y, w, b, 0.5)
    for name, value in theirs.items():
        np.testing.assert_allclose(np.ravel(getattr(ours, name)), np.ravel(value), rtol=1e-9, atol=1e-13, err_msg=name)
    assert ours.z.shape == ours.a.shape == ours.dz.shape == ((1, 569) if columns else (569,))
    assert ours.w.shape == ours.dw.shape == ((30, 1) if columns else (30,))
    assert np.shape(ours.b) == ours.db.shape == ((1, 1) if columns else ())
    np.testing.assert_allclose(ours.da * ours.a * (1 - ours.a), ours.dz, rtol=1e-9)  # the chain rule


def test_logistic_steps_descend_on_breast_cancer(breast_cancer):
    X, Y = breast_cancer
    w, b, costs = np.zeros(len(X)), 0.0, []
    for _ in range(100):
        step = logistic_step(X, Y, w, b, 0.1)
        w, b = step.w, step.b
        costs.append(step.cost)
    assert costs[0] == pytest.approx(np.log(2))
    assert np.all(np.diff(costs) < 0)
    assert np.mean((step.a > 0.5) == Y) > 0.97


def test_logistic_step_is_exact_where_probabilities_round_to_0_or_1():
    z = np.array([-1000.0, -100.0, -40.0, 40.0, 100.0, 1000.0])
    for Y in (np.zeros(6), np.ones(6)):
        step = logistic_step(z[np.newaxis], Y, [1.0])
        np.testing.assert_array_equal(step.z, z)
        np.testing.assert_allclose(step.loss, np.logaddexp(0, (1 - 2 * Y) * z), rtol=1e-15)
        right = np.exp(-np.abs(z))  # |dz| where the score has the right sign
        np.testing.assert_allclose(step.dz, np.where(Y, np.where(z > 0, -right, -1), np.where(z > 0, 1, right)))
        np.testing.assert_allclose(step.dw, np.mean(step.dz * z))
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(step.da, np.where(Y, -1 - np.exp(-z), 1 + np.exp(z)), rtol=1e-13)
        assert np.isfinite(step.da).sum() == 5  # e^1000 overflows, as it must


def test_printed_logistic_step_shows_each_formula_beside_its_numbers():
    text = str(logistic_step([[1.0, 2.0, -1.0], [0.0, 1.0, 1.0]], [1, 1, 0], [0.0, 0.0], learning_rate=1.0))
    for formula, numbers in [
        ("Z = w^T X + b", "[0 0 0]"),
        ("A = sigmoid(Z)", "[0.5 0.5 0.5]"),
        ("L = -(Y log A + (1 - Y) log(1 - A))", "[0.6931 0.6931 0.6931]"),
        ("J = 1/m sum(L)", "0.6931"),
        ("dA = -Y/A + (1 - Y)/(1 - A)", "[-2 -2 2]"),
        ("dZ = dA * A(1 - A) = A - Y", "[-0.5 -0.5 0.5]"),
        ("dw = 1/m X (A - Y)^T", "[-0.6667 0]"),
        ("db = 1/m sum(A - Y)", "-0.1667"),
        ("w := w - alpha dw", "[0.6667 0]"),
        ("b := b - alpha db", "0.1667"),
    ]:
        line = next(line for line in text.splitlines() if formula in line)
        assert line.split(formula)[1].strip() == numbers


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.ones(3)}, r"X must have shape \(n_features, m\) with m >= 1, got \(3,\)"),
        ({"X": np.ones((2, 0))}, r"X must have shape .* got \(2, 0\)"),
        ({"X": np.ones((3, 2))}, r"Y must have shape \(2,\) or \(1, 2\), as X has 3 features .* got \(3,\)"),
        ({"Y": np.ones((3, 1))}, r"Y must have shape \(3,\) or \(1, 3\).* got \(3, 1\)"),
        ({"w": np.ones((1, 2))}, r"w must have shape \(2,\) or \(2, 1\).* got \(1, 2\)"),
        ({"b": np.ones(3)}, r"b must have shape \(\) or \(1,\) or \(1, 1\).* got \(3,\)"),
        ({"Y": [1, -1, 1]}, "Y must contain only 0 and 1, got -1.0"),
        ({"Y": [1, np.nan, 1]}, "Y must contain only 0 and 1, got nan"),
    ],
)
def test_logistic_step_says_what_is_wrong(change, message):
    good = {"X": np.ones((2, 3)), "Y": np.ones(3), "w": np.ones(2)}
    with pytest.raises(ValueError, match=message):
        logistic_step(**{**good, **change})


def test_a_value_without_numbers_is_shown_by_its_shape():
    assert "value=(0, 2)" in repr(Node(np.empty((0, 2)), "x"))
