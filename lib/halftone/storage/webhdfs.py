"""HDFS over HTTP, by WebHDFS: names are opaque, files appear complete, and no error is lost.

fsspec's client alone fills a file piece by piece, so that readers see a part of it. It cannot
create a file on condition that there is none, returns the error page of a DataNode as the content
of a file, and reads one file after the other.
"""

from __future__ import annotations

import getpass
import os
import posixpath
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import IO, Any, Callable, Optional, TypeVar, Union
from urllib.parse import quote

import requests
from fsspec.implementations.webhdfs import WebHDFS
from fsspec.spec import AbstractBufferedFile

_DEFAULT_PORT = 9870  # of a NameNode of Hadoop 3; fsspec's is that of Hadoop 2
_NUM_CONNECTIONS = 32  # at once, to one server
_NUM_SERVERS = 100
_TIMEOUT_SECS = (15, 60)  # to connect, and between two parts of a response
# A NameNode sends readers to a lost DataNode, too, until it notices the loss; each attempt may have
# another one.
_RETRY_AFTER_SECS = (0.1, 0.5, 1.0, 2.0, 2.0, 3.0, 5.0)
_READ_AHEAD_BYTES = 4 * 2**20
_TEMPORARY_PREFIX = ".tmp-"
_BINARY = {"Content-Type": "application/octet-stream"}  # HttpFS requires it
# Java's exceptions that a response contains.
_ERRORS: dict[str, type[OSError]] = {
    "FileNotFoundException": FileNotFoundError,
    "FileAlreadyExistsException": FileExistsError,
    "ParentNotDirectoryException": NotADirectoryError,
    **dict.fromkeys(
        ("AccessControlException", "SecurityException", "InvalidToken"), PermissionError
    ),
}
_TRANSIENT_EXCEPTIONS = {"RetriableException", "StandbyException", "SafeModeException"}
_DENIED_STATUSES = {401, 403}
_FIRST_SERVER_ERROR = 500
_Result = TypeVar("_Result")


class _TransientError(OSError):
    """A response after which another attempt may succeed."""


_RETRIED: tuple[type[BaseException], ...] = (
    *(_TransientError, requests.ConnectionError, requests.Timeout),
    requests.exceptions.ChunkedEncodingError,
)


class WebHdfsStore(WebHDFS):
    """fsspec's WebHDFS, with the differences above."""

    cachable = False  # by fsspec, which does not know the default user

    def __init__(self, host: str, port: int = _DEFAULT_PORT, **options: Any) -> None:
        if not any(options.get(name) for name in ("user", "token", "kerberos")):
            options["user"] = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
        super().__init__(host, port, **options)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        if path.startswith("/"):
            return path
        return "/" + path.partition("://")[2].partition("/")[2] if "://" in path else f"/{path}"

    def _connect(self) -> None:
        super()._connect()
        adapter = requests.adapters.HTTPAdapter(_NUM_SERVERS, _NUM_CONNECTIONS)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def _call(
        self, op: str, method: str = "get", path: Optional[str] = None, **arguments: Any
    ) -> requests.Response:
        return _retry(partial(self._call_once, op, method, path, **arguments))

    def _call_once(
        self,
        op: str,
        method: str = "get",
        path: Optional[str] = None,
        data: Any = None,
        redirect: bool = True,
        **parameters: Any,
    ) -> requests.Response:
        url = self._apply_proxy(self.url + quote(path or "/", safe="/"))
        response = self.session.request(
            method.upper(),
            url,
            params={**parameters, **self.pars, "op": op.upper()},
            data=data,
            allow_redirects=redirect,
            timeout=_TIMEOUT_SECS,
        )
        _raise_for_error(response, path or "/")
        return response

    def _transfer(
        self, op: str, method: str, path: str, data: Any = None, **parameters: Any
    ) -> bytes:
        """Read or write content: the NameNode answers with the address of a DataNode."""
        response = self._call_once(op, method, path, redirect=False, **parameters)
        if "Location" in response.headers:  # HttpFS sends the content itself
            location = self._apply_proxy(response.headers["Location"])
            response = self.session.request(
                method, location, data=data, headers=_BINARY, timeout=_TIMEOUT_SECS
            )
            _raise_for_error(response, path)
        content: bytes = response.content
        return content

    def cat_file(
        self, path: str, start: Optional[int] = None, end: Optional[int] = None, **_: Any
    ) -> bytes:
        """Read a file, or its bytes from `start` up to, not including, `end`."""
        start = start or 0
        if end is not None and end <= start:
            return b""
        length = {} if end is None else {"length": end - start}
        path = self._strip_protocol(path)
        return _retry(partial(self._transfer, "OPEN", "GET", path, offset=start, **length))

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Optional[int],
        ends: Optional[int],
        max_gap: Optional[int] = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Union[bytes, Exception]]:
        """Read the same range of several files at the same time; an error is returned."""
        with ThreadPoolExecutor(min(_NUM_CONNECTIONS, max(1, len(paths)))) as pool:
            return list(pool.map(partial(self._try_cat_file, start=starts, end=ends), paths))

    def _try_cat_file(
        self, path: str, start: Optional[int], end: Optional[int]
    ) -> Union[bytes, Exception]:
        try:
            return self.cat_file(path, start, end)
        except Exception as error:
            return error

    def _open(
        self, path: str, mode: str = "rb", block_size: Optional[int] = None, **options: Any
    ) -> Any:
        if mode != "rb":
            return super()._open(path, mode, block_size, **options)
        return _ReadFile(self, path, block_size=block_size or _READ_AHEAD_BYTES)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        """Write a file, which appears complete; mode `create` requires that there is none."""
        self._publish(self._strip_protocol(path), value, mode)

    def put_file(self, lpath: str, rpath: str, mode: str = "overwrite", **_: Any) -> None:
        """Upload a local file, which appears complete."""
        with open(lpath, "rb") as file:
            self._publish(self._strip_protocol(rpath), file, mode)

    def _publish(self, path: str, content: Union[bytes, IO[bytes]], mode: str) -> None:
        temporary = _retry(partial(self._upload_beside, path, content))
        try:
            self._rename(temporary, path, "OVERWRITE" if mode == "overwrite" else "NONE")
        except BaseException:
            self._discard(temporary)
            raise

    def _upload_beside(self, path: str, content: Union[bytes, IO[bytes]]) -> str:
        """Upload to a new file beside `path`, and return its path."""
        folder, name = posixpath.split(path)
        # Another name in each attempt: the server may still write to that of an earlier one.
        temporary = posixpath.join(folder, f"{_TEMPORARY_PREFIX}{secrets.token_hex(8)}-{name}")
        if not isinstance(content, bytes):
            content.seek(0)
        try:
            self._transfer("CREATE", "PUT", temporary, content, overwrite="true")
        except BaseException:
            self._discard(temporary)
            raise
        return temporary

    def _discard(self, temporary: str) -> None:
        with suppress(Exception):
            self.delete_tree(temporary)

    def _rename(self, temporary: str, path: str, options: str) -> None:
        """Rename a file of this process; if a response is lost, find out whether it was renamed."""
        for delay_secs in (*_RETRY_AFTER_SECS, None):
            try:
                self._call_once("RENAME", "put", temporary, destination=path, renameoptions=options)
                return
            except _RETRIED:
                if delay_secs is None:
                    raise
                time.sleep(delay_secs)
                if not self.exists(temporary):
                    return

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Describe a file or folder: its name, type, size and mtime.

        Raises:
            FileNotFoundError: there is none.
        """
        path = self._strip_protocol(path)
        try:
            found = self._call("GETFILESTATUS", path=path).json()["FileStatus"]
        except NotADirectoryError as error:  # a part of the path is a file
            raise FileNotFoundError(*error.args) from error
        return _entry(path, found)

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is a file or folder. fsspec's says no if the store does not respond."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def ls(self, path: str, detail: bool = False, **_: Any) -> list[Any]:
        """List a folder, or a file alone."""
        path = self._strip_protocol(path)
        found = self._call("LISTSTATUS", path=path).json()["FileStatuses"]["FileStatus"]
        root = path.rstrip("/")
        entries = [
            _entry(f"{root}/{item['pathSuffix']}" if item["pathSuffix"] else path, item)
            for item in found
        ]
        return entries if detail else [entry["name"] for entry in entries]

    def find(
        self,
        path: str,
        maxdepth: Optional[int] = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """List all files below a folder. fsspec's leaves out a folder that cannot be listed."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth, withdirs, detail, **options)
        files: dict[str, Any] = {}
        folders = [self._strip_protocol(path)]
        while folders:
            for entry in self.ls(folders.pop(), detail=True):
                if entry["type"] == "directory":
                    folders.append(entry["name"])
                else:
                    files[entry["name"]] = entry
        return files if detail else sorted(files)

    def delete_tree(self, path: str) -> None:
        """Delete a file, or a folder and all below it, if it exists."""
        self._call("DELETE", "delete", self._strip_protocol(path), recursive="true")


class _ReadFile(AbstractBufferedFile):
    """A file that is read piece by piece."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        content: bytes = self.fs.cat_file(self.path, start, end)
        return content


def _retry(action: Callable[[], _Result]) -> _Result:
    """Call `action` again while the server or the network is at fault."""
    for delay_secs in _RETRY_AFTER_SECS:
        try:
            return action()
        except _RETRIED:
            time.sleep(delay_secs)
    return action()


def _entry(path: str, status: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": path,
        "type": status["type"].lower(),
        "size": status["length"],
        "mtime": status["modificationTime"] / 1000,
    }


def _raise_for_error(response: requests.Response, path: str) -> None:
    """Raise the OSError that fits a response; none if the request has succeeded."""
    if response.ok:
        return
    try:
        remote = response.json()["RemoteException"]
        # Behind a line break there is Java's stack.
        exception, message = str(remote["exception"]), str(remote["message"]).split("\n")[0]
    except (ValueError, KeyError, TypeError):
        exception, message = "", f"HTTP status {response.status_code} {response.reason}"
    text = f"{path}: {message}"
    if exception in _ERRORS:
        raise _ERRORS[exception](text)
    if exception in _TRANSIENT_EXCEPTIONS or (
        not exception and response.status_code >= _FIRST_SERVER_ERROR
    ):
        raise _TransientError(text)
    if not exception and response.status_code in _DENIED_STATUSES:
        raise PermissionError(text)
    raise OSError(text)
