"""What earlier versions wrote, in today's names: the only place that knows the old ones."""

from collections.abc import Mapping
from typing import Any

_CLASSES = {"DataConfig": "CropConfig", "TrainingConfig": "SampleTrainingConfig"}
_FIELDS = {"audio_every": "exhibit_every"}


def upgraded(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata of a checkpoint or an export as this version writes them; its own are returned as they are.

    Until 0.1.0 there was one task, "vocoder", for all that predicts samples: what reads notes is an instrument now, and
    what reads nothing a babbler.
    """
    if "family" in meta or meta.get("task") != "vocoder":
        return meta
    config = _renamed(meta.get("config"))
    if not isinstance(config, dict):
        return meta
    spec, model, speakers = config.get("spec") or {}, config.get("model") or {}, meta.get("speakers", ())
    if not (isinstance(spec, dict) and isinstance(model, dict) and isinstance(speakers, list | tuple)):
        return meta
    family, kind = "vocoder", "WaveNetVocoderConfig"
    if spec.get("kind_of") == "NoteSpec":
        family, kind = "instrument", "InstrumentConfig"
    elif model.get("frame_network") is None:
        family, kind = "babbler", "BabblerConfig"
    return {
        "family": family,
        "wavejax": meta.get("wavejax"),
        "config": {**config, "kind_of": kind},
        "labels": {"speakers": list(speakers)},
    }


def _renamed(value: Any) -> Any:
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    renamed = {_FIELDS.get(name, name): _renamed(item) for name, item in value.items()}
    kind = renamed.get("kind_of")
    return {**renamed, "kind_of": _CLASSES.get(kind, kind)} if isinstance(kind, str) else renamed
