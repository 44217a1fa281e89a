"""Object code in memory without the compiler that made it, for the one kind of it that is simple.

What belongs here: placing the sections of an ELF object file for x86-64 and writing the addresses that they wait for.
What does not: what is compiled (compiled), any other kind (assembler), calling it (machine).

LLVM for a compiler that runs in the process it compiles for (the large code model) refers to everything by plain 64-bit
addresses, so that linking is adding. Whatever else a file asks for, it is left alone: LLVM loads it as well, and takes
20 to 40 ms longer, most of them for its own library.

ELF-64: System V ABI, chapters "Object Files"; R_X86_64_64 and the unwind sections: its x86-64 supplement.
"""

import ctypes
import mmap
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from trading_engine.domain.errors import ConfigInvalid

_IDENT = b"\x7fELF\x02\x01\x01"  # 64 bits, little end first
_RELOCATABLE, _X86_64 = 1, 62
_PROGRAM, _SYMBOLS, _ADDENDS, _NOTE, _NO_ADDENDS, _UNWIND = 1, 2, 4, 7, 9, 0x70000001
_WRITTEN, _TAKES_PLACE = 1, 2
_ADDRESS_64 = 1
_UNDEFINED, _FIRST_RESERVED = 0, 0xFF00


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    aligned: int
    entry_size: int


class Image:
    """Code that can be called as long as this is held."""

    def __init__(self, memory: mmap.mmap, addresses: Mapping[str, int]) -> None:
        self._memory = memory
        self._addresses = addresses

    def address(self, name: str) -> int:
        """Where a function begins; KeyError where there is none of that name."""
        return self._addresses[name]


def place(code: bytes, resolve: Callable[[str], int | None]) -> Image | None:
    """An object file, as a compiler has made it, ready to be called; None where it is of another kind.

    resolve   the address of what is called elsewhere, None where it is nowhere

    ConfigInvalid where this process may not execute it.
    """
    sections = _sections(code)
    if sections is None:
        return None
    offsets, size = _layout(sections)
    memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for number, begin in offsets.items():
        offset, length = sections[number].offset, sections[number].size
        memory[begin : begin + length] = code[offset : offset + length]
    symbols = _symbols(code, sections, {number: base + begin for number, begin in offsets.items()}, resolve)
    if not _link(code, sections, memory, offsets, [address for _, address in symbols]):
        return None
    if _libc().mprotect(ctypes.c_void_p(base), ctypes.c_size_t(len(memory)), mmap.PROT_READ | mmap.PROT_EXEC):
        # LLVM would have to ask for the same, and ends the process where it is refused.
        raise ConfigInvalid(
            "the fast engine is machine code, and this process may execute no memory of its own"
            " (MemoryDenyWriteExecute of systemd, execmem of SELinux); --engine full does without"
        )
    return Image(memory, {name: address for name, address in symbols if name and address is not None})


def _sections(code: bytes) -> list[_Section] | None:
    """The sections of a file that can be placed; None for any other file."""
    if not code.startswith(_IDENT) or struct.unpack_from("<HH", code, 16) != (_RELOCATABLE, _X86_64):
        return None
    (begin,) = struct.unpack_from("<Q", code, 40)
    entry_size, count = struct.unpack_from("<HH", code, 58)
    table = code[begin : begin + entry_size * count]
    sections = [_Section._make(row) for row in struct.iter_unpack("<IIQQQQIIQQ", table)]
    placed = [one for one in sections if one.flags & _TAKES_PLACE and one.size]
    if any(one.flags & _WRITTEN or one.kind not in (_PROGRAM, _NOTE, _UNWIND) for one in placed):
        return None  # what is written to would lie beside what is executed
    kinds = [one.kind for one in sections]
    return sections if kinds.count(_SYMBOLS) == 1 and _NO_ADDENDS not in kinds else None


def _layout(sections: Sequence[_Section]) -> tuple[dict[int, int], int]:
    """Where each section begins, by its number, and where the last one ends."""
    offsets, end = {}, 0
    for number, one in enumerate(sections):
        if one.flags & _TAKES_PLACE and one.kind == _PROGRAM:
            begin = -(-end // max(one.aligned, 1)) * max(one.aligned, 1)
            offsets[number], end = begin, begin + one.size
    return offsets, end


def _symbols(
    code: bytes, sections: Sequence[_Section], begins: Mapping[int, int], resolve: Callable[[str], int | None]
) -> list[tuple[str, int | None]]:
    """Every symbol's name and address; no address where it has none in memory."""
    table = next(one for one in sections if one.kind == _SYMBOLS)
    names = sections[table.link].offset
    found: list[tuple[str, int | None]] = []
    for at, _, _, section, value, _ in struct.iter_unpack("<IBBHQQ", code[table.offset : table.offset + table.size]):
        name = code[names + at : code.index(b"\0", names + at)].decode()
        if section == _UNDEFINED:
            found.append(("", resolve(name) if name else 0))
        else:
            begin = begins.get(section) if section < _FIRST_RESERVED else None
            found.append((name, None if begin is None else begin + value))
    return found


def _link(
    code: bytes,
    sections: Sequence[_Section],
    memory: mmap.mmap,
    offsets: Mapping[int, int],
    addresses: Sequence[int | None],
) -> bool:
    """Write every address that a placed section waits for; False where one is not known or not plain."""
    for one in sections:
        if one.info not in offsets or one.kind != _ADDENDS:
            continue
        for offset, info, addend in struct.iter_unpack("<QQq", code[one.offset : one.offset + one.size]):
            address = addresses[info >> 32]
            if info & 0xFFFFFFFF != _ADDRESS_64 or address is None:
                return False
            struct.pack_into("<Q", memory, offsets[one.info] + offset, (address + addend) % (1 << 64))
    return True


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
