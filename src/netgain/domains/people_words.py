"""The words of the people world: names, values, and the clue by which a narrative stands for each value. Data only.

Every value is one word, and so is every clue; a clue belongs to one value. What is true of a city or a company
(``COUNTRY_OF``, ``SEAT_OF``, ``PRODUCT_OF``) holds for ever, whoever lives or works there. Values that follow an
article begin with a consonant. The shipped model's vocabulary is built from these words: changing one here asks for a
new model.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST = _words("""
Ada Ben Cora Dan Ella Finn Gwen Hugo Iris Jack Kate Liam Mona Nils Olga Paul Queenie Rolf Sara Theo
Una Vern Wilma Xander Yara Zeno Alma Boris Clara Dirk Edith Felix Greta Hans Ingrid Jonas Karla Leo Marta Noah
Opal Peter Rita Simon Tilda Ulf Vera Walter Yvonne Zack Anna Bruno Celia David Emma Frank Gina Henry Ilse Jim
Lena Max Nora Otto
""")
LAST = _words("""
Abbott Acker Adler Archer Bard Barlow Bell Blake Bloom Booth Brandt Burke Byrne Carver Chase Clay Colby Conway Cross
Crane Dale Dawson Drake Dunn Eaton Ellis Emery Fane Farrow Fisk Flint Forbes Frost Gale Garner Gibbs Glover Grant
Greer Hale Harlow Hart Hobbs Holt Hurst Ivers Jarvis Keane Keller Kirby Knox Lamb Lane Larkin Locke Lowe Lund Marsh
Mercer Moss Nash Noble Norris Oakes Osgood Page Parrish Pike Poole Quill Ramsey Reed Rhodes Rowe Rudd Sharp Shaw
Sloan Stark Steele Stone Swift Tate Thorne Tully Tyler Vance Vaughn Voss Wade Walsh Webb Weston Wilde Wren
Yates York
""")

CITIES = {
    **{"Ardell": "bridges", "Brost": "lighthouses", "Calvane": "canals", "Dorring": "towers", "Elmshold": "fountains"},
    **{"Farwick": "windmills", "Garrow": "orchards", "Hesper": "vineyards", "Istra": "statues", "Jorvale": "arches"},
    **{"Kelmond": "gardens", "Lormont": "markets", "Medwin": "domes", "Nerwick": "stairs", "Ostrey": "tunnels"},
    **{"Pellam": "harbours", "Quarley": "theatres", "Rosmere": "museums", "Sandrey": "mills", "Tarbeck": "ferries"},
    **{"Umber": "castles", "Velden": "chapels", "Wexley": "terraces", "Yarrow": "quarries"},
}
COUNTRIES = _words("Astoria Belmark Corland Drovia Estmere Fenland Gallia Hartova Illyra Jurland Kestria Lavonia")
COMPANIES = {
    **{"Vantor": "anchor", "Brightwell": "lantern", "Cobalt": "falcon", "Dynamo": "crown", "Everly": "hammer"},
    **{"Foxglove": "compass", "Granite": "candle", "Helios": "shield", "Ironbark": "feather", "Juniper": "wheel"},
    **{"Kodiak": "star", "Larkspur": "lion", "Meridian": "rose", "Northgate": "key", "Orbit": "bell"},
    **{"Pinnacle": "ship", "Quartz": "plough", "Redwood": "tree", "Summit": "moon", "Tandem": "sun"},
    **{"Union": "bear", "Vertex": "heron", "Westbrook": "thistle", "Zephyr": "torch"},
}
PRODUCTS = _words("glass paper clocks boats soap tiles ropes lamps carpets engines paint locks")
PROFESSIONS = {
    **{"baker": "ovens", "carpenter": "planks", "nurse": "wards", "teacher": "lessons", "pilot": "runways"},
    **{"farmer": "furrows", "tailor": "hems", "plumber": "pipes", "painter": "canvases", "sailor": "sails"},
    **{"miner": "shafts", "barber": "razors", "butcher": "cleavers", "gardener": "hedges", "judge": "verdicts"},
    **{"chemist": "flasks", "potter": "kilns", "weaver": "looms", "jeweller": "gems", "cobbler": "soles"},
    **{"librarian": "shelves", "surveyor": "maps", "brewer": "barrels", "mason": "bricks"},
}
PETS = {
    **{"dog": "barking", "cat": "purring", "parrot": "squawking", "horse": "neighing", "goat": "bleating"},
    **{"rabbit": "burrows", "snake": "hissing", "frog": "croaking", "duck": "quacking", "crow": "cawing"},
    **{"goose": "honking", "pig": "grunting", "donkey": "braying", "cow": "mooing", "hen": "clucking"},
    **{"pigeon": "cooing", "cricket": "chirping", "wolf": "howling", "mouse": "squeaking", "hamster": "scurrying"},
    **{"tortoise": "shells", "spider": "webs", "hedgehog": "spines", "squirrel": "acorns"},
}
FOODS = {
    **{"bread": "crusts", "cheese": "rinds", "honey": "combs", "corn": "cobs", "olives": "stones"},
    **{"cherries": "pits", "lobster": "claws", "pancakes": "syrup", "noodles": "broth", "curry": "spices"},
    **{"eggs": "yolks", "grapes": "stems", "rice": "grains", "soup": "ladles", "salmon": "bones"},
    **{"dumplings": "steam", "nuts": "husks", "beans": "pods", "cake": "crumbs", "garlic": "cloves"},
    **{"melon": "seeds", "oranges": "peel", "toast": "butter", "mushrooms": "caps"},
}
HOBBIES = {
    **{"chess": "pawns", "skiing": "slopes", "knitting": "needles", "fishing": "hooks", "archery": "arrows"},
    **{"climbing": "peaks", "cycling": "spokes", "rowing": "oars", "fencing": "foils", "tennis": "rackets"},
    **{"golf": "fairways", "boxing": "gloves", "surfing": "waves", "poker": "cards", "juggling": "clubs"},
    **{"dancing": "waltzes", "singing": "choirs", "reading": "novels", "sewing": "threads", "camping": "tents"},
    **{"skating": "ice", "bowling": "lanes", "diving": "reefs", "astronomy": "telescopes"},
}

COUNTRY_OF = {city: COUNTRIES[place // 2] for place, city in enumerate(CITIES)}
SEAT_OF = {company: list(CITIES)[(place * 7 + 5) % len(CITIES)] for place, company in enumerate(COMPANIES)}
PRODUCT_OF = {company: PRODUCTS[(place * 5 + place // 12) % len(PRODUCTS)] for place, company in enumerate(COMPANIES)}

PRONOUNS = ("she", "he")
KIN = _words("brother sister cousin neighbour friend nephew")
