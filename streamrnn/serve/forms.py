"""The file in a multipart/form-data form (RFC 7578), as sent by `curl -F` and browsers."""

import mmap
import re
import shutil
import tempfile
from email.message import Message
from typing import BinaryIO

# Limits on a part's headers, and on the parts before the file.
MOST_HEAD_BYTES, MOST_PARTS = 8192, 32
# An unclosed quote extends to the end: else each quote in it would be tried as a start, while all streams wait.
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_FILE = re.compile(rb";\s*filename\*?\s*=", re.IGNORECASE)


class NoFile(ValueError):
    """The form holds no file, or is damaged. The message says what is needed."""


def boundary_of(content_type: str | None) -> bytes | None:
    """The boundary between the parts, if the content type is a form's.

    Raises:
        NoFile: the form has no valid boundary.
    """
    message = Message()
    message["content-type"] = (content_type or "").encode("ascii", "replace").decode()
    if message.get_content_type() != "multipart/form-data":
        return None
    try:
        boundary = message.get_boundary()
    # The boundary is in a character set that cannot decode it.
    except UnicodeError:
        boundary = None
    if not boundary or len(boundary) > 70:
        raise NoFile("the form names no boundary of at most 70 characters. Send the file as the body itself.")
    return b"--" + boundary.encode("ascii", "replace")


def file_in(form: BinaryIO, boundary: bytes) -> BinaryIO:
    """The first file of a form, as a temporary file; other fields are ignored.

    Only the boundary is searched for, in C, so the cost per byte does not depend on the content.

    Raises:
        NoFile: there is none.
    """
    with mmap.mmap(form.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        at = whole.find(boundary)
        for _ in range(MOST_PARTS):
            if at < 0:
                break
            begun = at + len(boundary)
            head_ends = whole.find(b"\r\n\r\n", begun, begun + MOST_HEAD_BYTES)
            at = whole.find(b"\r\n" + boundary, begun)
            if head_ends < 0 or (0 <= at < head_ends):
                break
            # Quoted text is removed: it may hold another field's name, such as filename.
            if _FILE.search(_QUOTED.sub(b"", whole[begun:head_ends])):
                return _copied(form, head_ends + 4, at if at >= 0 else len(whole))
            at += 2 if at >= 0 else 0
    raise NoFile("the form holds no file. Send one: curl -F file=@recording.wav, or the file as the body itself.")


def _copied(form: BinaryIO, start: int, end: int) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    form.seek(start)
    shutil.copyfileobj(form, file)
    file.truncate(end - start)
    file.seek(0)
    return file


__all__ = ["NoFile", "boundary_of", "file_in"]
