import pytest
import torch

from facerecon_ray.errors import SettingsError
from facerecon_ray.networks.device import resolve_device


def test_auto_takes_the_gpu_where_there_is_one() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "", "meta", "cuda:99"])
def test_unusable_device_is_a_settings_error_that_names_it(name: str) -> None:
    with pytest.raises(SettingsError, match=f"device '{name}'"):
        resolve_device(name)
