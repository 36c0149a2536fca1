import pytest
from made_ledgers import HERE, Counts, ledger, study
from study_files import ROOT

from looksam.conditions import conditions
from looksam.config import read_yaml
from looksam.evidence import findings
from looksam.evidence_summary import in_short
from looksam.evidence_words import excluded, fraction, headline, p_value, power_told, reached_told, told
from looksam.families import Family, family
from looksam.reached import Reached
from looksam.retained import Retained

ASKED = read_yaml(ROOT / "config/claims.yaml")["evidence"]
SAM = [900, 902, 897, 901, 899]
MUCH, LITTLE, WORSE = [930, 933, 926, 932, 928], [903, 899, 899, 900, 902], [880, 884, 874, 881, 880]
LOST: Counts = [None, *MUCH[1:]]


def asked(*looks: Counts) -> Family:
    entries = [
        one
        for number, look in enumerate(looks)
        for one in ledger({"looksam-5": look, "sam-5": SAM}, HERE._replace(label_noise=number / 10))
    ]
    return family(conditions(entries, ["evidence-sgd"]), "looksam-5", "sam-5", 0.8, ("looksam-5", "sam-5"))


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([MUCH], "LookSAM-5 is more accurate than SAM-5 in 1 of 1 condition."),
        ([MUCH, LITTLE], "in 1 of 2 conditions; in 1 no difference is shown."),
        (
            [WORSE, LITTLE],
            "LookSAM-5 is less accurate than SAM-5 in 1 of 2 conditions; in 1 no difference is shown.",
        ),
        ([LITTLE, LITTLE], "No difference between LookSAM-5 and SAM-5 is shown in any of 2 conditions."),
        ([LITTLE, LOST], "is shown in any of 2 conditions; 1 decides nothing."),
        ([LOST, LOST], "Between LookSAM-5 and SAM-5 nothing is decided in any of 2 conditions."),
    ],
)
def test_the_headline_is_what_the_numbers_show(looks: list[Counts], said: str) -> None:
    assert headline(asked(*looks)).endswith(said)


def test_gains_and_losses_may_stand_side_by_side() -> None:
    assert headline(asked(MUCH, WORSE)) == (
        "LookSAM-5 is more accurate than SAM-5 in 1 of 2 conditions and less accurate than SAM-5 in 1 of 2 "
        "conditions."
    )


def test_no_condition_at_all_is_said() -> None:
    assert headline(family({}, "a", "b", 0.8, ("a", "b"))) == "a was not compared with b."


def test_what_no_condition_decides_says_why() -> None:
    assert (
        told(asked(LOST)) == "LookSAM-5 minus SAM-5: not decided, because 1 of 5 runs of LookSAM-5 diverged."
    )


def test_the_power_is_told_in_points() -> None:
    assert power_told(asked(LITTLE)).startswith("A true difference of 0.")
    assert power_told(asked(LITTLE)).endswith("points would have been found with a chance of 80 %.")


def test_what_intervals_leave_out_is_told() -> None:
    assert excluded(asked(LITTLE)).startswith("There, a gain of 0.")
    assert "and a loss of 0." in excluded(asked(LITTLE))


def test_a_shown_gain_excludes_no_loss_by_a_number() -> None:
    assert "loss" not in excluded(asked(MUCH))


@pytest.mark.parametrize(("p", "said"), [(None, "—"), (0.0004, "< 0.001"), (0.04, "0.040"), (1.0, "1.000")])
def test_a_p_is_written_as_people_write_it(p: float | None, said: str) -> None:
    assert p_value(p) == said


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Retained(0.5, (0.25, 0.75), 10), "50 % (25 % to 75 %)"),
        (Retained(0.5, (-0.25, 0.75), 10), "50 % (−25 % to 75 %)"),
        (Retained(0.5, None, 10, "unbounded"), "50 % (unbounded)"),
        (Retained(None, None, 10, "nothing to retain"), "nothing to retain"),
        (None, "not decided"),
    ],
)
def test_a_fraction_says_its_interval_or_why_it_has_none(found: Retained | None, said: str) -> None:
    assert fraction(found) == said


def test_how_many_seeds_reach_it_is_told() -> None:
    assert reached_told(Reached("x", {0: 0.5, 1: None}, {0: 1.0, 1: 1.0}, None, "")) == (
        "1 of 2 seeds, after 50 % of its passes"
    )


def test_each_question_is_in_one_list() -> None:
    found = findings(study(3), ASKED)
    said = [sentence for sentences in in_short(found).values() for sentence in sentences]
    assert sum(" minus " in sentence for sentence in said) == len(found.families)


def test_only_what_is_shown_stands_under_it() -> None:
    found = in_short(findings(study(10, looksam_5=60.0, random_5=12.0), ASKED))
    assert any(one.startswith("LookSAM-5 minus SAM-5: more in ") for one in found["shown"])
    assert all("no difference shown in any" in one for one in found["not shown"] if " minus " in one)


def test_what_nothing_decides_stands_by_itself() -> None:
    found = in_short(findings(ledger({"vanilla": [880], "sam-5": [884], "looksam-5": [889]}), ASKED))
    assert (found["shown"], found["not shown"]) == ([], [])
    assert "What LookSAM-5 has of sam's gain over base: no condition decides it." in found["not decided"]
