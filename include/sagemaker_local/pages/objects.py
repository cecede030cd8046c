"""Objects for a browser: `/_local/objects/<bucket>/<key>`. S3 itself, like AWS's, answers signed requests only."""

from __future__ import annotations

import mimetypes

from botocore.exceptions import BotoCoreError, ClientError

from include.sagemaker_local.context import Context
from include.sagemaker_local.http.types import Reply
from include.sagemaker_local.pages.render import page

OBJECTS = "/_local/objects"
# A report brings its styles and pictures with it; it has no business with scripts or other addresses.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox"


def answer_object(context: Context, path: str) -> Reply:
    """The object, as what its name says it is; a page with status 404 when there is none."""
    bucket, _, key = path.removeprefix(OBJECTS).strip("/").partition("/")
    try:
        body: bytes = context.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except (BotoCoreError, ClientError):
        return page("message.html", 404, heading="No such object", message=f"s3://{bucket}/{key}")
    kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    return 200, [("Content-Type", kind), ("Content-Security-Policy", _POLICY)], body
