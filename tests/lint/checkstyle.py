#!/usr/bin/python3
"""House style of the C sources, as far as a script can tell.

    python3 tests/lint/checkstyle.py [ROOT]

Looks at src/*.[ch], include/*.h and tests/unit/*.[ch] below ROOT (default:
this repository), prints "file:line: rule: fact" for each breach and ends with
1 if there was one.

A function is what KNF makes of it: its name at the start of a line, a "{" in
column 0, a "}" in column 0.  Its length counts from the line with the name to
the closing brace.
"""

import fnmatch
import pathlib
import re
import sys

MAX_COLUMNS = 80
TAB_COLUMNS = 8
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 100
# main() must be under this.
MAX_MAIN_LINES = 80
# (lines, share): at least this share of all functions is at most so long.
QUOTAS = ((60, 0.90), (30, 0.75))

# Functions nobody calls, and what to do instead.
BANNED = {
    "alloca": "use xalloc.h or an array of fixed size",
    "atof": "parse with a range check",
    "atoi": "parse with a range check",
    "atol": "parse with a range check",
    "atoll": "parse with a range check",
    "gets": "it has no bound",
    "mktemp": "use mkstemp or mkdtemp",
    "popen": "no shell",
    "sprintf": "use snprintf",
    "strcat": "use buf.h or snprintf",
    "strcpy": "use snprintf or memcpy",
    "strncpy": "use memcpy; it may leave out the NUL",
    "strtok": "it has state; use strcspn",
    "system": "no shell",
    "tmpnam": "use mkstemp or mkdtemp",
    "vsprintf": "use vsnprintf",
}

# Functions of the program that some files alone may call.
CONFINED_CALLS = (
    (("exit", "_exit", "abort", "err", "errx"), ("nompd-*.c", "xalloc.c"),
     "an error is a value; main() alone ends the program"),
    (("malloc", "calloc", "realloc", "reallocarray", "strdup", "strndup",
      "asprintf", "vasprintf"), ("xalloc.c",), "use xalloc.h"),
)

# One library, one file: header pattern, the files that may include it.
CONFINED_HEADERS = (
    ("curl/*", ("http*.[ch]", "url.c")),
    ("yajl/*", ("json_bson.c",)),
    ("jose/*", ("jwk.c",)),
    ("fcgiapp.h", ("fcgi.c",)),
    ("fastcgi.h", ("fcgi.c",)),
    ("mongoc/*", ("*mongodb*.[ch]",)),
    ("sqlite3.h", ("*sqlite*.[ch]", "stage*.[ch]", "plan*.[ch]")),
)

COMMENT_OR_TEXT = re.compile(
    r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'",
    re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]')
ATTRIBUTE = re.compile(r"__attribute__\s*\(\(.*\)\)")
NAME_LINE = re.compile(r"^([A-Za-z_]\w*)\(")
LABEL = re.compile(r"^\s*(?!default\b)([A-Za-z_]\w*):(?!:)\s*$")


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def blank(match):
    """A comment or text as blanks: lines and columns stay where they are."""
    return re.sub(r"[^\n]", " ", match.group())


class Source:
    """A file: its lines, and the same without comments and texts."""

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.name = path.name
        self.is_program = not self.path.startswith("tests/")
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.split("\n")
        if self.lines[-1] == "":
            self.lines.pop()
        code = COMMENT_OR_TEXT.sub(blank, self.text).split("\n")
        self.code = [line.rstrip() for line in code[:len(self.lines)]]


def each_call(source, names):
    """(line, name) of each call of one of the names; members do not count."""
    call = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(names))
    for number, line in enumerate(source.code, 1):
        for match in call.finditer(line):
            yield number, match.group(1)


def functions(source):
    """(name or None, lines of the name and of the closing brace)."""
    for brace, line in enumerate(source.code):
        if line != "{":
            continue
        first = brace
        while first > 0 and is_header_line(source.code[first - 1]):
            first -= 1
        header = [ATTRIBUTE.sub("", text)
                  for text in source.code[first:brace]]
        opening = next((i for i, text in enumerate(header) if "(" in text),
                       None)
        if opening is None:
            continue
        end = next((i for i in range(brace, len(source.code))
                    if source.code[i].startswith("}")), len(source.code) - 1)
        name = NAME_LINE.match(header[opening])
        yield (name and name.group(1), first + opening + 1, end + 1)


def is_header_line(line):
    return line != "" and line[0] not in "#}" and line[-1] not in ";{}"


def check_lines(source):
    for number, line in enumerate(source.lines, 1):
        columns = len(line.expandtabs(TAB_COLUMNS))
        if columns > MAX_COLUMNS:
            yield number, "columns", "%d, at most %d" % (columns, MAX_COLUMNS)
        if line != line.rstrip():
            yield number, "trailing blanks", "remove them"
        if re.match(r"^\t* +\t", line) or re.match(r"^\t* {8}", line):
            yield number, "indentation", "want tabs, have spaces"
        if re.search(r"\b(TODO|FIXME|XXX)\b", line):
            yield number, "unfinished", "no TODO, FIXME or XXX"


def check_file(source):
    if len(source.lines) > MAX_FILE_LINES:
        yield len(source.lines), "file length", "%d lines, at most %d" % (
            len(source.lines), MAX_FILE_LINES)
    if not source.text.endswith("\n"):
        yield len(source.lines), "end of file", "want a newline"
    elif source.text.endswith("\n\n"):
        yield len(source.lines), "end of file", "want no empty line"


def check_calls(source):
    for number, name in each_call(source, BANNED):
        yield number, "banned function", "%s(): %s" % (name, BANNED[name])
    if not source.is_program:
        return
    for names, files, advice in CONFINED_CALLS:
        if matches(source.name, files):
            continue
        for number, name in each_call(source, names):
            yield number, "confined function", "%s() only in %s: %s" % (
                name, ", ".join(files), advice)


def check_headers(source):
    for number, line in enumerate(source.lines, 1):
        match = INCLUDE.match(line)
        if match is None or not source.is_program:
            continue
        for pattern, files in CONFINED_HEADERS:
            if matches(match.group(1), (pattern,)) and \
                    not matches(source.name, files):
                yield number, "confined header", "%s only in %s" % (
                    match.group(1), ", ".join(files))


def check_guard(source):
    if not source.name.endswith(".h"):
        return
    want = "NOMPD_" + re.sub(r"\W", "_", source.name).upper()
    directives = [line.split() for line in source.code
                  if line.startswith("#")]
    if directives[:2] != [["#ifndef", want], ["#define", want]] or \
            directives[-1] != ["#endif"]:
        yield 1, "header guard", "want #ifndef, #define %s and #endif" % want


def check_typedefs(source):
    code = "\n".join(source.code)
    for match in re.finditer(r"\btypedef\b([^;{]*)", code):
        is_function = re.search(r"(\(\*\w+\)|\b\w+)\s*\(", match.group(1))
        if not is_function:
            yield (code.count("\n", 0, match.start()) + 1, "typedef",
                   "only of function types")


def check_gotos(source):
    for number, line in enumerate(source.code, 1):
        targets = re.findall(r"\bgoto\s+(\w+)", line) + LABEL.findall(line)
        for target in targets:
            if target != "out" and not target.startswith("retry"):
                yield number, "goto", "%s: only out or retry" % target


def check_functions(source):
    for name, start, end in functions(source):
        if name is None:
            yield start, "function", "want the name at the start of the line"
        length = end - start + 1
        if length > MAX_FUNCTION_LINES:
            yield start, "function length", "%s(): %d lines, at most %d" % (
                name, length, MAX_FUNCTION_LINES)
        if name == "main" and length >= MAX_MAIN_LINES:
            yield start, "function length", "main(): %d lines, under %d" % (
                length, MAX_MAIN_LINES)
        yield from check_body(source, start, end)
    for number, line in enumerate(source.code, 1):
        if re.match(r"^[A-Za-z_][^=]*\)\s*\{", line):
            yield number, "function", "want its brace on a line of its own"


def check_body(source, start, end):
    """Between the braces a line starts with a tab, a label or a #."""
    first = source.code.index("{", start - 1) + 1
    for number in range(first + 1, end):
        line = source.code[number - 1]
        if line.startswith(" "):
            yield number, "indentation", "want tabs, have spaces"


CHECKS = (check_lines, check_file, check_calls, check_headers, check_guard,
          check_typedefs, check_gotos, check_functions)


def check_quotas(folder, lengths):
    """The shares of style rule 13, for the functions of one folder."""
    for limit, share in QUOTAS:
        short = sum(length <= limit for length in lengths)
        if short < share * len(lengths):
            yield "%s:0: function length: %d of %d functions have at most " \
                "%d lines, want %d%%" % (folder, short, len(lengths), limit,
                                         round(share * 100))


def check_tree(root):
    """Every breach below root as a line of text, in order."""
    found = []
    for folder, patterns in (("src", ("*.c", "*.h")), ("include", ("*.h",)),
                             ("tests/unit", ("*.c", "*.h"))):
        paths = sorted(path for path in (root / folder).glob("*")
                       if matches(path.name, patterns))
        lengths = []
        for path in paths:
            source = Source(root, path)
            breaches = {breach for check in CHECKS for breach in check(source)}
            found += ["%s:%d: %s: %s" % (source.path, *breach)
                      for breach in sorted(breaches)]
            lengths += [end - start + 1
                        for _, start, end in functions(source)]
        found += check_quotas(folder, lengths)
    return found


def main(arguments):
    root = pathlib.Path(__file__).resolve().parents[2]
    if len(arguments) > 1:
        root = pathlib.Path(arguments[1]).resolve()
    found = check_tree(root)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
