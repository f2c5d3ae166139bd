"""Reading compiled programs: short texts in the manners of three compilers, and real programs of this one."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from wavejax.parallel import get_strategy, sum_over_devices
from wavejax.parallel.hlo import Collective, Operation, collectives, computations, operation, shape_bytes

LOOP = """HloModule step, is_scheduled=true, num_partitions=8

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%condition (state: (s32[], f32[4,8])) -> pred[] {
  %limit = s32[]{:T(128)} constant(24), metadata={op_name="jit(step)"}
  %state = (s32[]{:T(128)}, f32[4,8]{1,0}) parameter(0)
  %count = s32[]{:T(128)} get-tuple-element(%state), index=0
  ROOT %lt = pred[]{:T(512)} compare(%count, %limit), direction=LT
}

%body (state: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %x = f32[4,8]{1,0} get-tuple-element(%state), index=1
  %all-reduce.1 = (f32[4,8]{1,0:T(8,128)S(1)}, /*index=1*/bf16[3]{0}) all-reduce(%x, %y), channel_id=1, \
replica_groups=mesh['axis_0'=4,'axis_1'=2] {'axis_0'}, to_apply=%add
  ROOT %tuple = (s32[]{:T(128)}, f32[4,8]{1,0}) tuple(%next, %x)
}

%unreachable (a: f32[2]) -> f32[2] {
  ROOT %all-gather.9 = f32[2]{0} all-gather(%a), replica_groups={}
}

ENTRY %main (x: f32[4,8]) -> f32[4,8] {
  %start = (s32[]{:T(128)}, f32[4,8]{1,0}) tuple(%zero, %x)
  %while = (s32[]{:T(128)}, f32[4,8]{1,0}) while(%start), condition=%condition, body=%body
  %all-reduce-start = f32[100]{0} all-reduce-start(%flat), replica_groups={{0,1,2,3,4,5,6,7}}, to_apply=%add
  %all-reduce-done = f32[100]{0} all-reduce-done(%all-reduce-start)
  %gather = (f32[2,3]{1,0}, f32[16,3]{1,0}) all-gather-start(%part), replica_groups=[1,8]<=[8], dimensions={0}
  %gathered = f32[16,3]{1,0} all-gather-done(%gather)
  %scatter = f32[5]{0} reduce-scatter(%full), replica_groups=[2,4]<=[8], dimensions={0}, to_apply=%add
  %permute = (u8[7]{0}, u8[7]{0}, u32[], u32[]) collective-permute-start(%ring), source_target_pairs={{0,1},{1,0}}
  ROOT %out = f32[4,8]{1,0} get-tuple-element(%while), index=1
}
"""


def test_collectives_are_counted_weighed_and_multiplied_by_the_loops_they_are_in() -> None:
    assert collectives(LOOP) == (
        Collective("all-reduce", 4 * 8 * 4 + 3 * 2, 4, 24),
        Collective("all-reduce", 400, 8, 1),
        Collective("all-gather", 16 * 3 * 4, 8, 1),
        Collective("reduce-scatter", 5 * 4 * 4, 4, 1),
        Collective("collective-permute", 7, 8, 1),
    )


def test_a_loop_says_its_length_or_it_is_not_known() -> None:
    stated = LOOP.replace("body=%body", 'body=%body, backend_config={"known_trip_count":{"n":"16"}}')
    assert collectives(stated)[0].times == 16
    for unclear in ("direction=LT", "s32[]{:T(128)} constant(24)"):
        assert collectives(LOOP.replace(unclear, "something"))[0].times is None
    inner = LOOP.replace("ROOT %out", "%again = f32[4,8] fusion(%x), kind=kCustom, calls=%body\n  ROOT %out")
    assert collectives(inner)[0].times == 25  # in the loop, and once more outside it
    with pytest.raises(ValueError, match="no ENTRY computation"):
        collectives(LOOP.replace("ENTRY ", ""))


def test_what_a_ring_sends() -> None:
    sent = {each.kind: each.sent_bytes for each in collectives(LOOP)[1:]}
    expected = {"all-reduce": 700, "all-gather": 168, "reduce-scatter": 60, "collective-permute": 7}
    assert sent == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("f32[]", 4),
        ("f32[2,3]{1,0:T(8,128)S(1)}", 24),
        ("(bf16[4]{0}, /*index=1*/s32[], pred[3])", 8 + 4 + 3),
        ("((f32[2]), c64[2])", 8 + 16),
        ("s4[3]{0:E(4)}", 2),
        ("f8e4m3fn[5]", 5),
        ("f32[<=6]", 24),
        ("f32[0,7]", 0),
        ("token[]", 0),
    ],
)
def test_shapes_have_sizes(shape: str, size: int) -> None:
    assert shape_bytes(shape) == size


def test_unknown_element_types_are_refused() -> None:
    with pytest.raises(ValueError, match="'q7' is no element type"):
        shape_bytes("q7[3]")


def test_lines_are_operations_or_not() -> None:
    assert operation("  ROOT %a.1 = (s32[], f32[8]{0}) while(%t), body=%b") == Operation("(s32[], f32[8]{0})", "while")
    assert operation("  metadata") == Operation("", "")
    assert list(computations(LOOP)) == ["add", "condition", "body", "unreachable", "main"]


def test_the_program_of_a_real_step_has_the_sums_that_the_step_asks_for() -> None:
    strategy = get_strategy("pmap")

    def step(state: dict, batch: dict) -> tuple[dict, dict]:
        def layer(w: jax.Array, _: None) -> tuple[jax.Array, None]:
            return w + sum_over_devices(jnp.sum(batch["x"] * w[None], axis=0)), None

        return {"w": jax.lax.scan(layer, state["w"], None, length=5)[0]}, {}

    x = jax.ShapeDtypeStruct((8, 2, 6), jnp.float32)
    mapped = jax.pmap(step, axis_name="data", in_axes=(None, 0), devices=strategy.devices)
    program = mapped.lower({"w": jnp.zeros(6)}, {"x": x}).compile().as_text()
    assert [(each.kind, each.payload_bytes, each.group_size, each.times) for each in collectives(program)] == [
        ("all-reduce", 24, 8, 5)
    ]


def test_the_program_of_a_gather() -> None:
    strategy = get_strategy("spmd")
    split, whole = (NamedSharding(strategy.mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    x = jax.ShapeDtypeStruct((16, 3), jnp.float32, sharding=split)
    program = jax.jit(lambda x: x * 2, out_shardings=whole).lower(x).compile().as_text()
    assert collectives(program) == (Collective("all-gather", 16 * 3 * 4, 8, 1),)
