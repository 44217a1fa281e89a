"""LLVM: its assembly made into object code, and object code loaded where that takes a linker.

What belongs here: everything that needs LLVM, which takes its time to load, so that this module is imported by whoever
is about to need it. What does not: what is compiled and where it is kept (compiled), calling it (machine).
"""

from collections.abc import Collection, Mapping

import llvmlite.binding as llvm  # type: ignore[import-untyped]

from trading_engine.domain.errors import InvariantBroken

_INLINED = 1_000  # LLVM's measure of a function's cost, four times what it inlines by itself


def processor() -> str:
    """The processor and what it can do, as LLVM calls it."""
    return f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"


class Linked:
    """Object code that LLVM has loaded; it can be called as long as this is held.

    symbols   addresses of what it calls and the process does not have under that name
    """

    def __init__(self, code: bytes, symbols: Mapping[str, int]) -> None:
        for name, address in symbols.items():
            llvm.add_symbol(name, address)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        found: int = self._engine.get_function_address(name)
        return found


def object_code(assembly: str, entry: str, known: Collection[str]) -> bytes:
    """LLVM's assembly as object code for this processor; InvariantBroken where it calls what nobody has.

    entry   the function that is called from outside
    known   what it may call although no process has it
    """
    module = llvm.parse_assembly(assembly)
    module.verify()
    called = {function.name for function in module.functions if function.is_declaration}
    if strange := sorted(name for name in called - set(known) if not _is_elsewhere(name)):
        raise InvariantBroken(f"the compiled loop calls {', '.join(strange)}, which nobody stands in for")
    machine = _machine()
    _inline(module, machine, entry)
    code: bytes = machine.emit_object(module)
    return code


def _inline(module: llvm.ModuleRef, machine: llvm.TargetMachine, entry: str) -> None:
    """Put functions into those that call them: handing over tables costs more than most of them do.

    Numba keeps every function callable from elsewhere, and so apart.
    """
    for function in module.functions:
        if not function.is_declaration and function.name != entry:
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
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3, jit=True)
