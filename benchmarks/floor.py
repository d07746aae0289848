"""The least that any Python program with the same evidence has to do: read it, and stat every file in it.

python benchmarks/floor.py NOTE.json
"""

import json
import os
import sys

with open(sys.argv[1], encoding="utf-8") as stream:  # noqa: PTH123 - the floor has nothing to spare
    note = json.load(stream)
for row in note["files"]:
    os.stat(row[0])  # noqa: PTH116
