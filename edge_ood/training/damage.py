"""What torch and safetensors raise on a damaged file, which depends on the format and the place."""

import struct

__all__ = ["DAMAGE"]

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,  # RecursionError is one
    TypeError,
    ValueError,
    struct.error,
)
