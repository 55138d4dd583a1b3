"""HDFS over HTTP, by WebHDFS: names are opaque, files appear complete, and no error is lost.

fsspec's client alone fills a file piece by piece, so that readers see a part of it. It cannot
create a file on condition that there is none, returns the error page of a DataNode as the content
of a file, and reads one file after the other.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from contextlib import suppress
from functools import partial
from typing import IO, Any, Optional, Union
from urllib.parse import quote, urljoin, urlsplit

import requests
from fsspec.implementations.webhdfs import WebHDFS

from halftone.storage.hdfs_files import NUM_CONNECTIONS, HdfsFiles, TransientError, java_error

_DEFAULT_PORT = 9870  # of a NameNode of Hadoop 3; fsspec's is that of Hadoop 2
_NUM_SERVERS = 100
_TIMEOUT_SECS = (15, 60)  # to connect, and between two parts of a response
_BINARY = {"Content-Type": "application/octet-stream"}  # HttpFS requires it
_EXCLUDED_SECS = 60  # a DataNode that did not respond
_ADDRESSES = ("infoAddr", "infoSecureAddr")  # of a DataNode's HTTP and HTTPS
_DENIED_STATUSES = {401, 403}
_FIRST_SERVER_ERROR = 500


class WebHdfsStore(HdfsFiles, WebHDFS):
    """fsspec's WebHDFS, with the differences above."""

    _retried = (
        *(TransientError, requests.ConnectionError, requests.Timeout),
        requests.exceptions.ChunkedEncodingError,
    )

    def __init__(self, host: str, port: int = _DEFAULT_PORT, **options: Any) -> None:
        if not any(options.get(name) for name in ("user", "token", "kerberos")):
            options["user"] = os.environ.get("HADOOP_USER_NAME") or getpass.getuser()
        self._lost: dict[str, float] = {}  # DataNodes by name, and when they did not respond
        super().__init__(host, port, **options)

    def _connect(self) -> None:
        super()._connect()
        adapter = requests.adapters.HTTPAdapter(_NUM_SERVERS, NUM_CONNECTIONS)
        self.session.mount("http://", adapter)
        self.session.mount("https://", adapter)

    def _call(
        self, op: str, method: str = "get", path: Optional[str] = None, **arguments: Any
    ) -> requests.Response:
        return self._retry(partial(self._call_once, op, method, path, **arguments))

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
        excluded = self._excluded()
        try:
            response = self._call_once(op, method, path, redirect=False, **excluded, **parameters)
        except OSError as error:
            if not excluded or type(error) is not OSError:
                raise
            self._lost.clear()  # perhaps no other DataNode has the content
            raise TransientError(*error.args) from error
        location = response.headers.get("Location")
        if location:  # HttpFS sends the content itself
            try:
                response = self.session.request(
                    *(method, self._apply_proxy(location)),
                    data=data,
                    headers=_BINARY,
                    timeout=_TIMEOUT_SECS,
                )
            except self._retried:
                self._lost[self._name_data_node(location)] = time.monotonic()
                raise
            _raise_for_error(response, path)
        content: bytes = response.content
        return content

    def _excluded(self) -> dict[str, str]:
        """Return the parameter for DataNodes that were lost.

        Else a NameNode sends readers to a lost one, too, until it notices the loss.
        """
        since = time.monotonic() - _EXCLUDED_SECS
        names = sorted(name for name, lost in list(self._lost.items()) if lost > since)
        return {"excludedatanodes": ",".join(names)} if names else {}

    def _name_data_node(self, location: str) -> str:
        """Return the name of a DataNode in `excludedatanodes`: its IP address, and transfer port.

        A location has the port for HTTP instead. Where the NameNode does not tell the other one,
        the address alone does, unless a host has several DataNodes.
        """
        parts = urlsplit(location)
        jmx = urljoin(self.url, "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo")
        with suppress(*self._retried, ValueError, KeyError, IndexError):
            (found,) = self.session.get(jmx, timeout=_TIMEOUT_SECS).json()["beans"]
            for name, node in json.loads(found["LiveNodes"]).items():
                ports = {node[key].rpartition(":")[2] for key in _ADDRESSES if node.get(key)}
                if name.rpartition(":")[0] == parts.hostname and str(parts.port) in ports:
                    return str(node["xferaddr"])
        with suppress(OSError):
            return socket.gethostbyname(parts.hostname or "")
        return str(parts.hostname)

    def _cat_once(self, path: str, start: int, end: Optional[int]) -> bytes:
        length = {} if end is None else {"length": end - start}
        return self._transfer("OPEN", "GET", path, offset=start, **length)

    def _upload(self, path: str, content: Union[bytes, IO[bytes]]) -> None:
        self._transfer("CREATE", "PUT", path, content, overwrite="true")

    def _rename_once(self, temporary: str, path: str, replaces: bool) -> None:
        options = "OVERWRITE" if replaces else "NONE"
        self._call_once("RENAME", "put", temporary, destination=path, renameoptions=options)

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

    def delete_tree(self, path: str) -> None:
        """Delete a file, or a folder and all below it, if it exists."""
        self._call("DELETE", "delete", self._strip_protocol(path), recursive="true")


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
        error = java_error(str(remote["exception"]), str(remote["message"]), path)
    except (ValueError, KeyError, TypeError):
        text = f"{path}: HTTP status {response.status_code} {response.reason}"
        if response.status_code >= _FIRST_SERVER_ERROR:
            error = TransientError(text)
        elif response.status_code in _DENIED_STATUSES:
            error = PermissionError(text)
        else:
            error = OSError(text)
    raise error
