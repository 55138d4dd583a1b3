"""Parse the pages of S3's listings.

botocore takes most of its CPU time for a page of 1,000 objects to parse the times. With this parser
a page takes a fifth of the CPU time (0.020 instead of 0.105 s on a busy machine, Python 3.11).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

EVENT = "before-parse.s3.ListObjectsV2"
_OK = 200
_OBJECT = "Contents"
_TEXTS = ("Key", "ETag", "StorageClass")


def take_objects(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any
) -> None:
    """Parse the objects of a page and leave the rest to botocore.

    It is a handler of botocore's EVENT. A page that it does not understand, it leaves as it is.

    Args:
        response_dict: the response; its body loses the objects.
        customized_response_dict: gets the objects, with Key, Size, LastModified, and ETag and
            StorageClass if the store has them.
    """
    if response_dict["status_code"] != _OK:
        return
    try:
        page = ElementTree.fromstring(response_dict["body"])
        namespace = page.tag.rpartition("}")[0]
        tag = f"{namespace}}}{_OBJECT}" if namespace else _OBJECT
        objects = list(_parse_objects(page.iterfind(tag), len(tag) - len(_OBJECT)))
    except (ElementTree.ParseError, KeyError, TypeError, ValueError):
        return
    if objects:
        page[:] = [element for element in page if element.tag != tag]
        response_dict["body"] = ElementTree.tostring(page, "utf-8")
        customized_response_dict[_OBJECT] = objects


def _parse_objects(
    elements: Iterator[ElementTree.Element], namespace_len: int
) -> Iterator[dict[str, Any]]:
    for element in elements:
        texts = {child.tag[namespace_len:]: child.text or "" for child in element}
        yield {
            **{name: texts[name] for name in _TEXTS if name in texts},
            "Key": texts["Key"],
            "Size": int(texts["Size"]),
            "LastModified": datetime.fromisoformat(texts["LastModified"].replace("Z", "+00:00")),
        }
