"""What both clients of HDFS do alike: files appear complete, names are opaque, no error is lost."""

from __future__ import annotations

import posixpath
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import IO, Any, Callable, Optional, TypeVar, Union

from fsspec import AbstractFileSystem
from fsspec.spec import AbstractBufferedFile

NUM_CONNECTIONS = 32  # at once, to one server
RETRY_AFTER_SECS = (0.1, 0.5, 1.0, 2.0, 2.0, 3.0, 5.0)
_READ_AHEAD_BYTES = 4 * 2**20
_TEMPORARY_PREFIX = ".tmp-"
# Java's exceptions that an answer contains.
_ERRORS: dict[str, type[OSError]] = {
    "FileNotFoundException": FileNotFoundError,
    "FileAlreadyExistsException": FileExistsError,
    "ParentNotDirectoryException": NotADirectoryError,
    "AccessControlException": PermissionError,
    "AuthorizationException": PermissionError,
    "InvalidToken": PermissionError,
    "SecurityException": PermissionError,
}
_TRANSIENT_EXCEPTIONS = {"RetriableException", "StandbyException", "SafeModeException"}
_Result = TypeVar("_Result")


class TransientError(OSError):
    """An error after which another attempt may succeed."""


def java_error(exception: str, message: str, path: str) -> OSError:
    """Return the error for an exception of Hadoop.

    Args:
        exception: its class, with or without the package.
        message: of which the first line is used; Java's stack may follow.
    """
    name = exception.rpartition(".")[2]
    kind = TransientError if name in _TRANSIENT_EXCEPTIONS else _ERRORS.get(name, OSError)
    return kind(f"{path}: {message.splitlines()[0] if message else name}")


class HdfsFiles(AbstractFileSystem):
    """The common part of the clients, for which a path is that in HDFS, with a slash before it.

    A file is uploaded beside its path under another name, and renamed.
    """

    cachable = False  # by fsspec, which does not know the default user
    # Errors after which another attempt may succeed.
    _retried: tuple[type[BaseException], ...] = (TransientError,)

    def delete_tree(self, path: str) -> None:
        """Delete a file, or a folder and all below it, if it exists."""
        raise NotImplementedError

    def _cat_once(self, path: str, start: int, end: Optional[int]) -> bytes:
        """Read the bytes of a file from `start` up to, not including, `end`, or to its end."""
        raise NotImplementedError

    def _upload(self, path: str, content: Union[bytes, IO[bytes]]) -> None:
        """Write a file that no other writes, once."""
        raise NotImplementedError

    def _rename_once(self, temporary: str, path: str, replaces: bool) -> None:
        """Rename a file; if there is one at `path`, it is replaced, or this is an error."""
        raise NotImplementedError

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        if path.startswith("/"):
            return path
        return "/" + path.partition("://")[2].partition("/")[2] if "://" in path else f"/{path}"

    def cat_file(
        self, path: str, start: Optional[int] = None, end: Optional[int] = None, **_: Any
    ) -> bytes:
        """Read a file, or its bytes from `start` up to, not including, `end`."""
        start = start or 0
        if end is not None and end <= start:
            return b""
        return self._retry(partial(self._cat_once, self._strip_protocol(path), start, end))

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Union[int, Sequence[int], None],
        ends: Union[int, Sequence[int], None],
        max_gap: Optional[int] = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[Union[bytes, Exception]]:
        """Read ranges of files at the same time; an error is returned.

        Args:
            starts, ends: one for each path, or the same for all.
        """
        first, last = (
            [limit] * len(paths) if limit is None or isinstance(limit, int) else limit
            for limit in (starts, ends)
        )
        with ThreadPoolExecutor(min(NUM_CONNECTIONS, max(1, len(paths)))) as pool:
            return list(pool.map(self._try_cat_file, paths, first, last))

    def _try_cat_file(
        self, path: str, start: Optional[int], end: Optional[int]
    ) -> Union[bytes, Exception]:
        try:
            content: bytes = self.cat_file(path, start, end)
            return content
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
        temporary = self._retry(partial(self._upload_beside, path, content))
        try:
            self._rename(temporary, path, mode == "overwrite")
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
            self._upload(temporary, content)
        except BaseException:
            self._discard(temporary)
            raise
        return temporary

    def _discard(self, temporary: str) -> None:
        with suppress(Exception):
            self.delete_tree(temporary)

    def _rename(self, temporary: str, path: str, replaces: bool) -> None:
        """Rename a file of this process; if a response is lost, find out whether it was renamed."""
        for delay_secs in (*RETRY_AFTER_SECS, None):
            try:
                self._rename_once(temporary, path, replaces)
                return
            except self._retried:
                if delay_secs is None:
                    raise
                time.sleep(delay_secs)
                if not self.exists(temporary):
                    return

    def exists(self, path: str, **_: Any) -> bool:
        """Whether there is a file or folder. fsspec's says no if the store does not respond."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

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

    def _retry(self, action: Callable[[], _Result]) -> _Result:
        """Call `action` again while the server or the network is at fault."""
        for delay_secs in RETRY_AFTER_SECS:
            try:
                return action()
            except self._retried:
                time.sleep(delay_secs)
        return action()


class _ReadFile(AbstractBufferedFile):
    """A file that is read piece by piece."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        content: bytes = self.fs.cat_file(self.path, start, end)
        return content
