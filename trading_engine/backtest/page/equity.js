// The curve of equity with the line of simply holding, and drawdown below it.

(() => {
  const canvas = byId("equity-chart"), told = byId("equity-told"), showsHeld = byId("show-held");
  const times = result.equity_curve.map(([time]) => Date.parse(time));
  const equity = result.equity_curve.map(([, value]) => Number(value));
  const held = result.buy_and_hold.map(([, value]) => Number(value));
  let peak = -Infinity;
  const drawdown = equity.map((value) => {
    peak = Math.max(peak, value);
    return (value / peak - 1) * 100;
  });

  function bounds(list, low, high) {
    let [least, most] = [Infinity, -Infinity];
    for (let at = low; at < high; at += 1) {
      least = Math.min(least, list[at]);
      most = Math.max(most, list[at]);
    }
    return [least, most];
  }

  /** The line through the points low … high, its lowest and highest of every pixel. */
  function trace(pen, chart, band, list, low, high) {
    const each = Math.max(1, Math.floor((high - low) / chart.width));
    pen.beginPath();
    for (let at = low; at < high; at += each) {
      const end = Math.min(at + each, high), x = chart.x(times[at]);
      if (each === 1) {
        pen.lineTo(x, band.y(list[at]));
        continue;
      }
      const [least, most] = bounds(list, at, end);
      pen.lineTo(x, band.y(list[at]));
      pen.lineTo(x, band.y(least));
      pen.lineTo(x, band.y(most));
      pen.lineTo(chart.x(times[end - 1]), band.y(list[end - 1]));
    }
    pen.stroke();
  }

  function paint(pen, box, chart) {
    const low = Math.max(below(times, chart.from) - 1, 0), high = Math.min(below(times, chart.to) + 1, times.length);
    const lists = showsHeld.checked ? [equity, held] : [equity];
    const seen = lists.map((list) => bounds(list, low, high));
    const top = scale(Math.min(...seen.map((pair) => pair[0])), Math.max(...seen.map((pair) => pair[1])), 0, box.height * 0.68);
    const bottom = scale(Math.min(bounds(drawdown, low, high)[0], -0.01), 0, box.height * 0.73, box.height * 0.27);
    values(pen, top, box.width, (value, step) => fixed(value, Math.min(digitsFor(step), 2)));
    values(pen, bottom, box.width, (value, step) => `${fixed(value, Math.min(digitsFor(step), 2))} %`);
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, box.width, box.height);
    pen.clip();
    start(pen, top, box);
    pen.lineJoin = "round";
    if (showsHeld.checked) {
      pen.strokeStyle = ink("held");
      pen.lineWidth = 1.25;
      trace(pen, chart, top, held, low, high);
    }
    pen.strokeStyle = ink("equity");
    pen.lineWidth = 1.75;
    trace(pen, chart, top, equity, low, high);
    fallen(pen, chart, bottom, low, high);
    pen.restore();
  }

  /** The deposit, as what everything is measured by. */
  function start(pen, band, box) {
    pen.strokeStyle = ink("muted");
    pen.setLineDash([4, 4]);
    line(pen, 0, band.y(equity[0]), box.width, band.y(equity[0]));
    pen.setLineDash([]);
  }

  function fallen(pen, chart, band, low, high) {
    pen.strokeStyle = ink("loss");
    pen.lineWidth = 1;
    trace(pen, chart, band, drawdown, low, high);
    pen.globalAlpha = 0.18;
    pen.fillStyle = ink("loss");
    pen.beginPath();
    pen.moveTo(chart.x(times[low]), band.y(0));
    const each = Math.max(1, Math.floor((high - low) / chart.width));
    for (let at = low; at < high; at += each) {
      pen.lineTo(chart.x(times[at]), band.y(bounds(drawdown, at, Math.min(at + each, high))[0]));
    }
    pen.lineTo(chart.x(times[high - 1]), band.y(0));
    pen.fill();
    pen.globalAlpha = 1;
  }

  function tell(ms) {
    const at = ms === null ? times.length - 1 : Math.max(below(times, ms + 1) - 1, 0);
    const parts = [`${moment(times[at])} UTC`, `equity ${fixed(equity[at], 2)}`, `drawdown ${percent(drawdown[at])}`];
    if (showsHeld.checked) parts.push(`holding ${fixed(held[at], 2)}`);
    told.textContent = parts.join(" · ");
  }

  const chart = new Chart(canvas, times[0], times[times.length - 1], 6 * HOUR, paint, tell);
  byId("equity-fit").addEventListener("click", () => chart.show(chart.first, chart.last));
  showsHeld.addEventListener("change", () => chart.look(null));
  tell(null);
  redraws.push(chart);
})();
