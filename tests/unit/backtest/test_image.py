"""Object code that is placed without a linker, against the same code loaded by LLVM."""

import ctypes
import platform
import struct

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import pytest

from trading_engine.backtest import image
from trading_engine.backtest.assembler import Linked
from trading_engine.backtest.machine import in_memory
from trading_engine.domain.errors import ConfigInvalid

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="placed on x86-64 only; LLVM loads elsewhere")

# A table that is read, a function that is called within, one that is called outside, and a jump.
ASSEMBLY = """
@table = internal constant [4 x i64] [i64 3, i64 5, i64 7, i64 11]
declare i64 @outside(i64)
define internal i64 @twice(i64 %x) noinline {
  %y = add i64 %x, %x
  ret i64 %y
}
define i64 @entry(i64 %x) {
  %at = and i64 %x, 3
  %place = getelementptr [4 x i64], [4 x i64]* @table, i64 0, i64 %at
  %known = load i64, i64* %place
  %more = call i64 @twice(i64 %known)
  %other = call i64 @outside(i64 %x)
  %sum = add i64 %more, %other
  ret i64 %sum
}
"""
WRITTEN = ASSEMBLY.replace("internal constant", "global")


@ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
def outside(number: int) -> int:
    """What the process brings along."""
    return number * 1_000


OUTSIDE = ctypes.cast(outside, ctypes.c_void_p).value or 0
RESOLVE = {"outside": OUTSIDE}.get


def code_of(assembly: str, **kind: object) -> bytes:
    """Object code as the loop's is made, or of another kind."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    code: bytes = target.create_target_machine(**{"jit": True, **kind}).emit_object(llvm.parse_assembly(assembly))
    return code


def called(address: int, number: int) -> int:
    """What the entry makes of a number."""
    result: int = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(number)
    return result


def test_placed_code_does_what_linked_code_does() -> None:
    """Constants, calls within and calls to what the process has; as worked out by hand."""
    code = code_of(ASSEMBLY)
    placed, linked = image.place(code, RESOLVE), Linked(code, {"outside": OUTSIDE})
    assert placed is not None
    for number, expected in ((0, 6), (1, 1_010), (2, 2_014), (7, 7_022)):
        assert expected == called(placed.address("entry"), number) == called(linked.address("entry"), number)
    with pytest.raises(KeyError):
        placed.address("twice of it")


def _mask(code: bytes, at: int, value: int) -> bytes:
    return code[:at] + struct.pack("<H", value) + code[at + 2 :]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (code_of(ASSEMBLY, jit=False, codemodel="small", reloc="pic"), "distances between sections"),
        (code_of(WRITTEN), "a table that is written to"),
        (code_of(ASSEMBLY.replace("@outside", "@nowhere")), "a call of what nobody has"),
        (_mask(code_of(ASSEMBLY), 18, 183), "another processor"),
        (_mask(code_of(ASSEMBLY), 16, 3), "a library"),
        (b"MZ" + code_of(ASSEMBLY)[2:], "another format"),
        (b"", "nothing"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_any_other_code_is_left_to_llvm(code: bytes, why: str) -> None:
    """Nothing of it is guessed."""
    assert image.place(code, RESOLVE) is None, why


def test_where_nothing_may_be_executed_the_other_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that allows no memory to become code; LLVM would end the process."""

    class _Strict:
        def mprotect(self, *_: object) -> int:
            return -1

    monkeypatch.setattr(image, "_libc", _Strict)
    with pytest.raises(ConfigInvalid, match="--engine full does without"):
        image.place(code_of(ASSEMBLY), RESOLVE)


def test_code_of_another_kind_is_loaded_all_the_same() -> None:
    """By LLVM, with what stands in for numba's functions."""
    code = code_of(ASSEMBLY.replace("@outside", "@numba_gil_ensure"), jit=False, codemodel="small", reloc="pic")
    assert isinstance(in_memory(code), Linked)
    assert isinstance(in_memory(code_of(ASSEMBLY.replace("@outside", "@numba_gil_ensure"))), image.Image)
