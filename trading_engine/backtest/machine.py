"""Object code of the loop in this process: made of LLVM's assembly, loaded, called as `loop.run` is.

What belongs here: everything that needs LLVM, which takes its time to load, so that this module is imported by whoever
is about to need it. What does not: what is compiled and where it is kept (compiled).

The loop makes no array of its own (`Space`), so that the code needs nothing of numba's run time; what it could still
call, to tell of an exception, is stood in for here, and a run that did not come to its end is noticed.
"""

import ctypes
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np

from trading_engine.backtest.tables import (
    Account,
    Candles,
    Desk,
    Funding,
    Plan,
    Records,
    Settings,
    Signals,
    Space,
)
from trading_engine.domain.errors import InvariantBroken

SYMBOL = "trading_engine_loop"
RECORDS = (Desk, Plan, Account, Settings)
# done; symbols, start, rows, six columns, interval; funding; signals; space
COLUMNS = "I" + "iIiIIIIIIi" + "IiII" + "iIIIIIFIII" + "iIiIiBB"


def _nothing(*_: object) -> int:
    return 0


# What numba's code calls where an exception is raised. None is; a run in which one were would not set `done`.
_NOTHING = ctypes.CFUNCTYPE(ctypes.c_void_p)(_nothing)
_STAND_INS = (
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_unpickle",
    "numba_runtime_build_excinfo_struct",
    "numba_do_raise",
    "NRT_Free",
    "NRT_MemInfo_call_dtor",
    "PyErr_WriteUnraisable",
)


_INLINED = 1_000  # LLVM's measure of a function's cost, four times what it inlines by itself


def cpu_name() -> str:
    """The processor, as LLVM calls it."""
    name: str = llvm.get_host_cpu_name()
    return name


def object_code(assembly: str) -> bytes:
    """LLVM's assembly as object code for this processor; InvariantBroken where it calls what nobody has."""
    module = llvm.parse_assembly(assembly)
    module.verify()
    called = {function.name for function in module.functions if function.is_declaration}
    if strange := sorted(name for name in called - set(_STAND_INS) if not _is_elsewhere(name)):
        raise InvariantBroken(f"the compiled loop calls {', '.join(strange)}, which nobody stands in for")
    machine = _machine()
    _inline(module, machine)
    code: bytes = machine.emit_object(module)
    return code


def _inline(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Put functions into those that call them: handing over tables costs more than most of them do.

    Numba keeps every function callable from elsewhere, and so apart.
    """
    for function in module.functions:
        if not function.is_declaration and function.name != SYMBOL:
            function.linkage = "internal"
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.inlining_threshold = _INLINED
    passes = llvm.create_pass_builder(machine, options)
    passes.getModulePassManager().run(module, passes)


def _is_elsewhere(name: str) -> bool:
    """Whether a function is LLVM's or Python's own, so that every process has it; numba's are gone with numba."""
    if name.startswith(("numba_", "NRT_")):
        return False
    return name.startswith("llvm.") or bool(llvm.address_of_symbol(name))


def _machine() -> llvm.TargetMachine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    features = llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=cpu_name(), features=features, opt=3, jit=True)


class Loaded:
    """Object code in this process, called as `loop.run` is."""

    def __init__(self, code: bytes) -> None:
        address = ctypes.cast(_NOTHING, ctypes.c_void_p).value
        for name in _STAND_INS:
            llvm.add_symbol(name, address)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        counts = [ctypes.c_int64 if letter == "i" else ctypes.c_void_p for letter in COLUMNS]
        tables = [ctypes.c_void_p, ctypes.c_int64] * len(RECORDS)
        # With the lock of the interpreter held: what stands in above is Python.
        self._call = ctypes.PYFUNCTYPE(None, *counts, *tables)(self._engine.get_function_address(SYMBOL))

    def __call__(
        self,
        candles: Candles,
        funding: Funding,
        signals: Signals,
        desks: Records,
        plans: Records,
        accounts: Records,
        rules: Records,
        space: Space,
    ) -> None:
        """As `loop.run`; InvariantBroken where it did not come to its end."""
        done = np.zeros(1, np.int64)
        columns = (
            done,
            len(candles.start) - 1,
            candles.start,
            len(candles.ts),
            *candles[1:7],
            candles.interval_ms,
            funding.start,
            len(funding.ts),
            funding.ts,
            funding.rate_e8,
            len(signals.closed_ms),
            *signals,
            len(space.trades),
            space.trades,
            len(space.samples),
            space.samples,
            len(space.wild),
            space.wild,
            space.is_left,
        )
        tables = [part for table in (desks, plans, accounts, rules) for part in (_pointer(table), len(table))]
        self._call(*(part if isinstance(part, int) else _pointer(part) for part in columns), *tables)
        if not done[0]:
            raise InvariantBroken("the compiled loop has failed; --engine full does without it")


def _pointer(array: np.ndarray[Any, Any]) -> int:
    assert array.flags.c_contiguous  # noqa: S101 - rows are counted from their beginning, one behind the other
    return array.ctypes.data
