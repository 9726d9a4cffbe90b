"""Building a page: what is in the folder, and a line for what cannot be built or served."""

from __future__ import annotations

import json
import re
import urllib.request

import pytest
from web_pages import served  # beside this file

from edgebee.edge.classify import ModelError
from edgebee.edge.web.litert_js import URL, VARIABLE, load_litert_js
from edgebee.edge.web.page import build_page
from edgebee.edge.web.server import make_server
from edgebee.errors import DownloadError, EdgebeeError

pytest.importorskip("filelock", reason="needs edgebee[train]")


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_service_worker_keeps_every_file_of_the_page(site):
    script = (site / "service_worker.js").read_text()
    kept = set(json.loads(re.search(r"FILES = (\[.*\])", script)[1]))
    assert files_of(site) - kept == {"service_worker.js", "runtime/LICENSE.txt"}
    assert kept - files_of(site) == {"./"}
    assert "{{" not in script + (site / "index.html").read_text()


def test_one_build_of_webassembly_is_taken_and_its_licence_is_beside_it(site):
    assert [path.name for path in site.rglob("*.wasm")] == ["litert_wasm_compat_internal.wasm"]
    assert "Apache License" in (site / "runtime" / "LICENSE.txt").read_text()
    assert (site / "runtime" / "index.js").read_text().startswith("// LiteRT.js, @litertjs/core 2.")


@pytest.mark.slow
def test_the_same_model_gives_the_same_page(site, tmp_path, litert_js, model):
    build_page([model], tmp_path, runtime=litert_js)
    assert files_of(tmp_path) == files_of(site)
    for name in files_of(site):
        assert (tmp_path / name).read_bytes() == (site / name).read_bytes()


@pytest.mark.slow
def test_another_model_gives_the_kept_files_another_name(site, tmp_path, litert_js, repacked):
    other = repacked(tmp_path / "other.tflite", lambda files: files.pop("edgebee.json"))
    build_page([other], tmp_path, runtime=litert_js)
    versions = {
        re.search(r'VERSION = "(\w+)"', (folder / "service_worker.js").read_text())[1]
        for folder in (site, tmp_path)
    }
    assert len(versions) == 2


@pytest.mark.slow
def test_models_of_one_name_are_told_apart(tmp_path, litert_js, model):
    paths = []
    for name in ("meadow", "forest"):
        paths.append(tmp_path / name / "model int8.tflite")
        paths[-1].parent.mkdir()
        paths[-1].write_bytes(model.read_bytes())
    page = build_page([*paths, paths[1]], tmp_path / "site", runtime=litert_js)
    assert page.models == ("model-int8", "forest-model-int8", "model-int8-2")


def test_a_phone_can_put_the_page_among_its_programs(site):
    manifest = json.loads((site / "manifest.webmanifest").read_text())
    assert manifest["name"] == "edgebee: ants or bees"
    assert manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        assert (site / icon["src"]).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda content: content[:5000], "cut short|damaged"),
        (lambda content: b"Dear Bee,", "not a TFLite model"),
    ],
)
def test_a_file_that_is_no_model_is_refused_before_anything_is_written(
    tmp_path, litert_js, model, change, complaint
):
    bad = tmp_path / "bad.tflite"
    bad.write_bytes(change(model.read_bytes()))
    with pytest.raises(ModelError, match=complaint):
        build_page([bad], tmp_path / "site", runtime=litert_js)
    assert not (tmp_path / "site").exists()


# ------------------------------------------------------------------ LiteRT.js


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """An empty cache, and no way out."""
    pytest.importorskip("pooch", reason="needs edgebee[train]")
    monkeypatch.setenv("EDGEBEE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there


def test_without_network_it_says_where_to_put_what_another_machine_fetched(no_network):
    with pytest.raises(DownloadError) as caught:
        load_litert_js()
    assert str(caught.value) == (
        f"{URL}: could not be downloaded (no connection to the server); fetch it on another "
        f"machine and name the file with --runtime or {VARIABLE}"
    )


def test_what_was_fetched_elsewhere_is_taken(no_network, monkeypatch, litert_js):
    monkeypatch.setenv(VARIABLE, str(litert_js))
    assert set(load_litert_js()) == {
        "index.js",
        "litert_wasm_compat_internal.js",
        "litert_wasm_compat_internal.wasm",
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"Dear Bee,", "its SHA-256 is another; get https://"), (None, "No such file")],
)
def test_another_file_is_refused(tmp_path, content, complaint):
    named = tmp_path / "core.tgz"
    if content is not None:
        named.write_bytes(content)
    with pytest.raises(DownloadError, match=complaint) as caught:
        load_litert_js(named)
    assert str(caught.value).startswith(f"{named}: ")


# ------------------------------------------------------------------ serving


def test_files_have_the_types_that_browsers_insist_on(site):
    types = {"index.html": "text/html", "app.js": "text/javascript",
             "runtime/litert_wasm_compat_internal.wasm": "application/wasm"}  # fmt: skip
    with served(site) as address:
        for name, kind in types.items():
            with urllib.request.urlopen(address + name) as answer:
                assert answer.headers.get_content_type() == kind


def test_a_port_that_is_taken_says_so(tmp_path):
    with make_server(tmp_path) as server:
        port = server.server_address[1]
        with pytest.raises(EdgebeeError) as caught:
            make_server(tmp_path, port)
    assert str(caught.value) == (
        f"port {port} of 127.0.0.1 is taken; choose another: --serve {port + 1}"
    )
