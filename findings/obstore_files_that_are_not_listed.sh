#!/usr/bin/env bash
# obstore passes over files whose names end with # and a number, and one name that is no UTF-8 ends a whole listing.
#
# Version    obstore 0.12.1
# Guess      LocalStore(FOLDER).list() gives every file below a folder.
# Behaviour  `photo#1` is how the store names what it is writing, so files of that name are left out without a word. A
#            file name that is no UTF-8, as archives of older systems hold, is an error, and nothing behind it is given.
# Output     files: a.jpg, photo#1; listed: a.jpg
#            and with caf\xe9.jpg beside them: InvalidPathError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet obstore==0.12.1
cat > "$folder/look.py" <<'PY'
from pathlib import Path

from obstore.exceptions import InvalidPathError
from obstore.store import LocalStore

photos = Path("photos")
photos.mkdir()
for name in ("a.jpg", "photo#1"):
    (photos / name).write_bytes(b"a photo")


def listed() -> str:
    return ", ".join(sorted(found["path"] for page in LocalStore(photos).list() for found in page))


print(f"files: {', '.join(sorted(path.name for path in photos.iterdir()))}; listed: {listed()}")
open(b"photos/caf\xe9.jpg", "wb").close()
try:
    print(f"and with caf\\xe9.jpg beside them: {listed()}")
except InvalidPathError as error:
    print(f"and with caf\\xe9.jpg beside them: {type(error).__name__}")
PY
found=$(cd "$folder" && "$folder/venv/bin/python" look.py)
echo "$found"
diff - <(echo "$found") <<'TXT'
files: a.jpg, photo#1; listed: a.jpg
and with caf\xe9.jpg beside them: InvalidPathError
TXT
