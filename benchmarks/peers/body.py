"""``body.sh`` in Python: the least that a step of edgebuild's own takes is to start an interpreter."""

import sys

word, source, *places = sys.argv[1:]
with open(source, encoding="utf-8") as stream:  # noqa: PTH123 - nothing is imported that is not needed
    line = stream.readline().rstrip("\n").removesuffix('"}')
for place in places:
    with open(place, "wb") as sink:  # noqa: PTH123
        sink.write(b"\x1f\x8b" if place.endswith(".tar.gz") else b"")
        sink.write(f'{line} {word} {place.rpartition("/")[2]}"}}\n'.encode())
