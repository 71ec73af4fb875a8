"""Documents made by chance, and their canonical JSON (RFC 8785) by means of
Python's standard library: float() finds the nearest double, repr() its shortest
digits, UTF-16 the order of names, json the escapes.  Nothing of it is ours."""
import hashlib
import json
import math
import struct
import subprocess

# Where orders and escapes change, and some letters between.
EDGES = ("\0\x01\x08\t\n\x0b\f\r\x1f \"'/0A\\az\x7f\x80\x9f\xa0\xf8\u07ff\u0800"
         "\u2028\u2029\u20ac\ud7ff\ue000\uf8ff\ufb33\ufdd0\ufeff\ufffe\uffff"
         "\U00010000\U0001f600\U000fffff\U0010ffff")
LEVELS = 4


class Number(str):
    """A number as it is written."""


def double(bits):
    """The double of these 64 bits."""
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def bits_by_chance(chance):
    """64 bits, of any double or of one at an edge."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.getrandbits(64)
    sign = chance.getrandbits(1) << 63
    if kind == 1:  # a power of two, or its neighbour
        return sign | max(0, (chance.randrange(2047) << 52)
                          + chance.randrange(-1, 2))
    if kind == 2:  # a subnormal
        return sign | chance.getrandbits(chance.randrange(1, 53))
    # Few digits, or one off.
    value = float("%de%d" % (chance.randrange(1, 10 ** chance.randrange(1, 17)),
                             chance.randrange(-320, 290)))
    bits, = struct.unpack("<Q", struct.pack("<d", value))
    return sign | max(0, bits + chance.randrange(-1, 2))


def number_by_chance(chance):
    """The text of a number that a Decimal128 or an int64 holds."""
    kind = chance.randrange(7)
    sign = chance.choice(["", "-"])
    if kind == 0:
        return Number(sign + str(chance.randrange(1000)))
    if kind == 1:
        return Number(sign + str(chance.getrandbits(chance.randrange(1, 64))))
    if kind == 2:  # half way between two doubles, or just beside
        half = (2 * chance.getrandbits(53) + 1) << chance.randrange(51)
        return Number("%s%d.%s" % (sign, half + chance.randrange(-1, 2),
                                   chance.choice(["0", "1", "01"])))
    if kind == 3:
        value = double(bits_by_chance(chance))
        return Number(repr(value) if math.isfinite(value) else "0")
    if kind == 4:
        return Number("%s%d.%02d" % (sign, chance.randrange(10000),
                                     chance.randrange(100)))
    digits = str(chance.randrange(1, 10 ** chance.randrange(1, 34)))
    if kind == 5:  # where the notation changes
        exponent = chance.randrange(-9, 25) - len(digits)
    else:
        exponent = chance.randrange(-345, 315) - len(digits)
        # Out of range, but seldom: the whole document is an error then.
        if exponent + len(digits) > 308 and chance.randrange(8):
            exponent -= 10
    return Number("%s%s%s%d" % (sign, digits, chance.choice("eE"), exponent))


def text_by_chance(chance, is_name=False):
    """Some characters; a name has no NUL."""
    length = chance.choice([0, 1, 1, 2, 2, 3, 8, 40])
    text = "".join(chance.choice(EDGES) for _ in range(length))
    return text.replace("\0", "") if is_name else text


def value_by_chance(chance, level):
    """A value; containers end at LEVELS."""
    kind = chance.randrange(10 if level < LEVELS else 8)
    if kind < 4:
        return number_by_chance(chance)
    if kind < 7:
        return text_by_chance(chance)
    if kind == 7:
        return chance.choice([None, True, False])
    if kind == 8:
        return [value_by_chance(chance, level + 1)
                for _ in range(chance.randrange(5))]
    return document_by_chance(chance, level + 1)


def document_by_chance(chance, level=1):
    """An object whose members are in no order."""
    return {text_by_chance(chance, True): value_by_chance(chance, level)
            for _ in range(chance.choice([0, 1, 3, 8, 20]) if level > 1
                           else 6)}


def written(value, chance):
    """The value as one of the texts that stand for it."""
    space = chance.choice(["", "", " "])
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, list):
        return "[%s]" % ("," + space).join(
            written(item, chance) for item in value)
    if isinstance(value, dict):
        return "{%s}" % ("," + space).join(
            "%s:%s%s" % (json.dumps(name, ensure_ascii=chance.getrandbits(1)),
                         space, written(item, chance))
            for name, item in value.items())
    return json.dumps(value, ensure_ascii=chance.getrandbits(1))


def plain(value):
    """The same with floats for numbers, as most languages read it."""
    if isinstance(value, Number):
        return float(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def number_text(value):
    """A float as ECMAScript's Number::toString (ECMA-262) writes it."""
    if not math.isfinite(value):
        raise ValueError(value)
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS * 10 ** point.
    point = int(exponent or 0) + len(digits) - len(fraction)
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    tail = "." + digits[1:] if len(digits) > 1 else ""
    return "%s%s%se%+d" % (sign, digits[0], tail, point - 1)


def canonical(value):
    """The canonical JSON of a plain value; ValueError when it has none."""
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list):
        return "[%s]" % ",".join(map(canonical, value))
    if isinstance(value, dict):
        return "{%s}" % ",".join(
            json.dumps(name, ensure_ascii=False) + ":" + canonical(value[name])
            for name in sorted(value, key=lambda n: n.encode("utf-16-be")))
    return json.dumps(value, ensure_ascii=False)


def lines(program, text, *arguments):
    """What the program writes, as lines of bytes."""
    done = subprocess.run([str(program), *arguments], input=text, check=True,
                          stdout=subprocess.PIPE)
    assert done.stdout.endswith(b"\n")
    return done.stdout[:-1].split(b"\n")


def compare_documents(program, chance, count, *others):
    """Compares the program with canonical(), and with others, which do the same
    to bytes; how many of count documents were errors."""
    values = [document_by_chance(chance) for _ in range(count)]
    text = "\n".join(written(value, chance) for value in values)
    found = lines(program, text.encode("utf-8"))
    assert len(found) == count, (len(found), count)
    errors = 0
    for value, line in zip(values, found):
        value = plain(value)
        try:
            expected = canonical(value).encode("utf-8")
        except ValueError:
            assert b"is beyond what a double can hold" in line, (value, line)
            errors += 1
            continue
        digest = hashlib.sha256(expected).hexdigest().encode("ascii")
        assert line == digest + b" " + expected, (value, line, expected)
        for other in others:
            assert other(value) == expected, (value, expected)
    return errors


def compare_doubles(program, chance, count, *others):
    """The same for numbers; every power of two is among them."""
    bits = [exponent << 52 for exponent in range(2048)]
    bits += [1 << bit for bit in range(52)]
    bits += [bits_by_chance(chance) for _ in range(count)]
    text = "".join("%016x\n" % number for number in bits)
    found = lines(program, text.encode("ascii"), "-d")
    assert len(found) == len(bits)
    for number, line in zip(bits, found):
        value = double(number)
        if not math.isfinite(value):
            assert line == b"!", (hex(number), line)
            continue
        expected = number_text(value).encode("ascii")
        assert line == expected, (hex(number), line, expected)
        for other in others:
            assert other(value) == expected, (value, expected)
