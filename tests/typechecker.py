"""What checks annotations and jaxtyping shapes while the tests run (installed by conftest.py)."""

from beartype import BeartypeConf, beartype

# An int where a float is annotated is fine by PEP 484, and by beartype once it is told so.
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
