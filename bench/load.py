"""wrk, and what it is told to do: bench/serve.py loads servers with it.

Every kind of server gets the same load: the same connections from one thread,
requests of the same size.  The key reaches wrk by its environment, so that it
is in no list of processes.
"""

import collections
import json
import os
import random
import signal
import subprocess

CONNECTIONS = 4
THREADS = 1
# How long one answer may take before it counts as failed.
ANSWER_SECONDS = 30
# What may pass beyond the time that a load was to take.
GRACE_SECONDS = 60
# The longest that a load of a given number of requests may take.
MAX_MIX_SECONDS = 1800
KEY_VARIABLE = "BENCH_KEY"

Rate = collections.namedtuple("Rate", "per_second p50_ms p99_ms")

# `done` alone costs nothing while wrk measures; its own text is not parsed.
MEASURE = """\
wrk.headers["X-API-KEY"] = os.getenv("%s")
function done(summary, latency)
   local e = summary.errors
   print(string.format('{"requests":%%d,"us":%%d,"bytes":%%d,"p50":%%d,' ..
      '"p99":%%d,"failed":%%d}', summary.requests, summary.duration,
      summary.bytes, latency:percentile(50), latency:percentile(99),
      e.connect + e.read + e.write + e.status + e.timeout))
end
""" % KEY_VARIABLE

# The requests of the table in turn; says "enough" at the last answer and goes
# on until wrk is told to stop.
MIX = """\
local requests, threads = {}, {}
function setup(thread) threads[#threads + 1] = thread end
function init()
   sent, answered, statuses = 0, 0, {}
   for i, row in ipairs(mix) do
      requests[i] = wrk.format(row[1], row[2], row[3])
   end
end
function request()
   sent = sent + 1
   return requests[(sent - 1) % #requests + 1]
end
function response(status)
   answered = answered + 1
   statuses[status] = (statuses[status] or 0) + 1
   if answered == limit then
      io.write("enough\\n")
      io.flush()
   end
end
function done(summary)
   local e, counts = summary.errors, {}
   for status, count in pairs(threads[1]:get("statuses")) do
      counts[#counts + 1] = string.format('"%d":%d', status, count)
   end
   print(string.format('{"failed":%d,"statuses":{%s}}',
      e.connect + e.read + e.write + e.timeout,
      table.concat(counts, ",")))
end
"""

Each = collections.namedtuple("Each", "count method path headers status")


class Wrong(Exception):
    """What was run did not do what is to be measured."""


def command(script, url, seconds):
    return ["wrk", "--threads", str(THREADS), "--connections",
            str(CONNECTIONS), "--duration", f"{seconds}s", "--timeout",
            f"{ANSWER_SECONDS}s", "--script", str(script), url]


def last_object(name, out):
    line = out.strip().rsplit("\n", 1)[-1]
    try:
        return json.loads(line)
    except ValueError:
        raise Wrong(f"{name}: wrk said\n{out}") from None


def measure(name, folder, url, key, size, seconds):
    """Asks for one URL, whose answer has `size` bytes, for some seconds."""
    script = folder / "measure.lua"
    script.write_text(MEASURE)
    done = subprocess.run(
        command(script, url, seconds), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
        timeout=seconds + GRACE_SECONDS,
        env={**os.environ, KEY_VARIABLE: key})
    if done.returncode != 0:
        raise Wrong(f"{name}: wrk: status {done.returncode}\n{done.stdout}")
    found = last_object(name, done.stdout)
    if found["failed"] != 0 or found["requests"] == 0:
        raise Wrong(f"{name}: {found['failed']} of {found['requests']} "
                    f"requests failed\n{done.stdout}")
    if found["bytes"] < found["requests"] * size:
        raise Wrong(f"{name}: {found['requests']} answers of {size} bytes "
                    f"came as {found['bytes']} bytes")
    return Rate(found["requests"] / (found["us"] / 1e6),
                found["p50"] / 1e3, found["p99"] / 1e3)


def lua_text(text):
    return json.dumps(text)


def lua_row(each):
    headers = ",".join(f"[{lua_text(name)}]={lua_text(value)}"
                       for name, value in each.headers.items())
    return (f"   {{{lua_text(each.method)},{lua_text(each.path)},"
            f"{{{headers}}}}},\n")


def mix_script(turns, requests):
    rows = "".join(lua_row(each) for each in turns)
    return f"limit = {requests}\nmix = {{\n{rows}}}\n{MIX}"


def shuffled(mix):
    """One turn: every row as often as it counts, in a fixed disorder."""
    turns = [each for each in mix for _ in range(each.count)]
    random.Random(1).shuffle(turns)
    return turns


def run_mix(folder, url, mix, requests):
    """At least so many requests of the mix; checks what they were answered."""
    turns = shuffled(mix)
    script = folder / "mix.lua"
    script.touch(mode=0o600)        # the keys stand in it
    script.write_text(mix_script(turns, requests))
    process = subprocess.Popen(
        command(script, url, MAX_MIX_SECONDS), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    seen = []
    try:
        for line in process.stdout:
            seen.append(line)
            if line == "enough\n":
                process.send_signal(signal.SIGINT)
        process.wait(GRACE_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
    out = "".join(seen)
    if process.returncode != 0 or "enough\n" not in seen:
        raise Wrong(f"mix: wrk: status {process.returncode}\n{out}")
    check_mix(turns, last_object("mix", out), requests, out)


def check_mix(turns, found, requests, out):
    """Every status came as often as the mix says, to a turn or so."""
    counts = {int(status): count
              for status, count in found["statuses"].items()}
    total = sum(counts.values())
    wanted = collections.Counter(each.status for each in turns)
    slack = max(wanted.values()) + CONNECTIONS
    off = counts.keys() - wanted.keys() | {
        status for status, count in wanted.items()
        if abs(counts.get(status, 0) - total * count / len(turns)) > slack}
    if found["failed"] != 0 or off or total < requests:
        raise Wrong(f"mix: wanted {dict(wanted)} of every {len(turns)}, "
                    f"got {counts}\n{out}")
