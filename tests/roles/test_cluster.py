"""`tuanzi cluster` shows the codes of who signs in where it was started, whichever process sent them (issue 5)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from servers.commands import Codes
from tuanzi.people import ConsoleSender


def test_each_code_is_shown_once_whichever_process_sent_it(tmp_path: Path) -> None:
    logs = [tmp_path / name for name in ("writer1.log", "writer2.log", "api1.log")]
    codes = Codes(logs)
    before = codes.next()
    for log, code in zip(logs, ("111111", "222222"), strict=False):
        with log.open("a", encoding="utf-8") as file:
            file.write('{"message": "installation.begun"}\n')
            asyncio.run(ConsoleSender(file.write).send(phone="13800000000", code=code, challenge_id="v1"))
            file.write("[demo] code for 138")

    first, second = codes.next(), codes.next()
    with logs[0].open("a", encoding="utf-8") as file:
        file.write("****0001: 333333\n")
    third = codes.next()

    assert before == []
    assert first == ["[demo] code for 138****0000: 111111", "[demo] code for 138****0000: 222222"]
    assert second == []
    assert third == ["[demo] code for 138****0001: 333333"]
