"""Speed, measured side by side in one run, with a correctness check inside each: `python -m benchmarks.NAME`."""
