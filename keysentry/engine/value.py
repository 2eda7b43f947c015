"""What can be told of a value from itself: how random it is, and what else than a secret it looks like.

Pure functions of bytes. `placeholder` and `lookalike` name what they see in words fit for a reason.
"""

from __future__ import annotations

import math
import re

_PLACEHOLDER = re.compile(
    rb"(?i)example|sample|dummy|placeholder|change[_.-]?me|redacted|insert[_-]|replace[_-]?(?:me|this|with)|\byour[_-]|^your|"
    rb"<[a-z_ -]+>|^env:|\$\{|\{\{|%\(|\$\(|#\{|<%|%[sd]\b|\{[^{}]*\}|x{5}|\*{4}|\.{4}|0{8}|12345678|abcdefgh|23456789|"
    rb"foobar|lorem|\xe2\x80\xa6|deadbeef|cafebabe|do[_-]?not[_-]?use|not[_-]?a[_-]?real|fake|hunter2|s3cr3t|p[a@]ssw[o0]rd123|todo|n/a\b"
)
_STRONG_PLACEHOLDER = re.compile(
    rb"(?i)example(?!\.(?:com|org|net))|placeholder|changeme|redacted|x{6}|\*{4}|\.{6}|\xe2\x80\xa6|1234567|abcdefg|(?:dummy|sample|fake)[_-]"
)
_RUN = re.compile(rb"(.)\1{5,}", re.DOTALL)
_UUID = re.compile(rb"\{?[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\}?")
_HEX = re.compile(rb"(?:0x)?[0-9a-fA-F]+")
_DIGITS = re.compile(rb"[0-9][0-9., :/T+-]*Z?")
_PATH = re.compile(
    rb"(?:\.{0,2}|~|[A-Za-z]:|[\w.-]+)?(?:[/\\][\w.@*-]+){2,}[/\\]?|[\w-]+/[\w.-]+\.[a-z]{2,4}|/[\w./-]*"
)
_URL = re.compile(rb"(?:[a-z][a-z0-9+.-]{1,12}:)?//\S*|www\.\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_CODE = re.compile(
    rb"[A-Za-z_$][\w$]*(?:(?:\.|->|::|\?\.)[A-Za-z_$][\w$]*)+(?:\(.*|\[.*)?|[A-Za-z_$][\w$.]*[(\[].*|[@$&][A-Za-z_][\w.]*|%\w+%|"
    rb".*(?:\(\)|\);).*"
)
_IDENTIFIER = re.compile(
    rb"-{0,2}[A-Za-z]+(?:[_.-][A-Za-z]+)+[0-9]{0,2}[_./-]?|[a-z]+(?:[A-Z][a-z]+)+[0-9]?|(?:[A-Z][a-z]+){2,}[0-9]?|[A-Z]+(?:_[A-Z0-9]+)+|"
    rb"[A-Za-z]{4,}[0-9]?[_./-]?|[A-Z][0-9](?:[A-Z][a-z]+){2,}"
)
_REGEX = re.compile(rb".*(?:\(\?|\[[^\]]+\][+*{]|\\[wdsbWDSB]|\x08|\.[*+]).*", re.DOTALL)
_DIGEST_LENGTHS = frozenset((32, 40, 56, 64, 96, 128))
_MARKED_DIGEST = re.compile(rb"(?i)(?:sha(?:1|224|256|384|512)|md5)[-:=].*")


def entropy(value: bytes) -> float:
    """Shannon entropy of the bytes of a value, in bits a byte; 0 for an empty one."""
    size = len(value)
    if not size:
        return 0.0
    counts = [value.count(byte) for byte in set(value)]
    return -sum(count / size * math.log2(count / size) for count in counts)


def placeholder(value: bytes) -> str:
    """Why a value is no secret but stands for one; empty if nothing says so."""
    found = _PLACEHOLDER.search(value)
    if found:
        return "it reads like a placeholder"
    if _monotonous(value) or len(set(value)) <= 2:
        return "it repeats one character"
    return ""


def _monotonous(value: bytes) -> bool:
    """Whether a run of one character makes up a good part of a value."""
    return any(len(run[0]) * 4 >= len(value) for run in _RUN.finditer(value))


def strong_placeholder(value: bytes) -> str:
    """As `placeholder`, for values of which the form alone says much: only what random characters do not show by
    chance.
    """
    if _STRONG_PLACEHOLDER.search(value):
        return "it reads like a placeholder"
    if _monotonous(value):
        return "it repeats one character"
    return ""


def lookalike(value: bytes) -> str:
    """What a value looks like that is not a secret: an identifier, a path, a link, a number; empty if nothing."""
    if _UUID.fullmatch(value):
        return "a UUID"
    if _DIGITS.fullmatch(value):
        return "a number or a date"
    if _URL.fullmatch(value):
        return "an address"
    if _PATH.fullmatch(value):
        return "a path"
    if _CODE.fullmatch(value):
        return "an expression of code"
    if _MARKED_DIGEST.fullmatch(value):
        return "a marked digest"
    if _REGEX.fullmatch(value):
        return "a regular expression"
    if _IDENTIFIER.fullmatch(value):
        return "an identifier"
    return ""


def is_hex_digest(value: bytes) -> bool:
    """Whether a value has the length and the letters of a usual digest (MD5, SHA-1, SHA-2)."""
    return len(value) in _DIGEST_LENGTHS and _HEX.fullmatch(value) is not None


def classes(value: bytes) -> int:
    """How many of these a value holds: small letters, capitals, digits, anything else."""
    return len(set(value.translate(_CLASSES)))


def changes(value: bytes) -> int:
    """How often the kind of character (letter, digit, other) changes along a value."""
    return max(len(_SAME.findall(value.translate(_KINDS))) - 1, 0)


_SAME = re.compile(rb"\x00+|\x01+|\x02+")
_CLASSES = bytes(0 if 97 <= b <= 122 else 1 if 65 <= b <= 90 else 2 if 48 <= b <= 57 else 3 for b in range(256))
_KINDS = bytes(0 if chr(b).isalpha() and b < 128 else 1 if 48 <= b <= 57 else 2 for b in range(256))
