"""Whether a help page in another language says what the English one says, as far as can be told without reading it.

Both have the same paragraphs and items in the same order. Each of these has the same numbers, names of models, literals and quoted
messages, and calls nodes, inputs and words of the interface by the names that they have in that language.
"""

import re

import node_texts
from node_texts import LANGUAGES, ROOT

COMFYUI = {  # as its interface calls them
    "zh": {
        "KSampler": "K采样器",
        "CFG Guider": "CFG引导器",
        "VAE Encode": "VAE编码",
        "VAE Decode": "VAE解码",
        "Load Image": "加载图像",
        "Load Image (as Mask)": "加载图像（作为遮罩）",
        "Set Latent Noise Mask": "设置Latent噪波遮罩",
        "Conditioning (Combine)": "条件合并",
        "Cond Set Default Combine": "条件设置默认合并",
        "Cond Set Props": "条件设置属性",
        "Create Hook LoRA": "创建约束LoRA",
        "SAM3 Detect": "SAM3 检测",
        "Show advanced inputs": "显示高级输入",
        "Differential Diffusion": "差异扩散DifferentialDiffusion",
        "denoise": "降噪",
    }
}
FACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
WORD = re.compile(r"^ +\w+: (.*)$", re.MULTILINE)
QUOTED = re.compile(r"(?<=[“*])[^“”*]+(?=[”*])")
MARKED = re.compile(r"`(.+?)`|\*\*(.+?)\*\*|(?<![\\*])\*(.+?)(?<!\\)\*")


class Translator:
    """What stands for a node, an input, an output or words of the Explorer in the language."""

    def __init__(self, language: str):
        texts, translated = node_texts.locale("en"), node_texts.locale(language)
        self.language = language
        self.nodes = dict(COMFYUI[language])
        self.labels: dict[str, set[str]] = {}
        for node, about in texts.items():
            self.nodes[about["display_name"]] = translated[node]["display_name"]
            for group in ("inputs", "outputs"):
                for key, text in about[group].items():
                    self.labels.setdefault(text["name"], set()).add(translated[node][group][key]["name"])
        words = (ROOT / "web" / "explorer" / "words.js").read_text(encoding="utf-8")
        english, other = (re.search(rf"^  {code}: {{$(.*?)^  }}", words, re.MULTILINE | re.DOTALL)[1] for code in ("en", language))
        self.explorer = list(zip(WORD.findall(english), WORD.findall(other), strict=True))

    def differences(self, english: str, other: str):
        """What stands in one page and not in the other, in words."""
        for part, here, there in zip(("introduction", *LANGUAGES["en"].sections[2:]), prose(english), prose(other)):
            if [kind for kind, _ in here] != [kind for kind, _ in there]:
                yield f"{part}: {len(here)} paragraphs and items in English, {len(there)} in the other language"
            else:
                yield from (
                    f"{part}: {one} of: {text[:60]}" for (_, text), (_, said) in zip(here, there) for one in self.missed(text, said)
                )

    def missed(self, english: str, other: str):
        """Of a paragraph or item."""
        for code, bold, italic in MARKED.findall(english):
            marked = code or bold or italic
            if marked in self.nodes:
                continue
            if marked in self.labels:
                is_there = any(label in other for label in self.labels[marked])
            else:
                is_there = marked.lower() in other.lower() or bool(bold or italic) and self.is_word(marked, other, bool(bold))
            if not is_there:
                yield f"no “{marked}”"
        yield from self.missed_names(english, other)

    def missed_names(self, english: str, other: str):
        """Of nodes, models and numbers."""
        english, other = (without_messages(text, self.nodes) for text in (english, other))
        for node in sorted(self.nodes, key=len, reverse=True):
            if node in english and self.nodes[node] not in other:
                yield f"no “{self.nodes[node]}”"
            english = english.replace(node, "")
        for name in sorted(self.nodes.values(), key=len, reverse=True):
            other = other.replace(name, "")
        if facts(english) != facts(other):
            yield f"{sorted(facts(english) ^ facts(other))} in one of them"

    def is_word(self, marked, other, is_heading) -> bool:
        """Whether the Explorer's words that are quoted are quoted as it says them; a heading may be the page's own."""
        spoken = [there for here, there in self.explorer if marked in here]
        return any(piece in text for piece in QUOTED.findall(other) for text in spoken) if spoken else is_heading


def prose(page: str) -> list[list[tuple[str, str]]]:
    """(kind, text) of each paragraph and item: of the introduction, how to connect, when it goes wrong."""
    introduction, *_, connect, wrong = re.split(r"^## .*$", page, flags=re.MULTILINE)
    return [blocks(re.sub(r"^(# |!\[).*$", "", introduction, flags=re.MULTILINE)), blocks(connect), blocks(wrong)]


def blocks(text: str) -> list[tuple[str, str]]:
    items = [re.fullmatch(r"(- |\d+\. )?(.*)", item.strip(), re.DOTALL) for item in re.split(r"\n\n|\n(?=- |\d+\. )", text) if item.strip()]
    return [(item[1] or "", " ".join(item[2].split())) for item in items if item]


def without_messages(text: str, nodes) -> str:
    """Literals and messages are left out. Names of nodes stay, which are marked alike."""
    return MARKED.sub(lambda found: found[3] if found[3] in nodes else found[2] or "", text)


def facts(text: str) -> set[str]:
    """Numbers, and names such as LoRA, SD3 or Z-Image."""
    found = {re.sub(r"(?<=[A-Z])s$", "", word.rstrip(".+-_")) for word in FACT.findall(text)}
    return {word for word in found if re.search(r"\d|[A-Z].*[A-Z]", word) and not (word.isalpha() and word.isupper())}
