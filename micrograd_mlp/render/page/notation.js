// How names, numbers and operations are written. The rules are those of notation.py; a formula is a list of
// pieces, which `toText` turns into plain text and `toElements` into the paper's symbols.
//
// A piece is text, or one of { name: node }, { delta: node }, { derivative: [of, by], operand }.

const ATOM = 4;
const NEGATIVE = 0; // a negative number takes brackets beside every operation
const SUM = 1;
const PRODUCT = 2;
const SHOWN_TERMS = 4; // of a sum

class Notation {
  constructor(data, graph) {
    this.nodes = data.nodes;
    this.ops = data.ops;
    this.graph = graph;
  }

  // The one name of a node; an unlabelled constant's name is its number.
  name(i) {
    return this.nodes[i].name ?? number(this.graph.data[i], 6);
  }

  number(x) {
    return { pieces: [number(x, 6)], precedence: x < 0 ? NEGATIVE : ATOM, number: x };
  }

  named(i) {
    return { pieces: [{ name: i }], precedence: ATOM };
  }

  bracketed(term) {
    return ["(", ...term.pieces, ")"];
  }

  needsBrackets(op, position, operand) {
    const { role, precedence } = op;
    if (position === 0 && operand.precedence === NEGATIVE && ["add", "sub", "mul", "div"].includes(role)) return false;
    if ((["sub", "div"].includes(role) && position === 1) || role === "pow") return operand.precedence <= precedence;
    return operand.precedence < precedence;
  }

  apply(op, operands) {
    const writtenSum = this.writtenSum(op, operands);
    if (writtenSum) return writtenSum;
    if (op.infix) {
      const written = operands.map((x, i) => (this.needsBrackets(op, i, x) ? this.bracketed(x) : x.pieces));
      const pieces = op.infix.split(/(\{\d\})/).flatMap((part) => {
        const operand = /^\{(\d)\}$/.exec(part);
        return operand ? written[Number(operand[1])] : part ? [part] : [];
      });
      return { pieces, precedence: op.precedence };
    }
    const listed = operands.flatMap((x, i) => (i ? [", ", ...x.pieces] : x.pieces));
    return { pieces: [`${op.symbol}(`, ...listed, ")"], precedence: ATOM };
  }

  // Σ as the sum that it stands for.
  writtenSum(op, operands) {
    if (!operands.length || (op.role !== "total" && op.role !== "dot")) return null;
    if (op.role === "dot") {
      const n = operands.length / 2;
      operands = operands.slice(0, n).map((w, k) => {
        const pieces = this.product([w, operands[n + k]]);
        return { pieces, precedence: this.toText(pieces).startsWith("-") ? NEGATIVE : PRODUCT };
      });
    }
    return { pieces: this.sum(operands), precedence: SUM };
  }

  prime(op, operand) {
    return { pieces: [`${op.symbol}'(`, ...operand.pieces, ")"], precedence: ATOM };
  }

  product(factors) {
    if (factors.length < 2) return factors.length ? factors[0].pieces : ["1"];
    const [first, ...others] = factors;
    const factor = (term) => (term.precedence >= PRODUCT ? term.pieces : this.bracketed(term));
    const bare = first.precedence === NEGATIVE || first.precedence === ATOM;
    return [...(bare ? first.pieces : factor(first)), ...others.flatMap((term) => [" · ", ...factor(term)])];
  }

  sum(terms) {
    if (terms.length > SHOWN_TERMS + 1) {
      terms = [...terms.slice(0, SHOWN_TERMS - 1), this.gap(terms.length - SHOWN_TERMS), terms.at(-1)];
    }
    const [first, ...others] = terms;
    const added = others.flatMap((x) => [" + ", ...(x.precedence < SUM ? this.bracketed(x) : x.pieces)]);
    return [...first.pieces, ...added];
  }

  gap(steps) {
    return { pieces: [`… (${steps} more) …`], precedence: ATOM };
  }

  // What is written, as text

  toText(pieces) {
    return pieces.map((piece) => this.pieceToText(piece)).join("");
  }

  pieceToText(piece) {
    if (typeof piece === "string") return piece;
    if ("name" in piece) return this.name(piece.name);
    if ("delta" in piece) return this.deltaName(piece.delta);
    const [of, by] = piece.derivative.map((i) => this.name(i));
    return `∂${of}/∂${by}` + (piece.operand === undefined ? "" : ` (operand ${piece.operand + 1})`);
  }

  deltaName(i) {
    return "δ" + this.nodes[i].label.slice(1);
  }

  // What is written, in the paper's symbols: letters in italics with indices, derivatives as fractions

  toElements(pieces) {
    return pieces.map((piece) => {
      if (typeof piece === "string") return piece.replaceAll("-", "−").replaceAll("'", "′");
      if ("name" in piece) return this.symbolElement(piece.name);
      if ("delta" in piece) return this.symbolElement(piece.delta, "δ");
      const [of, by] = piece.derivative;
      const fraction = element("span", { class: "fraction" },
        element("span", { class: "over" }, "∂", this.symbolElement(of)),
        element("span", { class: "under" }, "∂", this.symbolElement(by)));
      if (piece.operand === undefined) return fraction;
      return element("span", {}, fraction, element("sub", {}, `operand ${piece.operand + 1}`));
    });
  }

  symbolElement(i, letter) {
    const symbol = this.nodes[i].symbol;
    if (!symbol) return element("span", { class: "name" }, this.name(i).replace(/^-/, "−"));
    const { superscript, subscript, occurrence } = symbol;
    const parts = [element("i", {}, letter ?? symbol.letter)];
    if (superscript || subscript) {
      const above = element("span", {}, superscript);
      parts.push(element("span", { class: "scripts" }, above, element("span", {}, subscript)));
    }
    if (occurrence) parts.push(element("span", { class: "occurrence" }, occurrence));
    return element("span", { class: "symbol" }, ...parts);
  }

  // A name on a canvas: pieces of text with their style, for `drawSymbol`.
  symbol(i) {
    return this.nodes[i].symbol ?? null;
  }
}
