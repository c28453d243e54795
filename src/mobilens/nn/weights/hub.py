"""Published weights from the network, each checked against its hash and kept in a cache.

Two kinds of host: the hub that timm's checkpoints are on, which states a file's SHA-256 in the
headers of ``/{repository}/resolve/main/{file}``, and a plain folder whose file names end in the
first digits of theirs. Environment:

- ``MOBILENS_OFFLINE=1`` (or ``HF_HUB_OFFLINE=1``): use no network.
- ``MOBILENS_CACHE``: the cache; ``~/.cache/mobilens`` or that of ``XDG_CACHE_HOME`` by default.
- ``MOBILENS_WEIGHTS_DIR``: a folder of files that is looked at first; they are taken as they are.
- ``HF_ENDPOINT``, ``MOBILENS_TORCHVISION_URL``: other hosts that hold the same.

Files that timm or torchvision fetched before are found in ``HF_HOME`` and ``TORCH_HOME``.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

from mobilens.atomic import written
from mobilens.errors import OfflineError, WeightsError
from mobilens.nn.weights.files import READERS
from mobilens.nn.weights.registry import HUB_FILE, Entry
from mobilens.observer import SILENT, Observer

CONNECT_SECONDS = 5.0
STALL_SECONDS = 20.0
CHUNK_BYTES = 1 << 20
_REDIRECTS = (301, 302, 303, 307, 308)
NETWORK_ERRORS = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)


def is_offline(asked: bool = False) -> bool:
    """Whether the network is switched off, by argument or environment."""
    words = (os.environ.get(name, "") for name in ("MOBILENS_OFFLINE", "HF_HUB_OFFLINE"))
    return asked or any(word.lower() in ("1", "true", "yes", "on") for word in words)


def weights_folder() -> Path | None:
    """The folder of weights that the environment names, if it does."""
    name = os.environ.get("MOBILENS_WEIGHTS_DIR")
    return Path(name).expanduser() if name else None


def cache_folder() -> Path:
    """Where fetched weights are kept."""
    own = os.environ.get("MOBILENS_CACHE")
    if own:
        return Path(own).expanduser() / "weights"
    return _user_cache() / "mobilens" / "weights"


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def address(entry: Entry) -> str:
    """Where an entry's file is fetched from."""
    if entry.host == "hub":
        host = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        return f"{host.rstrip('/')}/{entry.file}/resolve/main/{HUB_FILE}"
    host = os.environ.get("MOBILENS_TORCHVISION_URL") or "https://download.pytorch.org/models"
    return f"{host.rstrip('/')}/{entry.file}"


def find_local(entry: Entry) -> Path | None:
    """A sound copy on this machine, or None. A damaged one in our cache is removed."""
    folder = weights_folder()
    if folder is not None and folder.is_dir():
        for path in sorted(folder.iterdir()):
            if path.suffix in (".safetensors", *READERS) and entry.is_file(path):
                return path
    for path in sorted(cache_folder().glob(f"{entry.name}-*")):
        if _is_sound(path):
            return path
        with contextlib.suppress(OSError):  # a cache that is not ours to clean
            path.unlink()
    return next((path for path in _foreign_copies(entry) if _is_sound(path)), None)


def fetch(entry: Entry, *, offline: bool = False, observer: Observer = SILENT) -> Path:
    """Find an entry's file on this machine, or fetch it.

    Args:
        entry: What to fetch.
        offline: Use no network; the environment may say so too.
        observer: Is told of progress.

    Raises:
        OfflineError: It is not here, and the network is switched off or does not answer.
        WeightsError: The host does not have it, or what came is not what its hash says.
    """
    path = find_local(entry)
    if path is not None:
        return path
    url = address(entry)
    if is_offline(offline):
        raise _unreachable(entry, url, "the network is switched off")
    try:
        if entry.host == "hub":
            digest = _stated_digest(url)
            target = cache_folder() / f"{entry.name}-{digest[:16]}.safetensors"
        else:
            digest = _digest_in_name(Path(entry.file))
            target = cache_folder() / f"{entry.name}-{digest}.pth"
        _download(url, target, digest, entry.name, observer)
    except urllib.error.HTTPError as error:
        raise WeightsError(
            f"{entry.name} cannot be fetched: {url} answered {error.code}",
            remedy="other weights, or a file: --weights FILE",
        ) from None
    except NETWORK_ERRORS as error:
        raise _unreachable(entry, url, _reason(error)) from None
    except ValueError as error:
        raise WeightsError(
            f"{entry.name} cannot be fetched from {url}: {error}",
            remedy="check HF_ENDPOINT and MOBILENS_TORCHVISION_URL, which begin with https://",
        ) from None
    except OSError as error:
        raise WeightsError(
            f"{entry.name} cannot be kept in {cache_folder()}: {_reason(error)}",
            expected="a folder that can be written, with room for the file",
            remedy="name another in MOBILENS_CACHE, or give a file: --weights FILE",
        ) from None
    return target


def _reason(error: BaseException) -> str:
    """What the system said, without its numbers."""
    cause = getattr(error, "reason", None)
    if isinstance(cause, BaseException):
        return _reason(cause)
    return getattr(error, "strerror", None) or str(cause or error) or type(error).__name__


def _unreachable(entry: Entry, url: str, reason: str) -> OfflineError:
    return OfflineError(
        f"{entry.name} is not on this machine ({reason}): fetch {url} on another one and give the "
        "file with --weights FILE"
    )


def _foreign_copies(entry: Entry) -> Iterator[Path]:
    """Where the hub's own client and torchvision keep what they fetched."""
    if entry.host == "hub":
        home = Path(os.environ.get("HF_HOME") or _user_cache() / "huggingface").expanduser()
        folder = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
        repository = folder / ("models--" + entry.file.replace("/", "--"))
        yield from sorted(repository.glob(f"snapshots/*/{HUB_FILE}"))
    else:
        home = Path(os.environ.get("TORCH_HOME") or _user_cache() / "torch").expanduser()
        path = home / "hub" / "checkpoints" / entry.file
        if path.is_file():
            yield path


def _is_sound(path: Path) -> bool:
    """Whether a file has the hash in its name; the hub's client names the real file by it."""
    digest = _digest_in_name(path) or _digest_in_name(path.resolve())
    if not digest:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(digest)


def _digest_in_name(path: Path) -> str:
    match = re.search(r"(?:^|-)([0-9a-f]{8,64})$", path.stem)
    return match[1] if match else ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are answers: the hub states the hash in the one that leads away from it."""

    def redirect_request(self, *_: object) -> None:
        return None


def _stated_digest(url: str) -> str:
    """Ask the hub for the SHA-256 of a file."""
    opener = urllib.request.build_opener(_NoRedirect)
    for _ in range(5):
        headers, redirected = _head(opener, url)
        etag = headers.get("X-Linked-Etag") or (None if redirected else headers.get("ETag"))
        digest = (etag or "").removeprefix("W/").strip('"')
        if re.fullmatch("[0-9a-f]{64}", digest):
            return digest
        target = urllib.parse.urljoin(url, headers.get("Location", url))
        # A renamed repository redirects within the hub; elsewhere nothing states a hash.
        if (
            not redirected
            or urllib.parse.urlsplit(target).netloc != urllib.parse.urlsplit(url).netloc
        ):
            break
        url = target
    raise WeightsError(
        f"{url} states no SHA-256, so what it sends cannot be checked",
        expected="a host that speaks the hub's protocol",
        remedy="check HF_ENDPOINT, or give a file: --weights FILE",
    )


def _head(opener: urllib.request.OpenerDirector, url: str) -> tuple[Message, bool]:
    """Headers of an address, and whether it redirects."""
    try:
        with opener.open(_request(url, "HEAD"), timeout=CONNECT_SECONDS) as response:
            headers: Message = response.headers
            return headers, False
    except urllib.error.HTTPError as error:
        if error.code not in _REDIRECTS:
            raise
        with error:
            return error.headers, True


def _download(url: str, target: Path, digest: str, name: str, observer: Observer) -> None:
    """Write to a temporary name in the same folder; rename only what has the right hash."""
    target.parent.mkdir(parents=True, exist_ok=True)
    found = hashlib.sha256()
    with written(target) as temporary:
        with (
            urllib.request.urlopen(_request(url, "GET"), timeout=STALL_SECONDS) as response,
            temporary.open("wb") as file,
        ):
            length = int(response.headers.get("Content-Length") or 0)
            pieces = iter(lambda: response.read(CHUNK_BYTES), b"")
            for piece in observer.progress(pieces, -(-length // CHUNK_BYTES), f"fetching {name}"):
                found.update(piece)
                file.write(piece)
        if not found.hexdigest().startswith(digest):
            raise WeightsError(
                f"{url} arrived with SHA-256 {found.hexdigest()[:16]}...; it was removed",
                expected=f"{digest[:16]}{'...' if len(digest) > 16 else ''}",
                remedy="try again; where it stays so, another network or --weights FILE",
            )


def _request(url: str, method: str) -> urllib.request.Request:
    return urllib.request.Request(url, method=method, headers={"User-Agent": "mobilens"})
