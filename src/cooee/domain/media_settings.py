"""What bounds media, and where they lie: the settings of ``[media]``."""

from typing import Annotated, Any, Literal

import msgspec

MIB = 1024 * 1024


def _doc(text: str, **bounds: Any) -> Any:
    return msgspec.Meta(description=text, **bounds)


class MediaSettings(msgspec.Struct, frozen=True):
    """How media are taken, kept and given out. Each field's description is what the configuration reference prints."""

    store: Annotated[
        Literal["folder", "s3"], _doc("Where media lie: in the data folder, or in a bucket that speaks S3.")
    ] = "folder"
    folder: Annotated[str, _doc('Folder of the files, for store = "folder"; empty: media in the data folder.')] = ""
    keep_free_bytes: Annotated[
        int, _doc("Bytes of the disk that files leave free, so that messages still find room.", ge=0)
    ] = 256 * MIB
    image_bytes: Annotated[int, _doc("Largest image, in bytes.", ge=1)] = 32 * MIB
    video_bytes: Annotated[int, _doc("Largest video, in bytes.", ge=1)] = 1024 * MIB
    audio_bytes: Annotated[int, _doc("Largest audio file or voice message, in bytes.", ge=1)] = 256 * MIB
    document_bytes: Annotated[int, _doc("Largest file of any other type, in bytes.", ge=1)] = 1024 * MIB
    user_quota_bytes: Annotated[
        int, _doc("Bytes of all files of one user together, as long as they are kept; 0: nobody uploads any.", ge=0)
    ] = 10 * 1024 * MIB
    part_bytes: Annotated[
        int, _doc("Files larger than this are uploaded in parts, in bytes.", ge=5 * MIB, le=1024 * MIB)
    ] = 64 * MIB
    upload_minutes: Annotated[
        float, _doc("Minutes in which an upload must begin; of one in parts, for each part.", gt=0, le=60)
    ] = 5.0
    download_minutes: Annotated[
        float, _doc("Minutes that a download link is good for at least, twice as many at most.", gt=0, le=10_080)
    ] = 60.0
    cdn_base_url: Annotated[
        str, _doc("Scheme and host of a CDN before the store, e.g. https://media.example.org; empty: none.")
    ] = ""
    garbage_hours: Annotated[float, _doc("Hours that a file is kept before a message holds it.", ge=1, le=8760)] = 24.0
    collect_interval_s: Annotated[float, _doc("Seconds between two collections of files that nothing holds.", gt=0)] = (
        60.0
    )
    inspection: Annotated[
        bool, _doc("Whether unencrypted images, videos and sounds get thumbnails, sizes and waveforms.")
    ] = True
    inspection_processes: Annotated[int, _doc("Files looked at at the same time.", ge=1, le=32)] = 1
    inspection_memory_mib: Annotated[
        int, _doc("Memory of a process that looks at a file, in MiB.", ge=64, le=65_536)
    ] = 512
    inspection_seconds: Annotated[float, _doc("Seconds after which looking at a file is given up.", gt=0)] = 20.0
    thumbnail_pixels: Annotated[int, _doc("Longer side of a thumbnail, in pixels.", ge=32, le=4096)] = 480

    def largest(self, mime_type: str) -> int:
        """Return how many bytes a file of this type may have."""
        return {"image": self.image_bytes, "video": self.video_bytes, "audio": self.audio_bytes}.get(
            mime_type.partition("/")[0], self.document_bytes
        )
