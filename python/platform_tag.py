"""The platform tag of a wheel, from what its binaries themselves need: no constant, and no wish."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Iterable

#: What a manylinux system has anyway (PEP 599); anything else would have to be inside the wheel.
MANYLINUX_LIBRARIES = re.compile(
    r"^(libc|libm|libdl|librt|libpthread|libgcc_s|libutil|ld-linux[-\w]*)\.so\.\d+$|^linux-vdso\.so\.1$"
)
_MACHINES = {62: "x86_64", 183: "aarch64"}
_PE_MACHINES = {0x8664: "win_amd64", 0xAA64: "win_arm64"}
_MACH_CPUS = {0x01000007: "x86_64", 0x0100000C: "arm64"}


class NoTag(Exception):
    """A binary that no tag describes."""


def platform_tag(binaries: Iterable[Path]) -> str:
    """The one tag that is true for all of them: the newest system that any of them needs."""
    tags = [(_tag_of(path.read_bytes(), path), path) for path in binaries]
    families = {tag[0] for tag, _ in tags}
    if len(families) != 1:
        raise NoTag(f"binaries for several systems: {', '.join(f'{path.name}: {tag}' for tag, path in tags)}")
    return max((tag for tag, _ in tags), key=lambda tag: tag[1])[2]


def highest_glibc(path: Path) -> tuple[int, int] | None:
    """The newest version of glibc's symbols that an ELF file needs; None if it needs none."""
    return _Elf(path.read_bytes(), path).glibc()



def _tag_of(data: bytes, path: Path) -> tuple[str, tuple[int, ...], str]:
    """A family that has to be the same, a version to compare, and the tag."""
    if data[:4] == b"\x7fELF":
        return _Elf(data, path).tag()
    if data[:2] == b"MZ":
        at = struct.unpack_from("<I", data, 0x3C)[0]
        machine = struct.unpack_from("<H", data, at + 4)[0]
        tag = _PE_MACHINES.get(machine)
        if tag is None:
            raise NoTag(f"{path}: unknown machine {machine:#x}")
        return tag, (), tag
    if data[:4] in (b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe"):
        return _mach_tag(data, path)
    raise NoTag(f"{path}: neither ELF nor PE nor Mach-O")


class _Elf:
    """What a 64-bit little-endian ELF file says that it needs."""

    def __init__(self, data: bytes, path: Path) -> None:
        if data[4:6] != b"\x02\x01":
            raise NoTag(f"{path}: expected 64 bits, little-endian")
        self._data, self._path = data, path
        (self._machine,) = struct.unpack_from("<H", data, 18)
        (headers_at,) = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
        self._segments = [struct.unpack_from("<IIQQQQQQ", data, headers_at + i * size) for i in range(count)]
        self._dynamic: dict[int, list[int]] = {}
        for kind, _, offset, _, _, length, _, _ in self._segments:
            if kind == 2:
                for at in range(offset, offset + length, 16):
                    tag, value = struct.unpack_from("<qQ", data, at)
                    if tag == 0:
                        break
                    self._dynamic.setdefault(tag, []).append(value)
        self._strings = self._offset(self._dynamic[5][0]) if 5 in self._dynamic else 0

    def _offset(self, address: int) -> int:
        for kind, _, offset, start, _, length, _, _ in self._segments:
            if kind == 1 and start <= address < start + length:
                return offset + address - start
        raise NoTag(f"{self._path}: address {address:#x} is in no segment")

    def _text(self, at: int) -> str:
        start = self._strings + at
        return self._data[start : self._data.index(b"\0", start)].decode()

    def needed(self) -> list[str]:
        """Names of libraries."""
        return [self._text(at) for at in self._dynamic.get(1, [])]

    def versions(self) -> list[str]:
        """Names of symbol versions, such as GLIBC_2.17."""
        if 0x6FFFFFFE not in self._dynamic:
            return []
        found = []
        at = self._offset(self._dynamic[0x6FFFFFFE][0])
        while True:
            _, count, _, first, following = struct.unpack_from("<HHIII", self._data, at)
            inner = at + first
            for _ in range(count):
                _, _, _, name, step = struct.unpack_from("<IHHII", self._data, inner)
                found.append(self._text(name))
                inner += step
            if following == 0:
                return found
            at += following

    def glibc(self) -> tuple[int, int] | None:
        numbers = [re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", version) for version in self.versions()]
        return max(((int(each[1]), int(each[2])) for each in numbers if each), default=None)

    def tag(self) -> tuple[str, tuple[int, ...], str]:
        machine = _MACHINES.get(self._machine)
        if machine is None:
            raise NoTag(f"{self._path}: unknown machine {self._machine}")
        needed = self.needed()
        # Musl's name on systems that have it; a program without any library runs on both.
        if any(name.startswith("libc.musl") or name == "libc.so" for name in needed):
            return f"musl-{machine}", (1, 2), f"musllinux_1_2_{machine}"
        foreign = [name for name in needed if not MANYLINUX_LIBRARIES.match(name)]
        if foreign:
            raise NoTag(f"{self._path}: needs {', '.join(foreign)}, which not every Linux has")
        # Older than 2.17 has no tag of its own any more.
        major, minor = max(self.glibc() or (2, 17), (2, 17))
        return f"glibc-{machine}", (major, minor), f"manylinux_{major}_{minor}_{machine}"


def _mach_tag(data: bytes, path: Path) -> tuple[str, tuple[int, ...], str]:
    images = [0]
    if data[:4] == b"\xca\xfe\xba\xbe":
        (count,) = struct.unpack_from(">I", data, 4)
        images = [struct.unpack_from(">IIIII", data, 8 + 20 * i)[2] for i in range(count)]
    cpus, least = set(), (10, 9)
    for start in images:
        _, cpu, _, _, commands, _, _, _ = struct.unpack_from("<IIIIIIII", data, start)
        cpus.add(_MACH_CPUS.get(cpu, "unknown"))
        at = start + 32
        for _ in range(commands):
            command, size = struct.unpack_from("<II", data, at)
            if command in (0x24, 0x32):  # LC_VERSION_MIN_MACOSX, LC_BUILD_VERSION
                version = struct.unpack_from("<I", data, at + (8 if command == 0x24 else 12))[0]
                least = max(least, (version >> 16, (version >> 8) & 0xFF))
            at += size
    if "unknown" in cpus:
        raise NoTag(f"{path}: unknown CPU")
    machine = "universal2" if len(cpus) > 1 else cpus.pop()
    # From version 11 on pip knows whole versions only.
    least = (least[0], 0) if least[0] >= 11 else least
    return f"macosx-{machine}", least, f"macosx_{least[0]}_{least[1]}_{machine}"
