"""Vector instructions for the kernels, written in LLVM's own language with llvmlite; they work on any processor."""

from collections.abc import Callable
from typing import Any


def vector_instructions(lanes: int) -> dict[str, Any]:
    """The functions in LLVM's language that the kernels call: bit casts and the innermost loop of a product."""
    from llvmlite import ir
    from numba.core import cgutils
    from numba.core import types as nt
    from numba.extending import intrinsic

    @intrinsic
    def as_int(typing, x):
        return nt.int32(nt.float32), lambda context, builder, signature, args: builder.bitcast(args[0], ir.IntType(32))

    @intrinsic
    def as_float(typing, x):
        return nt.float32(nt.int32), lambda context, builder, signature, args: builder.bitcast(args[0], ir.FloatType())

    @intrinsic(prefer_literal=True)
    def tile(typing, rows, vectors, where):
        """y += x W for `rows` rows and `vectors` vectors of columns; returns `vectors`."""
        size = rows.literal_value, vectors.literal_value

        def codegen(context, builder, signature, args):
            parts = []
            for part, kind in zip(cgutils.unpack_tuple(builder, args[2]), where, strict=True):
                is_array = isinstance(kind, nt.Array)
                parts.append(context.make_array(kind)(context, builder, part).data if is_array else part)
            weights = where[3].dtype
            emit = _emit_int8 if weights == nt.int8 else _emit_float
            emit(_Emitter(ir, builder, lanes), size, weights == nt.uint32, *parts)
            return context.get_constant(nt.intp, size[1])

        return nt.intp(rows, vectors, where), codegen

    return {"as_int": as_int, "as_float": as_float, "tile": tile}


class _Emitter:
    """LLVM code that both kinds of product share."""

    def __init__(self, ir: Any, builder: Any, lanes: int) -> None:
        self.ir, self.builder, self.lanes = ir, builder, lanes
        self.long, self.word = ir.IntType(64), ir.IntType(32)
        self.floats, self.words = ir.VectorType(ir.FloatType(), lanes), ir.VectorType(self.word, lanes)

    def add(self, a: Any, b: Any, times: int = 1) -> Any:
        """a + b * times, addresses in elements."""
        return self.builder.add(a, self.builder.mul(b, self.long(times)))

    def pointer(self, base: Any, at: Any, kind: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(base, [at]), kind.as_pointer())

    def load(self, base: Any, at: Any, kind: Any, align: int = 4) -> Any:
        value = self.builder.load(self.pointer(base, at, kind), typ=kind)
        value.align = align
        return value

    def store(self, value: Any, base: Any, at: Any) -> None:
        self.builder.store(value, self.pointer(base, at, value.type)).align = 4

    def spread(self, scalar: Any) -> Any:
        """A vector with one value in all lanes."""
        kind = self.ir.VectorType(scalar.type, self.lanes)
        undefined = self.ir.Constant(kind, self.ir.Undefined)
        one = self.builder.insert_element(undefined, scalar, self.word(0))
        return self.builder.shuffle_vector(one, undefined, self.ir.Constant(self.words, [0] * self.lanes))

    def call(self, name: str, result: Any, *args: Any) -> Any:
        """Calls an LLVM function, declared on its first use."""
        module = self.builder.module
        kind = self.ir.FunctionType(result, [arg.type for arg in args])
        function = module.globals.get(name) or self.ir.Function(module, kind, name)
        return self.builder.call(function, args)

    def loop(self, count: Any, start: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """for k in range(count): values = body(k, values), count >= 1, the values in registers."""
        builder = self.builder
        before, inside = builder.block, builder.append_basic_block("product")
        after = builder.append_basic_block("sums")
        builder.branch(inside)
        builder.position_at_end(inside)
        k = builder.phi(self.long)
        values = [builder.phi(value.type) for value in start]
        following, changed = builder.add(k, self.long(1)), body(k, values)
        k.add_incoming(self.long(0), before)
        k.add_incoming(following, inside)
        for value, first, new in zip(values, start, changed, strict=True):
            value.add_incoming(first, before)
            value.add_incoming(new, inside)
        builder.cbranch(builder.icmp_signed("<", following, count), inside, after)
        builder.position_at_end(after)
        return changed


def _emit_float(e, size, is_bfloat16, x, x_at, x_stride, w, w_at, w_stride, inputs, y, y_at, y_stride):
    """float32 weights, or pairs of bfloat16: a word's low half is a weight of one vector, its high half of the next.

    The high weight is used with the low one's bits still in it: packing has taken them into account.
    """
    rows, vectors = size
    places = [e.add(e.add(y_at, y_stride, row), e.long(v * e.lanes)) for row in range(rows) for v in range(vectors)]

    def weights(k):
        at = e.add(w_at, e.builder.mul(k, w_stride))
        if not is_bfloat16:
            return [e.load(w, e.add(at, e.long(v * e.lanes)), e.floats) for v in range(vectors)]
        words = [e.load(w, e.add(at, e.long(v * e.lanes)), e.words) for v in range((vectors + 1) // 2)]
        shift = e.ir.Constant(e.words, [16] * e.lanes)
        return [e.builder.bitcast(half, e.floats) for word in words for half in (e.builder.shl(word, shift), word)]

    def body(k, sums):
        loaded, changed = weights(k), []
        for row in range(rows):
            factor = e.spread(e.load(x, e.add(e.add(x_at, x_stride, row), k), e.ir.FloatType()))
            for v in range(vectors):
                name = f"llvm.fmuladd.v{e.lanes}f32"
                changed.append(e.call(name, e.floats, factor, loaded[v], sums[row * vectors + v]))
        return changed

    for place, total in zip(places, e.loop(inputs, [e.load(y, at, e.floats) for at in places], body), strict=True):
        e.store(total, y, place)


def _emit_int8(e, size, _, x, x_at, x_stride, w, w_at, w_stride, inputs, y, y_at, y_stride, scales, s, row_scales, row):
    """int8 weights in pairs of inputs, x in pairs of int16: products are added in int32, then scaled."""
    rows, vectors = size
    ir, builder = e.ir, e.builder
    shorts, wide = ir.VectorType(ir.IntType(16), 2 * e.lanes), ir.VectorType(e.word, 2 * e.lanes)
    halves = [ir.Constant(e.words, [2 * lane + odd for lane in range(e.lanes)]) for odd in (0, 1)]

    def dot(a, b):
        """Sums of neighbouring products; LLVM has an instruction for it (pmaddwd, or vpdpwssd with the addition)."""
        products = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
        return builder.add(*(builder.shuffle_vector(products, products, half) for half in halves))

    def body(k, sums):
        at, changed = e.add(w_at, builder.mul(k, w_stride)), []
        kind = ir.VectorType(ir.IntType(8), 2 * e.lanes)
        loaded = [builder.sext(e.load(w, e.add(at, e.long(2 * v * e.lanes)), kind, 1), shorts) for v in range(vectors)]
        for r in range(rows):
            pair = e.load(x, e.add(e.add(x_at, x_stride, r), k), e.word)
            factor = builder.bitcast(e.spread(pair), shorts)
            for v in range(vectors):
                changed.append(builder.add(sums[r * vectors + v], dot(loaded[v], factor)))
        return changed

    totals = e.loop(inputs, [ir.Constant(e.words, [0] * e.lanes)] * (rows * vectors), body)
    for r in range(rows):
        scale = e.spread(e.load(row_scales, e.add(row, e.long(r)), ir.FloatType()))
        for v in range(vectors):
            at = e.add(e.add(y_at, y_stride, r), e.long(v * e.lanes))
            factor = builder.fmul(scale, e.load(scales, e.add(s, e.long(v * e.lanes)), e.floats))
            total = builder.sitofp(totals[r * vectors + v], e.floats)
            e.store(e.call(f"llvm.fmuladd.v{e.lanes}f32", e.floats, total, factor, e.load(y, at, e.floats)), y, at)
