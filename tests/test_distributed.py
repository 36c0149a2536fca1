"""The core on two processes, DDP and FSDP2 over gloo, against one process that sees what both see."""

from collections.abc import Callable

import pytest
import torch
from reference import flat, flat_gradient, layersam, orthogonal, sam, state_of
from sharded_runs import as_fsdp, fsdp_methods, model_for
from torch import Tensor, nn
from two_ranks import (
    LOOKS,
    SETTINGS,
    STEPS,
    Results,
    adamw,
    as_ddp,
    batches,
    built,
    closures,
    ddp_runs,
    on_two_ranks,
    part,
    train,
    weights,
    with_perturbation,
)

from looksam import Method, SharpnessAware

ASCEND = {"looksam": sam, "look-layersam": layersam}
DDP_RUNS = [pytest.param(run, id="-".join(str(x) for x in run)) for run in ddp_runs()]
PERTURBATIONS = ("synchronised", "rank", "micro-batch")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    return on_two_ranks([as_ddp, as_fsdp], tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="module")
def ddp(ranks: list[Results]) -> list[Results]:
    return [found["as_ddp"] for found in ranks]


@pytest.fixture(scope="module")
def fsdp(ranks: list[Results]) -> list[Results]:
    return [found["as_fsdp"] for found in ranks]


def of_parts(look: str, name: str, parts: int) -> Tensor:
    """Weights after the paper's equations on flat vectors, one epsilon for each equal part of a batch."""
    model, k = built(name), SETTINGS["k"]
    optimizer, state = adamw(model), state_of(model, **SETTINGS)
    for t, batch in enumerate(batches()):
        w, copied = flat(model), built(name)
        pieces = [part(batch, i, parts) for i in range(parts)]

        def looking(piece, copied: nn.Module = copied) -> Callable[[Tensor], Tensor]:
            def look_at(at: Tensor) -> Tensor:
                nn.utils.vector_to_parameters(at, copied.parameters())
                return flat_gradient(copied, piece)

            return look_at

        gradients = [flat_gradient(model, piece) for piece in pieces]
        g = sum(gradients) / parts
        if t % k == 0:
            looks = zip(gradients, pieces, strict=True)
            g_s = sum(ASCEND[look](w, g_i, looking(piece), state) for g_i, piece in looks) / parts
            state.refreshed.append((g_s, g))
        g_v = orthogonal(*state.refreshed[-1])
        handed_over = g_s if t % k == 0 else g + state.alpha * g.norm() / g_v.norm() * g_v
        for p, x in zip(model.parameters(), handed_over.split(state.sizes), strict=True):
            p.grad = x.view_as(p).clone()
        optimizer.step()
    return flat(model)


def assert_equal(found: Tensor, expected: Tensor) -> None:
    # rounding of 1e-16 a step, amplified by 8 steps of training
    assert (found - expected).norm() < 1e-12 * expected.norm()


@pytest.mark.parametrize("run", DDP_RUNS)
def test_ddp_replicas_stay_bitwise_equal(ddp, run):
    assert torch.equal(ddp[0][str(run)], ddp[1][str(run)])


@pytest.mark.parametrize("run", [run for run in DDP_RUNS if run.values[0][-1] == 1])
def test_two_ranks_of_one_micro_batch_are_one_rank_of_two_bit_for_bit(ddp, run):
    name, look, perturbation, _, dtype, _ = run
    alone = {"rank": "micro-batch"}.get(perturbation, perturbation)
    model = train(built(name, dtype), with_perturbation(LOOKS[look], alone), parts=2, dtype=dtype)
    assert torch.equal(ddp[0][str(run)], weights(model))


@pytest.mark.parametrize("run", [run for run in DDP_RUNS if run.values[0][0] == "mlp"])
def test_ddp_equals_the_equations_with_an_epsilon_for_the_batch_each_rank_or_each_micro_batch(ddp, run):
    name, look, perturbation, *_ = run
    parts = {"synchronised": 1, "rank": 2, "micro-batch": 4}[perturbation]
    assert_equal(ddp[0][str(run)], of_parts(look, name, parts))


def test_the_three_perturbations_differ(ddp):
    found = [ddp[0][str(run.values[0])] for run in DDP_RUNS if run.values[0][:2] == ("mlp", "looksam")]
    assert len({tuple(x.tolist()) for x in found}) == 3


@pytest.mark.parametrize("parts", [2, 4])
@pytest.mark.parametrize("look", LOOKS)
def test_micro_batches_of_one_process_equal_the_equations_with_an_epsilon_for_each(look, parts):
    model = train(built("mlp"), with_perturbation(LOOKS[look], "micro-batch"), parts)
    assert_equal(weights(model), of_parts(look, "mlp", parts))


@pytest.mark.parametrize("perturbation", ["synchronised", "micro-batch"])
def test_each_micro_batch_is_seen_once_and_twice_on_ascent_steps(perturbation):
    model, calls = built("mlp"), [0, 0]
    sharpness = SharpnessAware(model, with_perturbation(LOOKS["looksam"], perturbation))
    for batch in batches():
        runs = closures(model, [part(batch, i, 2) for i in range(2)])

        def counting(i: int, runs=runs) -> Tensor:
            calls[i] += 1
            return runs[i]()

        losses = sharpness.backward([lambda: counting(0), lambda: counting(1)])
        assert len(losses) == 2
    assert calls == [STEPS + 3, STEPS + 3]  # 3 of 8 steps begin a period of 3


def test_one_micro_batch_is_synchronised_bit_for_bit():
    model = train(built("transformer"), with_perturbation(LOOKS["looksam"], "micro-batch"), parts=1)
    assert torch.equal(weights(model), weights(train(built("transformer"), LOOKS["looksam"], parts=1)))


def test_rho_0_with_an_epsilon_for_each_micro_batch_is_the_base_optimizer_bit_for_bit():
    found = []
    for method in (Method(k=1, rho=0.0, perturbation="micro-batch"), Method()):
        model = built("convnet")
        model.insert(3, nn.Dropout(0.5))  # the masks of both passes of a micro-batch are the same
        found.append(train(model, method, parts=2).state_dict())
    assert all(torch.equal(found[0][name], x) for name, x in found[1].items())


def test_an_unknown_perturbation_names_the_known_ones():
    with pytest.raises(
        ValueError, match=r"unknown perturbation 'local'; known: synchronised, rank, micro-batch"
    ):
        Method(perturbation="local")


def test_a_perturbation_by_rank_of_a_model_without_ranks_is_refused():
    with pytest.raises(
        ValueError, match=r"'rank' needs DistributedDataParallel, got Sequential; give the wrapped"
    ):
        SharpnessAware(built("mlp"), Method(k=1, perturbation="rank"))


def test_in_a_group_of_processes_a_model_that_is_not_wrapped_is_refused(ddp):
    assert ddp[0]["refused rank"].startswith(
        "perturbation 'rank' needs DistributedDataParallel, got Sequential"
    )
    expected = (
        "perturbation 'micro-batch' in a group of 2 processes needs DistributedDataParallel or fully_shard"
    )
    assert ddp[0]["refused micro-batch"].startswith(expected)


@pytest.mark.parametrize("perturbation", ["rank", "micro-batch"])
def test_a_pass_of_each_rank_alone_is_refused_for_a_static_graph(ddp, perturbation):
    assert (
        "DistributedDataParallel with static_graph cannot"
        in ddp[0][f"refused {perturbation} of a static graph"]
    )


@pytest.mark.parametrize("name", fsdp_methods())
def test_fsdp2_equals_one_process(fsdp, name):
    method = fsdp_methods()[name]
    expected = weights(train(built(model_for(method)), method, parts=1))
    for found in fsdp:
        assert_equal(found[name], expected)


def test_fsdp2_equals_one_process_for_a_transformer(fsdp):
    expected = weights(train(built("transformer"), LOOKS["look-layersam"], parts=1))
    assert_equal(fsdp[0]["transformer"], expected)


def test_fsdp2_that_keeps_its_weights_whole_perturbs_them(fsdp):
    assert torch.equal(fsdp[0]["kept whole"], fsdp[0]["descent g_v"])


def test_an_epsilon_for_each_micro_batch_under_fsdp2_is_that_of_its_parts_on_all_ranks(fsdp):
    model = built("mlp")
    optimizer = adamw(model)
    sharpness = SharpnessAware(model, with_perturbation(LOOKS["looksam"], "micro-batch"))
    for batch in batches():
        quarters = [part(batch, i, 4) for i in range(4)]
        pairs = [tuple(torch.cat(x) for x in zip(quarters[i], quarters[i + 2], strict=True)) for i in (0, 1)]
        sharpness.backward(closures(model, pairs))
        optimizer.step()
    assert_equal(fsdp[0]["micro-batch"], weights(model))


def test_micro_batches_under_fsdp2_of_which_the_last_alone_reduces_equal_one_process(fsdp):
    assert_equal(fsdp[0]["reduced once"], weights(train(built("prelu"), LOOKS["looksam"], parts=1)))


@pytest.mark.parametrize("kind", ["shards", "whole tensors", "a distributed checkpoint"])
def test_resuming_mid_period_under_fsdp2_changes_nothing(fsdp, kind):
    for found in fsdp:
        assert torch.equal(found[f"resumed from {kind}"], found["descent g_v"])


def test_a_whole_state_from_fsdp2_goes_on_in_one_process(fsdp):
    sharpness = SharpnessAware(built("prelu"), LOOKS["looksam"])
    sharpness.load_state_dict(fsdp[0]["whole state"])
    assert sharpness.step == SETTINGS["k"] + 1
    assert all(
        torch.equal(x, fsdp[0]["whole state"]["refreshes"][0]["g_v"][n]) for n, x in sharpness.memory.items()
    )


def test_a_pass_under_fsdp2_that_fails_gives_the_weights_back(fsdp):
    for found in fsdp:
        assert torch.equal(found["after an error"], found["descent g_v"])


def test_a_step_between_adds_one_collective_under_fsdp2(fsdp):
    found = [name for name in fsdp[0]["operations between"] if "c10d" in name]
    assert [name for name in found if "wrap" not in name and "wait" not in name] == [
        "_c10d_functional::all_reduce"
    ]


@pytest.mark.parametrize("step", ["between", "of an ascent"])
def test_no_step_under_fsdp2_waits_for_the_device(fsdp, step):
    found = set(fsdp[0][f"operations {step}"])
    assert not {"aten::_local_scalar_dense", "aten::nonzero", "aten::equal"} & found


def test_a_perturbation_by_rank_of_shards_is_refused(fsdp):
    assert fsdp[0]["refused rank"].startswith(
        "perturbation 'rank' is impossible with sharded parameters (FSDP2)"
    )


def test_a_model_of_which_a_part_is_sharded_is_refused(fsdp):
    assert fsdp[0]["refused partly sharded"].startswith(
        "some parameters are sharded and 3.weight, 3.bias are not"
    )


def test_fsdp1_is_refused_with_what_to_take_instead(fsdp):
    assert fsdp[0]["refused flat parameters"].endswith("with torch.distributed.fsdp.fully_shard instead")
