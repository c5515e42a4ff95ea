"""The example of docs/sdk.md runs as it stands there."""

import asyncio
import re
import sys
from pathlib import Path

from tests.integration.harness import ROOT, ServerProcess
from tests.integration.people import WAIT_S, new_user


async def test_the_example_runs(server: ServerProcess, tmp_path: Path) -> None:
    document = (ROOT / "docs" / "sdk.md").read_text("utf-8")
    [example] = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    program = tmp_path / "example.py"
    program.write_text(example, "utf-8")
    peer = await new_user(server.url, "peer")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(program),
        server.url,
        str(tmp_path / "store"),
        f"my.{peer}",
        peer,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(WAIT_S):
        output, _ = await process.communicate()
    assert (process.returncode, output.decode()) == (0, "our hello: sent\n")
