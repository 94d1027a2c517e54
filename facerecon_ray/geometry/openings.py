"""Openings of a mesh, like the mouth between the lips: their upper and lower halves, and triangles across them."""

import numpy as np


def halves(loop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a closed loop's (n, 3) upper and lower half, both from the smallest x to the largest."""
    first, last = int(loop[:, 0].argmin()), int(loop[:, 0].argmax())
    turned = np.roll(np.arange(len(loop)), -first)
    middle = (last - first) % len(loop)
    ways = turned[: middle + 1], np.r_[turned[middle:], first][::-1]
    upper, lower = sorted(ways, key=lambda way: -loop[way, 1].mean())
    return upper, lower


def triangles_across(points: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """Close an opening by a strip between its halves, which stays within it however it is bent.

    Parameters
    ----------
    points : (N, 3) x to the side, y up, z to the front
    loop : (n,) indices of the vertices around the opening

    Returns
    -------
    (n - 2, 3) triangles over the points, counter-clockwise seen from the front
    """
    upper, lower = (loop[half] for half in halves(points[loop]))
    i = j = 0
    triangles = []
    while i + 1 < len(upper) or j + 1 < len(lower):
        above, below = (half[min(step + 1, len(half) - 1)] for half, step in ((upper, i), (lower, j)))
        across_above = np.linalg.norm(points[above] - points[lower[j]])
        across_below = np.linalg.norm(points[below] - points[upper[i]])
        if j + 1 == len(lower) or (i + 1 < len(upper) and across_above <= across_below):
            triangles.append((upper[i], lower[j], above))
            i += 1
        else:
            triangles.append((upper[i], lower[j], below))
            j += 1
    strip = np.array([triangle for triangle in triangles if len(set(triangle)) == 3])
    a, b, c = (points[strip[:, corner]] for corner in range(3))
    to_front = np.cross(b - a, c - a)[:, 2].sum() > 0.0
    return strip if to_front else strip[:, ::-1].copy()
