import pytest
from jinja2 import UndefinedError

from facerecon_ray.report.pages import content_policy, render

PEOPLE = {"policy": "", "style": "a > b {}", "known": [], "people": [], "shown": 0, "viewer": "", "photo_names": 3}


def test_values_are_text_and_bytes_of_file_names_that_are_none_are_replaced() -> None:
    page = render("people.html", title="<b>caf\udce9</b> & 'x'", **PEOPLE)
    assert "<h1>&lt;b&gt;caf\ufffd&lt;/b&gt; &amp; &#39;x&#39;</h1>" in page
    assert "<style>a > b {}</style>" in page


def test_a_template_without_one_of_its_values_is_an_error_and_no_gap_in_the_page() -> None:
    with pytest.raises(UndefinedError, match="title"):
        render("people.html", **PEOPLE)


def test_a_page_without_scripts_runs_none() -> None:
    assert "; script-src 'none'; style-src 'sha256-" in content_policy([], ["a"], "img-src data:")
