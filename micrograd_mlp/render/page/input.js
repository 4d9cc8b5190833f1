// Pointer and keys on the canvas.

// Drag a leaf's number to change it, anything else to pan; a wheel or two fingers zoom.
class Pointer {
  constructor(explorer) {
    this.explorer = explorer;
    this.canvas = explorer.canvas;
    this.down = new Map(); // pointers that are pressed
    this.drag = null;
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.release(event));
    canvas.addEventListener("dblclick", (event) => this.doubleClick(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  at(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  isLeaf(box) {
    return box !== null && box.node !== undefined && this.explorer.graph.isLeaf(box.node);
  }

  press(event) {
    if (event.button !== 0) return;
    const { explorer } = this;
    const point = this.at(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, point);
    const box = explorer.view.under(point, event.pointerType === "touch");
    const number = this.isLeaf(box) ? { node: box.node, start: explorer.graph.data[box.node] } : null;
    this.drag = this.down.size === 1 ? { box, number, from: point, at: point, moved: false } : { pinch: true, moved: true };
  }

  move(event) {
    const { explorer } = this;
    const point = this.at(event);
    if (!this.down.has(event.pointerId)) return this.hover(point);
    const before = this.down.get(event.pointerId);
    if (this.down.size === 2) return this.pinch(event.pointerId, before, point);
    this.down.set(event.pointerId, point);
    const { drag } = this;
    if (!drag || drag.pinch) return;
    const [dx, dy] = [point[0] - drag.from[0], point[1] - drag.from[1]];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    if (!drag.moved) {
      drag.moved = true;
      if (drag.number) {
        explorer.select(drag.number.node);
        explorer.history.mark();
      }
    }
    if (drag.number) this.scrub(drag.number, dx, event);
    else explorer.view.pan(point[0] - before[0], point[1] - before[1]);
  }

  // One pixel is a hundredth of the number's own size; with Shift a tenth of that, so that it can be set finely.
  scrub({ node, start }, dx, event) {
    const origin = Number.isFinite(start) ? start : 0;
    const step = 0.01 * 10 ** Math.floor(Math.log10(Math.max(Math.abs(origin), 1))) * (event.shiftKey ? 0.1 : 1);
    const x = Math.round((origin + dx * step) / step) * step;
    this.explorer.change(node, Number(x.toPrecision(12)), { mark: false });
  }

  pinch(id, before, point) {
    const { view } = this.explorer;
    const [other] = [...this.down].filter(([key]) => key !== id).map(([, at]) => at);
    const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    view.zoom(distance(point, other) / distance(before, other), [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2]);
    view.pan((point[0] - before[0]) / 2, (point[1] - before[1]) / 2);
    this.down.set(id, point);
  }

  release(event) {
    const { explorer, drag } = this;
    this.down.delete(event.pointerId);
    if (!drag || drag.moved || event.type === "pointercancel") return void (this.drag = this.down.size ? { pinch: true, moved: true } : null);
    this.drag = null;
    if (drag.box === null) return explorer.deselect();
    const [x] = explorer.view.toScene(drag.from);
    const onTriangle = drag.box.group !== undefined && x - drag.box.left < 26;
    if (onTriangle) explorer.toggle(drag.box.group);
    else explorer.selectBox(drag.box);
  }

  doubleClick(event) {
    const box = this.explorer.view.under(this.at(event));
    if (box?.group !== undefined) this.explorer.toggle(box.group);
    else if (this.isLeaf(box)) this.explorer.focusNumber();
  }

  wheel(event) {
    // In a notebook a plain wheel scrolls the notebook; with Ctrl, or on a page of its own, it zooms.
    const { explorer } = this;
    if (!explorer.data.wholePage && !event.ctrlKey && !document.fullscreenElement) return;
    event.preventDefault();
    const speed = event.ctrlKey ? 0.01 : 0.0016;
    explorer.view.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 16 : 1) * speed), this.at(event));
  }

  hover(point) {
    const { explorer } = this;
    const box = explorer.view.under(point);
    this.canvas.style.cursor = this.isLeaf(box) ? "ew-resize" : box ? "pointer" : "grab";
    this.canvas.title = box ? this.describe(box) : "";
  }

  describe(box) {
    const { graph, notation, data } = this.explorer;
    if (box.group !== undefined) return `${data.groups[box.group].title}: double-click to ${box.kind === "frame" ? "fold" : "unfold"}`;
    const gradient = data.nodes[box.node].kind === "constant" ? "" : `\ngrad ${repr(graph.grad[box.node])}`;
    return `${notation.name(box.node)}\ndata ${repr(graph.data[box.node])}${gradient}`;
  }
}

class Keyboard {
  constructor(explorer) {
    this.explorer = explorer;
    // A page of its own listens everywhere; in a notebook only where the focus is inside.
    (explorer.data.wholePage ? document : explorer.card).addEventListener("keydown", (event) => this.press(event));
    explorer.card.addEventListener("pointerdown", (event) => {
      if (!event.composedPath()[0].closest?.("button, input, select, textarea, canvas, dialog")) explorer.card.focus({ preventScroll: true });
    });
  }

  press(event) {
    const { explorer } = this;
    const at = event.composedPath()[0];
    if (event.altKey || at instanceof HTMLSelectElement || at instanceof HTMLTextAreaElement) return;
    const typing = at instanceof HTMLInputElement && at.type !== "range";
    if (event.ctrlKey || event.metaKey) {
      if (event.key === "z" && !typing) this.take(event, () => explorer.undo());
      return;
    }
    if (typing || (event.key === " " && at instanceof HTMLButtonElement) || (event.key === "Enter" && at instanceof HTMLButtonElement)) return;
    const onOtherSlider = at instanceof HTMLInputElement && at !== explorer.stepping.slider;
    const actions = {
      ...(explorer.mode === "step" && !onOtherSlider ? this.stepKeys() : {}),
      ...(at === explorer.canvas && explorer.mode !== "step" ? this.moveKeys() : {}),
      ...(at === explorer.canvas || at === explorer.card || at === document.body ? this.canvasKeys() : {}),
    };
    if (event.key in actions) this.take(event, actions[event.key]);
  }

  take(event, action) {
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  stepKeys() {
    const { stepping } = this.explorer;
    return {
      ArrowRight: () => stepping.go(stepping.now + 1),
      ArrowLeft: () => stepping.go(stepping.now - 1),
      Home: () => stepping.go(0),
      End: () => stepping.go(stepping.steps.length),
      " ": () => stepping.toggle(),
    };
  }

  moveKeys() {
    return {
      ArrowRight: () => this.move(1, 0),
      ArrowLeft: () => this.move(-1, 0),
      ArrowDown: () => this.move(0, 1),
      ArrowUp: () => this.move(0, -1),
      PageDown: () => this.following(1),
      PageUp: () => this.following(-1),
    };
  }

  canvasKeys() {
    const { explorer } = this;
    const { view, selected } = explorer;
    const nudge = (times) => {
      if (selected !== null && explorer.graph.isLeaf(selected)) explorer.nudge(selected, times);
      else view.zoom(times > 0 ? 1.25 : 0.8);
    };
    return {
      Enter: () => this.enter(),
      "+": () => nudge(1), "=": () => nudge(1), "-": () => nudge(-1), "]": () => nudge(10), "[": () => nudge(-10),
      f: () => view.fit(),
      "/": () => explorer.finder.focus(),
      Escape: () => explorer.deselect(),
    };
  }

  enter() {
    const { explorer } = this;
    const item = explorer.selectedItem;
    if (item?.group !== undefined && explorer.selectedBox !== null) explorer.toggle(item.group);
    else if (explorer.selected !== null && explorer.graph.isLeaf(explorer.selected)) explorer.focusNumber();
    else if (item?.group !== undefined) explorer.toggle(item.group);
    else explorer.inspector.root.querySelector("button")?.focus();
  }

  // To the nearest box in a direction; what is far off to the side counts as farther.
  move(dx, dy) {
    const { explorer } = this;
    const { arrangement } = explorer;
    const from = explorer.selectedItem ?? arrangement.boxes.get(arrangement.boxOf(explorer.graph.output));
    const middle = (box) => [box.left + box.width / 2, box.top + box.height / 2];
    const [x, y] = middle(from);
    let nearest = null;
    let least = Infinity;
    for (const box of arrangement.boxes.values()) {
      if (box === from) continue;
      const [bx, by] = middle(box);
      const ahead = dx * (bx - x) + dy * (by - y);
      const aside = Math.abs(dx ? by - y : bx - x);
      if (ahead <= 4 || (dy && aside > 130)) continue;
      const distance = ahead + 2.2 * aside;
      if (distance < least) [nearest, least] = [box, distance];
    }
    if (nearest) this.goTo(nearest);
    else explorer.say("nothing more in this direction");
  }

  // Through all boxes, from left to right and from top to bottom.
  following(direction) {
    const { explorer } = this;
    const boxes = [...explorer.arrangement.boxes.values()].sort((a, b) => a.left - b.left || a.top - b.top);
    const at = boxes.indexOf(explorer.selectedItem);
    this.goTo(boxes[(at + direction + boxes.length) % boxes.length]);
  }

  goTo(box) {
    this.explorer.selectBox(box);
    this.explorer.view.show(box);
  }
}
