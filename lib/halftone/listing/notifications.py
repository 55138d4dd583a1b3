"""Notifications of a store: which objects have changed, as S3, Google Cloud Storage and Azure tell.

A line of a file is a notification as JSON, as it comes from SQS, SNS, EventBridge, Pub/Sub or Event
Grid, with or without the envelopes of these services. They may come twice and out of order, so they
only name objects; whether one exists is asked for later.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional
from urllib.parse import unquote, unquote_plus, urlsplit

from halftone import storage
from halftone.errors import InputError

# Fields of envelopes that hold a notification as text, as JSON, or a list of them.
_ENVELOPES = ("Messages", "receivedMessages", "Body", "body", "Message", "Sns")
_AZURE_OBJECT = "Microsoft.Storage.Blob"
_AZURE_FOLDER = "Microsoft.Storage.Directory"
_AZURE_SUBJECT = "/blobServices/default/containers/"
_FOLDER_CREATED = "Microsoft.Storage.DirectoryCreated"  # it holds no object yet


class NamedObject(NamedTuple):
    """An object that a notification names."""

    bucket: str  # or container
    key: str
    account: str = ""  # of Azure

    def path_below(self, root: str) -> Optional[str]:
        """Return the path below a folder of a store, or None if it is not there."""
        host, _, folder = root.partition("://")[2].partition("/")
        bucket, _, account = host.partition("@")
        if bucket != self.bucket or (
            account and self.account and account.split(".")[0] != self.account
        ):
            return None
        prefix = f"{folder}/" if folder else ""
        return self.key[len(prefix) :] if self.key.startswith(prefix) else None


def read_notifications(url: str) -> Iterator[NamedObject]:
    """Yield the objects that the notifications of a file of JSON Lines name, maybe several times.

    Raises:
        InputError: a line is no notification; the message has the file and the line.
    """
    with storage.open_file(url) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield from _objects_of(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                problem = error if isinstance(error, _UnknownError) else "not read as one"
                raise InputError(
                    f"{url}, line {number}: no notification of S3, Google Cloud Storage or Azure "
                    f"({problem}); correct or remove the line"
                ) from None


class _UnknownError(ValueError):
    """JSON that is no notification."""


def _objects_of(event: Any) -> Iterator[NamedObject]:
    """Yield the objects that a notification names, whatever its envelopes."""
    if isinstance(event, str):
        event = json.loads(event)
    if isinstance(event, list):
        for one in event:
            yield from _objects_of(one)
    elif "Records" in event:
        for record in event["Records"]:
            yield from [_s3_object(record)] if "s3" in record else _objects_of(record)
    elif event.get("Event") == "s3:TestEvent":  # S3 sends it when notifications are set up
        return
    elif event.get("source") == "aws.s3":  # EventBridge, whose keys are not encoded
        yield NamedObject(event["detail"]["bucket"]["name"], event["detail"]["object"]["key"])
    elif str(event.get("eventType", event.get("type"))).startswith("Microsoft.Storage."):
        yield from _azure_objects(event)
    elif "attributes" in event or "data" in event:
        yield _gcs_object(event)
    elif "message" in event:
        yield from _objects_of(event["message"])
    else:
        yield from _unpack(event)


def _unpack(event: Mapping[str, Any]) -> Iterator[NamedObject]:
    name = next((name for name in _ENVELOPES if name in event), None)
    if name is None:
        names = ", ".join(sorted(event)[:5])
        raise _UnknownError(f"unknown fields: {names}")
    yield from _objects_of(event[name])


def _s3_object(record: Mapping[str, Any]) -> NamedObject:
    return NamedObject(record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"]))


def _gcs_object(message: Mapping[str, Any]) -> NamedObject:
    attributes = message.get("attributes") or {}
    if "objectId" in attributes:
        return NamedObject(attributes["bucketId"], attributes["objectId"])
    try:
        found = json.loads(base64.b64decode(message["data"], validate=True))
    except binascii.Error:
        raise _UnknownError("data is not base64") from None
    return NamedObject(found["bucket"], found["name"])


def _azure_objects(event: Mapping[str, Any]) -> Iterator[NamedObject]:
    kind, data = str(event.get("eventType") or event["type"]), event["data"]
    if kind.startswith(_AZURE_FOLDER):
        if kind == _FOLDER_CREATED:
            return
        raise _UnknownError(
            f"{kind} names no objects, but a folder of them; remove the line and run once without "
            "--changes"
        )
    if not kind.startswith(_AZURE_OBJECT):
        return  # of an account, such as an inventory that is complete
    urls = [data[name] for name in ("url", "sourceUrl", "destinationUrl") if data.get(name)]
    if len(urls) == 1 and str(event.get("subject", "")).startswith(_AZURE_SUBJECT):
        container, _, key = event["subject"][len(_AZURE_SUBJECT) :].partition("/blobs/")
        yield NamedObject(container, key, _account_of(urls[0]))  # not encoded, unlike the URL
        return
    if not urls:
        raise _UnknownError("no url")
    for url in urls:
        container, _, key = unquote(urlsplit(url).path).lstrip("/").partition("/")
        yield NamedObject(container, key, _account_of(url))


def _account_of(url: str) -> str:
    return (urlsplit(url).hostname or "").partition(".")[0]
