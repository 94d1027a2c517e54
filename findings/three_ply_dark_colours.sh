#!/usr/bin/env bash
# three.js's PLYLoader keeps 183 of the 256 brightnesses that a vertex can have in a PLY; dark ones become steps.
#
# Version    three 0.187.0, Node.js 18 or newer
# Guess      A vertex that a PLY gives the colour 20 20 20 (bytes, as pictures have them) is drawn with that colour.
# Behaviour  The loader turns colours into linear ones, as three.js works with them, but keeps them in an attribute of
#            bytes: linear light in 8 bits. 1 to 6 become black, 20 becomes 22; the OBJLoader, with floats, loses none.
# Output     brightnesses in the file: 256, in PLYLoader's attribute: 183, in OBJLoader's: 256
#            as PLYLoader's are drawn: 6 is 0, 10 is 13, 20 is 22, 128 is 128
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund three@0.187.0 > log 2>&1 || { cat log && exit 1; }
cat > look.mjs <<'JS'
import { OBJLoader } from "three/addons/loaders/OBJLoader.js";
import { PLYLoader } from "three/addons/loaders/PLYLoader.js";

const values = [...Array(256).keys()];
const ply = new PLYLoader().parse(
    "ply\nformat ascii 1.0\nelement vertex 256\nproperty float x\nproperty float y\nproperty float z\n" +
    "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n" +
    values.map((value) => `${value} 0 0 ${value} ${value} ${value}\n`).join("")).getAttribute("color");
const obj = new OBJLoader().parse(
    values.map((value) => `v ${value} 0 0 ${value / 255} ${value / 255} ${value / 255}\n`).join("") +
    values.slice(2).map((value) => `f ${value - 1} ${value} ${value + 1}\n`).join(""),
).children[0].geometry.getAttribute("color");

const kinds = (colours) => new Set([...Array(colours.count).keys()].map((place) => colours.getX(place))).size;
const drawn = (linear) => Math.round(255 * (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055));
console.log(`brightnesses in the file: 256, in PLYLoader's attribute: ${kinds(ply)}, in OBJLoader's: ${kinds(obj)}`);
console.log("as PLYLoader's are drawn: " + [6, 10, 20, 128].map((v) => `${v} is ${drawn(ply.getX(v))}`).join(", "));
JS
found=$(node look.mjs)
echo "$found"
diff - <(echo "$found") <<'TXT'
brightnesses in the file: 256, in PLYLoader's attribute: 183, in OBJLoader's: 256
as PLYLoader's are drawn: 6 is 0, 10 is 13, 20 is 22, 128 is 128
TXT
