"""The pools of a job while it runs, on a cluster that may lose nodes."""

from collections.abc import Sequence

from facerecon_ray.cluster.nodes import live_cluster
from facerecon_ray.errors import SettingsError
from facerecon_ray.pipeline.capacity.sizing import size_stages
from facerecon_ray.pipeline.stage_plan import PlannedStage, fused

_SMALLER = 0.9


class Pools:
    """Sized for the nodes that run, and sized anew when their workers do not find room.

    stages    as they are now
    cluster   for which they were sized
    is_open   whether the settings leave sizes open, so that they may become smaller

    Parameters
    ----------
    planned : stages with the pools that the settings ask for

    Raises
    ------
    SettingsError
        when what the settings ask for does not fit the cluster
    """

    def __init__(self, planned: Sequence[PlannedStage]) -> None:
        self._planned = planned
        self._share = 1.0
        self.is_open = any(stage.pool.workers is None or stage.pool.cpus is None for stage in planned)
        self.cluster = live_cluster()
        self.stages = size_stages(fused(planned, self.cluster), self.cluster)

    def size_anew(self) -> None:
        """For what is left of the cluster; on an unchanged one for a smaller share, which fits more easily.

        Raises
        ------
        SettingsError
            when what the settings ask for does not fit any more
        """
        now = live_cluster()
        self._share = 1.0 if now != self.cluster else self._share * _SMALLER
        self.cluster = now
        try:
            self.stages = size_stages(fused(self._planned, now), now, usable=self._share)
        except SettingsError as error:
            raise SettingsError(f"{error}; the same command continues the run") from None
