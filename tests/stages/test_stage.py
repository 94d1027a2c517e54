import numpy as np

from facerecon_ray.stages.stage import FAILED, OK, REASON, Batch, Column, Stage


class Halver(Stage):
    """Halves even numbers."""

    name = "halve"

    def __init__(self) -> None:
        self.outputs = {"half": Column(np.float32), "word": Column(str)}
        self.calls = 0

    def process(self, batch: Batch) -> Batch:
        self.calls += 1
        reasons = np.where(batch["number"] % 2 == 0, "", "the number is odd").astype(object)
        words = np.array([f"half of {number}" for number in batch["number"]], object)
        return {"half": batch["number"] / 2, "word": words, REASON: reasons}


class Rounder(Stage):
    """Rounds numbers where they stand."""

    name = "round"
    refines = ("number",)

    def __init__(self) -> None:
        self.outputs = {"number": Column(np.float32)}

    def process(self, batch: Batch) -> Batch:
        reasons = np.where(batch["number"] < 9, "", "the number is large").astype(object)
        return {"number": batch["number"].round(), REASON: reasons}


def test_a_column_that_a_stage_refines_keeps_what_it_was_in_rows_that_are_not_processed() -> None:
    numbers = np.float32([1.2, 2.7, 9.4])
    batch = {"status": np.array([OK, FAILED, OK], object), "error": np.full(3, "", object), "number": numbers}
    rows = Rounder()(batch)
    np.testing.assert_array_equal(rows["number"], np.float32([1.0, 2.7, 9.4]))
    np.testing.assert_array_equal(numbers, np.float32([1.2, 2.7, 9.4]))


def test_a_row_that_a_stage_finds_unfit_fails_with_its_reason_and_the_others_do_not() -> None:
    stage = Halver()
    status = np.array([OK, OK, FAILED, OK], object)
    error = np.array(["", "", "earlier", ""], object)
    rows = stage({"status": status, "error": error, "number": np.array([4, 3, 8, 6])})
    assert stage.calls == 1
    assert rows["status"].tolist() == [OK, FAILED, FAILED, OK]
    assert rows["error"].tolist() == ["", "the number is odd", "earlier", ""]
    assert rows["half"].tolist() == [2.0, 0.0, 0.0, 3.0]
    assert rows["word"].tolist() == ["half of 4", "", "", "half of 6"]
    assert rows["number"].tolist() == [4, 3, 8, 6]
    assert REASON not in rows
    assert (rows["halve_ms"] > 0).tolist() == [True, True, False, True]
