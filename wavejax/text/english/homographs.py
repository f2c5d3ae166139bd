"""Words that are written alike and read differently, by part of speech; the first reading is the usual one.

"past" is the past tense or participle of a verb whose base form is written alike ("read", "wound").
"""

from collections.abc import Mapping

from wavejax.text.english.inflections import with_s

_PAIRS = """
abstract    adjective AE1 B S T R AE2 K T; noun AE1 B S T R AE2 K T; verb AE0 B S T R AE1 K T
abuse       noun AH0 B Y UW1 S; verb AH0 B Y UW1 Z
address     noun AE1 D R EH2 S; verb AH0 D R EH1 S
advocate    noun AE1 D V AH0 K AH0 T; verb AE1 D V AH0 K EY2 T
affect      verb AH0 F EH1 K T; noun AE1 F EH0 K T
alternate   adjective AO1 L T ER0 N AH0 T; noun AO1 L T ER0 N AH0 T; verb AO1 L T ER0 N EY2 T
appropriate adjective AH0 P R OW1 P R IY0 AH0 T; verb AH0 P R OW1 P R IY0 EY2 T
approximate adjective AH0 P R AA1 K S AH0 M AH0 T; verb AH0 P R AA1 K S AH0 M EY2 T
articulate  adjective AA0 R T IH1 K Y AH0 L AH0 T; verb AA0 R T IH1 K Y AH0 L EY2 T
associate   noun AH0 S OW1 S IY0 AH0 T; adjective AH0 S OW1 S IY0 AH0 T; verb AH0 S OW1 S IY0 EY2 T
attribute   noun AE1 T R AH0 B Y UW2 T; verb AH0 T R IH1 B Y UW0 T
bass        noun B EY1 S; animal B AE1 S
bow         noun B OW1; verb B AW1
close       adjective K L OW1 S; verb K L OW1 Z; noun K L OW1 Z
combat      noun K AA1 M B AE0 T; verb K AH0 M B AE1 T
combine     verb K AH0 M B AY1 N; noun K AA1 M B AY0 N
compound    noun K AA1 M P AW0 N D; adjective K AA1 M P AW0 N D; verb K AH0 M P AW1 N D
compress    verb K AH0 M P R EH1 S; noun K AA1 M P R EH0 S
conduct     noun K AA1 N D AH0 K T; verb K AH0 N D AH1 K T
conflict    noun K AA1 N F L IH0 K T; verb K AH0 N F L IH1 K T
console     verb K AH0 N S OW1 L; noun K AA1 N S OW0 L
content     noun K AA1 N T EH0 N T; adjective K AH0 N T EH1 N T; verb K AH0 N T EH1 N T
contest     noun K AA1 N T EH0 S T; verb K AH0 N T EH1 S T
contract    noun K AA1 N T R AE2 K T; verb K AH0 N T R AE1 K T
contrast    noun K AA1 N T R AE0 S T; verb K AH0 N T R AE1 S T
converse    verb K AH0 N V ER1 S; noun K AA1 N V ER0 S
convert     verb K AH0 N V ER1 T; noun K AA1 N V ER0 T
convict     noun K AA1 N V IH0 K T; verb K AH0 N V IH1 K T
coordinate  verb K OW0 AO1 R D AH0 N EY2 T; noun K OW0 AO1 R D AH0 N AH0 T
decrease    noun D IY1 K R IY2 S; verb D IH0 K R IY1 S
defect      noun D IY1 F EH0 K T; verb D IH0 F EH1 K T
delegate    noun D EH1 L AH0 G AH0 T; verb D EH1 L AH0 G EY2 T
deliberate  adjective D IH0 L IH1 B ER0 AH0 T; verb D IH0 L IH1 B ER0 EY2 T
desert      noun D EH1 Z ER0 T; verb D IH0 Z ER1 T
diffuse     verb D IH0 F Y UW1 Z; adjective D IH0 F Y UW1 S
digest      verb D AY0 JH EH1 S T; noun D AY1 JH EH0 S T
discharge   noun D IH1 S CH AA2 R JH; verb D IH0 S CH AA1 R JH
discount    noun D IH1 S K AW0 N T; verb D IH0 S K AW1 N T
does        verb D AH1 Z; noun D OW1 Z
dove        noun D AH1 V; past D OW1 V
duplicate   noun D UW1 P L AH0 K AH0 T; adjective D UW1 P L AH0 K AH0 T; verb D UW1 P L AH0 K EY2 T
elaborate   adjective IH0 L AE1 B R AH0 T; verb IH0 L AE1 B ER0 EY2 T
entrance    noun EH1 N T R AH0 N S; verb IH0 N T R AE1 N S
escort      noun EH1 S K AO0 R T; verb EH0 S K AO1 R T
estimate    noun EH1 S T AH0 M AH0 T; verb EH1 S T AH0 M EY2 T
excuse      noun IH0 K S K Y UW1 S; verb IH0 K S K Y UW1 Z
exploit     verb EH2 K S P L OY1 T; noun EH1 K S P L OY2 T
export      noun EH1 K S P AO0 R T; verb IH0 K S P AO1 R T
extract     noun EH1 K S T R AE2 K T; verb IH0 K S T R AE1 K T
frequent    adjective F R IY1 K W AH0 N T; verb F R IY0 K W EH1 N T
graduate    noun G R AE1 JH AH0 W AH0 T; adjective G R AE1 JH AH0 W AH0 T; verb G R AE1 JH AH0 W EY2 T
house       noun HH AW1 S; verb HH AW1 Z
houses      noun HH AW1 Z IH0 Z
import      noun IH1 M P AO2 R T; verb IH2 M P AO1 R T
incense     noun IH1 N S EH2 N S; verb IH2 N S EH1 N S
increase    noun IH1 N K R IY2 S; verb IH2 N K R IY1 S
insult      noun IH1 N S AH2 L T; verb IH2 N S AH1 L T
intimate    adjective IH1 N T AH0 M AH0 T; verb IH1 N T AH0 M EY2 T
invalid     adjective IH2 N V AE1 L AH0 D; noun IH1 N V AH0 L AH0 D
lead        verb L IY1 D; noun L IY1 D; metal L EH1 D
live        verb L IH1 V; adjective L AY1 V
lives       noun L AY1 V Z; verb L IH1 V Z
minute      noun M IH1 N AH0 T; adjective M AY0 N UW1 T
misuse      noun M IH0 S Y UW1 S; verb M IH0 S Y UW1 Z
moderate    adjective M AA1 D ER0 AH0 T; noun M AA1 D ER0 AH0 T; verb M AA1 D ER0 EY2 T
object      noun AA1 B JH EH0 K T; verb AH0 B JH EH1 K T
perfect     adjective P ER1 F IH2 K T; verb P ER0 F EH1 K T
permit      verb P ER0 M IH1 T; noun P ER1 M IH2 T
polish      verb P AA1 L IH0 SH; noun P AA1 L IH0 SH; name P OW1 L IH0 SH
predicate   noun P R EH1 D AH0 K AH0 T; verb P R EH1 D AH0 K EY2 T
present     noun P R EH1 Z AH0 N T; adjective P R EH1 Z AH0 N T; verb P R IY0 Z EH1 N T
produce     verb P R AH0 D UW1 S; noun P R OW1 D UW0 S
progress    noun P R AA1 G R EH2 S; verb P R AH0 G R EH1 S
project     noun P R AA1 JH EH0 K T; verb P R AH0 JH EH1 K T
protest     noun P R OW1 T EH2 S T; verb P R AH0 T EH1 S T
putting     verb P UH1 T IH0 NG
read        verb R IY1 D; past R EH1 D; noun R IY1 D
reading     noun R IY1 D IH0 NG
rebel       noun R EH1 B AH0 L; verb R IH0 B EH1 L
recall      verb R IH0 K AO1 L; noun R IY1 K AO2 L
record      noun R EH1 K ER0 D; adjective R EH1 K ER0 D; verb R IH0 K AO1 R D
refund      noun R IY1 F AH2 N D; verb R IH0 F AH1 N D
refuse      verb R IH0 F Y UW1 Z; noun R EH1 F Y UW2 Z
reject      verb R IH0 JH EH1 K T; noun R IY1 JH EH0 K T
resume      verb R IH0 Z UW1 M; noun R EH1 Z AH0 M EY2
row         noun R OW1; verb R OW1
segment     noun S EH1 G M AH0 N T; verb S EH1 G M EH0 N T
separate    adjective S EH1 P ER0 IH0 T; verb S EH1 P ER0 EY2 T
sow         verb S OW1; noun S AW1
subject     noun S AH1 B JH IH0 K T; adjective S AH1 B JH IH0 K T; verb S AH0 B JH EH1 K T
survey      noun S ER1 V EY2; verb S ER0 V EY1
suspect     verb S AH0 S P EH1 K T; noun S AH1 S P EH2 K T
syndicate   noun S IH1 N D IH0 K AH0 T; verb S IH1 N D AH0 K EY2 T
tear        noun T IH1 R; verb T EH1 R
torment     noun T AO1 R M EH2 N T; verb T AO0 R M EH1 N T
transfer    noun T R AE1 N S F ER0; verb T R AE0 N S F ER1
transplant  noun T R AE1 N S P L AE2 N T; verb T R AE0 N S P L AE1 N T
transport   noun T R AE1 N S P AO0 R T; verb T R AE0 N S P AO1 R T
upset       adjective AH0 P S EH1 T; verb AH0 P S EH1 T; noun AH1 P S EH2 T
use         noun Y UW1 S; verb Y UW1 Z
used        verb Y UW1 Z D; habit Y UW1 S T
wind        noun W IH1 N D; verb W AY1 N D
wound       noun W UW1 N D; past W AW1 N D; verb W UW1 N D
"""
_INFLECTED: tuple[str, ...] = ("noun", "verb")
_WITHOUT_S = frozenset(
    ("bass", "close", "does", "dove", "house", "live", "lives", "minute", "putting", "read", "reading", "row", "used")
)
"""No forms in -s are made of these: there are none, they are not read in two ways, or they stand in the table."""


def _read_table() -> dict[str, dict[str, tuple[str, ...]]]:
    table: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in _PAIRS.strip().splitlines():
        word, _, readings = line.partition(" ")
        parsed = (reading.split() for reading in readings.split(";"))
        table[word] = {part_of_speech: tuple(phones) for part_of_speech, *phones in parsed}
    for word in list(table):
        readings_in_s = {part: with_s(table[word][part]) for part in _INFLECTED if part in table[word]}
        if word not in _WITHOUT_S and len(readings_in_s) == 2:
            table.setdefault(f"{word}es" if word.endswith("ss") else f"{word}s", readings_in_s)
    return table


HOMOGRAPHS: Mapping[str, Mapping[str, tuple[str, ...]]] = _read_table()
"""A word in small letters -> part of speech -> phonemes. Beside the parts of speech: "animal" (bass), "metal" (lead),
"name" (Polish) and "habit" (used to)."""

__all__ = ["HOMOGRAPHS"]
