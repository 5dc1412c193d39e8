"""A static site: made whole in memory, written into a folder whole or not at all, with nothing in it of anybody else.

``site.json`` lists the files that were written, so that a later site replaces these and nothing else.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from netgain.errors import InputError
from netgain.records.identity import plain_name
from netgain.strict_json import parse_json

MANIFEST = "site.json"
SCHEMA = "netgain.site/1"


def folder_name(kind: str, name: str, taken: set[str]) -> str:
    """A folder for a page, ``kind/name`` in plain characters, numbered where it is taken; it is added to ``taken``."""
    stem, number = f"{kind}/{plain_name(name).strip('-.')[:60] or 'claim'}", 1
    found = stem
    while found.lower() in taken:
        number += 1
        found = f"{stem}-{number}"
    taken.add(found.lower())
    return found


def require_own(folder: Path) -> None:
    """Raise InputError where something stands in the folder that no site of ours wrote there."""
    try:
        if not folder.exists():
            return
        there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    except OSError as error:
        raise InputError(str(folder), f"cannot be looked at: {error.strerror}", "name another folder") from None
    strangers = sorted(there - _written(folder))
    if strangers or not folder.is_dir():
        what = f"holds {strangers[0]}, which is no part of a site that netgain wrote" if strangers else "is a file"
        raise InputError(str(folder), what, "name another folder with --out")


def _written(folder: Path) -> set[str]:
    try:
        listed = parse_json((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    if not isinstance(listed, dict) or listed.get("schema") != SCHEMA or not isinstance(listed.get("files"), list):
        return set()
    return {MANIFEST, *(name for name in listed["files"] if isinstance(name, str))}


def with_manifest(files: Mapping[str, str]) -> dict[str, str]:
    """The files of a site with the one that lists them."""
    listed = json.dumps({"schema": SCHEMA, "files": sorted(files)}, indent=0, ensure_ascii=False)
    return {**files, MANIFEST: listed + "\n"}


def write_site(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files, by their paths below the folder, in place of the site that stood there.

    They are written beside it first and take its place at once. Raises InputError as :func:`require_own`, and where
    nothing can be written.
    """
    require_own(folder)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    before = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        for name, text in with_manifest(files).items():
            path = beside / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="replace")
        if folder.exists():
            folder.rename(before)
        beside.rename(folder)
    except OSError as error:
        if before.exists() and not folder.exists():
            before.rename(folder)
        problem = f"cannot be written: {error.strerror}"
        raise InputError(str(folder), problem, "name a folder that can be written, with room for it") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)
