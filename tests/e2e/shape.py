"""Comparing what a command prints with what it should: ids, times and sizes masked, runs of spaces as one, everything
else to the byte; and whether the columns of a table stand below each other."""
import difflib
import re

from harness import Failed

MASKS = [
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<UUID>"),
    (r"\b[0-9a-f]{8}\b", "<ID>"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "<TIME>"),
    (r"\b(\d+(mo|[smhdy]))+ ago\b", "<AGO>"),
    (r"\b\d+(\.\d+)? ([KMGTPE]i)?B\b", "<SIZE>"),
    (r"\b127\.0\.0\.1:\d+\b", "<ADDRESS>"),
    (r"(?<=[ \n=|])\d+/\d+ MHz", "<N>/<N> MHz"),
    (r"-?\d+\.\d\d%", "<N>%"),
    (r"Task restarting in [0-9.]+s", "Task restarting in <N>s"),
]


def mask(text):
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text)
    return "\n".join(re.sub(r" {2,}", " ", line) for line in text.split("\n"))


def same(got, expected, what="output"):
    got, expected = mask(got), mask(expected.lstrip("\n"))
    if got != expected:
        raise Failed("%s differs:\n%s" % (what, "\n".join(
            difflib.unified_diff(expected.splitlines(), got.splitlines(), "expected", "got", lineterm=""))))


def table(text, first):
    """The table whose header begins with `first`, as a list of dicts. Its cells must stand below their titles."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith(first)), None)
    if start is None:
        raise Failed("no table begins with %r:\n%s" % (first, text))
    titles = re.split(r" {2,}", lines[start])
    at = [lines[start].index(titles[0])]
    for title in titles[1:]:
        at.append(lines[start].index("  " + title, at[-1]) + 2)
    rows = []
    for line in lines[start + 1:]:
        if not line.strip() or line.startswith("exit="):
            break
        for column in at[1:]:
            if column <= len(line) and line[column - 2:column] != "  ":
                raise Failed("a cell reaches into the next column: %r\n%s" % (line, lines[start]))
        ends = at[1:] + [None]
        rows.append({title: line[a:b].rstrip() for title, a, b in zip(titles, at, ends)})
    return rows


def facts(text):
    """`Key = value` lines up to the first line that is none; the signs must stand below each other."""
    found, column = {}, None
    for line in text.splitlines():
        m = re.match(r"([^=]*[^= ]) *= (.*)$", line)
        if not m:
            break
        if column not in (None, line.index("=")):
            raise Failed("not aligned: %r" % line)
        column = line.index("=")
        found[m.group(1)] = m.group(2)
    return found
