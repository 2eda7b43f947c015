"""Requests that a template cannot write, because they are signed: one function each, and their table.

A function gets the rule's request and the values of its placeholders, and makes what is sent.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from keysentry.errors import InputError
from keysentry.response.outbound import Outgoing
from keysentry.rules.schema import Request

Signed = Callable[[Request, Mapping[str, str]], Outgoing]

_FORM = "application/x-www-form-urlencoded; charset=utf-8"


def aws_caller_identity(request: Request, values: Mapping[str, str]) -> Outgoing:
    """`sts:GetCallerIdentity` with the key that was found: no permission is needed, and nothing can forbid it.

    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html. The signature is that of version 4:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
    """
    key_id, secret = values.get("id", ""), values["secret"]
    if not key_id.isascii() or not key_id.isalnum():
        raise InputError("the id of the access key was not found beside it", place="aws-caller-identity")
    host = urlsplit(request.url).netloc
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    moment = datetime.now(UTC)
    stamp, day = moment.strftime("%Y%m%dT%H%M%SZ"), moment.strftime("%Y%m%d")
    scope = f"{day}/us-east-1/sts/aws4_request"
    signed = "content-type;host;x-amz-date"
    canonical = "\n".join(
        ("POST", "/", "", f"content-type:{_FORM}", f"host:{host}", f"x-amz-date:{stamp}", "", signed, _digest(body))
    )
    key = f"AWS4{secret}".encode()
    for part in (day, "us-east-1", "sts", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, _digest(canonical.encode())))
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={signed}, Signature={signature}"
    headers = {"Content-Type": _FORM, "X-Amz-Date": stamp, "Authorization": authorization}
    return Outgoing(method="POST", url=f"https://{host}/", headers=headers, body=body, hosts=(), shown="")


FUNCTIONS: dict[str, Signed] = {"aws-caller-identity": aws_caller_identity}


def _digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()
