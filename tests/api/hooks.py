"""Loaded by schemathesis: leaves out what a web server refuses by itself."""
import os
import re
from urllib.parse import unquote

import schemathesis

# lighttpd answers them with a 400 of its own, before nompd-serve is asked.
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
KIND = os.environ["NOMPD_WEB_SERVER"]


def texts(value):
    """Every text in names and values."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield str(name)
            yield from texts(member)
    elif isinstance(value, (list, tuple)):
        for member in value:
            yield from texts(member)
    else:
        yield str(value)


def reaches_the_service(values):
    # Those of a path come with their %XX.
    return not KIND.startswith("lighttpd") or not any(
        CONTROL.search(text) or CONTROL.search(unquote(text))
        for text in texts(values))


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    return reaches_the_service(path_parameters)


@schemathesis.hook
def filter_query(context, query):
    return reaches_the_service(query)


@schemathesis.hook
def filter_headers(context, headers):
    return reaches_the_service(headers)
