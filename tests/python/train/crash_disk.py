"""A disk that forgets: what a checkpoint's writer does, operation by operation, and every state
that a crash after any of them may leave behind."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

_REAL = {name: getattr(os, name) for name in ("fsync", "mkdir", "rename", "replace", "unlink")}


class Journal:
    """Records what happens below a folder while it is watched, and plays prefixes of it again.

    An operation is ("mkdir", path), ("create", path), ("write", path, data), ("sync", path),
    ("rename", old, new), ("unlink", path) or ("rmdir", path). Paths are relative to the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.operations = folder, []

    def _note(self, kind, *paths, **more):
        try:
            names = [str(Path(os.fspath(path)).relative_to(self.folder)) for path in paths]
        except ValueError:
            return  # elsewhere
        self.operations.append((kind, *names, *more.values()))

    @contextmanager
    def watching(self, monkeypatch):
        """Let everything that changes the disk pass by here.

        Files are looked at where they are made durable: what is in one then was written before.
        """
        written: dict[str, bytes] = {}

        def noticed(descriptor):
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if path.is_file() and path.is_relative_to(self.folder):
                name = str(path.relative_to(self.folder))
                if name not in written:
                    self.operations.append(("create", name))
                data = path.read_bytes()
                before = len(written.get(name, b""))
                for end in sorted({(before + len(data)) // 2, len(data)} - {before}):
                    self.operations.append(("write", name, data[:end]))
                written[name] = data
            if path.is_relative_to(self.folder):
                self._note("sync", path)
            _REAL["fsync"](descriptor)

        def watched(kind, real):
            def call(*paths, **options):
                if options.get("dir_fd") is None and not isinstance(paths[0], int):
                    both = paths[:2] if kind == "rename" else paths[:1]
                    self._note(kind, *both)
                return real(*paths, **options)

            return call

        def remove_tree(path, ignore_errors=False, **_):
            path = Path(path)
            if not path.is_dir():
                return
            for one in sorted(path.iterdir()):
                remove_tree(one) if one.is_dir() else os.unlink(one)
            self._note("rmdir", path)
            path.rmdir()

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", noticed)
            patch.setattr(os, "mkdir", watched("mkdir", _REAL["mkdir"]))
            patch.setattr(os, "unlink", watched("unlink", _REAL["unlink"]))
            for name in ("rename", "replace"):
                patch.setattr(os, name, watched("rename", _REAL[name]))
            patch.setattr(shutil, "rmtree", remove_tree)
            yield

    def crashes(self, start: Path, out: Path):
        """Every state after a crash, one after the other, in the folder ``out``.

        After each operation there are three: everything happened; only what was made durable did
        (names by their folder's fsync, contents by the file's); names happened and contents that
        were not made durable are empty.

        Args:
            start: a copy of the folder before the operations.
            out: made anew for each state.

        Yields:
            how many operations there were, and which of the three.
        """
        for count in range(len(self.operations) + 1):
            for mode in ("all", "durable", "empty"):
                shutil.rmtree(out, ignore_errors=True)
                shutil.copytree(start, out)
                self._play(self.operations[:count], mode, out)
                yield count, mode

    def _play(self, operations, mode, out):
        synced: list[set[str]] = [set() for _ in range(len(operations) + 1)]  # from there on
        for place in reversed(range(len(operations))):
            kind, name = operations[place][:2]
            synced[place] = synced[place + 1] | ({name} if kind == "sync" else set())
        for place, (kind, *rest) in enumerate(operations):
            path, later = out / rest[0], synced[place]
            if kind == "write":
                if path.exists() and (mode == "all" or rest[0] in later):
                    path.write_bytes(rest[1])
                continue
            named = mode != "durable" or {str(Path(name).parent) for name in rest} <= later
            if kind == "sync" or not (named or kind == "create"):
                continue
            if kind == "mkdir":
                path.mkdir()
            elif kind == "create" and path.parent.is_dir():
                path.touch()
            elif kind == "rename" and path.exists():
                path.replace(out / rest[1])
            elif kind == "unlink":
                path.unlink(missing_ok=True)
            elif kind == "rmdir" and path.is_dir():
                shutil.rmtree(path)
