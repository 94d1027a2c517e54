#!/usr/bin/env bash
# The same colour in a PLY as bytes, 16-bit integers and floats comes out of trimesh and Open3D as six different things.
#
# Version    trimesh 5.2.0, open3d-cpu 0.20.0 (Linux, x86_64), numpy 2.4.6
# Guess      A reader scales colours by their declared type: 0.8 as float is 204 of 255, and 52428 as ushort is too.
# Behaviour  Open3D divides whatever is there by 255: floats from 0 to 1 become nearly black, and 16-bit colours go up to
#            257 where white is 1. trimesh scales floats rightly, but of 16-bit colours it keeps the low byte, which for
#            colours that were widened from bytes happens to be right (52428 is 0xCCCC), and for others is noise: 52479 is
#            0xCCFF, nearly the same colour, and comes out as 255.
# Output     uchar 204: trimesh 204, Open3D 0.8000
#            float 0.8: trimesh 204, Open3D 0.0031
#            ushort 52428: trimesh 204, Open3D 205.6000
#            ushort 52479: trimesh 255, Open3D 205.8000
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 trimesh==5.2.0
"$folder/venv/bin/pip" install --quiet --no-deps open3d-cpu==0.20.0
"$folder/venv/bin/pip" install --quiet dash werkzeug
cat > "$folder/look.py" <<'PY'
import numpy as np
import open3d as o3d
import trimesh

for kind, value in (("uchar", "204"), ("float", "0.8"), ("ushort", "52428"), ("ushort", "52479")):
    lines = ["ply", "format ascii 1.0", "element vertex 3"]
    lines += [f"property float {name}" for name in "xyz"] + [f"property {kind} {name}" for name in ("red", "green", "blue")]
    lines += ["element face 1", "property list uchar int vertex_indices", "end_header"]
    lines += [f"{x} {y} 0 {value} {value} {value}" for x, y in ((0, 0), (1, 0), (0, 1))] + ["3 0 1 2"]
    with open("one.ply", "w") as file:
        file.write("\n".join(lines) + "\n")
    first = trimesh.load("one.ply", process=False).visual.vertex_colors[0, 0]
    second = np.asarray(o3d.io.read_triangle_mesh("one.ply").vertex_colors)[0, 0]
    print(f"{kind} {value}: trimesh {first}, Open3D {second:.4f}")
PY
found=$(cd "$folder" && "$folder/venv/bin/python" look.py 2> "$folder/errors") || {
    cat "$folder/errors"
    exit 1
}
echo "$found"
diff <(printf "%s\n" "uchar 204: trimesh 204, Open3D 0.8000" "float 0.8: trimesh 204, Open3D 0.0031" \
    "ushort 52428: trimesh 204, Open3D 205.6000" "ushort 52479: trimesh 255, Open3D 205.8000") <(echo "$found")
