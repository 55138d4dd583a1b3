from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import botocore.session
import pytest
from botocore import parsers
from botocore.awsrequest import HeadersDict

from halftone.storage import s3_pages

OBJECT = (
    "<Contents><Key>{key}</Key><LastModified>2024-01-02T03:04:05.678Z</LastModified>"
    "<ETag>&quot;ab&quot;</ETag><Size>{size}</Size><Owner><ID>x</ID></Owner>"
    "<StorageClass>STANDARD</StorageClass></Contents>"
)
PAGE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult{namespace}><Name>b</Name>'
    "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>{objects}<KeyCount>2</KeyCount>"
    "<CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes></ListBucketResult>"
)
NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def parse(body: str, status_code: int = 200, *, is_taken: bool) -> dict[str, Any]:
    """What botocore makes of a page, with the objects taken from it or not."""
    response = {
        "headers": HeadersDict({}),
        "status_code": status_code,
        "body": body.encode(),
        "context": {},
    }
    taken: dict[str, Any] = {}
    if is_taken:
        s3_pages.take_objects(response_dict=response, customized_response_dict=taken, model=None)
    operation = botocore.session.get_session().get_service_model("s3")
    shape = operation.operation_model("ListObjectsV2").output_shape
    return {**parsers.RestXMLParser().parse(response, shape), **taken}


@pytest.mark.parametrize("namespace", ["", NAMESPACE])
def test_a_page_is_parsed_as_botocore_parses_it(namespace: str) -> None:
    keys = ("a%20b.jpg", "&lt;&amp;é", "x")
    objects = "".join(OBJECT.format(key=key, size=2**40) for key in keys)
    page = PAGE.format(namespace=namespace, objects=objects)
    taken, plain = parse(page, is_taken=True), parse(page, is_taken=False)
    for found in plain["Contents"]:
        del found["Owner"]
    assert taken == plain
    assert taken["Contents"][1] == {
        "Key": "<&é",
        "Size": 2**40,
        "LastModified": datetime(2024, 1, 2, 3, 4, 5, 678000, timezone.utc),
        "ETag": '"ab"',
        "StorageClass": "STANDARD",
    }


@pytest.mark.parametrize(
    "page",
    [
        PAGE.format(namespace=NAMESPACE, objects=""),
        PAGE.format(namespace="", objects="<Contents><Key>a</Key></Contents>"),
        PAGE.format(namespace="", objects=OBJECT).replace("2024-01-02T", "Tue, 2 Jan 2024 ").format(
            key="a", size=1
        ),
    ],
    ids=["no objects", "no size", "another kind of time"],
)  # fmt: skip
def test_a_page_that_is_not_understood_is_left_to_botocore(page: str) -> None:
    assert parse(page, is_taken=True) == parse(page, is_taken=False)


def test_an_error_is_left_to_botocore() -> None:
    body = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>"
    parsed = parse(body, 404, is_taken=True)
    assert parsed["Error"]["Code"] == "NoSuchBucket"
