#!/usr/bin/env bash
# An OBJ whose parts each list their vertices and then count back to them loses all parts but the last in trimesh.
#
# Version    trimesh 5.2.0, numpy 2.4.6
# Guess      -1 in a face is the last vertex before that face, as the OBJ specification has it, so two parts with the same
#            negative numbers are two triangles.
# Behaviour  Negative numbers are applied as Python's are, to the finished array of all vertices: the faces of every part
#            become those of the last part, one upon the other. The count of faces is right and nothing is said.
# Output     heights of the two triangles in the file: 0 and 5
#            heights of the two triangles that were read: 5 and 5
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 trimesh==5.2.0
cat > "$folder/look.py" <<'PY'
import trimesh

parts = "".join(f"v 0 0 {height}\nv 1 0 {height}\nv 0 1 {height}\nf -3 -2 -1\n" for height in (0, 5))
with open("two.obj", "w") as file:
    file.write(parts)
mesh = trimesh.load("two.obj", process=False)
heights = " and ".join(f"{height:g}" for height in mesh.vertices[mesh.faces][:, 0, 2])
print("heights of the two triangles in the file: 0 and 5")
print(f"heights of the two triangles that were read: {heights}")
PY
found=$(cd "$folder" && "$folder/venv/bin/python" look.py)
echo "$found"
diff <(printf 'heights of the two triangles %s\n' 'in the file: 0 and 5' 'that were read: 5 and 5') <(echo "$found")
