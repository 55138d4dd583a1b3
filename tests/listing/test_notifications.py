"""Notifications as the stores' documentation shows them, with the envelopes of their services."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from halftone.errors import InputError
from halftone.listing.notifications import NamedObject, read_notifications

S3_RECORD = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "eventName": "ObjectCreated:Put",
    "s3": {
        "bucket": {"name": "b"},
        "object": {"key": "cat/red+flower%C3%BC.jpg", "size": 1024, "sequencer": "0A1B2C3D4E5F6"},
    },
}
S3_EVENT = {"Records": [S3_RECORD]}
CAT = [NamedObject("b", "cat/red flowerü.jpg")]
EVENT_BRIDGE = {
    "detail-type": "Object Deleted",
    "source": "aws.s3",
    "detail": {"bucket": {"name": "b"}, "object": {"key": "a+b%20c.jpg"}, "reason": "DeleteObject"},
}
GCS_ATTRIBUTES = {"eventType": "OBJECT_FINALIZE", "bucketId": "b", "objectId": "a+b%20c.jpg"}
GCS_DATA = base64.b64encode(json.dumps({"bucket": "b", "name": "d.jpg"}).encode()).decode()
AZURE = {
    "subject": "/blobServices/default/containers/c/blobs/a b/1.jpg",
    "eventType": "Microsoft.Storage.BlobCreated",
    "data": {"api": "PutBlob", "url": "https://acc.blob.core.windows.net/c/a%20b/1.jpg"},
}
BLOB = [NamedObject("c", "a b/1.jpg", "acc")]


def read(tmp_path: Path, *events: Any) -> list[NamedObject]:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return list(read_notifications(str(path)))


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (S3_EVENT, CAT),
        ({"Records": [S3_RECORD, S3_RECORD]}, CAT * 2),
        ({"Type": "Notification", "Message": json.dumps(S3_EVENT)}, CAT),  # SNS
        ({"MessageId": "1", "Body": json.dumps(S3_EVENT)}, CAT),  # SQS
        ({"Messages": [{"Body": json.dumps({"Message": json.dumps(S3_EVENT)})}]}, CAT),
        ({"Records": [{"eventSource": "aws:sqs", "body": json.dumps(S3_EVENT)}]}, CAT),  # Lambda
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}, []),
        (EVENT_BRIDGE, [NamedObject("b", "a+b%20c.jpg")]),
        ({"Body": json.dumps(EVENT_BRIDGE)}, [NamedObject("b", "a+b%20c.jpg")]),
        ({"attributes": GCS_ATTRIBUTES, "data": "e30="}, [NamedObject("b", "a+b%20c.jpg")]),
        (
            {"message": {"attributes": GCS_ATTRIBUTES}, "subscription": "s"},
            [NamedObject("b", "a+b%20c.jpg")],
        ),
        ({"receivedMessages": [{"message": {"data": GCS_DATA}}]}, [NamedObject("b", "d.jpg")]),
        (AZURE, BLOB),
        ([AZURE, AZURE], BLOB * 2),
        ({"type": "Microsoft.Storage.BlobDeleted", "data": AZURE["data"]}, BLOB),  # CloudEvents
        (
            {
                "eventType": "Microsoft.Storage.BlobRenamed",
                "data": {
                    "sourceUrl": "https://acc.dfs.core.windows.net/c/old.jpg",
                    "destinationUrl": "https://acc.dfs.core.windows.net/c/new.jpg",
                },
            },
            [NamedObject("c", "old.jpg", "acc"), NamedObject("c", "new.jpg", "acc")],
        ),
    ],
)
def test_an_object_is_named_whatever_the_envelope(
    tmp_path: Path, event: Any, named: list[NamedObject]
) -> None:
    assert read(tmp_path, event, event) == named * 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"a": 1, "b": 2}', "unknown fields: a, b"),
        ("not JSON", "not read as one"),
        ("[1]", "not read as one"),
        ('{"Records": [{"s3": {}}]}', "not read as one"),
        ('{"data": "?"}', "data is not base64"),
        (
            '{"eventType": "Microsoft.Storage.DirectoryDeleted", "data": {}}',
            "Microsoft.Storage.DirectoryDeleted names no objects, but a folder of them; remove the "
            "line and run once without --changes",
        ),
    ],
)
def test_an_unknown_line_is_an_error(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f"{json.dumps(S3_EVENT)}\n\n{line}\n")
    with pytest.raises(InputError) as raised:
        list(read_notifications(str(path)))
    assert str(raised.value) == (
        f"{path}, line 3: no notification of S3, Google Cloud Storage or Azure ({problem}); "
        "correct or remove the line"
    )


@pytest.mark.parametrize(
    ("named", "root", "path"),
    [
        (NamedObject("b", "i/1.jpg"), "s3://b/i", "1.jpg"),
        (NamedObject("b", "i/1.jpg"), "s3://b", "i/1.jpg"),
        (NamedObject("b", "in/1.jpg"), "s3://b/i", None),
        (NamedObject("c", "i/1.jpg"), "s3://b/i", None),
        (NamedObject("c", "i/1.jpg", "acc"), "abfs://c/i", "1.jpg"),
        (NamedObject("c", "i/1.jpg", "acc"), "abfs://c@acc.dfs.core.windows.net/i", "1.jpg"),
        (NamedObject("c", "i/1.jpg", "acc"), "abfs://c@other.dfs.core.windows.net/i", None),
    ],
)
def test_the_path_below_the_folder_of_images(named: NamedObject, root: str, path: str) -> None:
    assert named.path_below(root) == path
