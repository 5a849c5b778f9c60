"""Built pages are served from memory, kept by browsers as long as they may be, and may do little (J1)."""

from __future__ import annotations

import gzip
from pathlib import Path
from random import Random

import httpx
import pytest
from starlette.routing import Mount

from tuanzi.base.ids import Ids
from tuanzi.machinery.http.refusals import Refusals
from tuanzi.roles.pages import BuiltPages

# What Chromium asks for when an address is typed in, shortened.
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SCRIPT = b"console.log('tuanzi');\n" * 200


def client(folder: Path, *, accept: str = BROWSER) -> httpx.AsyncClient:
    """A browser before pages of this folder, mounted at /m."""
    pages = BuiltPages(folder, gateway_of=lambda host: f"ws://{host}:8001")
    application = Refusals(Ids(Random(1).getrandbits)).application([Mount("/m", app=pages)])
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://pages.test", headers={"accept": accept}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page with a script whose name has its hash, as a build makes them, and a secret beside it."""
    (tmp_path / "secret.txt").write_text("not yours")
    built = tmp_path / "built"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text("<!doctype html><title>团子</title>", encoding="utf-8")
    (built / "assets/index-4f1c.js").write_bytes(SCRIPT)
    return built


async def test_a_page_is_asked_for_again_and_then_not_sent_again(folder: Path) -> None:
    first = await client(folder).get("/m/")
    again = await client(folder).get("/m/", headers={"if-none-match": first.headers["etag"]})

    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    assert first.text == "<!doctype html><title>团子</title>"
    assert (again.status_code, again.content) == (304, b"")


async def test_a_script_is_kept_for_good_and_sent_compressed(folder: Path) -> None:
    script = await client(folder).get("/m/assets/index-4f1c.js", headers={"accept-encoding": "gzip"})
    plain = await client(folder).get("/m/assets/index-4f1c.js", headers={"accept-encoding": "identity"})

    assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert script.headers["content-type"].startswith("text/javascript")
    assert (script.headers["content-encoding"], script.headers["vary"]) == ("gzip", "accept-encoding")
    assert script.content == plain.content == SCRIPT
    assert int(script.headers["content-length"]) == len(gzip.compress(SCRIPT, mtime=0))
    assert script.headers["etag"] != plain.headers["etag"]


async def test_a_page_runs_its_own_scripts_and_speaks_to_its_own_server_only(folder: Path) -> None:
    page = await client(folder).get("/m/")

    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert policy.endswith("connect-src 'self' ws://pages.test:8001")
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_a_host_that_is_no_name_gets_into_no_policy(folder: Path) -> None:
    page = await client(folder).get("/m/", headers={"host": "a;script-src *"})

    assert "script-src" not in page.headers["content-security-policy"]


async def test_the_address_without_a_slash_leads_to_the_page(folder: Path) -> None:
    answer = await client(folder).get("/m")

    assert (answer.status_code, answer.headers["location"]) in ((307, "http://pages.test/m/"), (308, "/m/"))


@pytest.mark.parametrize(
    "path", ["/m/none.js", "/m/../secret.txt", "/m/%2e%2e/secret.txt", "/m/assets/../../secret.txt"]
)
async def test_nothing_but_what_was_built_is_served(folder: Path, path: str) -> None:
    answer = await client(folder).get(path)

    assert answer.status_code == 404
    assert "not yours" not in answer.text


async def test_a_browser_is_told_in_plain_words_that_a_page_is_not_there_and_a_machine_by_a_problem(
    folder: Path,
) -> None:
    browser = await client(folder).get("/m/none")
    machine = await client(folder, accept="*/*").get("/m/none")

    assert (browser.status_code, browser.text) == (404, "没有这个页面。There is no such page.\n")
    assert browser.headers["content-type"] == "text/plain; charset=utf-8"
    assert (machine.status_code, machine.json()["code"]) == (404, "http/not-found")
    assert machine.headers["content-type"] == "application/problem+json"


async def test_pages_are_only_read(folder: Path) -> None:
    browser = await client(folder).post("/m/")
    machine = await client(folder, accept="application/json").post("/m/")

    assert (browser.status_code, browser.headers["allow"], browser.content) == (405, "GET, HEAD", b"")
    assert (machine.status_code, machine.headers["allow"]) == (405, "GET, HEAD")
    assert machine.json()["code"] == "http/method-not-allowed"


async def test_pages_that_are_not_built_say_how_to_build_them(tmp_path: Path) -> None:
    answer = await client(tmp_path / "none").get("/m/")

    assert answer.status_code == 503
    assert "make setup" in answer.text
