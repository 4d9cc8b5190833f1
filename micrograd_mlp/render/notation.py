"""How names, numbers and operations are written: as plain text and as LaTeX, in the paper's symbols.

A label such as W1[2,1] is the paper's W⁽¹⁾₂₁ (§2, §6). Operations are written from the table of
primitives, so that one of your own is written too.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from micrograd_mlp.engine.op import Op
from micrograd_mlp.engine.table import TABLE
from micrograd_mlp.render.text import number, printable


class Term(NamedTuple):
    """A formula, and how tightly its outermost operation binds."""

    text: str
    precedence: float
    number: float | None = None  # what the formula is, if it is a plain number


ATOM = 4.0
_SHOWN_TERMS = 4  # a sum with many terms is written with so many of them
_NEGATIVE = 0.0  # every operation needs brackets around a negative number
_PRECEDENCE = {"add": 1.0, "sub": 1.0, "div": 1.5, "mul": 2.0, "neg": 2.0, "pow": 3.0, "expm1": 1.0}
_INFIX = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} · {1}", "div": "{0} / {1}"}
_INFIX |= {"neg": "-{0}", "pow": "{0}**{1}"}


def infix(op: Op) -> tuple[str | None, float]:
    """A template such as "{0} + {1}", and how tightly it binds; (None, ATOM) for what is written f(x)."""
    if TABLE.get(op.name) is not op:  # an operation of the user's own, perhaps with the name of another
        return None, ATOM
    return _INFIX.get(op.name), _PRECEDENCE.get(op.name, ATOM)


def _needs_brackets(op: Op, position: int, operand: Term) -> bool:
    if position == 0 and operand.precedence == _NEGATIVE and op.name in ("add", "sub", "mul", "div"):
        return False  # -2 + x, but x + (-2)
    _, precedence = infix(op)
    if (op.name in ("sub", "div") and position == 1) or op.name == "pow":
        return operand.precedence <= precedence
    return operand.precedence < precedence


class Text:
    """Plain text, for a terminal: ∂z1/∂w = x1."""

    times = " · "

    def gap(self, steps: int) -> str:
        """What stands for steps that are left out."""
        return f"… ({steps} more) …"

    def number(self, x: float) -> Term:
        """Six significant digits."""
        return Term(number(x, 6), _NEGATIVE if x < 0 else ATOM, x)

    def label(self, label: str) -> str:
        """A label on one line, with unprintable characters escaped."""
        return printable(label)

    def repeated(self, name: str, occurrence: int) -> str:
        """The name of the second node, the third … that has this label."""
        return f"{name}#{occurrence}"

    def delta(self, layer: str, index: str) -> str:
        """δ of a pre-activation (§6.2)."""
        return f"δ{layer}[{index}]" if index else f"δ{layer}"

    def derivative(self, of: str, by: str, operand: int | None = None) -> str:
        """∂(of)/∂(by). The operand tells apart two uses of the same node."""
        return f"∂{of}/∂{by}" + ("" if operand is None else f" (operand {operand + 1})")

    def bracketed(self, term: Term) -> str:
        """The formula in brackets."""
        return f"({term.text})"

    def apply(self, op: Op, operands: list[Term]) -> Term:
        """The operation written out: a + b, tanh(z)."""
        if written_sum := self._written_sum(op, operands):
            return written_sum
        template, precedence = infix(op)
        if template:
            written = [
                self.bracketed(x) if _needs_brackets(op, i, x) else x.text for i, x in enumerate(operands)
            ]
            return Term(template.format(*written), precedence)
        return Term(f"{printable(op.symbol)}({', '.join(x.text for x in operands)})", ATOM)

    def prime(self, op: Op, operand: Term) -> Term:
        """The derivative of a function of one variable: σ'(z)."""
        return Term(f"{printable(op.symbol)}'({operand.text})", ATOM)

    def product(self, factors: list[Term]) -> str:
        """The factors with a dot between them."""
        if len(factors) < 2:
            return factors[0].text if factors else "1"
        first, *others = factors
        bare = first.precedence in (_NEGATIVE, ATOM)
        return self.times.join([first.text if bare else self._factor(first), *map(self._factor, others)])

    def sum(self, terms: list[Term]) -> str:
        """The terms with a plus sign between them; of many only the first few."""
        if len(terms) > _SHOWN_TERMS + 1:
            gap = Term(self.gap(len(terms) - _SHOWN_TERMS), ATOM)
            terms = [*terms[: _SHOWN_TERMS - 1], gap, terms[-1]]
        first, *others = terms
        return " + ".join(
            [first.text, *(self.bracketed(x) if x.precedence < 1.0 else x.text for x in others)]
        )

    def _written_sum(self, op: Op, operands: list[Term]) -> Term | None:
        """Σ as the sum that it stands for."""
        if not operands or op not in (TABLE["total"], TABLE["dot"]):
            return None
        if op is TABLE["dot"]:
            n = len(operands) // 2
            products = [self.product([w, x]) for w, x in zip(operands[:n], operands[n:])]
            operands = [Term(p, _NEGATIVE if p.startswith("-") else _PRECEDENCE["mul"]) for p in products]
        return Term(self.sum(operands), _PRECEDENCE["add"])

    def _factor(self, term: Term) -> str:
        return term.text if term.precedence >= _PRECEDENCE["mul"] else self.bracketed(term)


class Latex(Text):
    r"""LaTeX for MathJax and for documents: \frac{\partial z^{(1)}_{1}}{\partial W^{(1)}_{12}}."""

    times = r" \cdot "

    def gap(self, steps: int) -> str:
        return rf"\cdots (\text{{{steps} more}}) \cdots"

    def number(self, x: float) -> Term:
        """Six significant digits, with a power of ten where Python has an e."""
        text = number(x, 6).replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")
        mantissa, _, exponent = text.partition("e")
        if exponent:
            text = rf"{mantissa} \times 10^{{{int(exponent)}}}"
        return super().number(x)._replace(text=text)

    def label(self, label: str) -> str:
        r"""W1[2,1] is W^{(1)}_{21}, x[2] is x_{2}, ŷ is \hat{y}; any other label is written as text."""
        parts = _parts(label)
        letter = parts and _letter(parts.word)
        if not parts or not letter:
            return _text(label)
        superscript = f"^{{({parts.layer})}}" if parts.layer else ""
        subscript = f"_{{{parts.indices}}}" if parts.indices else ""
        return letter + superscript + subscript

    def repeated(self, name: str, occurrence: int) -> str:
        return rf"{{{name}}}^{{\#{occurrence}}}"

    def delta(self, layer: str, index: str) -> str:
        return self.label(super().delta(layer, index))

    def derivative(self, of: str, by: str, operand: int | None = None) -> str:
        fraction = rf"\frac{{\partial {of}}}{{\partial {by}}}"
        return fraction if operand is None else rf"\left.{fraction}\right|_{{\text{{operand {operand + 1}}}}}"

    def bracketed(self, term: Term) -> str:
        return rf"\left({term.text}\right)"

    def apply(self, op: Op, operands: list[Term]) -> Term:
        """The operation's own template, filled in."""
        if written_sum := self._written_sum(op, operands):
            return written_sum
        written = []
        for i, operand in enumerate(operands):
            # No brackets where the template sets an operand apart, as \frac{{{0}}} and \left({0}\right) do.
            bare = re.search(rf"(^|[ -])\{{{i}\}}( |$)", op.latex) or (op is TABLE["pow"] and i == 0)
            written.append(
                self.bracketed(operand) if bare and _needs_brackets(op, i, operand) else operand.text
            )
        args = ", ".join(written)
        try:
            text = op.latex.format(*written, args=args)
        except (IndexError, KeyError, ValueError):  # not a template: a brace that is not doubled, for one
            text = rf"{_text(op.name)}\left({args}\right)"
        return Term(text, ATOM if op is TABLE["div"] else infix(op)[1])

    def prime(self, op: Op, operand: Term) -> Term:
        r"""The derivative of a function of one variable: \sigma'(z)."""
        named = re.fullmatch(r"(\\\w+(?:\{\{\w+\}\})?)(?: \{0\}|\\left\(\{0\}\\right\))", op.latex)
        function = named[1].format() if named else rf"\operatorname{{{_text(op.symbol)}}}"
        return Term(f"{function}'{self.bracketed(operand)}", ATOM)


class _Parts(NamedTuple):
    """The parts of a label: those of W1[2,1] are W, layer 1 and the indices 21."""

    word: str
    layer: str
    indices: str


def _parts(label: str) -> _Parts | None:
    match = re.fullmatch(r"(\w*?[^\W\d_])_?(\d*)(?:\[(\d+(?:,\d+)*)\])?", label)
    if not match:
        return None
    word, number, index = match[1], match[2], match[3] or ""
    if "," in index and all(len(i) == 1 for i in index.split(",")):
        index = index.replace(",", "")
    if number and (index or word in ("W", "b", "z", "a", "δ")):
        return _Parts(word, number, index)
    return _Parts(word, "", number or index)


def symbol_of(label: str, occurrence: int = 1) -> dict[str, str] | None:
    """A label as a letter with indices, for a view that formats them itself; None for a word.

    >>> symbol_of("W1[2,1]")
    {'letter': 'W', 'superscript': '(1)', 'subscript': '21', 'occurrence': ''}
    >>> symbol_of("learning_rate") is None
    True
    """
    parts = _parts(label)
    letter = parts and unicodedata.normalize("NFC", {"y_hat": "ŷ"}.get(parts.word, parts.word))
    if not parts or not letter or len(letter) != 1:
        return None
    return {
        "letter": letter,
        "superscript": f"({parts.layer})" if parts.layer else "",
        "subscript": parts.indices,
        "occurrence": f"#{occurrence}" if occurrence > 1 else "",
    }


def _letter(name: str) -> str | None:
    """A single letter as a symbol; None for a word."""
    special = {"ℓ": r"\ell", "loss": r"\ell", "y_hat": r"\hat{y}"}
    if name in special:
        return special[name]
    base, *accents = list(unicodedata.normalize("NFD", name))
    if len(accents) == 1 and unicodedata.name(accents[0], "") == "COMBINING CIRCUMFLEX ACCENT":
        return rf"\hat{{{base}}}"
    if accents or not base.isalpha():
        return None
    greek = re.fullmatch(r"GREEK SMALL LETTER (FINAL )?(\w+)", unicodedata.name(base, ""))
    if greek:
        return "\\" + greek[2].lower().replace("lamda", "lambda")
    return base if base.isascii() else None


_SPECIAL = {
    "\\": r"\backslash ", "{": r"\{", "}": r"\}", "_": r"\_", "#": r"\#", "%": r"\%", "&": r"\&", "$": r"\$",
    "^": r"{\wedge}", "~": r"{\sim}", "`": "{'}", "*": r"{\ast}",
    "<": "{<}", ">": "{>}",  # braces, since < would begin an HTML tag
}  # fmt: skip


def _text(label: str) -> str:
    r"""Any text as LaTeX: letters in \text{…}, characters that mean something to TeX or HTML escaped."""
    pieces = re.split(r"([\\{}_#%&$^~`*<>])", printable(label))
    return "".join([_SPECIAL.get(piece) or rf"\text{{{piece}}}" for piece in pieces if piece]) or r"\text{ }"
