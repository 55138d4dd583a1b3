"""Addresses of object stores, and options of their clients."""

from __future__ import annotations

from mistakes.mistake import Mistake

PREFIXES = (
    "Local paths have no scheme. The documents name s3://, gs://, abfs:// and hdfs://; other "
    "schemes of fsspec work if its package is installed."
)

MISTAKES = (
    Mistake(
        "s4:// instead of s3://",
        ("score", "--images", "s4://bucket/images"),
        "error: --images s4://bucket/images: 1 mistake\n"
        '  paths.new_images = "s4://bucket/images": unknown scheme s4://; did you mean s3://? '
        "Known are s3://, gs://, abfs:// and hdfs://",
        PREFIXES,
        "Correct the scheme.",
    ),
    Mistake(
        "s4:// for an export",
        ("export", "--output", "s4://bucket/records"),
        "error: s4://bucket/records: unknown scheme s4://; did you mean s3://? Known are s3://, "
        "gs://, abfs:// and hdfs://",
        PREFIXES,
        "Correct the scheme.",
    ),
    Mistake(
        "an address of a store without http",
        ("score", "--set", "storage.options.s3.endpoint_url=localhost:9000"),
        "error: {site}/run.yaml with --set storage.options.s3.endpoint_url=localhost:9000: 1 "
        "mistake\n  storage: options.s3.endpoint_url is localhost:9000, which is no URL; write "
        "https://localhost:9000, or http://localhost:9000 without encryption",
        "The client of S3 takes a URL.",
        "Write the address with https:// or http:// before it.",
    ),
    Mistake(
        "s3:/ instead of s3://",
        ("preprocess", "--input", "s3:/bucket/images"),
        "error: s3:/bucket/images: has one slash too few; write s3://bucket/images",
        "With one slash it would be a local path.",
        "Write two slashes.",
    ),
    Mistake(
        "a password in a path",
        ("score", "--dataset", "s3://user:secret@bucket/dataset"),
        "error: a path that begins with s3:// contains a password; remove it, and provide it as "
        "described in docs/how-to/storage.md",
        "Paths are written to manifests, model cards and logs, so they must hold no secrets.",
        "Give credentials by the environment, a profile or the role of the machine.",
    ),
    Mistake(
        "an option of the S3 client that does not exist",
        (
            *("score", "--dataset", "s3://bucket/dataset"),
            *("--set", "storage.options.s3.client_kwargs={regoin_name: eu}"),
        ),
        "error: s3://bucket/dataset/manifest.json: the client of s3:// cannot be opened: "
        "AioSession._create_client() got an unexpected keyword argument 'regoin_name'; correct "
        "storage.options.s3 (client_kwargs)",
        "The options are arguments of fsspec's client of the store, which does not know one.",
        "Correct the name; the last brackets list the options that are set.",
    ),
    Mistake(
        "options of the S3 client that are no options",
        (
            *("score", "--dataset", "s3://bucket/dataset"),
            *("--set", "storage.options.s3.config_kwargs=fast"),
        ),
        "error: s3://bucket/dataset/manifest.json: the client of s3:// cannot be opened: 'str' "
        "object is not a mapping; correct storage.options.s3 (config_kwargs)",
        "An option has a value of the wrong kind.",
        "Correct the value; config_kwargs and client_kwargs hold further options.",
    ),
)
