// A chart over time on a canvas: the window one looks through, axes, and the hands that move it.

const STEPS = [1, 2, 5, 10, 15, 30].map((n) => n * MINUTE)
  .concat([1, 2, 3, 4, 6, 12].map((n) => n * HOUR), [1, 2, 7, 14, 30, 91, 182, 365].map((n) => n * DAY));

/** Colours and fonts are those of the page's style, so that a theme is in one place. */
function ink(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function niceStep(range, most) {
  const rough = range / Math.max(most, 1), power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((n) => n * power >= rough * 0.999999);
}

function timeTicks(from, to, most) {
  const step = STEPS.find((one) => (to - from) / one <= most) || Math.ceil((to - from) / most / (365 * DAY)) * 365 * DAY;
  const ticks = [];
  if (step < 30 * DAY) {
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  } else {
    const months = Math.round(step / (30.4 * DAY)), start = new Date(from);
    let month = start.getUTCFullYear() * 12 + start.getUTCMonth();
    for (month -= month % months; ; month += months) {
      const at = Date.UTC(Math.floor(month / 12), month % 12, 1);
      if (at > to) break;
      if (at >= from) ticks.push(at);
    }
  }
  return ticks.map((at) => ({ at, text: tickText(at, step) }));
}

function tickText(at, step) {
  const text = moment(at), [day, month, year, clock] = text.split(" ");
  if (step >= 30 * DAY) return month === "Jan" ? year : month;
  return step >= DAY || clock === "00:00" ? `${day} ${month}` : clock;
}

class Chart {
  /** `paint(pen, box, chart)` draws, `tell(ms, chart)` says what is at an instant. */
  constructor(canvas, from, to, least, paint, tell) {
    Object.assign(this, { canvas, first: from, last: to, from, to, least, paint, tell });
    this.axis = 64;
    this.pointer = null; // an instant that is looked at
    this.touches = new Map();
    this.isDue = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.listen();
  }

  listen() {
    const on = (name, act) => this.canvas.addEventListener(name, act, { passive: false });
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.touches.delete(event.pointerId));
    on("pointerleave", (event) => event.pointerType === "mouse" && this.look(null)); // a lifted finger still reads
    on("wheel", (event) => this.wheel(event));
    on("keydown", (event) => this.key(event));
    on("dblclick", () => this.show(this.first, this.last));
  }

  get width() {
    return Math.max(this.canvas.clientWidth - this.axis, 1);
  }

  x(ms) {
    return ((ms - this.from) / (this.to - this.from)) * this.width;
  }

  instant(x) {
    return this.from + (x / this.width) * (this.to - this.from);
  }

  /** Look at a span, within what there is. */
  show(from, to) {
    const whole = this.last - this.first, span = Math.min(Math.max(to - from, Math.min(this.least, whole)), whole);
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - span / 2, this.first), this.last - span);
    this.to = this.from + span;
    this.draw();
  }

  zoom(factor, ms = (this.from + this.to) / 2) {
    const left = (ms - this.from) * factor, right = (this.to - ms) * factor;
    this.show(ms - left, ms + right);
  }

  pan(ms) {
    const span = this.to - this.from;
    const from = Math.min(Math.max(this.from + ms, this.first), this.last - span);
    this.show(from, from + span);
  }

  look(ms) {
    this.pointer = ms;
    this.tell(ms, this);
    this.draw();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return event.clientX - box.left;
  }

  press(event) {
    this.touches.set(event.pointerId, this.place(event));
    this.canvas.setPointerCapture(event.pointerId);
    this.look(this.instant(this.place(event)));
  }

  move(event) {
    const now = this.place(event), before = this.touches.get(event.pointerId);
    if (before === undefined) return this.look(Math.min(this.instant(now), this.to));
    const others = [...this.touches].filter(([id]) => id !== event.pointerId);
    if (others.length) {
      const fixedAt = others[0][1], was = Math.abs(before - fixedAt), is = Math.abs(now - fixedAt);
      if (is > 8 && was > 8) this.zoom(was / is, this.instant(fixedAt));
    } else if (Math.abs(now - before) > 0) {
      this.pan(((before - now) / this.width) * (this.to - this.from));
    }
    this.touches.set(event.pointerId, now);
    return undefined;
  }

  wheel(event) {
    const isOurs = event.ctrlKey || event.metaKey || document.activeElement === this.canvas;
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!isOurs && !sideways) return; // the page scrolls
    event.preventDefault();
    if (sideways) this.pan((event.deltaX / this.width) * (this.to - this.from));
    else this.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004), this.instant(this.place(event)));
  }

  key(event) {
    const span = this.to - this.from;
    const acts = {
      ArrowLeft: () => this.pan(-span * 0.2),
      ArrowRight: () => this.pan(span * 0.2),
      "+": () => this.zoom(0.6),
      "=": () => this.zoom(0.6),
      "-": () => this.zoom(1 / 0.6),
      0: () => this.show(this.first, this.last),
      Home: () => this.show(this.first, this.first + span),
      End: () => this.show(this.last - span, this.last),
      ...this.keys,
    };
    const act = !event.ctrlKey && !event.metaKey && !event.altKey && acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  draw() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      const { canvas } = this, ratio = window.devicePixelRatio || 1;
      const width = canvas.clientWidth, height = canvas.clientHeight;
      if (!width || !height) return;
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      pen.font = `11px ${ink("font")}`;
      pen.textBaseline = "middle";
      this.paint(pen, { width: this.width, height: height - 20 }, this);
      this.times(pen, height);
      if (this.pointer !== null) this.cross(pen, height);
    });
  }

  times(pen, height) {
    pen.fillStyle = ink("muted");
    pen.textAlign = "center";
    for (const { at, text } of timeTicks(this.from, this.to, Math.max(this.width / 64, 2))) {
      const x = this.x(at);
      if (x > 14 && x < this.width - 10) pen.fillText(text, x, height - 8);
    }
  }

  cross(pen, height) {
    const x = Math.round(this.x(this.pointer)) + 0.5;
    if (x < 0 || x > this.width) return;
    pen.strokeStyle = ink("muted");
    pen.setLineDash([2, 3]);
    line(pen, x, 0, x, height - 20);
    pen.setLineDash([]);
  }
}

function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

/** A band of a chart with its own scale: `y(value)` within [top, top + height]. */
function scale(low, high, top, height) {
  const room = (high - low || Math.abs(high) * 0.01 || 1) * 0.06;
  const bottom = low - room, range = high + room - bottom;
  return { low: bottom, high: bottom + range, y: (value) => top + height - ((value - bottom) / range) * height, top, height };
}

/** Lines across and their values at the right edge. */
function values(pen, band, width, write) {
  const step = niceStep(band.high - band.low, band.height / 44);
  pen.textAlign = "left";
  pen.lineWidth = 1;
  for (let value = Math.ceil(band.low / step) * step; value <= band.high; value += step) {
    const y = Math.round(band.y(value)) + 0.5;
    if (y < band.top + 7 || y > band.top + band.height - 7) continue;
    pen.strokeStyle = ink("line");
    line(pen, 0, y, width, y);
    pen.fillStyle = ink("muted");
    pen.fillText(write(Math.abs(value) < step * 1e-9 ? 0 : value, step), width + 6, y);
  }
}

const digitsFor = (step) => Math.max(0, Math.min(8, Math.ceil(-Math.log10(step) - 1e-9)));
