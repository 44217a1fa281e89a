// Candles with entries, exits, stops and targets.

const data = readJson("candle-data");
const priceDigits = new Map(data.symbols.map(({ symbol, tick }) => [symbol, digitsOf(tick)]));
/** A price to the digits of its symbol; a mean of fills may have more. */
const price = (trade, name) => fixed(Number(trade[name]), priceDigits.get(trade.symbol));

const showTrade = (() => {
  const canvas = byId("candle-chart"), told = byId("candle-told"), chooser = byId("chart-symbol");
  const { coarse_ms: coarseMs, fine_ms: fineMs } = data;
  const decoded = new Map();
  let symbol = "", chosen = null;

  /** The reverse of what packs them: see the head of candles.py. */
  function unpack({ count, first, data: text }, interval) {
    const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const columns = Array.from({ length: 5 }, () => new Float64Array(count));
    const [ts, open, high, low, close] = columns;
    let place = 0, last = first, latest = 0;
    const number = () => {
      let value = 0, weight = 1;
      for (;;) {
        const byte = bytes[place++];
        value += (byte & 127) * weight;
        if (byte < 128) return value;
        weight *= 128;
      }
    };
    const change = () => {
      const value = number();
      return value % 2 ? -(value + 1) / 2 : value / 2;
    };
    for (let at = 0; at < count; at += 1) {
      last += number() * interval;
      ts[at] = last;
      open[at] = latest + change();
      close[at] = open[at] + change();
      high[at] = Math.max(open[at], close[at]) + number();
      low[at] = Math.min(open[at], close[at]) - number();
      latest = close[at];
    }
    return { ts, open, high, low, close, interval };
  }

  function series(name) {
    if (!decoded.has(name)) {
      const packed = data.symbols.find((one) => one.symbol === name);
      decoded.set(name, {
        tick: Number(packed.tick),
        digits: digitsOf(packed.tick),
        coarse: unpack(packed.coarse, coarseMs),
        fine: unpack(packed.fine, fineMs),
        trades: trades.filter((trade) => trade.symbol === name),
      });
    }
    return decoded.get(name);
  }

  /** Candles of `from` in [start, end) drawn together to `length`. */
  function together(found, from, start, end, length) {
    const { ts } = from;
    for (let at = below(ts, start), stop = below(ts, end); at < stop;) {
      const bucket = Math.floor(ts[at] / length) * length;
      const one = { ts: bucket, length, open: from.open[at], high: -Infinity, low: Infinity, close: 0 };
      for (; at < stop && ts[at] < bucket + length; at += 1) {
        one.high = Math.max(one.high, from.high[at]);
        one.low = Math.min(one.low, from.low[at]);
        one.close = from.close[at];
      }
      found.push(one);
    }
  }

  /** What is to be drawn: as many candles as fit, fine ones where they are known. */
  function visible(chart) {
    const { coarse, fine } = series(symbol), wanted = ((chart.to - chart.from) / chart.width) * 5, found = [];
    const multiples = (unit) => STEPS.filter((one) => one >= unit && one % unit === 0);
    if (wanted > coarseMs) {
      const length = multiples(coarseMs).find((one) => one >= wanted) || Math.ceil(wanted / coarseMs) * coarseMs;
      together(found, coarse, Math.floor(chart.from / length) * length, chart.to, length);
      return found;
    }
    const start = Math.floor(chart.from / coarseMs) * coarseMs;
    const length = multiples(fineMs).find((one) => one >= wanted && coarseMs % one === 0) || coarseMs;
    for (let at = below(coarse.ts, start); at < coarse.ts.length && coarse.ts[at] < chart.to; at += 1) {
      const from = coarse.ts[at], before = found.length;
      if (length < coarseMs) together(found, fine, from, from + coarseMs, length);
      if (found.length === before) together(found, coarse, from, from + coarseMs, coarseMs);
    }
    return found;
  }

  function paint(pen, box, chart) {
    const { tick, digits, trades: mine } = series(symbol), candles = visible(chart);
    const here = mine.filter((trade) => trade.closed >= chart.from && trade.opened <= chart.to);
    let low = Math.min(...candles.map((one) => one.low)) * tick, high = Math.max(...candles.map((one) => one.high)) * tick;
    if (chosen && here.includes(chosen)) {
      const prices = [chosen.entry, chosen.exit, ...levels(chosen)];
      [low, high] = [Math.min(low, ...prices), Math.max(high, ...prices)];
    }
    if (!candles.length) {
      pen.fillStyle = ink("muted");
      pen.textAlign = "center";
      pen.fillText("No candles here.", box.width / 2, box.height / 2);
      return;
    }
    const band = scale(low, high, 0, box.height);
    values(pen, band, box.width, (value, step) => fixed(value, Math.min(digitsFor(step), digits)));
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, box.width, box.height);
    pen.clip();
    for (const rises of [true, false]) bodies(pen, chart, band, tick, candles, rises);
    const isCrowded = here.length * 16 > box.width;
    for (const trade of here) if (trade !== chosen) (isCrowded ? dot : mark)(pen, chart, band, trade);
    if (chosen && here.includes(chosen)) mark(pen, chart, band, chosen);
    pen.restore();
  }

  function bodies(pen, chart, band, tick, candles, rises) {
    pen.fillStyle = pen.strokeStyle = ink(rises ? "rise" : "drop");
    pen.lineWidth = 1;
    pen.beginPath();
    for (const one of candles) {
      if (one.close >= one.open !== rises) continue;
      const left = chart.x(one.ts), room = chart.x(one.ts + one.length) - left, width = Math.max(room * 0.7, 1);
      const middle = Math.round(left + room / 2) + 0.5;
      pen.moveTo(middle, band.y(one.high * tick));
      pen.lineTo(middle, band.y(one.low * tick));
      const top = band.y(Math.max(one.open, one.close) * tick), foot = band.y(Math.min(one.open, one.close) * tick);
      pen.fillRect(left + (room - width) / 2, top, width, Math.max(foot - top, 1));
    }
    pen.stroke();
  }

  const levels = (trade) =>
    [trade.initial_stop, trade.stop_price, trade.target_price].filter((one) => one !== null).map(Number);

  function mark(pen, chart, band, trade) {
    const from = chart.x(trade.opened), to = chart.x(trade.closed), isChosen = trade === chosen;
    const shade = ink(trade.net > 0 ? "gain" : "loss");
    if (to - from > 10 || isChosen) {
      pen.globalAlpha = isChosen ? 1 : 0.6;
      level(pen, band, from, to, Number(trade.initial_stop), ink("loss"), [5, 3]);
      if (trade.stop_price !== trade.initial_stop) level(pen, band, from, to, Number(trade.stop_price), ink("loss"), [1, 3]);
      if (trade.target_price !== null) level(pen, band, from, to, Number(trade.target_price), ink("gain"), [5, 3]);
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = shade;
    pen.lineWidth = isChosen ? 2 : 1.25;
    line(pen, from, band.y(trade.entry), to, band.y(trade.exit));
    if (isChosen) halo(pen, from, band.y(trade.entry));
    arrow(pen, from, band.y(trade.entry), trade.sign);
    pen.beginPath();
    pen.arc(to, band.y(trade.exit), isChosen ? 5 : 3.5, 0, 7);
    pen.fillStyle = shade;
    pen.fill();
    pen.strokeStyle = ink("panel");
    pen.stroke();
  }

  /** All that there is room for where trades stand close together: where it ended, and how. */
  function dot(pen, chart, band, trade) {
    pen.beginPath();
    pen.arc(chart.x(trade.closed), band.y(trade.exit), 2.5, 0, 7);
    pen.fillStyle = ink(trade.net > 0 ? "gain" : "loss");
    pen.fill();
  }

  function level(pen, band, from, to, price, shade, dashes) {
    pen.strokeStyle = shade;
    pen.lineWidth = 1;
    pen.setLineDash(dashes);
    const y = Math.round(band.y(price)) + 0.5;
    line(pen, from, y, Math.max(to, from + 12), y);
    pen.setLineDash([]);
  }

  function arrow(pen, x, y, sign) {
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x - 5, y + 9 * sign);
    pen.lineTo(x + 5, y + 9 * sign);
    pen.closePath();
    pen.fillStyle = ink("equity");
    pen.fill();
    pen.strokeStyle = ink("panel");
    pen.lineWidth = 1;
    pen.stroke();
  }

  function halo(pen, x, y) {
    pen.beginPath();
    pen.arc(x, y, 12, 0, 7);
    pen.globalAlpha = 0.2;
    pen.fillStyle = ink("equity");
    pen.fill();
    pen.globalAlpha = 1;
  }

  function story(trade) {
    const multiple = trade.r === null ? "" : ` (${signed(trade.r)} R)`, guess = trade.ambiguous ? ", ambiguous" : "";
    return `${trade.position_id} ${trade.side} ${trade.symbol}, ${trade.strategy}: ${moment(trade.opened)} at ` +
      `${price(trade, "entry_price")} → ${moment(trade.closed)} at ${price(trade, "exit_price")}, ${words(trade.close_reason)}` +
      `${guess}: ${signed(trade.net)}${multiple}`;
  }

  function tell(ms, chart) {
    const { tick, digits, trades: mine } = series(symbol);
    if (ms === null) {
      told.textContent = chosen ? story(chosen) : `${symbol}: ${mine.length} ${mine.length === 1 ? "trade" : "trades"}`;
      return;
    }
    const reach = ((chart.to - chart.from) / chart.width) * 6;
    const near = mine.find((one) => Math.abs(one.opened - ms) < reach || Math.abs(one.closed - ms) < reach);
    const one = visible(chart).find((candle) => ms >= candle.ts && ms < candle.ts + candle.length);
    const prices = one && ["open", "high", "low", "close"].map((name) => `${name} ${fixed(one[name] * tick, digits)}`);
    const text = one ? `${moment(one.ts)} UTC, ${lengthOf(one.length)} · ${prices.join(" · ")}` : `${moment(ms)} UTC`;
    told.textContent = near ? `${text} · ${story(near)}` : text;
  }

  const chart = new Chart(canvas, Date.parse(result.dataset.from), Date.parse(result.dataset.to), 30 * fineMs, paint, tell);

  function choose(name) {
    symbol = chooser.value = name;
    if (chosen && chosen.symbol !== name) chosen = null;
    tell(null, chart);
    chart.draw();
  }

  function show(trade) {
    chosen = trade;
    choose(trade.symbol);
    const room = Math.max((trade.closed - trade.opened) * 0.6, 30 * fineMs);
    chart.show(trade.opened - room, trade.closed + room);
  }

  function step(by) {
    const { trades: mine } = series(symbol);
    if (!mine.length) return;
    const next = mine[mine.indexOf(chosen) + by];
    show(chosen ? next || chosen : by > 0 ? mine[0] : mine[mine.length - 1]);
  }

  for (const { symbol: name } of data.symbols) {
    const number = trades.filter((trade) => trade.symbol === name).length;
    chooser.append(make("option", `${name} (${number})`, { value: name }));
  }
  chooser.addEventListener("change", () => choose(chooser.value));
  byId("previous-trade").addEventListener("click", () => step(-1));
  byId("next-trade").addEventListener("click", () => step(1));
  byId("zoom-in").addEventListener("click", () => chart.zoom(0.6));
  byId("zoom-out").addEventListener("click", () => chart.zoom(1 / 0.6));
  byId("chart-fit").addEventListener("click", () => chart.show(chart.first, chart.last));
  chart.keys = { p: () => step(-1), n: () => step(1), P: () => step(-1), N: () => step(1) };
  chart.axis = 72;
  const counts = data.symbols.map((one) => trades.filter((trade) => trade.symbol === one.symbol).length);
  choose(data.symbols[counts.indexOf(Math.max(...counts))].symbol);
  redraws.push(chart);
  return show;
})();
