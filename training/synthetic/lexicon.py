"""How the words of our grammar sound, for the voice that needs no program. General American, in IPA."""

from __future__ import annotations

_ENTRIES = """
a: ə; about: ɐ b ˈaʊ t; above: ə b ˈʌ v; all: ˈɔː l; amy: ˈeɪ m i; and: æ n d; apple: ˈæ p əl; apples: ˈæ p əl z;
at: æ t; baby: b ˈeɪ b i; back: b ˈæ k; baker: b ˈeɪ k ɚ; balloon: b ə l ˈuː n; balloons: b ə l ˈuː n z;
be: b ˈiː; beach: b ˈiː tʃ; beautiful: b j ˈuː ɾ i f əl; bed: b ˈɛ d; before: b ᵻ f ˈɔːɹ; beside: b ᵻ s ˈaɪ d;
big: b ˈɪ ɡ; blue: b l ˈuː; boat: b ˈoʊ t; boats: b ˈoʊ t s; bob: b ˈɑː b; book: b ˈʊ k; books: b ˈʊ k s;
both: b ˈoʊ θ; bought: b ˈɔː t; box: b ˈɑː k s; boy: b ˈɔɪ; bridge: b ɹ ˈɪ dʒ; bring: b ɹ ˈɪ ŋ;
brother: b ɹ ˈʌ ð ɚ; brought: b ɹ ˈɔː t; brown: b ɹ ˈaʊ n; bubble: b ˈʌ b əl; but: b ˈʌ t; buy: b ˈaɪ; by: b ˈaɪ;
camera: k ˈæ m ɹ ə; cameras: k ˈæ m ɹ ə z; can: k ˈæ n; carry: k ˈæ ɹ i; could: k ˈʊ d; do: d ˈuː;
dropped: d ɹ ˈɑː p t; emma: ˈɛ m ə; every: ˈɛ v ɹ i; everybody: ˈɛ v ɹ ɪ b ˌɑː d i; family: f ˈæ m ɪ l i;
famous: f ˈeɪ m ə s; farm: f ˈɑːɹ m; farmer: f ˈɑːɹ m ɚ; find: f ˈaɪ n d; five: f ˈaɪ v; flowers: f l ˈaʊ ɚ z;
found: f ˈaʊ n d; from: f ɹ ˈʌ m; games: ɡ ˈeɪ m z; girl: ɡ ˈɜː l; golden: ɡ ˈoʊ l d ə n; green: ɡ ɹ ˈiː n;
half: h ˈæ f; happy: h ˈæ p i; heard: h ˈɜː d; heavy: h ˈɛ v i; hello: h ə l ˈoʊ; home: h ˈoʊ m; i: ˈaɪ;
if: ˈɪ f; in: ˈɪ n; it: ˈɪ t; jam: dʒ ˈæ m; keep: k ˈiː p; lamp: l ˈæ m p; lamps: l ˈæ m p s; liked: l ˈaɪ k t;
lunch: l ˈʌ n tʃ; made: m ˈeɪ d; make: m ˈeɪ k; map: m ˈæ p; maps: m ˈæ p s; may: m ˈeɪ; maybe: m ˈeɪ b iː;
me: m ˈiː; molly: m ˈɑː l i; monday: m ˈʌ n d eɪ; moon: m ˈuː n; morning: m ˈɔːɹ n ɪ ŋ; mother: m ˈʌ ð ɚ;
move: m ˈuː v; moved: m ˈuː v d; my: m ˈaɪ; near: n ˈɪɹ; never: n ˈɛ v ɚ; of: ʌ v; on: ˈɔ n; open: ˈoʊ p ə n;
opened: ˈoʊ p ə n d; over: ˈoʊ v ɚ; paint: p ˈeɪ n t; painted: p ˈeɪ n t ᵻ d; painter: p ˈeɪ n t ɚ; pam: p ˈæ m;
papa: p ˈɑː p ə; paper: p ˈeɪ p ɚ; past: p ˈæ s t; pebbles: p ˈɛ b əl z; people: p ˈiː p əl;
perfect: p ˈɜː f ɛ k t; peter: p ˈiː ɾ ɚ; phone: f ˈoʊ n; piano: p i ˈæ n oʊ; pick: p ˈɪ k; picked: p ˈɪ k t;
pie: p ˈaɪ; pilot: p ˈaɪ l ə t; please: p l ˈiː z; plums: p l ˈʌ m z; pocket: p ˈɑː k ɪ t;
potatoes: p ə t ˈeɪ ɾ oʊ z; problems: p ɹ ˈɑː b l ə m z; pumpkins: p ˈʌ m p k ɪ n z; purple: p ˈɜː p əl;
remember: ɹ ᵻ m ˈɛ m b ɚ; remembered: ɹ ᵻ m ˈɛ m b ɚ d; robot: ɹ ˈoʊ b ɑː t; room: ɹ ˈuː m; rough: ɹ ˈʌ f;
said: s ˈɛ d; saw: s ˈɔː; shall: ʃ ˈæ l; show: ʃ ˈoʊ; showed: ʃ ˈoʊ d; simple: s ˈɪ m p əl; small: s m ˈɔː l;
some: s ˈʌ m; somebody: s ˈʌ m b ɑː d i; summer: s ˈʌ m ɚ; supper: s ˈʌ p ɚ; table: t ˈeɪ b əl;
teacher: t ˈiː tʃ ɚ; the: ð ə; they: ð ˈeɪ; time: t ˈaɪ m; tiny: t ˈaɪ n i; today: t ə d ˈeɪ; tom: t ˈɑː m;
tomorrow: t ə m ˈɑː ɹ oʊ; top: t ˈɑː p; umbrella: ʌ m b ɹ ˈɛ l ə; uncle: ˈʌ ŋ k əl; up: ˈʌ p; warm: w ˈɔːɹ m;
we: w ˈiː; what: w ˈʌ t; when: w ˈɛ n; why: w ˈaɪ; window: w ˈɪ n d oʊ; with: w ˈɪ ð; woman: w ˈʊ m ə n;
would: w ˈʊ d; yellow: j ˈɛ l oʊ; you: j ˈuː;
"""


def _parsed() -> dict[str, tuple[str, ...]]:
    pairs = (entry.split(":") for entry in _ENTRIES.replace("\n", " ").split(";") if entry.strip())
    return {word.strip(): tuple(sounds.split()) for word, sounds in pairs}


#: Word -> its phones, the main stress marked with ˈ.
LEXICON = _parsed()
#: What letters sound like in a word that is not in the list: longest spelling first.
_RULES = (
    ("tch", ("tʃ",)), ("igh", ("aɪ",)), ("sh", ("ʃ",)), ("ch", ("tʃ",)), ("th", ("θ",)), ("ph", ("f",)), ("ng", ("ŋ",)),
    ("ck", ("k",)), ("qu", ("k", "w")), ("wh", ("w",)), ("ee", ("iː",)), ("ea", ("iː",)), ("oo", ("uː",)),
    ("ou", ("aʊ",)), ("ow", ("oʊ",)), ("oa", ("oʊ",)), ("ai", ("eɪ",)), ("ay", ("eɪ",)), ("oi", ("ɔɪ",)),
    ("oy", ("ɔɪ",)), ("au", ("ɔː",)), ("aw", ("ɔː",)), ("er", ("ɚ",)), ("ar", ("ɑː", "ɹ")), ("or", ("ɔː", "ɹ")),
    ("a", ("æ",)), ("e", ("ɛ",)), ("i", ("ɪ",)), ("o", ("ɑː",)), ("u", ("ʌ",)), ("y", ("i",)), ("c", ("k",)),
    ("g", ("ɡ",)), ("j", ("dʒ",)), ("r", ("ɹ",)), ("x", ("k", "s")), ("q", ("k",)),
)  # fmt: skip


def pronounce(word: str) -> tuple[str, ...]:
    """Phones of an English word: from the list, else letter by letter. Never empty for a word with a letter."""
    word = word.lower()
    if word in LEXICON:
        return LEXICON[word]
    sounds: list[str] = []
    while word:
        spelling, phones = next((rule for rule in _RULES if word.startswith(rule[0])), (word[0], (word[0],)))
        same = len(spelling) == 1 and word[1:2] == spelling  # a doubled letter is one sound
        sounds += phones if phones[0].isalpha() else ()
        word = word[len(spelling) + same :]
    return tuple(sounds)
