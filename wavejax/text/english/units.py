"""Units of measurement: how each is written, and its name in the singular and in the plural."""

from collections.abc import Mapping

_TABLE = """
mm millimeter; cm centimeter; dm decimeter; m meter; km kilometer; nm nanometer; µm micrometer; mi mile; yd yard
mg milligram; g gram; kg kilogram; µg microgram; lb pound; lbs pound; oz ounce
ml milliliter; mL milliliter; cl centiliter; dl deciliter; l liter; L liter; gal gallon; qt quart; tbsp tablespoon
tsp teaspoon; Tbsp tablespoon; Tsp teaspoon
fl_oz fluid_ounce; sq_m square_meter; sq_km square_kilometer; sq_mi square_mile
m² square_meter; km² square_kilometer; cm² square_centimeter; mm² square_millimeter; m2 square_meter
m³ cubic_meter; cm³ cubic_centimeter; ha hectare
ns nanosecond; µs microsecond; ms millisecond; s second; sec second; secs second; min minute; mins minute; hr hour
hrs hour; h hour; yr year; yrs year
V volt; kV kilovolt; mV millivolt; W watt; kW kilowatt; MW megawatt; GW gigawatt; mW milliwatt; mA milliamp
kWh kilowatt_hour; mAh milliamp_hour; J joule; kJ kilojoule; cal calorie; kcal kilocalorie; Pa pascal; kPa kilopascal
kB kilobyte; KB kilobyte; MB megabyte; GB gigabyte; TB terabyte; PB petabyte; Kb kilobit; Mb megabit; Gb gigabit
MiB mebibyte; GiB gibibyte; dB decibel; px pixel; pt point; ° degree; N newton; mol mole; ct carat; Ω ohm
"""
_RATES = {
    "km/h": "kilometer",
    "kph": "kilometer",
    "mph": "mile",
}
_PER_SECOND = {
    "m/s": "meter",
    "km/s": "kilometer",
    "kB/s": "kilobyte",
    "KB/s": "kilobyte",
    "MB/s": "megabyte",
    "GB/s": "gigabyte",
    "Mbps": "megabit",
    "Mb/s": "megabit",
    "Gbps": "gigabit",
    "kbps": "kilobit",
    "fps": "frame",
}


def _units() -> dict[str, tuple[str, str]]:
    units: dict[str, tuple[str, str]] = {}
    for entry in _TABLE.replace("\n", ";").split(";"):
        if entry.strip():
            written, name = (part.replace("_", " ") for part in entry.split())
            units[written] = (name, f"{name}s")
    units |= {written: (f"{name} per hour", f"{name}s per hour") for written, name in _RATES.items()}
    units |= {written: (f"{name} per second", f"{name}s per second") for written, name in _PER_SECOND.items()}
    units |= {
        "ft": ("foot", "feet"),
        "in": ("inch", "inches"),
        "sq ft": ("square foot", "square feet"),
        "cu ft": ("cubic foot", "cubic feet"),
        "ft²": ("square foot", "square feet"),
        "mpg": ("mile per gallon", "miles per gallon"),
        "rpm": ("revolution per minute", "revolutions per minute"),
        "bpm": ("beat per minute", "beats per minute"),
        "dpi": ("dot per inch", "dots per inch"),
        "psi": ("pound per square inch", "pounds per square inch"),
        "hp": ("horsepower", "horsepower"),
        "m/s²": ("meter per second squared", "meters per second squared"),
        "Hz": ("hertz", "hertz"),
        "kHz": ("kilohertz", "kilohertz"),
        "MHz": ("megahertz", "megahertz"),
        "GHz": ("gigahertz", "gigahertz"),
        "°C": ("degree celsius", "degrees celsius"),
        "°F": ("degree fahrenheit", "degrees fahrenheit"),
        "° C": ("degree celsius", "degrees celsius"),
        "° F": ("degree fahrenheit", "degrees fahrenheit"),
    }
    return units


UNITS: Mapping[str, tuple[str, str]] = _units()
"""As written after a number -> the name for one, and for more."""

__all__ = ["UNITS"]
