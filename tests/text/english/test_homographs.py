"""Words that are read in two ways, by the words around them."""

import pytest

from wavejax.text import read_english


def _phones(text: str, word: str) -> str:
    """Of the word that is written in *stars*."""
    found = [each for each in read_english(text).words if text[slice(*each.span)].lower() == word]
    assert found, text
    return " ".join(found[-1].phones)


@pytest.mark.parametrize(
    ("text", "word", "phones"),
    [
        ("I will read it.", "read", "R IY1 D"),
        ("She has read it.", "read", "R EH1 D"),
        ("He read the letter.", "read", "R EH1 D"),
        ("Read the sign.", "read", "R IY1 D"),
        ("I read it yesterday.", "read", "R EH1 D"),
        ("The pipe was made of lead.", "lead", "L EH1 D"),
        ("They lead the race.", "lead", "L IY1 D"),
        ("I live here.", "live", "L IH1 V"),
        ("We heard live music.", "live", "L AY1 V"),
        ("Their lives were short.", "lives", "L AY1 V Z"),
        ("He lives alone.", "lives", "L IH1 V Z"),
        ("The wind is cold.", "wind", "W IH1 N D"),
        ("Wind up the clock.", "wind", "W AY1 N D"),
        ("A tear ran down her face.", "tear", "T IH1 R"),
        ("Don't tear the page.", "tear", "T EH1 R"),
        ("He plays the bass.", "bass", "B EY1 S"),
        ("He caught a bass in the lake.", "bass", "B AE1 S"),
        ("Close the door.", "close", "K L OW1 Z"),
        ("It is close to home.", "close", "K L OW1 S"),
        ("We use it.", "use", "Y UW1 Z"),
        ("It is of no use.", "use", "Y UW1 S"),
        ("I used to swim.", "used", "Y UW1 S T"),
        ("It was used to cut wood.", "used", "Y UW1 Z D"),
        ("My house is small.", "house", "HH AW1 S"),
        ("They will house the poor.", "house", "HH AW1 Z"),
        ("Play the record.", "record", "R EH1 K ER0 D"),
        ("I want to record it.", "record", "R IH0 K AO1 R D"),
        ("Here is a present.", "present", "P R EH1 Z AH0 N T"),
        ("I will present the prize.", "present", "P R IY0 Z EH1 N T"),
        ("An odd object fell.", "object", "AA1 B JH EH0 K T"),
        ("I did not object to it.", "object", "AH0 B JH EH1 K T"),
        ("The houses fell.", "houses", "HH AW1 Z IH0 Z"),
        ("His old sow ate.", "sow", "S AW1"),
        ("They sow the seeds.", "sow", "S OW1"),
        ("I object to that.", "object", "AH0 B JH EH1 K T"),
        ("The project failed.", "project", "P R AA1 JH EH0 K T"),
        ("They project a loss.", "project", "P R AH0 JH EH1 K T"),
        ("The content is free.", "content", "K AA1 N T EH0 N T"),
        ("She is content.", "content", "K AH0 N T EH1 N T"),
        ("Wait a minute.", "minute", "M IH1 N AH0 T"),
        ("The minute details matter.", "minute", "M AY0 N UW1 T"),
        ("What does it do?", "does", "D AH1 Z"),
        ("Two does and a buck ran off.", "does", "D OW1 Z"),
        ("The desert is dry.", "desert", "D EH1 Z ER0 T"),
        ("They will desert us.", "desert", "D IH0 Z ER1 T"),
        ("A dove sat there.", "dove", "D AH1 V"),
        ("He dove into the pool.", "dove", "D OW1 V"),
        ("The wound healed.", "wound", "W UW1 N D"),
        ("She wound up the toy.", "wound", "W AW1 N D"),
        ("I bought a Polish car.", "polish", "P OW1 L IH0 SH"),
        ("Polish the floor.", "polish", "P AA1 L IH0 SH"),
        ("Send me your resume.", "resume", "R EH1 Z AH0 M EY2"),
        ("We will resume soon.", "resume", "R IH0 Z UW1 M"),
        ("Excuse me.", "excuse", "IH0 K S K Y UW1 Z"),
        ("What a poor excuse.", "excuse", "IH0 K S K Y UW1 S"),
        ("Sales increase every year.", "increase", "IH1 N K R IY2 S"),
        ("Prices will increase.", "increase", "IH2 N K R IY1 S"),
        ("The contract is signed.", "contract", "K AA1 N T R AE2 K T"),
        ("They live in separate rooms.", "separate", "S EH1 P ER0 IH0 T"),
        ("Please separate them.", "separate", "S EH1 P ER0 EY2 T"),
        ("I refuse to go.", "refuse", "R IH0 F Y UW1 Z"),
        ("They will rebel again.", "rebel", "R IH0 B EH1 L"),
        ("He tied a bow.", "bow", "B OW1"),
        ("Take a deep bow.", "bow", "B AW1"),
    ],
)
def test_homographs(text: str, word: str, phones: str) -> None:
    assert _phones(text, word) == phones
