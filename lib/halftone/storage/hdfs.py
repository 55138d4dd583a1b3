"""HDFS by Hadoop's own protocol, with the client hdfs-native, which needs no Java.

Its own file system for fsspec cuts names at `#` and `?`, fills a file piece by piece, so that
readers see a part of it, and reads one file after the other.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, Any, Optional, Union

import hdfs_native

from halftone.storage.hdfs_files import HdfsFiles, TransientError, java_error

_DEFAULT_PORT = 8020  # of a NameNode
_WRITTEN_BYTES = 4 * 2**20  # at once
# By default the client tries for three minutes to connect, also to a wrong address. HdfsFiles
# repeats what has failed.
_DEFAULTS = {
    "dfs.client.failover.max.attempts": "3",
    "dfs.client.failover.sleep.base.millis": "100",
}
_NAME = re.compile(r"[a-z][\w-]*(\.[\w-]+)+")  # of a setting of Hadoop
# The text of a RuntimeError of the client: a kind of error, and what it holds as literals.
_KIND = re.compile(r"(\w+)\((.*)\)$", re.DOTALL)
_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]+)\}|(.))")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_TRANSIENT_KINDS = {"ChecksumError", "DataTransferError", "OperationFailed", "InvalidRPCResponse"}
_DENIED_KINDS = {"GSSAPIError", "NoSASLMechanism", "SASLError"}


class HdfsStore(HdfsFiles):
    """A NameNode, or a name service of several.

    Args:
        host: and port, or the name of a service in the settings of Hadoop; empty: their default.
        options: settings of Hadoop, which take precedence over those in HADOOP_CONF_DIR.

    Raises:
        ValueError: an option is no setting of Hadoop, or the NameNode is not known.
    """

    protocol = "hdfs"

    def __init__(self, host: str, use_listings_cache: bool = False, **options: Any) -> None:
        super().__init__(use_listings_cache=use_listings_cache)
        for name in options:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name} is no setting of Hadoop, such as dfs.client.use.datanode.hostname"
                )
        # The client takes the name of the account, which in a container of YARN may be another.
        if not os.environ.get("HADOOP_USER_NAME"):
            os.environ["HADOOP_USER_NAME"] = getpass.getuser()
        settings = {**_DEFAULTS, **{name: _text(value) for name, value in options.items()}}
        self._client = _open_client(host, settings)

    def _cat_once(self, path: str, start: int, end: Optional[int]) -> bytes:
        with _translated_errors(path):
            file = self._client.read(path)
        size = len(file)
        if start and start >= size:  # the client would panic
            raise OSError(f"{path}: {start} is out of the range of its {size} bytes")
        end = size if end is None else min(end, size)
        with _translated_errors(path):
            content: bytes = file.read_range(start, end - start)
        return content

    def _upload(self, path: str, content: Union[bytes, IO[bytes]]) -> None:
        options = hdfs_native.WriteOptions(overwrite=True)
        with _translated_errors(path), self._client.create(path, options) as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                while part := content.read(_WRITTEN_BYTES):
                    file.write(part)

    def _rename_once(self, temporary: str, path: str, replaces: bool) -> None:
        try:
            with _translated_errors(path):
                self._client.rename(temporary, path, replaces)
        except FileNotFoundError as error:  # the client may have repeated a lost call
            raise TransientError(*error.args) from error

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Describe a file or folder: its name, type, size and mtime.

        Raises:
            FileNotFoundError: there is none.
        """
        path = self._strip_protocol(path)
        return self._retry(partial(self._info_once, path))

    def _info_once(self, path: str) -> dict[str, Any]:
        with _translated_errors(path):
            return {**_entry(self._client.get_file_info(path)), "name": path}

    def ls(self, path: str, detail: bool = False, **_: Any) -> list[Any]:
        """List a folder, or a file alone."""
        entries = self._retry(partial(self._ls_once, self._strip_protocol(path)))
        return entries if detail else [entry["name"] for entry in entries]

    def _ls_once(self, path: str) -> list[dict[str, Any]]:
        with _translated_errors(path):
            return [_entry(status) for status in self._client.list_status(path)]

    def delete_tree(self, path: str) -> None:
        """Delete a file, or a folder and all below it, if it exists."""
        self._retry(partial(self._delete_once, self._strip_protocol(path)))

    def _delete_once(self, path: str) -> None:
        with _translated_errors(path):
            self._client.delete(path, True)


def _open_client(host: str, settings: dict[str, str]) -> Any:
    try:
        return hdfs_native.Client(f"hdfs://{host}", settings)
    except RuntimeError as error:
        if "No NameNode hosts found" in str(error):  # no name service
            return hdfs_native.Client(f"hdfs://{host}:{_DEFAULT_PORT}", settings)
        if "No fs.defaultFS" in str(error):
            raise ValueError(
                "no NameNode is given, nor fs.defaultFS in HADOOP_CONF_DIR; write "
                f"hdfs://NAMENODE:{_DEFAULT_PORT}/... or set HADOOP_CONF_DIR"
            ) from None
        raise ValueError(str(error)) from None


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _entry(status: Any) -> dict[str, Any]:
    return {
        "name": status.path,
        "type": "directory" if status.isdir else "file",
        "size": status.length,
        "mtime": status.modification_time / 1000,
    }


@contextmanager
def _translated_errors(path: str) -> Iterator[None]:
    """Raise errors of the client as the OSError that fits, with the path and without Java's stack.

    Raises:
        TransientError: another attempt may succeed.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError, IsADirectoryError) as error:
        raise type(error)(f"{path}: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise TransientError(f"{path}: {error}") from None
    except RuntimeError as error:
        raise _translate(str(error), path) from None


def _translate(text: str, path: str) -> OSError:
    match = _KIND.fullmatch(text)
    kind = match[1] if match else text
    if match and kind in ("RPCError", "FatalRPCError"):
        exception, message = map(_unescape, _LITERAL.findall(match[2]))
        return java_error(exception, message, path)
    if kind in _DENIED_KINDS:
        return PermissionError(f"{path}: {text}")
    return (TransientError if kind in _TRANSIENT_KINDS else OSError)(f"{path}: {text}")


def _unescape(literal: str) -> str:
    """Return the text of a literal of Rust."""
    return _ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else _CONTROLS.get(found[2], found[2]),
        literal,
    )
