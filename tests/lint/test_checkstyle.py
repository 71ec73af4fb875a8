"""Each rule of checkstyle.py with a snippet that keeps it and one that
breaks it."""

import subprocess
import sys

import pytest

import checkstyle

GOOD = """\
#include <stdio.h>

/* What it does. */
int
answer(const struct question *question,
    int fallback)
{
\tif (question == NULL)
\t\treturn fallback;
\treturn 42;
}
"""


def breaches(root, path, text):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return checkstyle.check_tree(root)


def function(name, lines):
    """A function of so many lines, from its name to its brace."""
    return "int\n%s(void)\n{\n%s}\n" % (name, "\twork();\n" * (lines - 3))


def body(line):
    return "int\nwork(void)\n{\n%s\n}\n" % line


def header(guard, text=""):
    return "#ifndef %s\n#define %s\n%s#endif\n" % (guard, guard, text)


def test_good(tmp_path):
    assert breaches(tmp_path, "src/answer.c", GOOD) == []


# path, what keeps the rule, what breaks it, line and rule of the breach
RULES = [
    ("src/a.c", "\tint " + "x" * 67 + ";\n", "\tint " + "x" * 68 + ";\n",
     (1, "columns")),
    ("src/a.c", "/* " + "å" * 77 + "\n */\n", "/* " + "å" * 78 + "\n */\n",
     (1, "columns")),
    ("src/a.c", "int x;\n", "int x; \n", (1, "trailing blanks")),
    ("src/a.c", "int x;\n", "int x;\t\n", (1, "trailing blanks")),
    ("src/a.c", "int x;\n", "int x;", (1, "end of file")),
    ("src/a.c", "int x;\n", "int x;\n\n", (2, "end of file")),
    ("src/a.c", body("\twork(1,\n\t    2);"), body("    work();"),
     (4, "indentation")),
    ("src/a.c", body("\twork();"), body("        work();"),
     (4, "indentation")),
    ("src/a.c", body("\twork();"), body("    \twork();"),
     (4, "indentation")),
    ("src/a.c", body("\t/* a\n\t * b */\n\twork();"), body("  work();"),
     (4, "indentation")),
    ("src/a.c", "struct a {\n\tint   b;\n};\n",
     "struct a {\n        int b;\n};\n", (2, "indentation")),
    ("src/a.c", "int a[] = { 1,\n    2 };\n",
     "int a[] = { 1,\n    \t2 };\n", (2, "indentation")),
    ("src/a.c", "/* to do */\n", "/* TODO: it */\n", (1, "unfinished")),
    ("src/a.c", "/* a.XXXXXX */\n", "/* XXX */\n", (1, "unfinished")),
    ("src/a.c", "int fixme;\n", "/* FIXME */\n", (1, "unfinished")),
    ("src/a.c", body("\txatoi(p);"), body("\tatoi(p);"),
     (4, "banned function")),
    ("src/a.c", body("\t/* atol(p) */"), body("\tx = atol (p);"),
     (4, "banned function")),
    ("src/a.c", body('\tsay("system(x)");'), body("\tsystem(x);"),
     (4, "banned function")),
    ("src/a.c", body("\tsnprintf(p, n, q);"), body("\tsprintf(p, q);"),
     (4, "banned function")),
    ("tests/unit/a.c", body("\tops->system(x);"), body("\tstrcpy(p, q);"),
     (4, "banned function")),
    ("src/nompd-sync.c", body("\texit(1);"), None, None),
    ("src/xalloc.c", body("\texit(1);"), None, None),
    ("tests/unit/a.c", body("\texit(1);"), None, None),
    ("src/a.c", body("\tops.exit(1);"), body("\texit(1);"),
     (4, "confined function")),
    ("src/xalloc.c", body("\tp = malloc(n);"), None, None),
    ("src/a.c", body("\tp = xcalloc(n, 1);"), body("\tp = calloc(n, 1);"),
     (4, "confined function")),
    ("src/a.c", body("\tp = xstrdup(q);"), body("\tp = strdup(q);"),
     (4, "confined function")),
    ("src/a.c", body("\tp = sqlite3_malloc(n);"), body("\tp = malloc(n);"),
     (4, "confined function")),
    ("src/http.c", "#include <curl/curl.h>\n", None, None),
    ("src/url.c", "#include <curl/curl.h>\n", None, None),
    ("src/a.c", "#include \"http.h\"\n", "#include <curl/curl.h>\n",
     (1, "confined header")),
    ("src/json_bson.c", "#include <yajl/yajl_parse.h>\n", None, None),
    ("src/a.c", "/* yajl/yajl_parse.h */\n",
     "#include <yajl/yajl_parse.h>\n", (1, "confined header")),
    ("src/store_sqlite.c", "#include <sqlite3.h>\n", None, None),
    ("src/stage.c", "#include <sqlite3.h>\n", None, None),
    ("src/plan_file.c", "#include <sqlite3.h>\n", None, None),
    ("src/store.c", "#include \"store.h\"\n", "#include <sqlite3.h>\n",
     (1, "confined header")),
    ("src/a.c", "typedef int (*get_fn)(void *ctx,\n    int);\n",
     "typedef int number;\n", (1, "typedef")),
    ("src/a.c", "typedef void log_fn(int);\n",
     "\ntypedef struct a {\n\tint b;\n} a;\n", (2, "typedef")),
    ("src/a.c", "struct a {\n\tint (*f)(int);\n};\n",
     "typedef struct a a;\n", (1, "typedef")),
    ("src/a.c", body("\tgoto out;\nout:"), body("\tgoto fail;"),
     (4, "goto")),
    ("src/a.c", body("retry:\n\tgoto retry;"), body("again:\n\twork();"),
     (4, "goto")),
    ("src/a.c", body("\tcase A:\n\tdefault:"), body("fail:"), (4, "goto")),
    ("include/a.h", header("NOMPD_A_H"), header("A_H"), (1, "header guard")),
    ("src/a_int.h", header("NOMPD_A_INT_H"), "int x;\n",
     (1, "header guard")),
    ("include/a.h", header("NOMPD_A_H", "#include <b.h>\n"),
     "#ifndef NOMPD_A_H\n#define NOMPD_B_H\n#endif\n", (1, "header guard")),
    ("include/a.h", header("NOMPD_A_H", "#define A 1\n"),
     header("NOMPD_A_H") + "#include <b.h>\n", (1, "header guard")),
    ("src/a.c", "static int *\na(int b)\n{\n}\n",
     "static int *a(int b)\n{\n}\n", (1, "function")),
    ("src/a.c", "static void __attribute__((noreturn))\na(int b)\n{\n}\n",
     "int a(int b,\n    int c)\n{\n}\n", (1, "function")),
    ("src/a.c", "int\na(int b);\n", "int\na(int b) {\n}\n",
     (2, "function")),
    ("tests/unit/a.c", "START_TEST(a)\n{\n\twork();\n}\nEND_TEST\n", None,
     None),
    ("src/a.c", "struct a b[] = {\n\t{ 1 },\n};\n", None, None),
]


@pytest.mark.parametrize("path, good, bad, want", RULES)
def test_rule(tmp_path, path, good, bad, want):
    assert breaches(tmp_path, path, good) == []
    if bad is not None:
        found = breaches(tmp_path, path, bad)
        assert found and found[0].startswith("%s:%d: %s: " % (path, *want))
        # Breaking one rule breaks no other.
        assert {line.split(": ")[1] for line in found} == {want[1]}


def test_file_length(tmp_path):
    text = "int x;\n"
    assert breaches(tmp_path, "src/a.c", text * 600) == []
    assert breaches(tmp_path, "src/a.c", text * 601) == [
        "src/a.c:601: file length: 601 lines, at most 600"]


SHORT = "".join(function("short%d" % i, 10) for i in range(19))


def test_function_length(tmp_path):
    assert breaches(tmp_path, "src/a.c", SHORT + function("f", 100)) == []
    # 19 functions of 11 lines, the type's line included, and the type of f.
    assert breaches(tmp_path, "src/a.c", SHORT + function("f", 101)) == [
        "src/a.c:211: function length: f(): 101 lines, at most 100"]


def test_main_length(tmp_path):
    name = "src/nompd-sync.c"
    assert breaches(tmp_path, name, SHORT + function("main", 79)) == []
    assert breaches(tmp_path, name, SHORT + function("main", 80)) == [
        "src/nompd-sync.c:211: function length: main(): 80 lines, under 80"]


def test_share_of_60(tmp_path):
    long = function("f", 60)
    longer = function("f", 61)
    for i in range(9):
        breaches(tmp_path, "src/a%d.c" % i, function("f", 30))
    assert breaches(tmp_path, "src/b.c", long) == []
    assert breaches(tmp_path, "src/b.c", longer) == []
    assert breaches(tmp_path, "src/c.c", longer) == [
        "src:0: function length: 9 of 11 functions have at most 60 lines, "
        "want 90%"]


def test_share_of_30(tmp_path):
    text = function("a", 30) * 3
    assert breaches(tmp_path, "src/a.c", text + function("b", 31)) == []
    assert breaches(tmp_path, "src/a.c", text + 2 * function("b", 31)) == [
        "src:0: function length: 3 of 5 functions have at most 30 lines, "
        "want 75%"]


def test_program(tmp_path):
    command = [sys.executable, checkstyle.__file__, str(tmp_path)]
    breaches(tmp_path, "src/a.c", GOOD)
    good = subprocess.run(command, capture_output=True, text=True)
    assert (good.returncode, good.stdout) == (0, "")
    breaches(tmp_path, "src/b.c", "int x;")
    bad = subprocess.run(command, capture_output=True, text=True)
    assert (bad.returncode, bad.stdout) == (
        1, "src/b.c:1: end of file: want a newline\n")
