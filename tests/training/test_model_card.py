from typing import Any

import pytest

from facerecon_ray.config.training import RotatorTraining, TwoViewTraining
from facerecon_ray.storage.pairs.dataset_card import ShardEntry, new_card
from facerecon_ray.training.model_card import best_validation, model_card

HISTORY: list[dict[str, Any]] = [
    {"step": 10, "best": True, "rows": 160, "seconds": 1800.0, "wait_share": 0.01, "figures": {"nme": 0.09}},
    {
        "step": 20,
        "best": True,
        "rows": 320,
        "seconds": 3600.0,
        "wait_share": 0.02,
        "figures": {"nme": 0.05, "nme@-30": 0.04, "nme@+0": 0.06, "nme_fit@+0": 0.0712345},
    },
    {"step": 30, "best": False, "rows": 480, "seconds": 5400.0, "wait_share": 0.03, "figures": {"nme": 0.07}},
]


def job(**settings: Any) -> TwoViewTraining:
    return TwoViewTraining.model_validate({"data": "my/pairs", "output": "my/out", "steps": 300} | settings)


@pytest.fixture
def card() -> str:
    set_card = new_card({}, 11, 40, {})
    set_card.rows, set_card.counts = 320, {"skin": {"painted": 290, "photo": 30}}
    set_card.status = "complete"
    optimizer = {"learning_rate": 0.25}
    private = {"init": "my/first.safetensors", "s3": {"endpoint_url": "http://inner:9000"}, "mlflow": "http://inner"}
    return model_card(job(optimizer=optimizer, **private), HISTORY, set_card)


def test_the_card_is_of_the_best_validation_not_of_the_last(card: str) -> None:
    assert "at step 20 of 300" in card
    assert "| rows seen | 320 |" in card
    assert "- nme: 0.05" in card.splitlines()
    assert "| hours | 1.50 |" in card
    assert "spent waiting for data | 3.0 % |" in card


def test_figures_by_yaw_are_a_table_with_gaps(card: str) -> None:
    lines = card.splitlines()
    assert "| by yaw, from | -30° | 0° |" in lines
    assert "| nme | 0.04 | 0.06 |" in lines
    assert "| nme_fit |  | 0.07123 |" in lines


def test_data_and_weights_are_named(card: str) -> None:
    assert card.startswith("# two-view\n")
    assert "`two_view.safetensors`" in card
    assert "| data | 40 subjects, 320 views, seed 11, 30 with skin from photos" in card
    assert "| data | unknown" in model_card(job(), HISTORY, None)


def test_a_set_whose_making_was_cut_off_is_said_to_be_one() -> None:
    set_card = new_card({}, 11, 4000, {})
    set_card.rows, set_card.shards = 64, [ShardEntry(file="a", bytes=1, rows=32, sha256="0")] * 2
    assert "| data | the first 2 shards of 4000 subjects, 64 views" in model_card(job(), HISTORY, set_card)


def test_changed_settings_are_listed_and_places_are_not(card: str) -> None:
    settings = card.split("```yaml\n")[1].split("```")[0].splitlines()
    assert settings == ["optimizer.learning_rate: 0.25", "steps: 300"]
    assert "my/" not in card and "inner" not in card


def test_a_rotators_fitter_is_a_place_too() -> None:
    settings = {"data": "d", "output": "o", "fitter": "my/fitter.safetensors", "regime": "both"}
    text = model_card(RotatorTraining.model_validate(settings), HISTORY, None)
    assert "regime: both" in text and "my/" not in text


def test_the_kept_validation_is_the_last_of_the_best() -> None:
    assert best_validation(HISTORY)["step"] == 20
    assert best_validation(HISTORY[2:])["step"] == 30
