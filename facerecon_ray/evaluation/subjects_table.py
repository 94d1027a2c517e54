"""subjects.csv beside scans: who their subjects are.

The columns are subject, gender (0 male to 1 female), age in years, african, asian, caucasian (shares); a value is
empty where nobody knows it. Spreadsheets may have put semicolons or tabs between the columns, and a byte order mark
first.
"""

import csv
from pathlib import Path

from facerecon_ray.errors import InputError
from facerecon_ray.evaluation.rows import ATTRIBUTES

ATTRIBUTES_FILE = "subjects.csv"
SUBJECT_COLUMN = "subject"
DELIMITERS = (",", ";", "\t")


def read_attributes(folder: Path) -> dict[str, dict[str, float]]:
    """What subjects.csv says of the subjects, by subject; nothing where there is no such file.

    Raises
    ------
    InputError
        when it cannot be read, or a value is no number
    """
    path = folder / ATTRIBUTES_FILE
    if not path.is_file():
        return {}
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is no UTF-8 text; save it as 'CSV UTF-8'") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    header = lines[0] if lines else ""
    rows = csv.reader(lines, delimiter=max(DELIMITERS, key=header.count))
    names = [name.strip().lower() for name in next(rows, [])]
    if SUBJECT_COLUMN not in names:
        raise InputError(f"{path}: there is no column '{SUBJECT_COLUMN}' in its first line")
    found: dict[str, dict[str, float]] = {}
    for values in rows:
        row = {name: value.strip() for name, value in zip(names, values, strict=False)}
        if subject := row.get(SUBJECT_COLUMN):
            known = {name: row[name] for name in ATTRIBUTES if row.get(name)}
            found[subject] = {
                name: _number(value, f"{path}, line {rows.line_num}: {name}") for name, value in known.items()
            }
    return found


def _number(value: str, where: str) -> float:
    try:
        return float(value.replace(",", "."))
    except ValueError:
        raise InputError(f"{where} is {value!r}, not a number") from None
