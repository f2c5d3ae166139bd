"""Operations counted by hand, and of loops as often as they turn."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import PartitionSpec

from wavejax.parallel import get_strategy
from wavejax.parallel.flops import count_flops


def of(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def test_products_and_convolutions() -> None:
    assert count_flops(lambda a, b: jnp.tanh(a @ b) + 1, of(3, 5), of(5, 7)) == 2 * 3 * 5 * 7
    assert count_flops(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), of(2, 3, 5), of(2, 5, 7)) == 2 * 2 * 3 * 5 * 7

    def convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jax.lax.conv_general_dilated(
            x, kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"), feature_group_count=2
        )

    assert count_flops(convolved, of(2, 11, 6), of(3, 3, 8)) == 2 * (2 * 11 * 8) * 3 * 3


def test_loops_branches_and_what_jax_wraps() -> None:
    def body(x: jax.Array, w: jax.Array) -> tuple[jax.Array, None]:
        return jax.checkpoint(lambda x: jnp.tanh(jax.jit(jnp.dot)(x, w)))(x), None

    stacked = of(9, 4, 4)
    assert count_flops(lambda x, w: jax.lax.scan(body, x, w)[0], of(2, 4), stacked) == 9 * 2 * 2 * 4 * 4

    def loss(w: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.sum(jax.lax.scan(body, x, w)[0])

    # Forward, again forward (checkpoint), and two products backward.
    assert count_flops(jax.grad(loss, argnums=(0, 1)), stacked, of(2, 4)) == 4 * 9 * 2 * 2 * 4 * 4
    branches = [lambda x: x @ x, lambda x: x @ x @ x]
    chosen = count_flops(lambda p, x: jax.lax.cond(p, *branches, x), jax.ShapeDtypeStruct((), jnp.bool_), of(3, 3))
    assert chosen == 2 * 2 * 27


def test_a_product_that_turns_unknown_times_is_refused() -> None:
    def endless(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda x: jnp.sum(x) < 1, lambda x: x @ x, x)

    with pytest.raises(ValueError, match="products in a while, which turns nobody knows how often: use scan"):
        count_flops(endless, of(3, 3))
    assert count_flops(lambda x: jax.lax.while_loop(lambda x: jnp.sum(x) < 1, lambda x: x * 2, x), of(3, 3)) == 0


def test_split_rows_are_counted_on_all_devices() -> None:
    mesh, rows = get_strategy("spmd").mesh, PartitionSpec("data")
    split = jax.shard_map(lambda a, b: a @ b, mesh=mesh, in_specs=(rows, PartitionSpec()), out_specs=rows)
    assert count_flops(split, of(16, 5), of(5, 7)) == 2 * 16 * 5 * 7
