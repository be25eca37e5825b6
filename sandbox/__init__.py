"""Run programs that nobody trusts, on one shared kernel, without root."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.client.aio import AsyncClient
    from sandbox.client.aio_judge import AsyncJudgeClient
    from sandbox.client.errors import DisconnectedError, UntrustedError
    from sandbox.client.judge import JudgeClient
    from sandbox.client.sync import Client
    from sandbox.spec.errors import (
        ExecError,
        HostError,
        ProtocolError,
        RefusedError,
        SandboxError,
        SetupError,
        SpecError,
        ZygoteError,
    )
    from sandbox.spec.job import Job
    from sandbox.spec.limits import Limits
    from sandbox.spec.result import Completed, Result
    from sandbox.supervisor.library import Order, Pipe, Supervisor
    from sandbox.wire.errors import (
        InternalError,
        InvalidParamsError,
        LostError,
        NotFoundError,
        UnknownMethodError,
    )

__version__ = "0.1.0"

__all__ = [
    "AsyncClient", "AsyncJudgeClient", "Client", "Completed", "DisconnectedError", "ExecError",
    "HostError", "InternalError", "InvalidParamsError", "Job", "JudgeClient", "Limits", "LostError",
    "NotFoundError", "Order", "Pipe", "ProtocolError", "RefusedError", "Result", "SandboxError",
    "SetupError", "SpecError", "Supervisor", "UnknownMethodError", "UntrustedError", "ZygoteError",
]  # fmt: skip

# Where each name is. None is imported before it is used (PEP 562): a command that needs no trio
# must not wait for it.
_MODULES = {
    "client.aio": ("AsyncClient",),
    "client.aio_judge": ("AsyncJudgeClient",),
    "client.judge": ("JudgeClient",),
    "client.errors": ("DisconnectedError", "UntrustedError"),
    "client.sync": ("Client",),
    "spec.errors": (
        "ExecError", "HostError", "ProtocolError", "RefusedError", "SandboxError", "SetupError",
        "SpecError", "ZygoteError",
    ),
    "spec.job": ("Job",),
    "spec.limits": ("Limits",),
    "spec.result": ("Completed", "Result"),
    "supervisor.library": ("Order", "Pipe", "Supervisor"),
    "wire.errors": (
        "InternalError", "InvalidParamsError", "LostError", "NotFoundError", "UnknownMethodError",
    ),
}  # fmt: skip


def __getattr__(name: str) -> "Any":
    for module, names in _MODULES.items():
        if name in names:
            from importlib import import_module

            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
