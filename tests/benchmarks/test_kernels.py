"""Bounds on the kernels of one generated sample. What is counted is read off compiled programs; it is not a speed."""

import pytest

from benchmarks.kernels import compile_block, count_kernels, missing

# A first version had 178 fusions and a copy on the H100, and 51 kernels of a smaller network on the TPU.
BOUNDS = {
    ("h100", "nv-wavenet-20", "float32"): 50,
    ("h100", "nv-wavenet-20", "bfloat16"): 52,
    ("h100", "speech-16k", "float32"): 52,
    ("h100", "speech-16k", "bfloat16"): 58,
    ("v5e", "nv-wavenet-20", "float32"): 100,
    ("v5e", "nv-wavenet-20", "bfloat16"): 100,
    ("v5e", "speech-16k", "float32"): 90,
    ("v5e", "speech-16k", "bfloat16"): 135,
}
HLO = """HloModule block

%fused_computation (param_0: f32[8]) -> f32[8] {
  %param_0 = f32[8]{0} parameter(0)
  ROOT %negate = f32[8]{0} negate(%param_0)
}

%body (state: (s32[], f32[8], /*index=2*/f32[8])) -> (s32[], f32[8], f32[8]) {
  %state = (s32[], f32[8]{0:T(128)}, /*index=2*/f32[8]{0}) parameter(0)
  %count = s32[]{:T(128)S(6)} get-tuple-element(%state), index=0
  %next = s32[]{:T(128)S(6)} add(%count, %count)
  %x = f32[8]{0:T(128)} get-tuple-element(%state), index=1
  %start = (f32[8]{0:T(128)}, f32[8]{0:T(128)S(1)}, u32[]{:S(2)}) copy-start(%x)
  %done = f32[8]{0:T(128)S(1)} copy-done(%start)
  %fusion.1 = f32[8]{0} fusion(%done), kind=kLoop, calls=%fused_computation
  %fusion.2 = (f32[8]{0}, f32[8]{0}) fusion(%fusion.1), kind=kLoop, calls=%fused_computation
  ROOT %tuple = (s32[], f32[8]{0:T(128)}, f32[8]{0}) tuple(%next, %fusion.1, %fusion.1)
}

ENTRY %main (start: (s32[], f32[8], f32[8])) -> (s32[], f32[8], f32[8]) {
  %start = (s32[], f32[8]{0}, f32[8]{0}) parameter(0)
  ROOT %while = (s32[], f32[8]{0}, f32[8]{0}) while(%start), condition=%condition, body=%body
}
"""


def test_views_tuples_scalars_and_second_halves_are_not_counted() -> None:
    assert count_kernels(HLO) == {"fusion": 2, "copy-start": 1}
    with pytest.raises(ValueError, match="expected a program with one loop, got 0"):
        count_kernels(HLO.replace("body=", "calls="))


@pytest.mark.parametrize(("batch", "bound"), [(1, 165), pytest.param(16, 130, marks=pytest.mark.slow)])
def test_operations_per_step_on_the_cpu(batch: int, bound: int) -> None:
    """On a CPU the count is of tasks rather than launches: the proxy that runs everywhere."""
    counts = count_kernels(compile_block("cpu", "nv-wavenet-20", batch=batch, dtype="float32"))
    assert 40 <= sum(counts.values()) <= bound, counts


@pytest.mark.slow
@pytest.mark.parametrize(("target", "preset", "dtype"), list(BOUNDS))
def test_kernels_per_step_on_accelerators(target: str, preset: str, dtype: str) -> None:
    if absent := missing(target):
        pytest.skip(f"{target}'s compiler is not installed: {', '.join(absent)} (extra `aot`)")
    counts = count_kernels(compile_block(target, preset, batch=8, dtype=dtype))
    assert 16 <= sum(counts.values()) <= BOUNDS[target, preset, dtype], counts
