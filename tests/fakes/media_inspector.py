"""An inspector that finds what a test says, in place of one that runs programs on files."""

from pathlib import Path

from cooee.ports.media_inspector import Findings


class SayingInspector:
    """`MediaInspector`: answers ``findings``, with a thumbnail of these bytes, or raises ``problem``."""

    def __init__(self) -> None:
        self.findings = Findings("image/png", 4, 3, blurhash="LEHV6n")
        self.thumbnail = b"small"
        self.problem: Exception | None = None
        self.seen: list[tuple[bytes, str]] = []

    async def inspect(self, path: Path, content_type: str) -> Findings:
        self.seen.append((path.read_bytes(), content_type))  # noqa: ASYNC240  # a test's few bytes
        if self.problem is not None:
            raise self.problem
        if not self.thumbnail:
            return self.findings
        made = path.with_name(path.name + ".thumb")
        made.write_bytes(self.thumbnail)  # as above
        found = self.findings
        return Findings(
            found.content_type,
            found.width,
            found.height,
            found.duration_ms,
            found.blurhash,
            found.waveform,
            made,
            "image/webp",
        )
