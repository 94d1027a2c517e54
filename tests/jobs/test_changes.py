from facerecon_ray.jobs.changes import changes

EARLIER = {"crop": {"device": "auto", "min_score": 0.0}, "pairs": False}


def test_equal_settings_have_no_changes() -> None:
    assert changes({**EARLIER}, EARLIER) == []


def test_changes_are_named_by_their_dotted_names_in_order() -> None:
    now = {"pairs": True, "crop": {"device": "cpu", "min_score": 0.0}}
    assert changes(now, EARLIER) == ["crop.device was auto, now is cpu", "pairs was False, now is True"]


def test_what_one_of_both_lacks_is_a_change() -> None:
    now = {"crop": {"device": "auto"}, "pairs": False, "limit": 3}
    assert changes(now, EARLIER) == ["crop.min_score was 0.0, now is None", "limit was None, now is 3"]
