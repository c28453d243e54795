"""Fetching published weights, against a local server that speaks the hosts' protocol."""

import hashlib
import http.server
import importlib
import socket
import threading

import pytest
import safetensors.torch
import torch

from mobilens.errors import OfflineError, WeightsError
from mobilens.nn.backbone import build
from mobilens.nn.weights import auto_weights, hub, load_pretrained
from mobilens.nn.weights.layouts import TIMM
from mobilens.nn.weights.registry import find_entry
from mobilens.spec.zoo import build_spec

HUB_ENTRY = find_entry("mobilenet_v3_small_050.lamb_in1k")
HUB_PATH = "/timm/mobilenetv3_small_050.lamb_in1k/resolve/main/model.safetensors"
SPEC = build_spec("mobilenet_v3_small", width_mult=0.5, num_classes=4)
COMMIT = "c" * 40


class Server:
    """A hub in a thread: paths to bodies, and every request that came.

    As the real one does, it answers a file's address with a redirect to where the bytes are, and
    states hash and size of the file in that redirect.
    """

    def __init__(self):
        self.files = {}
        self.digests = {}
        self.requests = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                outer.answer(self, body=False)

            def do_GET(self):
                outer.answer(self, body=True)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def publish(self, path, body, digest=None):
        self.files[path] = body
        self.digests[path] = digest or hashlib.sha256(body).hexdigest()

    def answer(self, request, body):
        self.requests.append(f"{request.command} {request.path}")
        storage = request.path.startswith("/storage")
        path = request.path.removeprefix("/storage")
        if path not in self.files:
            request.send_error(404)
            return
        content = self.files[path]
        if "/resolve/" in path and not storage:
            request.send_response(302)
            request.send_header(
                "Location", f"http://localhost:{self.server.server_port}/storage{path}"
            )
            request.send_header("X-Linked-Etag", f'"{self.digests[path]}"')
            request.send_header("X-Linked-Size", str(len(content)))
            request.send_header("X-Repo-Commit", COMMIT)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if body:
            request.wfile.write(content)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """No cache and no setting of this machine is seen."""
    for name in ("MOBILENS_OFFLINE", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "MOBILENS_WEIGHTS_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MOBILENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(monkeypatch):
    running = Server()
    monkeypatch.setenv("HF_ENDPOINT", running.url)
    monkeypatch.setenv("MOBILENS_TORCHVISION_URL", running.url + "/models/")
    yield running
    running.close()


@pytest.fixture
def nowhere(monkeypatch):
    """Hosts that refuse the connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setenv("MOBILENS_TORCHVISION_URL", url)
        yield url


@pytest.fixture(scope="module")
def weights_file():
    """What the hub holds: V3-Small 0.5 under timm's names."""
    model = build_spec("mobilenet_v3_small", width_mult=0.5)
    state = build(model).state_dict()
    rows = [f"blocks.{i}.0." for i in range(len(model.rows))]
    names = TIMM.keys([key for key in state if "num_batches" not in key], model, rows)
    return safetensors.torch.save({names[key]: state[key].contiguous() for key in names})


def cached(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_a_name_fetches_checks_and_keeps(server, weights_file, tmp_path):
    server.publish(HUB_PATH, weights_file)
    weights = load_pretrained(HUB_ENTRY.name, SPEC)
    assert weights.name == "mobilenet_v3_small_050.lamb_in1k"
    assert weights.top1 == 57.92
    assert weights.licence == "Apache-2.0"
    assert weights.preprocessing.interpolation == "bicubic"
    assert weights.preprocessing.mean == (0.485, 0.456, 0.406)
    assert weights.preprocessing.size == SPEC.resolution
    assert weights.model.bn_eps == 1e-5
    assert weights.model.padding == "symmetric"
    assert not weights.folded
    assert weights.fresh == ("head.classifier.weight", "head.classifier.bias")
    digest = hashlib.sha256(weights_file).hexdigest()
    assert cached(tmp_path) == [f"mobilenet_v3_small_050.lamb_in1k-{digest[:16]}.safetensors"]
    assert server.requests == [f"HEAD {HUB_PATH}", f"GET {HUB_PATH}", f"GET /storage{HUB_PATH}"]


def test_the_second_time_asks_no_server(server, weights_file):
    server.publish(HUB_PATH, weights_file)
    first = load_pretrained(HUB_ENTRY.name, SPEC)
    asked = len(server.requests)
    again = load_pretrained(HUB_ENTRY.name, SPEC, offline=True)
    assert len(server.requests) == asked
    assert all(torch.equal(first.tensors[key], again.tensors[key]) for key in first.tensors)


def test_a_damaged_download_is_refused_and_removed(server, weights_file, tmp_path):
    server.publish(HUB_PATH, weights_file, digest="ab" * 32)
    with pytest.raises(WeightsError, match=r"arrived with SHA-256 [0-9a-f]{16}\.\.\.; it was re"):
        hub.fetch(HUB_ENTRY)
    assert cached(tmp_path) == []


def test_a_damaged_cache_is_fetched_again(server, weights_file):
    server.publish(HUB_PATH, weights_file)
    path = hub.fetch(HUB_ENTRY)
    path.write_bytes(weights_file[:-1] + b"x")
    assert hub.fetch(HUB_ENTRY).read_bytes() == weights_file


def test_a_renamed_repository_is_followed(server, weights_file, monkeypatch):
    server.publish(HUB_PATH, weights_file)
    plain = server.answer

    def answer(request, body):
        if not request.path.startswith("/old"):
            plain(request, body)
            return
        request.send_response(307)
        request.send_header("Location", request.path.removeprefix("/old"))
        request.send_header("Content-Length", "0")
        request.end_headers()

    server.answer = answer
    monkeypatch.setenv("HF_ENDPOINT", server.url + "/old")
    assert hub.fetch(HUB_ENTRY).read_bytes() == weights_file


def test_a_host_without_hashes_is_refused(server, weights_file):
    server.publish(HUB_PATH, weights_file, digest="not a hash")
    with pytest.raises(WeightsError, match="states no SHA-256") as caught:
        hub.fetch(HUB_ENTRY)
    assert "HF_ENDPOINT" in caught.value.remedy


def test_a_missing_file_names_address_and_status(server):
    with pytest.raises(
        WeightsError, match=f"cannot be fetched: {server.url}{HUB_PATH} answered 404"
    ):
        hub.fetch(HUB_ENTRY)


def test_torchvision_is_checked_by_the_hash_in_its_file_name(server):
    entry = find_entry("mobilenet_v3_small.torchvision_v1")
    server.publish("/models/mobilenet_v3_small-047dcff4.pth", b"anything else")
    with pytest.raises(WeightsError, match="arrived with SHA-256") as caught:
        hub.fetch(entry)
    assert caught.value.expected == "047dcff4"


def test_refused_connection_says_what_to_do_in_one_line(nowhere):
    with pytest.raises(OfflineError) as caught:
        load_pretrained(HUB_ENTRY.name, SPEC)
    assert str(caught.value) == (
        "mobilenet_v3_small_050.lamb_in1k is not on this machine (Connection refused): fetch "
        f"{nowhere}{HUB_PATH} on another one and give the file with --weights FILE"
    )


@pytest.mark.parametrize("switch", ["argument", "MOBILENS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_asks_no_server(server, weights_file, monkeypatch, switch):
    server.publish(HUB_PATH, weights_file)
    if switch != "argument":
        monkeypatch.setenv(switch, "1")
    with pytest.raises(OfflineError, match="the network is switched off"):
        load_pretrained(HUB_ENTRY.name, SPEC, offline=switch == "argument")
    assert server.requests == []


def test_another_width_is_refused_before_anything_is_fetched(server):
    with pytest.raises(WeightsError, match=r"holds weights of mobilenet_v3_small, width 0\.5"):
        load_pretrained(HUB_ENTRY.name, build_spec("mobilenet_v3_small"))
    assert server.requests == []


def test_files_of_the_hubs_own_client_are_found(server, weights_file, tmp_path, monkeypatch):
    """Also proves that the server above speaks the protocol."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    importlib.import_module("huggingface_hub.utils").disable_progress_bars()
    server.publish(HUB_PATH, weights_file)
    theirs = huggingface_hub.hf_hub_download(
        HUB_ENTRY.file, "model.safetensors", endpoint=server.url, cache_dir=tmp_path / "hf" / "hub"
    )
    monkeypatch.setenv("MOBILENS_OFFLINE", "1")
    assert str(hub.fetch(HUB_ENTRY)) == str(theirs)


def test_a_file_in_the_weights_folder_comes_first(server, weights_file, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mobilenetv3_small_050.lamb_in1k.safetensors").write_bytes(weights_file)
    monkeypatch.setenv("MOBILENS_WEIGHTS_DIR", str(folder))
    weights = auto_weights(SPEC)
    assert weights is not None
    assert weights.top1 == 57.92
    assert server.requests == []


def test_notes_beside_the_weights_are_not_taken_for_them(
    server, weights_file, tmp_path, monkeypatch
):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "mobilenetv3_small_050.lamb_in1k.json").write_text("{}")
    (folder / "mobilenetv3_small_050.lamb_in1k.safetensors").write_bytes(weights_file)
    monkeypatch.setenv("MOBILENS_WEIGHTS_DIR", str(folder))
    assert load_pretrained(HUB_ENTRY.name, SPEC).top1 == 57.92
    assert server.requests == []


def test_an_address_without_its_scheme_is_named(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "example.org")
    with pytest.raises(WeightsError, match="unknown url type") as caught:
        load_pretrained(HUB_ENTRY.name, SPEC)
    assert "HF_ENDPOINT" in caught.value.remedy


def test_a_cache_that_cannot_be_written_is_not_called_offline(
    server, weights_file, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MOBILENS_CACHE", str(tmp_path / "file"))
    server.publish(HUB_PATH, weights_file)
    with pytest.raises(WeightsError) as caught:
        load_pretrained(HUB_ENTRY.name, SPEC)
    assert str(caught.value) == (
        f"{HUB_ENTRY.name} cannot be kept in {tmp_path / 'file' / 'weights'}: Not a directory\n"
        "  expected: a folder that can be written, with room for the file\n"
        "  try: name another in MOBILENS_CACHE, or give a file: --weights FILE"
    )


def test_auto_takes_the_best_that_can_be_had(server, weights_file, watcher):
    server.publish(HUB_PATH, weights_file)
    weights = auto_weights(SPEC, observer=watcher)
    assert weights is not None
    assert weights.name == "mobilenet_v3_small_050.lamb_in1k"
    assert watcher.said == []


@pytest.mark.usefixtures("nowhere")
def test_auto_says_why_not_and_gives_a_host_up_after_one_refusal(watcher):
    assert auto_weights(build_spec("mobilenet_v3_large"), observer=watcher) is None
    hub, torchvision = watcher.said
    assert hub.startswith("weights: mobilenet_v3_large.miil_in21k_ft_in1k is not on this machine")
    assert torchvision.startswith("weights: mobilenet_v3_large.torchvision_v2 is not on this mach")


def test_auto_offline_says_what_to_fetch(server, watcher):
    assert auto_weights(SPEC, offline=True, observer=watcher) is None
    assert watcher.said == [
        "weights: offline, and none of mobilenet_v3_small on this machine: fetch "
        f"{server.url}{HUB_PATH} on another one and give the file with --weights FILE"
    ]


def test_auto_says_what_is_not_published(watcher):
    for model in (build_spec("mobilenet_v2", width_mult=0.6), build_spec("mobilefacenet")):
        assert auto_weights(model, observer=watcher) is None
    assert watcher.said == [
        "weights: none are published for mobilenet_v2 at width 0.6 (paper rule), "
        "only for 0.5, 1, 1.4",
        "weights: none are published for mobilefacenet",
    ]


def test_auto_passes_over_files_of_other_models(tmp_path, monkeypatch, watcher):
    folder = tmp_path / "mine"
    folder.mkdir()
    other = build(build_spec("mobilenet_v2", width_mult=0.35)).state_dict()
    safetensors.torch.save_file(
        {key: tensor.contiguous() for key, tensor in other.items()}, folder / "other.safetensors"
    )
    (folder / "notes.safetensors").write_text("no weights at all")
    monkeypatch.setenv("MOBILENS_WEIGHTS_DIR", str(folder))
    assert auto_weights(SPEC, offline=True, observer=watcher) is None
    # The damaged one is named; another model's is nothing to speak of.
    damaged, offline = watcher.said
    assert damaged.startswith(f"weights: {folder / 'notes.safetensors'} is not a readable")
    assert offline.startswith("weights: offline")


def test_an_observer_sees_the_whole_file(server, weights_file, watcher):
    server.publish(HUB_PATH, weights_file)
    hub.fetch(HUB_ENTRY, observer=watcher)
    pieces = -(-len(weights_file) // hub.CHUNK_BYTES)
    assert watcher.bars == [(f"fetching {HUB_ENTRY.name}", pieces)]
    assert b"".join(watcher.seen) == weights_file
