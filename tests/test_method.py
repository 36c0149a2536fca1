import json
from dataclasses import asdict

import pytest

from looksam import Method


@pytest.mark.parametrize("value", [-1, 2.0, True, "5", None])
@pytest.mark.parametrize("field", ["k", "start"])
def test_k_and_start_must_be_integers_from_0(field, value):
    with pytest.raises(ValueError, match=f"{field} must be an integer >= 0.*, got"):
        Method(**{field: value})


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "0.1", True, None])
@pytest.mark.parametrize("field", ["rho", "alpha"])
def test_rho_and_alpha_must_be_finite_numbers_from_0(field, value):
    with pytest.raises(ValueError, match=f"{field} must be a finite number >= 0.*, got"):
        Method(k=1, **{field: value})


@pytest.mark.parametrize(("field", "known"), [("ascent", "global, layerwise"), ("descent", "g_s, g_v")])
def test_an_unknown_ascent_or_descent_names_the_known_ones(field, known):
    with pytest.raises(ValueError, match=f"unknown {field} 'sideways'; known: {known}"):
        Method(k=1, **{field: "sideways"})


def test_an_unknown_name_for_alpha_names_the_known_ones():
    with pytest.raises(
        ValueError, match="alpha must be a finite number >= 0, or one of auto, cos, ls, got 'best'"
    ):
        Method(k=5, descent="g_v", alpha="best")


def test_rho_has_no_names():
    with pytest.raises(ValueError, match="rho must be a finite number >= 0, got 'auto'"):
        Method(k=5, descent="g_v", rho="auto")


@pytest.mark.parametrize("descent", ["g_s", "gsam"])
def test_a_measured_alpha_needs_a_descent_that_reuses(descent):
    with pytest.raises(ValueError, match=f"descent '{descent}' reuses none; .*g_v, g_v_per_tensor"):
        Method(k=5, descent=descent, alpha="auto")


@pytest.mark.parametrize("value", [0, 1, None, "no"])
def test_replay_must_be_true_or_false(value):
    with pytest.raises(ValueError, match=r"replay must be True .* or False, got"):
        Method(k=1, replay=value)


def test_a_method_goes_through_json():
    method = Method(k=5, ascent="elementwise", descent="g_v", rho=0.5, alpha="cos", start=10, replay=False)
    assert Method(**json.loads(json.dumps(asdict(method)))) == method
