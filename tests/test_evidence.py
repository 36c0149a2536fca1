import pytest
from made_ledgers import HERE, Counts, ledger
from scipy.stats import ttest_1samp
from study_files import ROOT

from looksam.config import read_yaml
from looksam.evidence import Findings, findings
from looksam.families import MORE
from looksam.retained import UNBOUNDED, retained

ASKED = read_yaml(ROOT / "config/claims.yaml")["evidence"]
BASE = [880, 882, 876, 881, 879]
SAM = [900, 904, 897, 899, 901]
LOOK = [889, 894, 886, 891, 890]
CONTROL = [884, 885, 880, 886, 883]
COUNTS: dict[str, Counts] = {"vanilla": BASE, "sam": SAM, "sam-5": CONTROL, "looksam-5": LOOK}


def found(**more: Counts) -> Findings:
    counts = COUNTS | {key.replace("_", "-"): value for key, value in more.items()}
    longer = ledger({"vanilla": [883, 884, 878, 885, 880]}, steps=120, column="base, more steps")
    return findings([*ledger(counts), *longer], ASKED)


def test_the_primary_question_is_look_less_its_equal_in_cost() -> None:
    primary = found().primary
    assert (primary.of, primary.against) == ("LookSAM-5", "SAM-5")
    assert primary.tested[0].shows == MORE


def test_the_gain_of_sam_is_over_the_base_optimizers_own_steps() -> None:
    gain = found().gain.tested[0].contrast.found
    assert gain
    assert gain.value == pytest.approx(sum(SAM) / 5000 - sum(BASE) / 5000)


def test_the_retained_fraction_is_fiellers_over_the_same_seeds() -> None:
    (look,) = [one for one in found().secondary if one.method == "looksam-5"]
    parts = [(x - y) / 1000 for x, y in zip(LOOK, BASE, strict=True)]
    wholes = [(x - y) / 1000 for x, y in zip(SAM, BASE, strict=True)]
    expected, fraction = retained(parts, wholes), look.fractions[0]
    assert fraction
    assert fraction.value == pytest.approx(expected.value)
    assert fraction.interval == pytest.approx(expected.interval)


def test_of_a_gain_that_is_not_shown_the_fraction_is_unbounded() -> None:
    look = found(sam=[881, 879, 880, 878, 881]).secondary[1]
    assert look.fractions[0]
    assert look.fractions[0].why == UNBOUNDED


def test_a_diverged_run_leaves_no_fraction() -> None:
    assert found(sam=[None, *SAM[1:]]).secondary[1].fractions == [None]


def test_non_inferiority_is_one_sided_against_the_margin() -> None:
    (look,) = [one for one in found().secondary if one.method == "looksam-5"]
    less = [(x - y) / 1000 for x, y in zip(LOOK, SAM, strict=True)]
    p = ttest_1samp(less, -ASKED["margin"] / 100, alternative="greater").pvalue
    assert look.kept.ps == pytest.approx([p])


def test_a_loss_within_the_margin_is_kept() -> None:
    kept = found(looksam_5=[899, 903, 896, 899, 900]).secondary[1].kept
    assert kept.shown == [True]


def test_a_diverged_run_keeps_nothing() -> None:
    assert found(looksam_5=[None, *SAM[1:]]).secondary[1].kept.shown == [False]


def test_each_alpha_rule_is_beside_both_methods_of_the_primary_question() -> None:
    rules = found(looksam_5_ls=SAM).rules
    assert list(rules) == ["searched", "ls"]
    assert [(one.of, one.against) for one in rules["ls"]] == [
        ("looksam-5-ls", "SAM-5"),
        ("looksam-5-ls", "LookSAM-5"),
    ]


def test_what_was_not_run_is_named_and_asks_nothing() -> None:
    assert "looksam-5-auto" in found().not_run
    assert [(one.of, one.against) for one in found().families] == [
        ("LookSAM-5", "SAM-5"),
        ("SAM", "base"),
        ("base, more steps", "base"),
        ("base, more steps", "LookSAM-5"),
    ]


def test_an_arm_that_one_condition_lacks_keeps_its_label() -> None:
    without = {method: counts for method, counts in COUNTS.items() if method != "looksam-5"}
    first = ledger(without, HERE._replace(label_noise=0.0))
    primary = findings([*first, *ledger(COUNTS)], ASKED).primary
    assert primary.of == "LookSAM-5"
    assert primary.tested[0].contrast.obstacle == "looksam-5 was not run here"


def test_the_longer_training_is_beside_the_base_optimizer_and_look() -> None:
    assert [(one.of, one.against) for one in found().longer] == [
        ("base, more steps", "base"),
        ("base, more steps", "LookSAM-5"),
    ]


def test_every_secondary_method_has_an_answer_in_every_condition() -> None:
    other = ledger(COUNTS, HERE._replace(label_noise=0.4))
    answers = findings([*ledger(COUNTS), *other], ASKED).secondary
    assert [one.method for one in answers] == ["sam-5", "looksam-5"]
    assert {len(x) for one in answers for x in (one.fractions, one.kept.ps, one.reached)} == {2}


def test_the_fraction_of_all_conditions_is_of_the_mean_gains_by_seed() -> None:
    other = ledger({**COUNTS, "looksam-5": SAM}, HERE._replace(label_noise=0.4))
    (look,) = [x for x in findings([*ledger(COUNTS), *other], ASKED).secondary if x.method == "looksam-5"]
    parts = [((x + s) / 2 - b) / 1000 for x, s, b in zip(LOOK, SAM, BASE, strict=True)]
    wholes = [(s - b) / 1000 for s, b in zip(SAM, BASE, strict=True)]
    assert look.fraction_of_all
    assert look.fraction_of_all.interval == pytest.approx(retained(parts, wholes).interval)


def test_no_run_at_all_is_no_error() -> None:
    assert findings([], ASKED).primary.tested == []
